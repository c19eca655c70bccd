"""Finds the places where a module can be cut: where one tensor is all that goes from part to part.

A module is run once, and every call of a module in it is noted. Modules stand in a row where each
takes the very tensor that the one before gave, unchanged in between, and takes nothing else. What
goes around a module, as a skip connection does, or is done between two modules, breaks the row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


class NotCuttable(ValueError):
    """A module cannot be cut where it was asked to be."""


@dataclass(slots=True)
class Call:
    """One call of a module, as it happened.

    Attributes:
        name: Of the module, as ``get_submodule`` takes it.
        alone: Whether it took one tensor and nothing else, and gave one tensor.
        taken: What it took, if ``alone``.
        given: What it gave, if ``alone``.
        versions: How often the two had been changed in place, when taken and when given.
        inner: Calls of modules inside it, in order.
    """

    name: str
    alone: bool = False
    taken: Any = None
    given: Any = None
    versions: tuple[int, int] = (0, 0)
    inner: list["Call"] = field(default_factory=list)


def calls(model: nn.Module, run: Callable[[Tensor], Tensor], inputs: Tensor) -> Call:
    """Note every call of a module inside a model, once through.

    Args:
        model: Whose modules.
        run: A method of the model, from a tensor to a tensor.
        inputs: What it takes.

    Returns:
        The call of ``run`` itself, whose name is empty.
    """
    outer = Call("", alone=True, taken=inputs)
    open_calls = [outer]

    def entered(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            call = Call(name, alone=_one_tensor(args, kwargs), taken=args[:1])
            if call.alone:
                call.taken = args[0]
                call.versions = (args[0]._version, 0)
            open_calls[-1].inner.append(call)
            open_calls.append(call)

        return hook

    def left(_: nn.Module, __: tuple[Any, ...], out: object) -> None:
        call = open_calls.pop()
        call.given = out
        call.alone &= isinstance(out, Tensor)
        if isinstance(out, Tensor):
            call.versions = (call.versions[0], out._version)

    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(entered(name), with_kwargs=True))
            hooks.append(module.register_forward_hook(left))
    try:
        with torch.no_grad():
            outer.versions = (inputs._version, 0)
            outer.given = run(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    outer.versions = (outer.versions[0], outer.given._version)
    return outer


def row(call: Call, cuts: Sequence[str]) -> list[Call]:
    """The modules at the end of a call that stand in a row, opened where a cut lies inside one.

    Returns:
        In order. What happens before the first one is not among them, and may be anything.

    Raises:
        NotCuttable: A cut lies inside a module whose parts do not stand in a row all the way.
    """
    found: list[Call] = []
    for inner in _in_a_row(call):
        if any(cut.startswith(f"{inner.name}.") for cut in cuts):
            opened = row(inner, cuts)
            if not opened or not _follows(inner, opened[0]):
                raise NotCuttable(
                    f"cannot cut inside {inner.name!r}: something goes around its parts, "
                    f"{_named(inner.inner)}, as a skip connection does"
                )
            found += opened
        else:
            found.append(inner)
    return found


def every(call: Call) -> Iterator[Call]:
    """A call and all those inside it."""
    yield call
    for inner in call.inner:
        yield from every(inner)


def _in_a_row(call: Call) -> list[Call]:
    """As many calls from the end as hand on one tensor."""
    if not call.inner or not call.alone:
        return []
    last = call.inner[-1]
    if not (last.alone and last.given is call.given and last.versions[1] == call.versions[1]):
        return []
    found = [last]
    for before in reversed(call.inner[:-1]):
        after = found[-1]
        if not (before.alone and after.taken is before.given):
            break
        if after.versions[0] != before.versions[1]:
            break  # changed in place between the two
        found.append(before)
    return found[::-1]


def _follows(outer: Call, first: Call) -> bool:
    """Whether a module's first part takes what the module itself took."""
    return first.taken is outer.taken and first.versions[0] == outer.versions[0]


def _one_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return len(args) == 1 and isinstance(args[0], Tensor) and not kwargs


def _named(found: Sequence[Call]) -> str:
    return ", ".join(call.name.rpartition(".")[2] for call in found)
