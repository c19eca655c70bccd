"""``model.json``: everything that is known of an exported network, for programs.

``docs/reference/export.md`` says what every key means.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from branchsearch.export.formats import Graph
from branchsearch.export.learning import Learning
from branchsearch.export.promise import Promise

#: Of ``model.json``; a higher one may lack or rename what this one has.
SCHEMA_VERSION = 2

#: What of the facts stands at the top; the rest stands under ``facts``.
_AT_TOP = ("metrics", "measured_on", "delta", "provenance", "limits")


class NotAnExport(ValueError):
    """A folder is not an exported network, or one of a version that this one cannot read."""


def describe(
    promise: Promise,
    *,
    facts: Mapping[str, Any],
    learning: Learning,
    graphs: Sequence[Graph],
    others: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Everything that ``model.json`` says, as plain JSON."""
    known = {name: facts.get(name) for name in _AT_TOP}
    described = {
        "schema_version": SCHEMA_VERSION,
        "written_by": f"branchsearch {version('branchsearch')}",
        "tree": str(promise.tree),
        "tasks": promise.tasks_as_json(),
        "input": {
            "shape": ["batch", 3, *promise.size],
            "colours": "RGB",
            "height": promise.size[0],
            "width": promise.size[1],
            "other_sizes": bool(others),
            "mean": promise.mean,
            "std": promise.std,
        },
        "cost": {
            "parameters": promise.cost.parameters,
            "multiply_adds": promise.cost.multiply_adds,
        },
        "single_task_cost": {
            "parameters": promise.apart.parameters,
            "multiply_adds": promise.apart.multiply_adds,
        },
        "metrics": known["metrics"] or {},
        "measured_on": known["measured_on"],
        "delta": known["delta"],
        "training": learning.as_json(),
        "graphs": [graph.as_json() for graph in graphs],
        "provenance": known["provenance"] or {},
        "limits": known["limits"] or [],
        "facts": {name: value for name, value in facts.items() if name not in _AT_TOP},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described, allow_nan=False))
    return plain


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's ``model.json`` says.

    Raises:
        NotAnExport: There is none, or it cannot be read here.
    """
    try:
        described: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        schema = described["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAnExport(f"{folder} is not an exported network: {error}") from error
    if schema != SCHEMA_VERSION:
        raise NotAnExport(
            f"{folder} has version {schema} of model.json; this branchsearch reads "
            f"{SCHEMA_VERSION}: export it again"
        )
    return described


def promised(described: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a description that a proof holds a folder to."""
    size = [described["input"]["height"], described["input"]["width"]]
    return {
        "tasks": described["tasks"],
        "size": size,
        "cost": described["cost"],
        "graphs": described["graphs"],
    }
