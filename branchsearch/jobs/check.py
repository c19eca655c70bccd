"""Whether the parts of a spec fit together, found out before anything runs or is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import ValidationError

from branchsearch import catalog
from branchsearch.affinity.features import FEWEST
from branchsearch.affinity.measure import Reads
from branchsearch.datasets.dataset import Collection, Label
from branchsearch.datasets.faults import WrongArgument
from branchsearch.datasets.image_files import ImageFiles
from branchsearch.jobs.measures import find_measures
from branchsearch.jobs.reading import InvalidSpec, place_in, place_in_space, read_job, read_space
from branchsearch.jobs.spec import Component, JobSpec, SpaceSpec
from branchsearch.jobs.training import (
    Inherited,
    Training,
    build_backbone,
    build_balancing,
    build_heads,
    code_version,
)
from branchsearch.jobs.tuned import BACKBONE, Choosing, NotTunable, applied, choosings
from branchsearch.model.cost import cost_table
from branchsearch.search.problem import Problem
from branchsearch.search.tuned import Choices, Tuned
from branchsearch.space.cost import Cost, CostTable, fits
from branchsearch.space.extremes import extremes
from branchsearch.space.space import Space
from branchsearch.task import KINDS, Task
from branchsearch.train.recipe import Recipe
from branchsearch.tree import Tree

#: So many backbones may be chosen among.
_BACKBONES = 64


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
            recipe=recipe.of(tree.tasks),
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
        choosings: What is tuned beside the tree, by path.
        backbones: The space with each combination of choices that change the backbone.
    """

    spec: JobSpec
    space: CheckedSpace
    first: tuple[Tree, ...]
    choosings: Mapping[str, Choosing] = field(default_factory=dict)
    backbones: Mapping[Choices, CheckedSpace] = field(default_factory=dict)

    @cached_property
    def tuned(self) -> Tuned | None:
        """What is searched beside the tree."""
        if not self.choosings:
            return None
        return Tuned(
            ranges={path: one.distribution for path, one in self.choosings.items()},
            own=tuple((path, self.choosings[path].own) for path in sorted(self.choosings)),
            costs=lambda choices: self.backbones[of_backbone(choices)].costs,
        )

    def chosen(self, choices: Choices) -> "CheckedJob":
        """The job in which all choices are written down; nothing of it is tuned any more."""
        if not choices:
            return self
        spec = applied(self.spec, self.choosings, choices)
        space = replace(
            self.backbones[of_backbone(choices)],
            spec=spec.space,
            tasks=spec.space.sorted_tasks(),
        )
        return replace(self, spec=spec, space=space, choosings={}, backbones={})

    def without_early_stopping(self) -> Self:
        """The same job, but every trial is trained to its end."""
        fidelity = self.spec.fidelity.model_copy(update={"scheduler": "none"})
        return replace(self, spec=self.spec.model_copy(update={"fidelity": fidelity}))

    def cost(self, tree: Tree, choices: Choices = ()) -> Cost:
        """What a tree costs with what is chosen beside it."""
        costs = self.tuned.costs(choices) if self.tuned and choices else self.space.costs
        return costs.of(tree)

    def allows(self, tree: Tree, choices: Choices = ()) -> bool:
        """Whether a tree is in the space and within the budget."""
        return tree in self.space.space and fits(self.cost(tree, choices), self.spec.upper_bounds)


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


def check_space(source: str | Path | SpaceSpec) -> CheckedSpace:
    """Read a search space and see that its parts fit together.

    Raises:
        InvalidSpec: As ``check_job``.
    """
    spec = source if isinstance(source, SpaceSpec) else read_space(source)
    try:
        return _checked_space(spec)
    except _Misfit as misfit:
        raise InvalidSpec(f"{place_in_space(source, misfit.path)}: {misfit}") from None


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
    job = CheckedJob(spec, space, tuple(first), *_checked_tuned(spec, space))
    _check_sampler(job)
    _check_balancing(spec, space)
    return job


