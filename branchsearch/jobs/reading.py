"""From YAML text to a checked spec, with the file and line of whatever is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from branchsearch.datasets.faults import did_you_mean
from branchsearch.jobs.shipped import shipped
from branchsearch.jobs.spec import JobSpec, SpaceSpec

_Spec = TypeVar("_Spec", bound=BaseModel)


class InvalidSpec(ValueError):
    """Text that is no spec; the message has a line for everything that is wrong."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A parsed file: its plain content, and where each key stands."""

    name: str
    marked: Any  # ruamel's containers, which know their lines

    def place(self, path: Sequence[str | int]) -> str:
        """``file:line`` of the deepest part of a path that stands in the file."""
        at, line = self.marked, 0
        for part in path:
            if isinstance(at, CommentedMap) and part in at:
                line = at.lc.key(part)[0]
            elif isinstance(at, CommentedSeq) and isinstance(part, int) and part < len(at):
                line = at.lc.item(part)[0]
            else:
                break
            at = at[part]
        return f"{self.name}:{line + 1}"


def read_job(source: str | Path | Mapping[str, Any] | JobSpec) -> JobSpec:
    """Read a job: the name of one that is shipped, a file, its content as a mapping, or a spec.

    A space that is named is replaced by its content, so that the spec is complete in itself.

    Raises:
        InvalidSpec: Saying for each fault where it stands, what it is and what would be right.
    """
    if isinstance(source, JobSpec):
        return source
    if isinstance(source, Mapping):
        text, folder = _Text("spec", dict(source)), Path()
    else:
        path = _found(source, "jobs")
        text, folder = _load(path), path.parent
    return _checked(JobSpec, *_with_space(text, folder))


def read_space(source: str | Path) -> SpaceSpec:
    """Read a search space: the name of one that is shipped, or a file.

    Raises:
        InvalidSpec: As ``read_job``.
    """
    text = _load(_found(source, "search_spaces"))
    return _checked(SpaceSpec, text, {(): text})


def _with_space(text: _Text, folder: Path) -> tuple[_Text, dict[tuple[str, ...], _Text]]:
    """Put a named space into the job; beside it, which text each part comes from."""
    origins: dict[tuple[str, ...], _Text] = {(): text}
    job = text.marked
    if isinstance(job, Mapping) and isinstance(named := job.get("space"), str):
        try:
            space = _load(_found(named, "search_spaces", beside=folder))
            _check_kind(SpaceSpec, space)
        except InvalidSpec as error:
            raise InvalidSpec(f"{text.place(['space'])}: space: {error}") from None
        origins[("space",)] = space
        whole = {**job, "space": space.marked}
        return _Text(text.name, whole), origins
    return text, origins


def _found(source: str | Path, kind: str, *, beside: Path = Path()) -> Path:
    """The file that a name or a path means; a relative path starts at the file that holds it."""
    path = beside / source
    if path.is_file():
        return path
    named = shipped(kind)
    if str(source) in named:
        return named[str(source)]
    meant = did_you_mean(source, named)
    raise InvalidSpec(
        f"no file {str(path)!r}, and {kind}/ holds no {str(source)!r}, "
        f"only {', '.join(named)}{meant}"
    )


def _load(path: Path) -> _Text:
    try:
        content = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidSpec(f"{path}:{line}: not YAML: {error.problem}") from None
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{path}: not UTF-8 text: {error.reason}") from None
    return _Text(str(path), content)


def _check_kind(kind: type[BaseModel], text: _Text) -> None:
    """See that a job is not taken for a search space, nor the other way round.

    Else every key of the one would be called unknown, and every key of the other missing.
    """
    if not isinstance(text.marked, Mapping):
        return
    has_space, has_parts = "space" in text.marked, {"dataset", "backbone"} & text.marked.keys()
    if kind is SpaceSpec and has_space and not has_parts:
        raise InvalidSpec(
            f"{text.name}: this is a job, and what is asked for is a search space: what a job has "
            "under the key space, or the file that is named there"
        )
    if kind is JobSpec and has_parts and not has_space:
        raise InvalidSpec(
            f"{text.name}: this is a search space, and what is asked for is a job: one that names "
            "this file under the key space"
        )


def _checked(kind: type[_Spec], text: _Text, origins: Mapping[tuple[str, ...], _Text]) -> _Spec:
    _check_kind(kind, text)
    try:
        return kind.model_validate(_plain(text.marked))
    except ValidationError as invalid:
        found = invalid.errors(include_url=False)
        faults = [
            f"{_place(fault['loc'], origins)}: {_message(kind, fault)}"
            for fault in found
            if not _follows_from_others(fault, found)
        ]
        raise InvalidSpec("\n".join(faults)) from None


def _follows_from_others(
    fault: Mapping[str, Any], all_of_them: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a list is called too short only because its entries are wrong themselves."""
    loc = fault["loc"]
    inside = any(other["loc"][: len(loc)] == loc != other["loc"] for other in all_of_them)
    return bool(fault["type"] == "too_short" and inside)


def place_in(source: str | Path | Mapping[str, Any] | JobSpec, path: Sequence[str | int]) -> str:
    """``file:line: path`` of a part of a job that has been read, for faults found later."""
    dotted = ".".join(map(str, path))
    if isinstance(source, (JobSpec, Mapping)):
        return dotted
    file = _found(source, "jobs")
    _, origins = _with_space(_load(file), file.parent)
    return f"{_place(tuple(path), origins)}: {dotted}"


def place_in_space(source: str | Path | SpaceSpec, path: Sequence[str | int]) -> str:
    """``file:line: path`` of a part of a search space that has been read."""
    dotted = ".".join(map(str, path))
    if isinstance(source, SpaceSpec):
        return dotted
    return f"{_load(_found(source, 'search_spaces')).place(path)}: {dotted}"


def _place(path: tuple[str | int, ...], origins: Mapping[tuple[str, ...], _Text]) -> str:
    longest = max((o for o in origins if path[: len(o)] == o), key=len)
    return origins[longest].place(path[len(longest) :])


def _message(kind: type[BaseModel], fault: Mapping[str, Any]) -> str:
    *parents, last = fault["loc"] or ("spec",)
    dotted = ".".join(map(str, fault["loc"])) or "the whole"
    if fault["type"] == "extra_forbidden":
        known = sorted(_model_at(kind, parents).model_fields)
        close = get_close_matches(str(last), known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
        return f"{dotted}: unknown key{meant}"
    if fault["type"] == "missing":
        return f"{dotted}: missing"
    given = fault.get("input")
    if fault["type"] in ("model_type", "dict_type"):
        stands = "nothing" if given is None else repr(given)
        return f"{dotted}: keys with values belong here, and {stands} stands there"
    if fault["type"] == "too_short":
        return f"{dotted}: at least {fault['ctx']['min_length']} must be given"
    message = fault["msg"].removeprefix("Value error, ")
    shown = f", not {given!r}" if isinstance(given, (str, int, float)) else ""
    return f"{dotted}: {message}{'' if fault['type'] == 'value_error' else shown}"


def _model_at(kind: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    for part in path:
        if isinstance(part, str) and part in kind.model_fields:  # else a key of a mapping
            kind = _model_in(kind.model_fields[part].annotation) or kind
    return kind


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  # any type form
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for a in get_args(annotation) if (model := _model_in(a))), None)


def _plain(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """Without ruamel's own number and text types, which pydantic and JSON would carry along."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
