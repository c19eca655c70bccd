"""The README of an exported folder."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from branchsearch.drawing.text import text
from branchsearch.export.promise import MEANINGS, Promise
from branchsearch.export.templates import render
from branchsearch.space.cost import COSTS
from branchsearch.task import Direction, Task
from branchsearch.train.scores import gain


def card(promise: Promise, described: Mapping[str, Any], proof: Mapping[str, Any]) -> str:
    """Write ``README.md``.

    Args:
        promise: What the network is.
        described: What ``model.json`` says of it.
        proof: What ``branchsearch.export.proof.prove`` measured.
    """
    drawing, facts = text(promise.tree), described["facts"]
    metrics = {task: _columns(value) for task, value in described["metrics"].items()}
    columns = list(dict.fromkeys(chain.from_iterable(metrics.values())))
    return render(
        "card.md.jinja",
        cost=promise.cost,
        apart=promise.apart,
        shares={
            name: _percent(getattr(promise.cost, name), getattr(promise.apart, name))
            for name in COSTS
        },
        height=promise.size[0],
        width=promise.size[1],
        other_sizes=described["input"]["other_sizes"],
        fence=_fence(drawing, least=3),
        drawing=drawing,
        sliced_from=_code(facts["sliced_from"]) if "sliced_from" in facts else None,
        tasks=[
            {
                "name": _code(task.name),
                "kind": task.kind,
                "shape": promise.shape_text(task),
                "meaning": MEANINGS[task.kind],
            }
            for task in promise.tasks
        ],
        names=[
            (_code(task), [_code(name) for name in of_task])
            for task, of_task in promise.names.items()
        ],
        columns=[_plain(column) for column in columns],
        measured=[
            [
                _code(task.name),
                _code(task.metric),
                "higher" if task.direction is Direction.MAXIMIZE else "lower",
                *(_number(metrics[task.name].get(column)) for column in columns),
            ]
            for task in promise.tasks
            if task.name in metrics
        ],
        measured_on=_plain(described["measured_on"] or ""),
        seeds=facts.get("seeds"),
        seed=described["provenance"].get("seed"),
        delta=_deltas(described["delta"]),
        latency=[
            {"batch": batch, **_milliseconds(seconds), "ratio": seconds["ratio"]}
            for batch, seconds in proof["latency"].items()
        ],
        graphs=[
            _graph(graph, proof["graphs"][graph["file"]], promise.tasks)
            for graph in described["graphs"]
        ],
        proof=proof,
        limits=[_plain(limit) for limit in described["limits"]],
        provenance=[
            (_plain(name), _code(value if isinstance(value, str) else json.dumps(value)))
            for name, value in described["provenance"].items()
            if not isinstance(value, Mapping)  # a whole spec: for programs
        ],
    )


def _graph(
    graph: Mapping[str, Any], proof: Mapping[str, Any], tasks: Sequence[Task]
) -> dict[str, Any]:
    """A row on a graph, and rows on what its precision costs."""
    metrics = graph.get("metrics")
    return {
        **graph,
        "open": ", ".join(graph["dynamic"]),
        "difference": proof[
            "relative_rms" if graph["precision"] == "int8" else "largest_relative_difference"
        ],
        "latency": {
            batch: _milliseconds(seconds)["milliseconds"]
            for batch, seconds in proof["latency"].items()
        },
        "lost": [
            _lost(task, metrics["float32"][task.name], metrics[graph["precision"]][task.name])
            for task in tasks
        ]
        if metrics
        else [],
    }


def _lost(task: Task, before: float, after: float) -> list[str]:
    change = f"{gain(task, after, before):+.2f} %" if before else ""
    return [_code(task.name), _code(task.metric), _number(before), _number(after), change]


def _milliseconds(seconds: Mapping[str, float]) -> dict[str, str]:
    return {
        name.replace("seconds", "milliseconds"): f"{1000 * value:.3g}"
        for name, value in seconds.items()
        if name.endswith("seconds")
    }


def _deltas(delta: Any) -> str:  # noqa: ANN401  # a number, one per seed, or none
    if delta is None:
        return ""
    values = [delta] if isinstance(delta, (int, float)) else list(delta)
    return " and ".join(f"{value:+.2f} %" for value in values)


def _columns(measured: Any) -> dict[str, Any]:  # noqa: ANN401  # a number, or several by name
    return dict(measured) if isinstance(measured, Mapping) else {"measured": measured}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "100 %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _code(written: str) -> str:
    """Text as code in a cell of a Markdown table, whatever is in it."""
    clean = _one_line(written)
    fence = _fence(clean, least=1)
    pad = " " if "`" in (clean[:1], clean[-1:]) else ""
    return f"{fence}{pad}{clean}{pad}{fence}".replace("|", "\\|")


def _plain(written: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~&$])", r"\\\1", _one_line(written))


def _one_line(written: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in written)


def _fence(written: str, *, least: int) -> str:
    """More backticks than the text has in a row."""
    longest = max(map(len, re.findall("`+", written)), default=0)
    return "`" * max(least, longest + 1)
