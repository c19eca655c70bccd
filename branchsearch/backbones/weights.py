"""Pretrained weights from a file on this machine."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

#: Under what a checkpoint of somebody's training keeps the weights among other things.
_INSIDE = ("state_dict", "model")

#: How many names an error shows.
_SHOWN = 5


def read_weights(path: str) -> dict[str, Tensor]:
    """Read weights by name, on the CPU; no code in the file is run.

    Args:
        path: A ``.safetensors`` file, or one that ``torch.save`` wrote. Relative to the folder that
            the process runs in.

    Raises:
        ValueError: There is no such file, or it holds no weights.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file of weights at {path}")
    try:
        if file.suffix == ".safetensors":
            found: Any = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, SafetensorError, UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as weights: {reason}") from error
    for name in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{path} holds no weights by name")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def content_of(path: str | None) -> str:
    """What changes when a file of weights does; empty where there is none."""
    if path is None:
        return ""
    with Path(path).open("rb") as file:
        return f"weights {file_digest(file, 'sha256').hexdigest()[:16]}"


def load_weights(
    module: nn.Module, weights: Mapping[str, Tensor], *, source: str, unused: Sequence[str] = ()
) -> None:
    """Put weights into a module, all of them.

    Args:
        module: Changed.
        weights: By the module's names.
        source: What the error calls them.
        unused: Beginnings of names that may be there and are not taken, as those of a classifier.

    Raises:
        ValueError: Names lack, are too many, or have another shape.
    """
    needed = module.state_dict()
    given = {name: value for name, value in weights.items() if not name.startswith(tuple(unused))}
    other_shapes = (
        f"{name} ({list(given[name].shape)}, not {list(needed[name].shape)})"
        for name in needed.keys() & given.keys()
        if given[name].shape != needed[name].shape
    )
    check_names(
        needed,
        needed.keys() - given.keys(),
        given.keys() - needed.keys(),
        other_shapes,
        source=source,
    )
    module.load_state_dict(given, strict=False)  # but for batch counters it was just compared


def check_names(
    needed: Iterable[str],
    lacks: Iterable[str],
    strange: Iterable[str],
    other_shapes: Iterable[str] = (),
    *,
    source: str,
) -> None:
    """Refuse weights whose names do not fit; an old file without counters of batches does.

    Raises:
        ValueError: With the names.
    """
    faults = [
        _some("lacks", set(lacks) - _counters(needed)),
        _some("also has", strange),
        _some("has another shape of", other_shapes),
    ]
    if any(faults):
        raise ValueError(f"{source} does not fit: it {'; it '.join(filter(None, faults))}")


def _counters(names: Iterable[str]) -> set[str]:
    """Batch norm's count of batches, which files of before 2018 have not."""
    return {name for name in names if name.endswith("num_batches_tracked")}


def _some(fault: str, names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{fault} {', '.join(found[:_SHOWN])}{more}" if found else ""
