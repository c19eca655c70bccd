"""Holds an exported folder to its promise, in a fresh process that has no branchsearch."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from branchsearch.export.promise import Promise
from branchsearch.model.branched import BranchedNetwork

#: One image, and several: what mixes the images of a batch shows only in the second.
BATCH_SIZES = (1, 5)

#: Isolated from the caller's Python, writing no byte code into the folder, speaking UTF-8.
_ALONE = ("-I", "-B", "-X", "utf8")
_SECONDS = 600
_PROVE = Path(__file__).with_name("_prove.py")


class ProofFailed(RuntimeError):
    """An exported folder does not keep what was promised."""


def prove(
    folder: Path, network: BranchedNetwork, promise: Promise, *, work: Path
) -> dict[str, Any]:
    """Run ``model.py`` and the weights beside it as their user will, and compare.

    Args:
        folder: With ``model.py`` and ``weights.safetensors``; only read.
        network: Gives the outputs to compare with, in evaluation mode; not changed.
        promise: What is checked.
        work: An empty folder for what the two processes tell each other.

    Returns:
        What was measured, as plain JSON.

    Raises:
        ProofFailed: With the promise that is broken, or with how the process ended.
    """
    question, asked, answer = work / "question.safetensors", work / "promise.json", work / "answer"
    safetensors.torch.save_file(_question(network, promise), question)
    asked.write_text(json.dumps(_asked(promise)))
    arguments = [folder, question, asked, answer]
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


def _question(network: BranchedNetwork, promise: Promise) -> dict[str, Tensor]:
    """Random images and what the searched network makes of them, through its own normalisation."""
    reference = deepcopy(network).to("cpu").eval()
    for parameter in reference.parameters():
        # trained with channels last, it would round otherwise than the exported one
        parameter.data = parameter.data.contiguous()
    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (promise.mean, promise.std))
    question = {}
    for batch in BATCH_SIZES:
        images = torch.randint(
            256, (batch, 3, *promise.size), generator=generator, dtype=torch.uint8
        )
        with torch.no_grad():
            predicted = reference((images / 255 - mean) / std)
        question[f"images_{batch}"] = images
        # by number: a task's name may be anything
        for number, task in enumerate(network.tree.tasks):
            question[f"prediction_{batch}_{number}"] = predicted[task].contiguous()
    return question


def _asked(promise: Promise) -> dict[str, Any]:
    return {
        "tasks": list(promise.tree.tasks),
        "size": promise.size,
        "cost": {
            "parameters": promise.cost.parameters,
            "multiply_adds": promise.cost.multiply_adds,
        },
        "threads": torch.get_num_threads(),
    }
