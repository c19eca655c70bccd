"""Samplers from OptunaHub, where Optuna's users publish theirs.

The name says what code to fetch and import, so a specification from elsewhere may not hold it:
``branchsearch.catalog.is_local`` says which names those are.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from optuna.samplers import BaseSampler

from branchsearch.search.problem import Problem
from branchsearch.search.samplers.seeded import seeded


def optunahub_sampler(
    package: str,
    problem: Problem,
    /,
    *,
    sampler: str | None = None,
    registry: str | None = None,
    ref: str = "main",
    arguments: Mapping[str, Any] | None = None,
) -> Callable[[int], BaseSampler]:
    """A sampler of a package of OptunaHub, such as ``samplers/auto_sampler``.

    Args:
        package: As in OptunaHub's registry, which it is downloaded from once.
        problem: What is searched.
        sampler: Name of the class; not needed where the package has one alone.
        registry: Folder in which the package lies, so that nothing is downloaded.
        ref: Branch, tag or commit of OptunaHub's registry.
        arguments: Of the sampler, beside the seed.

    Raises:
        ValueError: optunahub is not installed; the package cannot be fetched or imported; it has no
            such sampler; or that cannot be made with these arguments.
    """
    name = f"optunahub:{package}"
    module = _loaded(name, package, registry, ref)
    kinds = {
        key: kind
        for key, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, BaseSampler) and not inspect.isabstract(kind)
        if kind.__module__.startswith(module.__name__)
    }
    if sampler is None and len(kinds) == 1:
        (sampler,) = kinds
    if sampler not in kinds:
        raise ValueError(
            f"{name} has the samplers {', '.join(sorted(kinds)) or '(none)'}; "
            + ("say which in sampler" if sampler is None else f"there is no {sampler}")
        )
    return seeded(kinds[sampler], arguments or {}, problem, name=name)


def _loaded(name: str, package: str, registry: str | None, ref: str) -> ModuleType:
    try:
        import optunahub
    except ImportError:
        raise ValueError(
            f"{name} needs optunahub: python -m pip install 'branchsearch[optunahub]'"
        ) from None
    if registry is not None and not (Path(registry) / package / "__init__.py").is_file():
        raise ValueError(f"{name}: there is no {package}/__init__.py in {registry}")
    try:
        if registry is None:
            return optunahub.load_module(package, ref=ref)
        return optunahub.load_local_module(package, registry_root=registry)
    except Exception as error:  # of git, of GitHub's answer, or of the package's own code
        fetched = (
            "; it is downloaded from GitHub, which needs git and a network; registry names a "
            "folder in which it lies already"
        )
        raise ValueError(
            f"{name} cannot be loaded: {type(error).__name__}: {str(error).strip()}"
            + ("" if registry else fetched)
        ) from error