def _checked_tuned(
    spec: JobSpec, space: CheckedSpace
) -> tuple[dict[str, Choosing], dict[Choices, CheckedSpace]]:
    """What is tuned, and the space with every backbone that there is to choose."""
    try:
        found = choosings(spec)
    except NotTunable as error:
        raise _Misfit(("tuned", *error.path), str(error)) from None
    of_space = {path: one for path, one in found.items() if path.startswith(BACKBONE)}
    if of_space and spec.trial.inherit != "scratch":
        raise _Misfit(
            ("tuned", next(iter(of_space))),
            "a network inherits from single-task networks of the job's own backbone, so "
            f"trial.inherit must be scratch, not {spec.trial.inherit}",
        )
    tuned = Tuned(
        {path: one.distribution for path, one in of_space.items()},
        tuple((path, of_space[path].own) for path in sorted(of_space)),
        lambda _: space.costs,
    )
    combinations = tuned.combinations(_BACKBONES)
    if combinations is None:
        raise _Misfit(
            ("tuned", next(iter(of_space))),
            f"backbones are built one by one, so there may be {_BACKBONES} combinations at most",
        )
    backbones = {}
    for choices in combinations:
        path = ("tuned", choices[0][0]) if choices else ()
        try:
            with_these = _checked_space(applied(spec, of_space, choices).space)
        except (ValidationError, _Misfit) as error:
            raise _Misfit(path, f"with {dict(choices)}: {error}") from None
        if with_these.space != space.space:
            raise _Misfit(
                path,
                f"with {dict(choices)} the backbone has {with_these.space.stages} stages; "
                f"trees have {space.space.stages}",
            )
        backbones[choices] = with_these
    return found, backbones


def of_backbone(choices: Choices) -> Choices:
    """Those that change the backbone, and so what trees cost."""
    return tuple(choice for choice in choices if choice[0].startswith(BACKBONE))


def _check_sampler(job: CheckedJob) -> None:
    """See that the sampler can be made, before anything is trained for it."""
    spec, space = job.spec, job.space
    tasks = len(space.tasks)
    unknown = np.zeros((space.space.stages, tasks, tasks))
    problem = Problem(space.space, space.costs, spec.upper_bounds, unknown, job.tuned)
    try:
        catalog.find("sampler", spec.sampler.name)(problem, **spec.sampler.args)(0)
    except (ValueError, TypeError) as error:
        raise _Misfit(("sampler",), str(error)) from None


def _check_balancing(spec: JobSpec, space: CheckedSpace) -> None:
    """See that the balancing can be made, before a training asks for it."""
    weights = {task.name: task.weight for task in space.tasks}
    try:
        build_balancing(_pair(spec.trial.balancing), weights)
    except (ValueError, TypeError) as error:
        raise _Misfit(("trial", "balancing"), str(error)) from None


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
        at = error.path if isinstance(error, WrongArgument) else ()
        raise _Misfit(("dataset", "args", *at), str(error)) from None
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
    except (
        AssertionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # torch's and timm's words
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
    _check_counts(task, label, path)
    if isinstance(collection, ImageFiles) and (parts := collection.without(task.name)):
        raise _Misfit(
            (*path, "name"),
            f"no image of {' or '.join(parts)} has the label {task.name!r}, so there is nothing "
            f"to learn it from or to judge it by; give labels, or other shares",
        )
    if task.metric == "log_rmse" and label.logarithmic:
        raise _Misfit(
            (*path, "metric"), f"label {task.name!r} is a logarithm already; its log_rmse is rmse"
        )


def _check_counts(task: Task, label: Label, path: tuple[str | int, ...]) -> None:
    """See that a task is what its label is, and of as many classes or numbers."""
    said = task.classes or task.count
    many = label.classes or label.count
    counted = f" of {many} {KINDS[label.kind].counted}" if many else ""
    what = f"label {task.name!r} is {label.kind}{counted}, but the task says "
    if label.kind != task.kind:
        raise _Misfit((*path, "kind"), what + task.kind)
    if (label.classes, label.count) != (task.classes, task.count):
        key = "classes" if label.classes else "count"
        raise _Misfit((*path, key), f"{what}{said}")


def _pair(component: Component) -> tuple[str, Mapping[str, Any]]:
    return component.name, component.args
