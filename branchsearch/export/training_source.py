"""Writes ``train.py``: a training loop as small as can be, with the search's losses and recipe.

Its parts are the plain ones of ``branchsearch.export.plain``, excerpted. The file has the layout
that ``ruff format`` gives it at 100 columns.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from branchsearch.export.classes import Import, excerpt, literal
from branchsearch.export.learning import Learning
from branchsearch.export.names import Names
from branchsearch.export.plain import averaging, balancing, losses, schedules
from branchsearch.export.promise import Promise
from branchsearch.export.source import docstring, import_lines
from branchsearch.export.templates import render
from branchsearch.task import KINDS
from branchsearch.train.recipe import Optimizer, Precision, Recipe, Schedule, SharedGradient

#: By kind of task: what a target is, and what stands where there is no label.
TARGETS = {
    "classification": "integers [batch], the class from 0; -1 where nobody knows it",
    "attributes": "floats [batch, {outputs}], 1 or 0; NaN where nobody knows it",
    "regression": "floats [batch, {outputs}]; NaN where nobody knows it",
    "segmentation": "bytes [batch, H, W], the class from 0; 255 where nobody knows it",
    "depth": "floats [batch, 1, H, W]; NaN where nobody knows it",
    "normals": "floats [batch, 3, H, W], unit vectors; NaN where nobody knows it",
    "edges": "bytes [batch, 1, H, W], 1 on an edge, else 0; 255 where nobody knows it",
    "saliency": "bytes [batch, 1, H, W], 1 on what stands out, else 0; 255 where nobody knows",
    "keypoints": "floats [batch, {outputs}, H, W], heat in [0, 1]; NaN where nobody knows it",
}

#: What ``train.py`` may import beside torch: for random weights, and for torchjd's balancings.
_ALLOWED = frozenset({"numpy", "torch", "torchjd"})

_OWN = (
    "EPOCHS",
    "LEARNING_RATE",
    "WEIGHT_DECAY",
    "WARM_UP",
    "AVERAGING",
    "WEIGHTS",
    "USERS",
    "LOSSES",
    "Batches",
    "train",
    "average_gradients",
)


@dataclass(frozen=True, slots=True)
class _Plain:
    """The plain class behind a balancing.

    Attributes:
        of: The class.
        gives: Arguments beside those of the spec, as they are written.
        imports: What these need.
        wraps: A call around the spec's arguments, as they are written, and its keyword.
    """

    of: type
    gives: Mapping[str, str] = field(default_factory=dict)
    imports: frozenset[Import] = frozenset()
    wraps: tuple[str, str] | None = None


def _aggregated(name: str, *, sums: bool = False) -> _Plain:
    return _Plain(
        balancing.Aggregated,
        {"aggregator": f"{name}()", "sums": str(sums)},
        frozenset({Import("torchjd.aggregation", name)}),
    )


def _scalarized(name: str, *, given: str = "", whole: bool) -> _Plain:
    return _Plain(
        balancing.Scalarized,
        {"scalarizer": f"{name}({given})", "whole": str(whole)},
        frozenset({Import("torchjd.scalarization", name)}),
    )


#: By name in the catalog.
PLAIN: Mapping[str, _Plain] = {
    "aligned_mtl": _aggregated("AlignedMTL"),
    "config": _aggregated("ConFIG", sums=True),
    "dualproj": _aggregated("DualProj"),
    "dwa": _Plain(balancing.DynamicWeightAverage),
    "equal_start": _Plain(balancing.EqualStart),
    "fixed": _Plain(balancing.Fixed),
    "gls": _Plain(balancing.Geometric),
    "graddrop": _aggregated("GradDrop", sums=True),
    "gradnorm": _Plain(balancing.GradNorm),
    "imtl_g": _aggregated("IMTLG"),
    "imtl_l": _scalarized("IMTLL", given="len(WEIGHTS)", whole=True),
    "mgda": _aggregated("MGDA"),
    "pcgrad": _aggregated("PCGrad", sums=True),
    "rlw": _Plain(balancing.RandomWeights),
    "stch": _scalarized("STCH", given="{mu}", whole=False),
    "uncertainty": _Plain(balancing.Uncertainty),
    "upgrad": _aggregated("UPGrad"),
}


def training_source(promise: Promise, learning: Learning) -> str:
    """Write ``train.py``.

    Args:
        promise: Read off the network.
        learning: How it was trained. A balancing that some installed package brought is not
            written; the file says so, and starts all losses equal.
    """
    names, recipe = Names.of(promise.tree), learning.recipe
    users = [
        (name, len(members))
        for number, stage in enumerate(names.stages)
        for name, members in zip(stage, promise.tree.members(number), strict=True)
    ]
    known = PLAIN.get(learning.balancing, PLAIN["equal_start"])
    rate = getattr(schedules, str(recipe.schedule))
    of_task = {task.name: getattr(losses, KINDS[task.kind].loss) for task in promise.tasks}
    parts: list[Callable[..., Any]] = [*dict.fromkeys(of_task.values()), known.of]
    parts += [balancing.Floors] if recipe.floors else []
    parts += [rate, *([averaging.follow] if recipe.averaging else [])]
    imports = {
        Import("collections.abc", "Iterator"),
        Import("typing", "Protocol"),
        Import("torch"),
        Import("torch", "Tensor"),
        *known.imports,
        *([Import("copy", "deepcopy")] if recipe.averaging else []),
        *([Import("torch", "nn")] if recipe.clip is not None else []),
    }
    own = dict.fromkeys((*_OWN, "BranchedNet", "prepare"), "the file's own")
    used = excerpt(parts, {one.binds: one.origin for one in imports} | own, _ALLOWED)
    every = imports | used.imports
    model = "from model import BranchedNet, prepare"  # beside it: a section of its own
    return render(
        "train.py.jinja",
        imports=f"{import_lines(every)}\n\n{model}",
        definitions="\n\n\n".join(used.definitions.values()),
        tasks=[
            {
                "doc": docstring(task.name),
                "name": literal(task.name),
                "target": TARGETS[task.kind].format(outputs=task.outputs),
                "weight": repr(float(task.weight)),
                "loss": of_task[task.name].__name__,
            }
            for task in promise.tasks
        ],
        users=[(literal(name), count) for name, count in users],
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warm_up=recipe.warm_up,
        averaging=recipe.averaging,
        clip=recipe.clip,
        autocast=recipe.precision == Precision.BFLOAT16,
        mean_gradient=recipe.shared_gradient == SharedGradient.MEAN,
        balancing=_built(known, learning, _compared(promise, names)),
        counts_epochs=bool(recipe.averaging or recipe.floors) or "epoch" in _takes(known.of),
        balancing_takes="".join(f", {name}={name}" for name in _takes(known.of)),
        floors=_floors(promise, recipe),
        optimizer=_optimizer(recipe),
        rate=f"{rate.__name__}({', '.join(_rate_arguments(recipe))})",
        notes=_notes(learning),
    )


def _built(known: _Plain, learning: Learning, compared: str) -> str:
    """The call that makes the balancing, as the formatter breaks it inside ``train``."""
    arguments = dict(learning.arguments) if learning.balancing in PLAIN else {}
    signature = inspect.signature(known.of).parameters
    written = ["list(WEIGHTS.values())"]
    written += [compared] if "compared" in signature else []
    written += ["USERS"] if "users" in signature else []
    plain = {name: literal(value) for name, value in arguments.items()}
    if "scalarizer" in known.gives:
        plain = {}  # they go to torchjd
    gives = {
        name: text.format(mu=literal(arguments.get("mu", 1.0)))
        for name, text in known.gives.items()
    }
    written += [f"{name}={text}" for name, text in {**gives, **plain}.items()]
    one_line = f"{known.of.__name__}({', '.join(written)})"
    if len(f"    balancing = {one_line}.to(device)") <= 100:
        return one_line
    inner = ", ".join(written)
    if len(inner) + 8 <= 100:
        return f"{known.of.__name__}(\n        {inner}\n    )"
    lines = "".join(f"\n        {one}," for one in written)
    return f"{known.of.__name__}({lines}\n    )"


def _takes(of: type) -> list[str]:
    """What a balancing is called with beside the losses, by name."""
    parameters = inspect.signature(of.forward).parameters.values()  # type: ignore[attr-defined]
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def _compared(promise: Promise, names: Names) -> str:
    """By task the branch that GradNorm compares it on: the deepest that all share, else the first.

    See ``branchsearch.train.balancing.gradnorm``.
    """
    tree = promise.tree
    stage = max((s for s, width in enumerate(tree.widths) if width == 1), default=0)
    branches = [names.stages[stage][branch] for branch in tree.branches[stage]]
    if len(set(branches)) == 1:
        return f"[{literal(branches[0])}] * len(WEIGHTS)"
    inner = "".join(f"\n            {literal(branch)}," for branch in branches)
    return f"[{inner}\n        ]"


def _floors(promise: Promise, recipe: Recipe) -> str:
    """The list of floors, as it stands inside ``train``; empty without any."""
    if not recipe.floors:
        return ""
    written = [
        repr(float(recipe.floors[task])) if task in recipe.floors else "-torch.inf"
        for task in promise.tree.tasks
    ]
    one_line = f"[{', '.join(written)}]"
    if len(one_line) <= 79:
        return one_line
    inner = "".join(f"\n            {one}," for one in written)
    return f"\n        [{inner}\n        ]\n    "


def _optimizer(recipe: Recipe) -> str:
    if recipe.optimizer == Optimizer.SGD:
        return f"torch.optim.SGD(groups, lr=learning_rate, momentum={recipe.momentum})"
    return "torch.optim.AdamW(groups, lr=learning_rate)"


def _rate_arguments(recipe: Recipe) -> list[str]:
    power = [f"power={recipe.power}"] if recipe.schedule == Schedule.POLY else []
    return ["step", "steps", "warm_up=WARM_UP", *power]


def _notes(learning: Learning) -> list[str]:
    """What the search did and this file leaves to its user."""
    recipe, notes = learning.recipe, []
    changes = recipe.augmentation
    if changes.flip or changes.zoom != 1 or changes.colour:
        notes.append(
            "There, images were changed by chance, their targets with them; your loader has to do\n"
            f"that: flip {changes.flip}, zoom up to {changes.zoom}, colours by {changes.colour}."
        )
    if recipe.precision == Precision.FLOAT16:
        notes.append("The search trained in float16; this trains in float32.")
    if learning.balancing not in PLAIN:
        notes.append(
            f"The search weighed losses by {learning.balancing!r}, of another package; here all "
            "start equal."
        )
    return notes
