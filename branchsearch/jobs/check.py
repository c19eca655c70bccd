"""Whether the parts of a spec fit together, found out before anything runs or is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from branchsearch import catalog
from branchsearch.affinity.features import FEWEST
from branchsearch.affinity.measure import Reads
from branchsearch.datasets.dataset import Collection
from branchsearch.jobs.measures import find_measures
from branchsearch.jobs.reading import InvalidSpec, place_in, read_job
from branchsearch.jobs.spec import Component, JobSpec, SpaceSpec
from branchsearch.jobs.training import (
    Inherited,
    Training,
    build_backbone,
    build_heads,
    code_version,
)
from branchsearch.model.cost import cost_table
from branchsearch.space.cost import CostTable, fits
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.task import KINDS, Task
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree


class _Misfit(ValueError):
    """A part of a spec that does not fit the others."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class CheckedSpace:
    """A search space whose parts fit together.

    Attributes:
        spec: As it was read.
        tasks: Sorted by name.
        collection: The data set, not opened yet.
        space: The trees.
        costs: What they cost.
        backbone_content: What changes when weights or code behind the backbone do.
    """

    spec: SpaceSpec
    tasks: tuple[Task, ...]
    collection: Collection
    space: Space
    costs: CostTable
    backbone_content: str

    def training(
        self,
        home: Path,
        tree: Tree,
        *,
        recipe: Recipe,
        balancing: Component,
        seed: int,
        test: bool,
        threads: int,
        device: str,
        inherit: Inherited | None = None,
        processes: int = 1,
    ) -> Training:
        """The training of one tree, over all tasks or over some."""
        return Training(
            home=home,
            dataset=_pair(self.spec.dataset),
            backbone=_pair(self.spec.backbone),
            tasks=tuple(task for task in self.tasks if task.name in tree.tasks),
            tree=tree,
            recipe=replace(
                recipe,
                floors={name: at for name, at in recipe.floors.items() if name in tree.tasks},
            ),
            balancing=_pair(balancing),
            seed=seed,
            test=test,
            threads=threads,
            device=device,
            code=code_version(),
            content=" ".join(filter(None, (self.collection.content, self.backbone_content))),
            inherit=inherit,
            processes=processes,
        )


@dataclass(frozen=True)
class CheckedJob:
    """A job whose parts fit together.

    Attributes:
        spec: As it was read.
        space: What it searches.
        first: Trees asked for by hand.
    """

    spec: JobSpec
    space: CheckedSpace
    first: tuple[Tree, ...]

    def allows(self, tree: Tree) -> bool:
        """Whether a tree is in the space and within the budget."""
        space = self.space
        return tree in space.space and fits(space.costs.of(tree), self.spec.upper_bounds)


def check_job(source: str | Path | Mapping[str, Any] | JobSpec) -> CheckedJob:
    """Read a job and see that its parts fit together.

    Raises:
        InvalidSpec: Saying for each fault where it stands, what it is and what would be right.
    """
    spec = read_job(source)
    try:
        return _checked_job(spec)
    except _Misfit as misfit:
        raise InvalidSpec(f"{place_in(source, misfit.path)}: {misfit}") from None


def check_space(spec: SpaceSpec) -> CheckedSpace:
    """See that the parts of a search space fit together.

    Raises:
        InvalidSpec: As ``check_job``.
    """
    try:
        return _checked_space(spec)
    except _Misfit as misfit:
        raise InvalidSpec(f"{'.'.join(map(str, misfit.path))}: {misfit}") from None


def check_tree(space: Space, text: str) -> Tree:
    """Read a tree of a space.

    Raises:
        ValueError: It is no tree, or not one of the space.
    """
    tree = Tree.parse(text)
    if tree not in space:
        raise ValueError(
            f"{str(tree)!r} is not in the space of {space.stages} stages over "
            f"{', '.join(space.tasks)} that may part at stages "
            f"{[stage for stage, may_split in enumerate(space.may_split) if may_split]}"
        )
    return tree


def _checked_job(spec: JobSpec) -> CheckedJob:
    try:
        space = _checked_space(spec.space)
    except _Misfit as misfit:
        raise _Misfit(("space", *misfit.path), str(misfit)) from None
    _check_budget(spec, space)
    _check_probe_images(spec, space)
    first = []
    for number, text in enumerate(spec.trees):
        try:
            first.append(check_tree(space.space, text))
        except ValueError as error:
            raise _Misfit(("trees", number), str(error)) from None
    return CheckedJob(spec, space, tuple(first))


