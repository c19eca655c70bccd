"""Small jobs for tests: everything real, and over in seconds."""

from copy import deepcopy
from typing import Any

from branchsearch.jobs.check import CheckedJob, check_job

TINY: dict[str, Any] = {
    "api_version": "branchsearch/v1",
    "kind": "Search",
    "metadata": {"name": "tiny"},
    "space": {
        "dataset": {
            "name": "scenes",
            "args": {"size": 16, "train": 96, "validation": 48, "test": 48, "probe": 24, "seed": 0},
        },
        "backbone": {"name": "resnet", "args": {"channels": [4, 6], "strides": [2, 1]}},
        "tasks": [
            {
                "name": "seg",
                "kind": "segmentation",
                "classes": 4,
                "metric": "mean_iou",
                "direction": "maximize",
            },
            {"name": "depth", "kind": "depth", "metric": "rmse", "direction": "minimize"},
            {
                "name": "normals",
                "kind": "normals",
                "metric": "angular_error",
                "direction": "minimize",
            },
        ],
    },
    "sampler": {"name": "tpe"},
    "fidelity": {"scheduler": "halving", "min": 1, "eta": 2},
    "trial": {"epochs": 2, "batch_size": 24},
    "budget": {"max_trials": 5},
    "confirm": {"trees": 2, "epochs": 2, "seeds": 2},
}


def tiny(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # any part of a spec
    """The tiny job with some of its parts replaced."""
    return deepcopy({**TINY, **changes})


def checked(**changes: Any) -> CheckedJob:  # noqa: ANN401
    """The same, checked."""
    return check_job(tiny(**changes))
