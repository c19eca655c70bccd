import json
from pathlib import Path

import pytest

from branchsearch.jobs.steps import JobFailed, baselines
from branchsearch.jobs.trainings import Trainings
from branchsearch.search.engine import Engine
from tests.specs import checked


@pytest.mark.parametrize("reference", [0.0, float("nan")])
def test_a_metric_that_no_gain_can_be_measured_against_ends_the_job(
    tmp_path: Path, reference: float
):
    """Before any tree is tried; nothing is trained here, since all is kept already."""
    trainings = Trainings(checked(), tmp_path)
    trees = [trainings.alone(task.name) for task in trainings.checked.space.tasks]
    for training in map(trainings.of_trial, [*trees, trainings.shared]):
        training.folder.mkdir(parents=True)
        metrics = dict.fromkeys(training.tree.tasks, 0.5) | {"seg": reference}
        (training.folder / "result.json").write_text(json.dumps({"metrics": metrics}))
    with (
        Engine(workers=1, cpus=1, gpus=0, retries=0) as engine,
        pytest.raises(JobFailed, match=r"'seg' has a mean_iou of .* judge it by another metric"),
    ):
        baselines(trainings, engine, lambda _: None)
