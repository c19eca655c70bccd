"""What every data set of the catalog promises; one from an installed package as well."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branchsearch import catalog
from branchsearch.datasets import store
from branchsearch.datasets.augmentation import MAPS
from branchsearch.datasets.dataset import PARTS, Collection, Dataset, Label
from branchsearch.datasets.listing import shape_of
from branchsearch.task import KINDS
from tests.image_files import TASKS, animals
from tests.layouts import WRITERS

COUNTS = {"train": 6, "validation": 3, "test": 3, "probe": 3}
SHARES = {"shares": {"train": 6 / 11, "validation": 2 / 11, "test": 1 / 11, "probe": 2 / 11}}

#: Tiny arguments of every data set, and others that must give other content. The function may write
#: files into the folder that it is given.
ARGUMENTS: dict[str, Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]] = {
    "scenes": lambda _: ({"size": 16, "seed": 0, **COUNTS}, {"difficulty": "hard"}),
    "digits": lambda _: ({"size": 16, "seed": 0, **COUNTS}, {"seed": 1}),
    "manifest": lambda folder: (
        {"path": str(animals(folder / "animals")), "size": [12, 16], "tasks": TASKS, **SHARES},
        {"seed": 1},
    ),
    **{
        name: lambda folder, write=write: (
            {"folder": str(write(folder / "files")), "size": 16, **SHARES},
            {"size": 12},
        )
        for name, write in WRITERS.items()
    },
}


def make(name: str, arguments: dict[str, Any]) -> Collection:
    made: Collection = catalog.find("dataset", name)(**arguments)
    return made


@pytest.fixture(scope="module", params=catalog.names("dataset"))
def named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A data set's name, its arguments, and some that differ."""
    folder = tmp_path_factory.mktemp(request.param)
    arguments, others = ARGUMENTS[request.param](folder)
    return request.param, arguments, {**arguments, **others}


@pytest.fixture(scope="module")
def collection(named: tuple[str, dict[str, Any], dict[str, Any]]) -> Collection:
    return make(named[0], named[1])


@pytest.fixture(scope="module")
def data(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return collection.open(tmp_path_factory.mktemp("home"))


def same(one: Dataset, other: Dataset) -> None:
    assert (one.fingerprint, one.mean, one.std) == (other.fingerprint, other.mean, other.std)
    assert one.labels == other.labels
    for part in PARTS:
        ours, theirs = one.parts[part], other.parts[part]
        np.testing.assert_array_equal(ours.images[:], theirs.images[:])
        for name in one.labels:
            np.testing.assert_array_equal(ours.targets[name][:], theirs.targets[name][:])


def test_what_is_said_before_opening_is_true(collection: Collection, data: Dataset):
    assert collection.labels == data.labels
    assert collection.counts == {name: len(part) for name, part in data.parts.items()}
    assert tuple(collection.counts) == PARTS
    for part in data.parts.values():
        assert part.images.shape == (len(part), 3, *collection.image_size)
        assert part.images.dtype == np.uint8


def test_no_image_is_in_two_parts(data: Dataset):
    seen = [{image.tobytes() for image in part.images[:]} for part in data.parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert all(seen)


def test_targets_have_their_kinds_shape_and_type(collection: Collection, data: Dataset):
    for part in data.parts.values():
        assert part.targets.keys() == data.labels.keys()
        for name, label in data.labels.items():
            shape, dtype = shape_of(label, collection.image_size)
            target = part.targets[name]
            assert (target.shape, target.dtype) == ((len(part), *shape), dtype), name


def test_labels_are_as_declared(data: Dataset):
    for name, label in data.labels.items():
        assert label.kind in KINDS
        assert (label.classes is not None) == (label.kind in ("classification", "segmentation"))
        assert (label.count is not None) == (
            label.kind in ("attributes", "regression", "keypoints")
        )
        every = np.concatenate([np.ravel(part.targets[name][:]) for part in data.parts.values()])
        known = every[~missing(every, label)]
        assert len(known), name
        check_values(known, label)


def missing(values: np.ndarray, label: Label) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == (-1 if label.kind == "classification" else 255)


def check_values(known: np.ndarray, label: Label) -> None:
    match label.kind:
        case "classification" | "segmentation":
            assert known.min() >= 0
            assert known.max() < (label.classes or 0)
        case "attributes" | "edges" | "saliency":
            assert set(np.unique(known)) <= {0, 1}
        case "keypoints":
            assert known.min() >= 0
            assert 0.5 < known.max() <= 1
        case "depth":
            assert np.isfinite(known).all()
            assert label.logarithmic or known.min() > 0
        case _:
            assert np.isfinite(known).all()


def test_names_are_of_all_or_of_nothing(data: Dataset):
    for label in data.labels.values():
        assert len(label.names) in (0, label.classes or label.count)
        assert len(set(label.names)) == len(label.names)


def test_normals_have_unit_length(data: Dataset):
    for name, label in data.labels.items():
        if label.kind == "normals":
            vectors = data.parts["train"].targets[name][:].astype(float)
            lengths = np.linalg.norm(vectors, axis=1)
            np.testing.assert_allclose(lengths[np.isfinite(lengths)], 1, atol=3e-3)


def test_an_entry_may_be_asked_for_in_every_way(data: Dataset):
    part = data.parts["test"]
    for rows in (part.images, *part.targets.values()):
        chosen = rows[np.array([len(part) - 1, 0])]
        np.testing.assert_array_equal(chosen[1], rows[0])
        np.testing.assert_array_equal(chosen[0], rows[len(part) - 1])
        np.testing.assert_array_equal(rows[:1][0], rows[0])


def test_colours_are_those_of_the_training_images(data: Dataset):
    values = data.parts["train"].images[:] / 255
    np.testing.assert_allclose(data.mean, values.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(data.std, values.std(axis=(0, 2, 3)), rtol=1e-6)


def test_opened_again_or_elsewhere_it_is_the_same(
    named: tuple[str, dict[str, Any], dict[str, Any]], data: Dataset, tmp_path: Path
):
    for _ in range(2):
        same(make(named[0], named[1]).open(tmp_path), data)


def test_other_arguments_give_other_content(
    named: tuple[str, dict[str, Any], dict[str, Any]], data: Dataset, tmp_path: Path
):
    assert make(named[0], named[2]).open(tmp_path).fingerprint != data.fingerprint


@pytest.mark.parametrize("files", [1, 3])
def test_killed_while_it_is_made_it_is_whole_the_next_time(
    named: tuple[str, dict[str, Any], dict[str, Any]], data: Dataset, tmp_path: Path, files: int
):
    """Killed when it is about to write an array's beginning, the first or a later one."""
    child = get_context("fork").Process(target=open_and_die, args=(*named[:2], tmp_path, files))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    same(make(named[0], named[1]).open(tmp_path), data)


def open_and_die(name: str, arguments: dict[str, Any], folder: Path, files: int) -> None:
    written, write = [], store._write_header

    def dying(*given: Any) -> None:  # noqa: ANN401  # as the original
        written.append(given)
        if len(written) == files:
            os.kill(os.getpid(), signal.SIGKILL)
        write(*given)

    store._write_header = dying
    make(name, arguments).open(folder)


def test_every_map_kind_is_in_some_data_set(tmp_path: Path):
    kinds: set[str] = set()
    for name, arguments in ARGUMENTS.items():
        labels = make(name, arguments(tmp_path / name)[0]).labels
        kinds |= {label.kind for label in labels.values()}
    assert kinds == set(KINDS) >= MAPS
