"""What a data set tells of the ranges of 8-bit integers, and of what they cost."""

from functools import partial

import numpy as np
import torch
from torch import nn

from branchsearch import catalog
from branchsearch.datasets.dataset import Dataset
from branchsearch.datasets.loading import load
from branchsearch.export.formats import Calibration
from branchsearch.jobs.training import Training
from branchsearch.train.judging import judge

#: Images that the ranges of 8-bit integers are read off.
_CALIBRATION_IMAGES = 64


def calibration(dataset: Dataset, training: Training) -> Calibration:
    """Training images to find ranges with, and the test part to see what that costs."""
    train, test = dataset.parts["train"], dataset.parts["test"]
    chosen = np.linspace(0, len(train) - 1, min(len(train), _CALIBRATION_IMAGES)).astype(int)
    cpu = torch.device("cpu")

    def judged(network: nn.Module) -> dict[str, float]:
        return judge(
            network,
            names=training.tree.tasks,
            part=test,
            load=lambda part, positions, _: load(
                part,
                positions,
                labels={task.name: dataset.labels[task.name] for task in training.tasks},
                prepare=dataset.prepare,
                device=cpu,
            ),
            metrics={
                task.name: partial(catalog.find("metric", task.metric), task)
                for task in training.tasks
            },
            device=cpu,
        )

    return Calibration(torch.from_numpy(np.array(train.images[chosen])), judged)
