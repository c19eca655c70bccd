"""An exported network brought back into the house: checked, trained further, handed out again."""

from collections import deque
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from branchsearch import catalog
from branchsearch.export.checksums import check_sums
from branchsearch.export.folder import check_free, export
from branchsearch.export.formats import check_formats
from branchsearch.export.learning import Learning
from branchsearch.export.loading import Imported, load_export
from branchsearch.export.sliced import sliced
from branchsearch.jobs.calibrating import calibration
from branchsearch.jobs.check import CheckedSpace, check_space
from branchsearch.jobs.handing import Handing
from branchsearch.jobs.reading import InvalidSpec, read_space
from branchsearch.jobs.spec import Component
from branchsearch.jobs.training import (
    build_balancing,
    code_version,
    loader,
    open_dataset,
)
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import KINDS
from branchsearch.train.fit import fit
from branchsearch.train.judging import judge


def bring_back(folder: Path) -> Imported:
    """Load an exported network whose files are as they were written. Runs its ``model.py``.

    Raises:
        NotAnExport: There is none.
        Damaged: A file has changed.
    """
    check_sums(folder)
    return load_export(folder)


def retrain(
    imported: Imported,
    space: str | Path,
    to: Path,
    *,
    root: Path,
    epochs: int | None,
    seed: int,
    threads: int,
    device: str,
    how: Handing,
) -> dict[str, float]:
    """Train a network further, by the recipe that it was trained by, and export it.

    Args:
        imported: Not changed.
        space: A file, or the name of a space that is shipped; its images are learnt from.
        to: The folder to make.
        root: Where data sets are kept.
        epochs: Passes over the training images; None for as many as before.
        seed: Of the images' order.
        threads: CPU threads.
        device: ``cpu`` or ``cuda``.
        how: As what it is exported, and whether in the place of an earlier export. Tasks that it
            leaves out are trained, but not exported.

    Returns:
        Each exported task's metric on the test part.

    Raises:
        FolderExists: Something is at ``to`` that may not be replaced.
        NeedsOnnx: A format needs the extra ``onnx``.
        InvalidSpec: The space is none, or has not these tasks or images of this size.
        ProofFailed: As ``branchsearch.export.folder.export``.
        ValueError: The network has no such tasks, there are no such formats, or nothing to do.
    """
    if (epochs is not None and epochs < 1) or threads < 1:
        raise ValueError(f"epochs and threads are at least 1, not {epochs} and {threads}")
    check_free(to, how.overwrite)  # training takes a while
    check_formats(how.formats)
    _ = _served(imported.network, how)
    checked, tasks = check_space(read_space(space)), imported.tasks
    _check_fits(imported, checked)
    learning = Learning.from_json(imported.described["training"])
    if epochs is not None:
        learning = replace(learning, recipe=replace(learning.recipe, epochs=epochs))
    training = checked.training(
        root,
        imported.network.tree,
        recipe=learning.recipe,
        balancing=Component(name=learning.balancing, args=dict(learning.arguments)),
        seed=seed,
        test=True,
        threads=threads,
        device=device,
    )
    dataset = open_dataset(training.dataset, root)
    torch.set_num_threads(threads)
    network, batches = deepcopy(imported.network), loader(dataset, training, torch.device(device))
    metrics = {task.name: partial(catalog.find("metric", task.metric), task) for task in tasks}
    steps = fit(
        network,
        tasks=tasks,
        train=dataset.parts["train"],
        validation=dataset.parts["validation"],
        load=batches,
        losses={task.name: catalog.find("loss", KINDS[task.kind].loss) for task in tasks},
        metrics=metrics,
        balancing=build_balancing(training.balancing, {task.name: task.weight for task in tasks}),
        recipe=learning.recipe,
        seed=seed,
        device=torch.device(device),
    )
    deque(steps, maxlen=0)
    served = _served(network, how)
    recipe = learning.recipe.of(served.tree.tasks)
    judged = judge(
        served,
        names=served.tree.tasks,
        part=dataset.parts["test"],
        load=batches,
        metrics=metrics,
        device=torch.device(device),
    )
    of_served = replace(
        training,
        tree=served.tree,
        tasks=tuple(task for task in tasks if task.name in served.tree.tasks),
    )
    export(
        to,
        network=served,
        tasks=of_served.tasks,
        size=imported.size,
        mean=dataset.mean,
        std=dataset.std,
        names={task.name: dataset.labels[task.name].names for task in of_served.tasks},
        learning=replace(learning, recipe=recipe),
        facts={
            "metrics": {name: {"test": value} for name, value in judged.items()},
            "measured_on": "test",
            "provenance": {
                "branchsearch": code_version(),
                "data set": dataset.fingerprint,
                "seed": str(seed),
                "trained further from": imported.described["provenance"],
            },
            **({"sliced_from": str(network.tree)} if served.tree != network.tree else {}),
        },
        formats=how.formats,
        fuse=how.fuse,
        calibration=calibration(dataset, of_served) if "onnx_int8" in how.formats else None,
        overwrite=how.overwrite,
    )
    return judged


def _served(network: BranchedNetwork, how: Handing) -> BranchedNetwork:
    """The part of a network that the tasks to be handed out use."""
    return sliced(network, how.tasks) if how.tasks else network


def _check_fits(imported: Imported, space: CheckedSpace) -> None:
    theirs = {task.name: (task.kind, task.classes, task.count) for task in space.tasks}
    for task in imported.tasks:
        if theirs.get(task.name) != (task.kind, task.classes, task.count):
            raise InvalidSpec(
                f"the network predicts {task.name!r} ({task.kind}), which is no such task of the "
                f"space: {', '.join(theirs)}"
            )
    if space.collection.image_size != imported.size:
        raise InvalidSpec(
            f"the network was trained on images of {imported.size[0]}x{imported.size[1]} pixels, "
            f"the space has {space.collection.image_size[0]}x{space.collection.image_size[1]}"
        )
