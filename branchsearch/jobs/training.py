"""One network to train, as a value that a worker process can take, and the training of it.

A training that came to its end is kept under a key made of everything that decides what comes out:
data set, backbone, tasks, tree, recipe, seed and the code. Whoever asks for the same one again, in
this job or another, gets what is kept.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import branchsearch
from branchsearch import catalog
from branchsearch.backbones.backbone import Backbone
from branchsearch.datasets.augmentation import Augmentation, draws
from branchsearch.datasets.dataset import Dataset, Part
from branchsearch.datasets.loading import Batch, load
from branchsearch.files import whole_folder
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import reads_path
from branchsearch.task import KINDS, Task
from branchsearch.train.balancing.balancing import Balancing
from branchsearch.train.checkpoint import Checkpoints
from branchsearch.train.fit import Epoch, NotFinite, fit
from branchsearch.train.inheritance import Inherit, inherit
from branchsearch.train.judging import Load, images_at_once, judge
from branchsearch.train.processes import ALONE, Processes
from branchsearch.train.recipe import Recipe
from branchsearch.train.together import train_together
from branchsearch.tree import Tree

_RESULT, _WEIGHTS = "result.json", "weights.safetensors"

#: Seconds between checkpoints, at least; a killed training loses these and an epoch at most.
_CHECKPOINT_SECONDS = 10.0

#: The floors whose code decides what a training gives.
_DECIDING = ("tree.py", "task.py", "space", "datasets", "backbones", "model", "train")


@dataclass(frozen=True)
class Inherited:
    """Where the first weights of a tree come from.

    Attributes:
        how: What a branch takes of its tasks' networks.
        keys: By task, the key of its single-task training, kept in the same home.
    """

    how: Inherit
    keys: Mapping[str, str]


@dataclass(frozen=True)
class Training:
    """Everything that decides what a trained network is, and where it is kept.

    Attributes:
        home: Root of data sets and of kept trainings.
        dataset: Name in the catalog and arguments.
        backbone: Name in the catalog and arguments.
        tasks: What is predicted, sorted by name.
        tree: Over those tasks.
        recipe: How it is trained.
        balancing: Name in the catalog and arguments.
        seed: Of initial weights and of the order of images.
        test: Whether the finished network is judged on the test part, too.
        threads: CPU threads; decides the speed alone.
        device: ``cpu`` or ``cuda``.
        code: The code's version, see ``code_version``. Said by whoever asks for the training: a
            worker that looked for itself could see other files than the driver, and keep the result
            where the driver does not look.
        content: What changes when the files of the data set do, or what is behind the backbone; see
            ``Collection`` and ``Backbone``.
        inherit: Which finished trainings the first weights come from; None for the backbone's own.
        processes: How many train it together, each on a device of its own and with all threads.
        kept_as: The key that it has, if others decide it: of what an older version has trained.
    """

    home: Path
    dataset: tuple[str, Mapping[str, Any]]
    backbone: tuple[str, Mapping[str, Any]]
    tasks: tuple[Task, ...]
    tree: Tree
    recipe: Recipe
    balancing: tuple[str, Mapping[str, Any]]
    seed: int
    test: bool
    threads: int
    device: str
    code: str
    content: str = ""
    inherit: Inherited | None = None
    processes: int = 1
    kept_as: str = ""

    @property
    def key(self) -> str:
        """A hash of what decides the result; 64 hexadecimal digits."""
        if self.kept_as:
            return self.kept_as
        value = asdict(self)
        for name in ("home", "threads", "kept_as"):
            del value[name]
        value["tree"] = str(self.tree)
        text = json.dumps(value, sort_keys=True)
        return sha256(text.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the finished training is kept."""
        return _folder(self.home, self.key)

    @property
    def checkpoints(self) -> Path:
        """Where the states are that an unfinished training goes on from."""
        return self.home / "checkpoints" / self.key[:2] / self.key

    def forget(self) -> None:
        """Give up going on with an unfinished training."""
        Checkpoints(self.checkpoints).remove()

    def kept(self) -> dict[str, Any] | None:
        """What a finished training reported last; None when there is none.

        The mapping has ``epochs`` (one report per epoch), ``metrics`` (of the last epoch, on
        validation), ``test`` (None unless asked for) and ``seconds``.
        """
        try:
            result: dict[str, Any] = json.loads((self.folder / _RESULT).read_text())
        except FileNotFoundError:
            return None
        return result

    def result(self) -> dict[str, Any]:
        """As ``kept``, of a training that is known to be finished.

        Raises:
            FileNotFoundError: It is not.
        """
        kept = self.kept()
        if kept is None:
            raise FileNotFoundError(f"no finished training of {self.tree} in {self.folder}")
        return kept

    def build(self) -> BranchedNetwork:
        """The network as it is before training; equal trainings give equal weights."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            backbone = build_backbone(self.backbone)
            return BranchedNetwork(self.tree, backbone.modules, build_heads(backbone, self.tasks))

    def start(self) -> BranchedNetwork:
        """The network that the training starts with.

        Raises:
            FileNotFoundError: A training that it inherits from is not finished.
        """
        network = self.build()
        if self.inherit is not None:
            inherit(
                network, {task: self._alone(task) for task in self.tree.tasks}, self.inherit.how
            )
        return network

    def _alone(self, task: str) -> BranchedNetwork:
        assert self.inherit is not None
        network = replace(
            self,
            tree=Tree.share_all([task], len(self.tree.branches)),
            tasks=tuple(one for one in self.tasks if one.name == task),
        ).build()
        folder = _folder(self.home, self.inherit.keys[task])
        network.load_state_dict(load_file(folder / _WEIGHTS))
        return network

    def trained(self) -> BranchedNetwork:
        """The network with the weights of the finished training.

        Raises:
            FileNotFoundError: The training is not finished.
        """
        network = self.build()
        network.load_state_dict(load_file(self.folder / _WEIGHTS))
        return network


def _folder(home: Path, key: str) -> Path:
    return home / "trainings" / key[:2] / key


def build_backbone(component: tuple[str, Mapping[str, Any]]) -> Backbone:
    """Build a backbone of the catalog."""
    name, arguments = component
    backbone: Backbone = catalog.find("backbone", name)(**arguments)
    return backbone


def build_heads(backbone: Backbone, tasks: tuple[Task, ...]) -> dict[str, nn.Module]:
    """The head of each task, for the stages that it reads.

    Raises:
        ValueError: An argument is out of range, or a head reads maps where a stage gives none.
    """
    return {task.name: _build_head(backbone, task) for task in tasks}


def _build_head(backbone: Backbone, task: Task) -> nn.Module:
    head = task.head_or_default
    found = catalog.find("head", head.name)
    channels = [stage.channels for stage in backbone.stages]
    no_maps = [number for number, stage in enumerate(backbone.stages) if stage.kind != "map"]
    if reads_path(found) and no_maps:
        raise ValueError(
            f"task {task.name!r}: head {head.name!r} reads the maps of every stage, "
            f"but stages {no_maps} give tokens"
        )
    read = channels if reads_path(found) else channels[-1]
    built: nn.Module = found(read, task.outputs, **head.args)
    return built


def build_balancing(
    component: tuple[str, Mapping[str, Any]], weights: Mapping[str, float]
) -> Balancing:
    """Build a balancing of the catalog for tasks of given weights."""
    name, arguments = component
    balancing: Balancing = catalog.find("balancing", name)(weights, **arguments)
    return balancing


def train(training: Training) -> Iterator[dict[str, Any]]:
    """Train a network and keep it, or say again what a kept one said.

    A training that was killed goes on from its last checkpoint; the epochs before that are said
    again.

    Yields after every epoch: ``epoch`` (from 1), ``metrics`` (on validation), ``losses``,
    ``seconds`` (that the epochs took so far) and ``last``; the last report has ``test`` as well,
    and ``again``, whether it was kept before.

    Raises:
        NotFinite: A loss is not a number. Nothing is left to go on from: it would come again.
    """
    kept = training.kept()
    if kept is not None:
        yield from ({**report, "again": True} for report in kept["epochs"])
    elif training.processes > 1:
        yield from train_together(training.processes, train_share, training)
    else:
        yield from train_share(training, torch.device(training.device), ALONE)


def train_share(
    training: Training, device: torch.device, processes: Processes
) -> Iterator[dict[str, Any]]:
    """As ``train``, of a training that is not kept, in one of the processes that do it together."""
    torch.set_num_threads(training.threads)
    checkpoints = Checkpoints(training.checkpoints, every_seconds=_CHECKPOINT_SECONDS)
    dataset = open_dataset(training.dataset, training.home)
    network = training.start()
    batches = loader(dataset, training, device)
    metrics = {
        task.name: partial(catalog.find("metric", task.metric), task) for task in training.tasks
    }
    weights = {task.name: task.weight for task in training.tasks}
    epochs = fit(
        network,
        tasks=training.tasks,
        train=dataset.parts["train"],
        validation=dataset.parts["validation"],
        load=batches,
        losses={t.name: catalog.find("loss", KINDS[t.kind].loss) for t in training.tasks},
        metrics=metrics,
        balancing=build_balancing(training.balancing, weights),
        recipe=training.recipe,
        seed=training.seed,
        device=device,
        checkpoints=checkpoints,
        processes=processes,
    )
    reports: list[dict[str, Any]] = []
    seconds = 0.0
    for epoch in _forgotten_if_not_finite(epochs, checkpoints):
        seconds += epoch.seconds
        report = {
            "epoch": epoch.number,
            "metrics": dict(epoch.metrics),
            "losses": dict(epoch.losses),
            "seconds": seconds,
            "last": epoch.number == training.recipe.epochs,
            "again": False,
        }
        reports.append(report)
        if report["last"]:
            report["test"] = (
                judge(
                    network,
                    names=training.tree.tasks,
                    part=dataset.parts["test"],
                    load=batches,
                    metrics=metrics,
                    device=device,
                    at_once=images_at_once(training.recipe, processes),
                )
                if training.test
                else None
            )
            if processes.rank == 0:
                _keep(training, network, reports)
                checkpoints.remove()
        yield report


def _forgotten_if_not_finite(epochs: Iterator[Epoch], checkpoints: Checkpoints) -> Iterator[Epoch]:
    try:
        yield from epochs
    except NotFinite:
        checkpoints.remove()
        raise


def loader(dataset: Dataset, training: Training, device: torch.device) -> Load:
    """Batches for a training: the images that it learns from are changed as its recipe says.

    Raises:
        ValueError: Images are to be mirrored whose labels are not those of their mirror images.
    """
    labels = {name: dataset.labels[name] for name in training.tree.tasks}
    augmentation = training.recipe.augmentation
    if augmentation.flip and not dataset.mirrors:
        raise ValueError(
            "augmentation.flip must be 0: labels of this data set are not those of mirrored images"
        )
    changes = augmentation != Augmentation()

    def batches(part: Part, positions: Sequence[np.ndarray], epoch: int | None) -> Iterator[Batch]:
        by_chance = changes and epoch is not None
        return load(
            part,
            positions,
            labels=labels,
            prepare=dataset.prepare,
            device=device,
            augmentation=augmentation if by_chance else None,
            chance=draws(len(part), seed=training.seed, epoch=epoch or 0) if by_chance else None,
            # on a CPU the first of the threads is busy with the step before
            workers=training.threads - (device.type == "cpu"),
        )

    return batches


def open_dataset(component: tuple[str, Mapping[str, Any]], home: Path) -> Dataset:
    """Open a data set of the catalog; once per process, so that trials find it warm."""
    name, arguments = component
    return _opened(name, json.dumps(arguments, sort_keys=True), home)


@cache
def _opened(name: str, arguments: str, home: Path) -> Dataset:
    dataset: Dataset = catalog.find("dataset", name)(**json.loads(arguments)).open(
        home / "datasets"
    )
    return dataset


def _keep(training: Training, network: BranchedNetwork, reports: list[dict[str, Any]]) -> None:
    result = {
        "tree": str(training.tree),
        "seed": training.seed,
        "epochs": reports,
        "metrics": reports[-1]["metrics"],
        "test": reports[-1]["test"],
        "seconds": reports[-1]["seconds"],
    }
    with whole_folder(training.folder) as work:
        weights = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, work / _WEIGHTS)
        (work / _RESULT).write_text(json.dumps(result, indent=1))


@cache
def code_version() -> str:
    """The package's version and a hash of the code that decides what a training gives."""
    package = Path(branchsearch.__file__).parent
    files = [
        file
        for part in _DECIDING
        for file in sorted((package / part).rglob("*.py") if "." not in part else [package / part])
    ]
    code = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"{branchsearch.__version__}+{code[:12]}"