def _check_budget(spec: JobSpec, space: CheckedSpace) -> None:
    most, _ = extremes(space.space)
    cheapest = space.costs.of(most)
    shares_all = max(most.widths) == 1  # else limits may leave a cheaper one
    for number, constraint in enumerate(spec.constraints):
        least = getattr(cheapest, constraint.metric)
        if shares_all and constraint.max < least:
            raise _Misfit(
                ("constraints", number, "max"),
                f"no tree fits: sharing everything takes {least:,} {constraint.metric}, "
                f"more than {constraint.max:,}",
            )
    within = space.space.within(space.costs, spec.upper_bounds)
    if within.countable and not within.count():
        raise _Misfit(("constraints",), "no tree keeps to them and to the limits of the space")


def _check_probe_images(spec: JobSpec, space: CheckedSpace) -> None:
    """See that affinities can be measured on what is there, before anything is trained for them."""
    images = space.collection.counts["probe"]
    for name, measure in find_measures(spec.affinity.measures).items():
        if measure.reads is Reads.FEATURES and images < FEWEST:
            raise _Misfit(
                ("space", "dataset", "args"),
                f"{name} needs at least {FEWEST} probe images, got {images}",
            )


def _checked_space(spec: SpaceSpec) -> CheckedSpace:
    try:
        collection: Collection = catalog.find("dataset", spec.dataset.name)(**spec.dataset.args)
        _ = collection.counts  # reads the files, if there are any, far enough to know their parts
    except (ValueError, TypeError) as error:
        raise _Misfit(("dataset", "args"), str(error)) from None
    for number, named in enumerate(spec.tasks):
        _check_label(named.task(), collection, ("tasks", number))
    try:
        backbone = build_backbone(_pair(spec.backbone))
    except (ValueError, TypeError) as error:
        raise _Misfit(("backbone", "args"), str(error)) from None
    stages = len(backbone.stages)
    if spec.may_split is not None and len(spec.may_split) != stages:
        raise _Misfit(
            ("may_split",), f"has {len(spec.may_split)} entries for a backbone of {stages} stages"
        )
    tasks = spec.sorted_tasks()
    space = _space(spec, tuple(task.name for task in tasks), stages)
    for number, named in enumerate(spec.tasks):
        try:
            build_heads(backbone, (named.task(),))
        except (ValueError, TypeError) as error:
            raise _Misfit(("tasks", number, "head"), str(error)) from None
    heads, (height, width) = build_heads(backbone, tasks), collection.image_size
    try:
        costs = cost_table(backbone.modules, heads, (height, width))
    except (AssertionError, RuntimeError) as error:  # what torch and timm say of a size
        raise _Misfit(
            ("backbone",), f"it does not take images of {height}x{width} pixels: {error}"
        ) from error
    return CheckedSpace(spec, tasks, collection, space, costs, backbone.content)


def _space(spec: SpaceSpec, tasks: tuple[str, ...], stages: int) -> Space:
    may_split = spec.may_split or (True,) * stages
    if len(tasks) < 2 or not any(may_split):
        raise _Misfit(
            ("tasks",) if len(tasks) < 2 else ("may_split",),
            "the space is empty but for one tree: it needs two tasks and a stage that may split",
        )
    try:
        space = Space(tasks, may_split, spec.limits.limits())
        most, least = extremes(space)
    except ValueError as error:
        raise _Misfit(("limits",), str(error)) from None
    if most == least:
        raise _Misfit(("limits",), f"only one tree keeps to them, and nothing is to search: {most}")
    return space


def _check_label(task: Task, collection: Collection, path: tuple[str | int, ...]) -> None:
    label = collection.labels.get(task.name)
    if label is None:
        raise _Misfit(
            (*path, "name"),
            f"the data set has no label {task.name!r}; it has {', '.join(collection.labels)}",
        )
    if (label.kind, label.classes, label.count) != (task.kind, task.classes, task.count):
        many = label.classes or label.count
        counted = f" of {many} {KINDS[label.kind].counted}" if many else ""
        raise _Misfit((*path, "kind"), f"label {task.name!r} is {label.kind}{counted}")
    if task.metric == "log_rmse" and label.logarithmic:
        raise _Misfit(
            (*path, "metric"), f"label {task.name!r} is a logarithm already; its log_rmse is rmse"
        )


def _pair(component: Component) -> tuple[str, Mapping[str, Any]]:
    return component.name, component.args
