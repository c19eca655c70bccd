"""Whether this machine has what a job's trainings ask for."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from branchsearch.jobs.reading import InvalidSpec, place_in
from branchsearch.jobs.spec import JobSpec

#: Where the address of a Ray cluster is looked for; without one, a local one is started.
RAY_ADDRESS = "BRANCHSEARCH_RAY_ADDRESS"


def shortage(source: str | Path | Mapping[str, Any] | JobSpec, spec: JobSpec) -> str | None:
    """What a training asks for and this machine has not, with its place in the text.

    None where there is enough, and where a cluster runs the trainings: nobody knows what that has,
    and it may grow.

    Args:
        source: What the job was read from.
        spec: The job.
    """
    asked, there_are = spec.resources.num_gpus, torch.cuda.device_count()
    if os.environ.get(RAY_ADDRESS) or asked <= there_are:
        return None
    place = place_in(source, ("resources", "num_gpus"))
    return (
        f"{place}: a training asks for {_gpus(asked)}, and torch sees {_gpus(there_are)} on this "
        f"machine; a cluster is named by {RAY_ADDRESS}"
    )


def check_machine(source: str | Path | Mapping[str, Any] | JobSpec, spec: JobSpec) -> None:
    """See that trainings can begin here.

    Raises:
        InvalidSpec: They cannot.
    """
    if lacking := shortage(source, spec):
        raise InvalidSpec(lacking)


def _gpus(count: float) -> str:
    return f"{count:g} {'GPU' if count == 1 else 'GPUs'}"
