"""What a job tunes beside the tree: from its ``tuned`` section to parameters of the study and back.

A path names a value of the job: ``trial.<key>``, ``space.backbone``, ``space.backbone.args.<name>``
or ``weights.<task>``. With other choices a job is another job; so what a choice means is what it
would mean if it were written there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from branchsearch.jobs.spec import JobSpec, TunedSpec
from branchsearch.search.tuned import Choices, holds, values_of

#: Paths that begin so change what a tree costs.
BACKBONE = "space.backbone"

#: What cannot be tuned, though its path looks so, and why.
_REFUSED = {
    "trial.epochs": "trials are compared after as many epochs",
    "trial.inherit": "single-task networks are trained once, before the search",
}


#: Mappings that hold what the job gives, and not all that there could be.
_FREE = ("args", "floors")


class NotTunable(ValueError):
    """A part of the section that makes no sense.

    Attributes:
        path: Where it stands, from the section on.
    """

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Choosing:
    """One value of the job that is tuned.

    Attributes:
        path: Which.
        distribution: What the study's parameter may be.
        own: The job's own value, as the parameter has it.
        meant: What the parameter's text stands for, where the value is a list or a mapping.
    """

    path: str
    distribution: BaseDistribution
    own: Any
    meant: Mapping[str, Any]

    def value(self, parameter: Any) -> Any:  # noqa: ANN401  # any value of a spec
        """What a parameter stands for."""
        return self.meant.get(parameter, parameter) if isinstance(parameter, str) else parameter


def choosings(spec: JobSpec) -> dict[str, Choosing]:
    """Everything that a job tunes, by path.

    Raises:
        NotTunable: A path names nothing that can be tuned, the job's own value is none of those
            to choose from, or one of these is no such value.
    """
    found = {}
    for path, section in spec.tuned.items():
        own = _own(spec, path)
        one = _of_choices(path, section, own) if section.choices else _of_range(path, section, own)
        for key, parameter in _ends(section, one):
            try:
                applied(spec, {path: one}, ((path, parameter),))
            except ValidationError as error:
                message = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise NotTunable((path, *key), message) from None
        if not holds(one.distribution, one.own):
            raise NotTunable(
                (path,), f"the job's own value, {one.own}, must be one of those to choose from"
            )
        found[path] = one
    return found


def applied(spec: JobSpec, choosings: Mapping[str, Choosing], choices: Choices) -> JobSpec:
    """The job in which all choices are written down.

    Raises:
        ValidationError: It cannot be.
    """
    content = spec.model_dump(exclude={"tuned"})
    for path, parameter in choices:
        at, key = _place(content, path)
        at[key] = choosings[path].value(parameter)
    return JobSpec.model_validate(content)


def _own(spec: JobSpec, path: str) -> Any:  # noqa: ANN401  # any value of a spec
    if path in _REFUSED:
        raise NotTunable((path,), f"{path} cannot be tuned: {_REFUSED[path]}")
    first, *rest = path.split(".")
    if not (first in ("trial", "weights") and rest) and (first, *rest[:1]) != ("space", "backbone"):
        raise NotTunable(
            (path,),
            f"{path} cannot be tuned; what can: trial.<key>, {BACKBONE}, {BACKBONE}.args.<name> "
            "and weights.<task>",
        )
    _check_is_there(spec, path)
    at, key = _place(spec.model_dump(), path)
    return at[key]


def _place(content: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The mapping that holds a value, and its key there."""
    first, *parents, key = path.split(".")
    if first == "weights":
        return next(task for task in content["space"]["tasks"] if task["name"] == key), "weight"
    at = content[first]
    for parent in parents:
        at = at[parent]
    return at, key


def _check_is_there(spec: JobSpec, path: str) -> None:
    """See that a path leads to a value of the job."""
    first, *rest = path.split(".")
    weights = {task.name: task.weight for task in spec.space.tasks}
    at: Any = weights if first == "weights" else spec.model_dump()[first]
    before = [first]
    for key in rest:
        if not isinstance(at, Mapping):
            raise NotTunable((path,), f"{'.'.join(before)} is one value, and holds no {key!r}")
        if key not in at:
            raise NotTunable((path,), _unknown(at, key, before))
        at = at[key]
        before.append(key)


def _unknown(known: Mapping[str, Any], key: str, before: Sequence[str]) -> str:
    """What to say of a key that a part of the job has not."""
    path = ".".join([*before, key])
    close = get_close_matches(key, known, n=1)
    if close:
        return f"unknown path; did you mean {'.'.join([*before, close[0]])!r}?"
    if before[-1] in _FREE:
        return f"the job itself gives no {path}; write down its own value"
    return f"unknown path; {'.'.join(before)} has {', '.join(known)}"


def _of_choices(path: str, section: TunedSpec, own: Any) -> Choosing:  # noqa: ANN401
    assert section.choices is not None
    component = isinstance(own, Mapping) and own.keys() == {"name", "args"}
    values = [_component(value) if component else value for value in section.choices]
    texts = [_text(value) for value in values]
    for number, text in enumerate(texts):
        if text in texts[:number]:
            raise NotTunable((path, "choices", number), f"{text} is named twice")
    meant = {text: value for text, value in zip(texts, values, strict=True) if text is not value}
    return Choosing(path, CategoricalDistribution(texts), _text(own), meant)


def _of_range(path: str, section: TunedSpec, own: Any) -> Choosing:  # noqa: ANN401
    low, high, step = section.low, section.high, section.step
    assert low is not None
    assert high is not None
    whole = [value for value in (low, high, step, own) if value is not None]
    if isinstance(own, bool) or not isinstance(own, int | float):
        raise NotTunable((path,), f"the job's own value, {own}, is no number; give choices")
    try:
        if all(isinstance(value, int) for value in whole):
            return Choosing(
                path, IntDistribution(int(low), int(high), section.log, int(step or 1)), own, {}
            )
        return Choosing(
            path, FloatDistribution(float(low), float(high), section.log, step), float(own), {}
        )
    except ValueError as error:  # what Optuna says of a range
        raise NotTunable((path,), str(error)) from None


def _ends(section: TunedSpec, one: Choosing) -> list[tuple[tuple[str | int, ...], Any]]:
    """Where values stand that are tried out, and the parameters that stand for them."""
    if isinstance(one.distribution, CategoricalDistribution):
        return [(("choices", n), text) for n, text in enumerate(one.distribution.choices)]
    low, high = section.low, section.high
    assert low is not None
    assert high is not None
    ends: list[tuple[tuple[str | int, ...], Any]] = [(("low",), low), (("high",), high)]
    if isinstance(one.distribution, FloatDistribution):
        # one between them, too: whole numbers at the ends say nothing of that
        values = values_of(one.distribution) or [low, low + 0.38 * (high - low)]
        ends.append(((), values[:2][-1]))
    return ends


def _component(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """A name, or name and args, in the form that a checked spec has."""
    if isinstance(value, str):
        return {"name": value, "args": {}}
    return {"args": {}, **value} if isinstance(value, Mapping) else value


def _text(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """A value as Optuna keeps it: lists and mappings as text."""
    if isinstance(value, Mapping) and value.keys() == {"name", "args"} and not value["args"]:
        return value["name"]
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return json.dumps(value, sort_keys=True)
    return value
