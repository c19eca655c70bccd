"""Names in specs to code. The only place where a name becomes an object."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "dataset": {"scenes": "branchsearch.datasets.scenes:Scenes"},
    "backbone": {"resnet": "branchsearch.backbones.resnet:resnet"},
    "head": {"dense": "branchsearch.model.heads:DenseHead"},
    "loss": {
        "absolute_error": "branchsearch.train.losses:absolute_error",
        "balanced_binary": "branchsearch.train.losses:balanced_binary",
        "cosine_distance": "branchsearch.train.losses:cosine_distance",
        "cross_entropy": "branchsearch.train.losses:cross_entropy",
    },
    "metric": {
        "angular_error": "branchsearch.train.metrics:angular_error",
        "average_precision": "branchsearch.train.metrics:average_precision",
        "mean_iou": "branchsearch.train.metrics:mean_iou",
        "rmse": "branchsearch.train.metrics:rmse",
    },
    "balancing": {
        "equal_start": "branchsearch.train.balancing:equal_start",
        "fixed": "branchsearch.train.balancing:fixed",
    },
    "affinity": {
        "cka": "branchsearch.affinity.cka:CKA",
        "cka_debiased": "branchsearch.affinity.cka:CKA_DEBIASED",
        "gradient_cosine": "branchsearch.affinity.gradients:GRADIENT_COSINE",
        "rsa": "branchsearch.affinity.rsa:RSA",
        "rsa_euclidean": "branchsearch.affinity.rsa:RSA_EUCLIDEAN",
        "rsa_kendall": "branchsearch.affinity.kendall:RSA_KENDALL",
        "rsa_pearson": "branchsearch.affinity.rsa:RSA_PEARSON",
        "tag": "branchsearch.affinity.tag:TAG",
        "two_task": "branchsearch.affinity.two_task:TWO_TASK",
    },
    "sampler": {
        "nsga2": "branchsearch.search.samplers.stock:nsga2",
        "random": "branchsearch.search.samplers.stock:random",
        "ranked": "branchsearch.search.samplers.ranked:ranked_by_affinity",
        "tpe": "branchsearch.search.samplers.stock:tpe",
    },
    "scheduler": {
        "halving": "branchsearch.search.early_stopping:halving",
        "none": "branchsearch.search.early_stopping:never",
    },
}


class UnknownName(ValueError):
    """Nothing of that kind goes by that name."""


def names(kind: str) -> list[str]:
    """Every name of a kind, built in or from an installed package."""
    return sorted(BUILT_IN[kind].keys() | entry_points(group=f"branchsearch.{kind}").names)


def check(kind: str, name: str) -> None:
    """Refuse a name that nothing goes by, without importing anything.

    Raises:
        UnknownName: With the names there are.
    """
    there_are = names(kind)
    if name not in there_are:
        close = get_close_matches(name, there_are, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UnknownName(f"no {kind} {name!r}; there are {', '.join(there_are)}{meant}")


def find(kind: str, name: str) -> Callable[..., Any]:
    """Look a name up among the built-in ones and the installed packages' entry points.

    A package adds its own under ``[project.entry-points."branchsearch.<kind>"]``. Only the one that
    is asked for is imported.

    Raises:
        UnknownName: With the names there are.
    """
    check(kind, name)
    if name in BUILT_IN[kind]:
        found: Callable[..., Any] = resolve_name(BUILT_IN[kind][name])
        return found
    (entry,) = entry_points(group=f"branchsearch.{kind}", name=name)
    installed: Callable[..., Any] = entry.load()
    return installed
