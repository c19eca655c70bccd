"""A trained network as a folder that runs without branchsearch."""

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch

from branchsearch.drawing.svg import svg
from branchsearch.export.card import card
from branchsearch.export.checksums import LEFTOVERS, SUMS, sums
from branchsearch.export.description import describe, promised
from branchsearch.export.formats import GRAPHS, Calibration, check_formats, write_graphs
from branchsearch.export.graphs import at_rest, other_sizes
from branchsearch.export.learning import UNKNOWN, Learning
from branchsearch.export.licence import licence
from branchsearch.export.parts import exported_state
from branchsearch.export.promise import Promise
from branchsearch.export.proof import kept_question, prove, question
from branchsearch.export.source import model_source
from branchsearch.export.training_source import training_source
from branchsearch.files import parents_of
from branchsearch.model.branched import BranchedNetwork
from branchsearch.task import Task

#: What every exported folder holds.
FILES = (
    "LICENSE",
    "README.md",
    "SHA256SUMS",
    "model.json",
    "model.py",
    "proof.json",
    "proof.safetensors",
    "train.py",
    "tree.svg",
    "tree.txt",
    "weights.safetensors",
)


class FolderExists(FileExistsError):
    """Something is where the export should go, and stays there."""


def export(
    to: Path,
    *,
    network: BranchedNetwork,
    tasks: Sequence[Task],
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    facts: Mapping[str, Any],
    names: Mapping[str, Sequence[str]] = MappingProxyType({}),
    learning: Learning = UNKNOWN,
    formats: Collection[str] = (),
    fuse: bool = False,
    calibration: Calibration | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a network's source, weights and description, prove them, and only then show them.

    The folder is built beside ``to`` and moved there whole. Whatever goes wrong, nothing new is at
    ``to`` and what was there before still is.

    Args:
        to: The folder to make; those above it are made where they lack.
        network: The trained network; not changed. Its stages and heads keep each argument of their
            constructors as an attribute of the same name.
        tasks: Its tasks, in any order.
        size: Height and width of the images it was trained on, in pixels.
        mean: Of the colours (R, G, B) it was trained on, in [0, 1].
        std: Their standard deviation, in [0, 1].
        facts: What else is known, as plain JSON; it is kept in ``model.json``. The card shows
            ``metrics`` (by task: a number, or several by what they are), the part of the data that
            they were ``measured_on`` and with which ``seeds`` (a list), ``delta``, ``sliced_from``
            (a tree), ``provenance`` (by name) and ``limits`` (sentences).
        names: By task, where they are known: what its classes, attributes, numbers or keypoints are
            called, in the order of the channels.
        learning: How it was trained; ``train.py`` does the same.
        formats: Names in ``branchsearch.export.formats.GRAPHS``: as what it is written beside its
            source.
        fuse: Whether batch norms go into the convolutions before them, in these formats.
        calibration: What 8-bit integers are chosen by; for ``onnx_int8`` alone.
        overwrite: Replace an earlier export that is at ``to``, and nothing else.

    Returns:
        ``to``.

    Raises:
        FolderExists: Something is at ``to`` that may not be replaced.
        NotExportable: A stage or head cannot be written as source that stands alone.
        ProofFailed: What was written does not do what the network does.
        NotTraceable: A format needs a graph of the network, and torch.export makes none.
        NeedsOnnx: A format needs the extra ``onnx``.
        ValueError: The tasks, size, colours, facts, names or formats do not fit.
        OSError: The folder cannot be written there.
    """
    check_formats(formats)
    if "onnx_int8" in formats and calibration is None:
        raise ValueError("onnx_int8 needs images to find the ranges of numbers with")
    given, to = to, _by_name(to)
    check_free(to, overwrite)
    promise = Promise.of(network, tasks=tasks, size=size, mean=mean, std=std, names=names)
    plain_facts, reference = _plain(facts, promise), at_rest(network)
    others = other_sizes(reference, promise.size)
    asked = question(
        network, promise, others=others, images=calibration.images if calibration else None
    )
    with (
        parents_of(to),
        tempfile.TemporaryDirectory(prefix=".branchsearch-export-", dir=to.parent) as name,
    ):
        work = Path(name)
        folder, desk = work / "export", work / "proof"
        folder.mkdir()
        desk.mkdir()
        _write(folder / "model.py", model_source(network, promise))
        _write(folder / "train.py", training_source(promise, learning))
        _write(folder / "weights.safetensors", safetensors.torch.save(exported_state(network)))
        _write(folder / "tree.txt", f"{network.tree}\n")
        _write(folder / "tree.svg", svg(network.tree))
        _write(folder / "LICENSE", licence(network))
        graphs = write_graphs(
            folder,
            reference,
            promise,
            formats=formats,
            fuse=fuse,
            calibration=calibration,
            others=others,
            work=desk,
        )
        described = describe(
            promise, facts=plain_facts, learning=learning, graphs=graphs, others=others
        )
        proof = prove(folder, promised(described), asked, work=desk)
        _write(folder / "proof.safetensors", safetensors.torch.save(kept_question(asked)))
        _write(folder / "proof.json", _json(proof))
        _write(folder / "model.json", _json(described))
        _write(folder / "README.md", card(promise, described, proof))
        _write(folder / SUMS, sums(folder))
        _sync(folder)
        # not inside the work folder, which goes whatever happens
        with aside(to, work.with_name(f"{work.name}-replaced"), overwrite):
            folder.rename(to)
        _sync(to.parent)
    return given


def _by_name(to: Path) -> Path:
    """``.`` and ``..`` as those above see them: a folder is replaced under its name there."""
    return to.resolve() if to.name in ("", "..") else to


def check_free(to: Path, overwrite: bool) -> None:
    """See that an export may go somewhere, before the work that leads to it.

    Raises:
        FolderExists: Something is there that may not be replaced.
    """
    if not os.path.lexists(to):
        return
    if not overwrite:
        raise FolderExists(f"{to} exists; only overwriting (--overwrite) replaces it")
    if to.is_symlink() or not to.is_dir():
        raise FolderExists(f"{to} is not a folder, and only an exported folder is replaced")
    found = {path.name for path in to.iterdir()}
    strange = sorted(found - {*FILES, *GRAPHS.values(), *LEFTOVERS})
    if strange or not found >= set(FILES):
        lacks = sorted(set(FILES) - found)
        raise FolderExists(
            f"{to} is not an exported folder, and nothing else is replaced: "
            + (f"it also holds {strange}" if strange else f"it lacks {lacks}")
        )


@contextmanager
def aside(to: Path, away: Path, overwrite: bool) -> Iterator[None]:
    """Put an earlier export away while its place is taken; back, if that fails.

    Raises:
        FolderExists: As ``check_free``.
    """
    check_free(to, overwrite)  # the proof took a while
    if not os.path.lexists(to):
        yield
        return
    to.rename(away)
    try:
        yield
    except BaseException:
        away.rename(to)
        raise
    shutil.rmtree(away)


def _plain(facts: Mapping[str, Any], promise: Promise) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(facts), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts are not plain JSON: {error}") from error
    strangers = sorted(plain.get("metrics", {}).keys() - set(promise.tree.tasks))
    if strangers:
        raise ValueError(f"facts have metrics of {strangers}, which are no tasks of {promise.tree}")
    return plain


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, content: bytes | str) -> None:
    """Write a file that survives a power cut."""
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut too, and files that others wrote into it."""
    for path in (folder, *folder.glob("*.pt2"), *folder.glob("*.onnx")):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
