"""Every key of a spec, as the READMEs of ``jobs/`` and ``search_spaces/`` list them.

``python -m tests.spec_tables`` prints the tables anew.
"""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from branchsearch.jobs.spec import JobSpec, SpaceSpec


def rows(spec: type[BaseModel], prefix: str = "", but: tuple[str, ...] = ()) -> Iterator[str]:
    """One Markdown row per key: its path, its default, what it is."""
    for name, field in spec.model_fields.items():
        default = "required" if field.is_required() else _shown(field.get_default())
        yield f"| `{prefix}{name}` | {default} | {field.description} |"
        inner = _model_in(field.annotation)
        if inner is not None and name not in but:
            many = "[]" if "tuple" in str(field.annotation) else ""
            many = ".<path>" if str(field.annotation).startswith("dict") else many
            yield from rows(inner, f"{prefix}{name}{many}.", but)


def job_rows() -> list[str]:
    """The keys of a job, without those of its space."""
    return list(rows(JobSpec, but=("space",)))


def space_rows() -> list[str]:
    """The keys of a search space."""
    return list(rows(SpaceSpec))


def _shown(default: Any) -> str:  # noqa: ANN401  # any default
    if isinstance(default, BaseModel):
        return "see below"
    if isinstance(default, tuple) and any(isinstance(part, BaseModel) for part in default):
        return "delta alone"
    if default in ((), {}):
        return "none"
    if isinstance(default, tuple):
        return f"`[{', '.join(default)}]`"
    return "none" if default is None else f"`{str(default).lower()}`"


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  # any type form
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for a in get_args(annotation) if (model := _model_in(a))), None)


if __name__ == "__main__":
    print("\n".join(job_rows()), "", "\n".join(space_rows()), sep="\n")
