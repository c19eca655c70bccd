"""Holds an exported folder to its promise, in a fresh process that has no branchsearch."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from branchsearch.export.formats import prepared
from branchsearch.export.graphs import at_rest
from branchsearch.export.promise import Promise
from branchsearch.model.branched import BranchedNetwork

#: One image, and several: what mixes the images of a batch shows only in the second.
BATCH_SIZES = (1, 5)

#: How many numbers of a prediction are kept to prove a folder again later.
_KEPT = 4096

#: Isolated from the caller's Python, writing no byte code into the folder, speaking UTF-8.
_ALONE = ("-I", "-B", "-X", "utf8")
_SECONDS = 1800
_PROVE = Path(__file__).with_name("_prove.py")


class ProofFailed(RuntimeError):
    """An exported folder does not keep what was promised."""


def prove(
    folder: Path,
    promised: Mapping[str, Any],
    asked: Mapping[str, Tensor],
    *,
    work: Path,
) -> dict[str, Any]:
    """Run ``model.py`` and the weights beside it as their user will, and compare; graphs as well.

    Args:
        folder: With ``model.py``, ``weights.safetensors`` and the graphs' files; only read.
        promised: What is checked, see ``branchsearch.export.description.promised``.
        asked: Images and what is to come of them, as ``question`` makes it.
        work: An empty folder for what the two processes tell each other.

    Returns:
        What was measured, as plain JSON.

    Raises:
        ProofFailed: With the promise that is broken, or with how the process ended.
    """
    file, told, answer = work / "question.safetensors", work / "promise.json", work / "answer"
    safetensors.torch.save_file(dict(asked), file)
    told.write_text(json.dumps({**promised, "threads": torch.get_num_threads()}))
    arguments = [folder, file, told, answer]
    try:
        subprocess.run(
            [sys.executable, *_ALONE, _PROVE, *(path.resolve() for path in arguments)],
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name[:6] != "PYTHON"},
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
        )
        measured: dict[str, Any] = json.loads(answer.read_text())
    except subprocess.CalledProcessError as error:
        tail = "\n".join(error.stderr.strip().splitlines()[-20:])
        raise ProofFailed(
            f"the exported network was not proven (exit code {error.returncode}): {tail}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ProofFailed(f"the exported network was not proven in {_SECONDS} seconds") from error
    return measured


def question(
    network: BranchedNetwork,
    promise: Promise,
    *,
    others: Sequence[tuple[int, int]] = (),
    images: Tensor | None = None,
) -> dict[str, Tensor]:
    """Images and what the searched network makes of them, through its own normalisation.

    Args:
        network: Not changed.
        promise: Read off it.
        others: Sizes of images that it takes, beside its own.
        images: What to show it at its own size; noise without it, and at other sizes.

    Returns:
        By the number of the batch ``images_N``, uint8, and for each task, by its number,
        ``prediction_N_T``, flat; ``shape_N_T``; and ``step_N_T``: every so many of the numbers.
    """
    reference, asked = at_rest(network), {}
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, *promise.size) for batch in BATCH_SIZES] + [(1, *other) for other in others]
    for number, (batch, height, width) in enumerate(shapes):
        shown = torch.randint(
            256, (batch, 3, height, width), generator=generator, dtype=torch.uint8
        )
        if images is not None and (height, width) == promise.size and len(images) >= batch:
            shown = images[:batch].clone()
        with torch.no_grad():
            predicted = reference(prepared(shown, promise))
        asked[f"images_{number}"] = shown
        # by number: a task's name may be anything
        for position, task in enumerate(network.tree.tasks):
            asked[f"prediction_{number}_{position}"] = predicted[task].flatten().clone()
            asked[f"shape_{number}_{position}"] = torch.tensor(predicted[task].shape)
            asked[f"step_{number}_{position}"] = torch.tensor(1)
    return asked


def kept_question(asked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a question that a folder keeps, to be proven again: all images, some numbers."""
    kept = dict(asked)
    for name in asked:
        if name.startswith("prediction_"):
            number = name.removeprefix("prediction_")
            step = max(1, -(-len(asked[name]) // _KEPT))
            kept[name] = asked[name][::step].clone()
            kept[f"step_{number}"] = asked[f"step_{number}"] * step
    return kept
