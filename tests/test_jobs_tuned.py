"""What is tuned beside the tree, from a job's text to its trainings."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from ruamel.yaml import YAML

from branchsearch.jobs.check import CheckedJob, check_job
from branchsearch.jobs.reading import InvalidSpec
from branchsearch.jobs.trainings import Trainings
from branchsearch.search.tuned import Choices
from branchsearch.tree import Tree
from tests.specs import checked, tiny

RATE = {"trial.learning_rate": {"low": 0.001, "high": 0.03, "log": True}}
CHANNELS = {"space.backbone.args.channels": {"choices": [[4, 6], [6, 8]]}}
WEIGHT = {"weights.normals": {"low": 0.5, "high": 2}}
BACKBONE = {
    "space.backbone": {
        "choices": [
            {"name": "resnet", "args": {"channels": [4, 6], "strides": [2, 1]}},
            {"name": "vgg", "args": {"channels": [4, 6], "convolutions": [1, 1]}},
        ]
    }
}

ALL = Tree.share_all(["depth", "normals", "seg"], 2)


def chosen(job: CheckedJob, **values: float | str) -> Choices:
    """The job's own choices but for some."""
    assert job.tuned is not None
    return tuple((name, values.get(name, own)) for name, own in job.tuned.own)


def test_a_job_that_tunes_nothing_is_what_it_was():
    job = checked()
    assert job.tuned is None
    assert job.chosen(()) is job


def test_paths_become_parameters():
    job = checked(tuned={**RATE, **CHANNELS, **WEIGHT, "trial.batch_size": {"low": 8, "high": 24}})
    assert job.tuned is not None
    assert job.tuned.ranges == {
        "trial.learning_rate": FloatDistribution(0.001, 0.03, log=True),
        "space.backbone.args.channels": CategoricalDistribution(("[4, 6]", "[6, 8]")),
        "weights.normals": FloatDistribution(0.5, 2),
        "trial.batch_size": IntDistribution(8, 24),
    }
    assert dict(job.tuned.own) == {
        "space.backbone.args.channels": "[4, 6]",
        "trial.batch_size": 24,
        "trial.learning_rate": 0.01,
        "weights.normals": 1.0,
    }


def test_a_choice_means_what_it_would_mean_if_it_were_written_there(tmp_path: Path):
    job = checked(tuned={**RATE, **CHANNELS, **WEIGHT})
    choices = chosen(
        job,
        **{
            "trial.learning_rate": 0.003,
            "space.backbone.args.channels": "[6, 8]",
            "weights.normals": 1.5,
        },
    )
    written = deepcopy(tiny())
    written["trial"]["learning_rate"] = 0.003
    written["space"]["backbone"]["args"]["channels"] = [6, 8]
    written["space"]["tasks"][2]["weight"] = 1.5
    other = check_job(written)
    assert job.chosen(choices).spec == other.spec
    assert job.cost(ALL, choices) == other.space.costs.of(ALL) != job.cost(ALL)
    tuned, plain = Trainings(job, tmp_path), Trainings(other, tmp_path)
    assert tuned.of_trial(ALL, choices) == plain.of_trial(ALL)
    assert tuned.of_confirmation(ALL, 3, choices) == plain.of_confirmation(ALL, 3)
    assert tuned.of_trial(ALL, choices).key != tuned.of_trial(ALL).key


def test_the_jobs_own_choices_are_the_baselines_training(tmp_path: Path):
    job = checked(tuned={**RATE, **BACKBONE, **WEIGHT})
    trainings = Trainings(job, tmp_path)
    assert trainings.of_trial(ALL, chosen(job)).key == trainings.of_trial(ALL).key


def test_which_backbone_may_be_tuned():
    job = checked(tuned=BACKBONE)
    assert job.tuned is not None
    (range_,) = job.tuned.ranges.values()
    assert isinstance(range_, CategoricalDistribution)
    for text in range_.choices:
        other = job.chosen((("space.backbone", text),))
        assert other.space.spec.backbone.name in str(text)
        assert other.space.costs == job.tuned.costs((("space.backbone", text),))


def test_the_budget_bounds_the_chosen_backbone():
    free = checked(tuned=CHANNELS)
    narrow, wide = ((("space.backbone.args.channels", text),) for text in ("[4, 6]", "[6, 8]"))
    most = (free.cost(ALL, narrow).parameters + free.cost(ALL, wide).parameters) // 2
    bound = [{"metric": "parameters", "max": most}]
    job = checked(tuned=CHANNELS, constraints=bound)
    assert job.allows(ALL, narrow)
    assert not job.allows(ALL, wide)


@pytest.mark.parametrize(
    ("tuned", "where", "message"),
    [
        ({"trial.epochs": {"low": 2, "high": 4}}, "trial.epochs", "as many epochs"),
        ({"budget.max_trials": {"low": 2, "high": 4}}, "budget.max_trials", "what can: trial"),
        (
            {"trial.learning_rat": {"low": 1, "high": 4}},
            "trial.learning_rat",
            "unknown path; did you mean 'trial.learning_rate'?",
        ),
        (
            {"trial.dropout": {"low": 0.1, "high": 0.4}},
            "trial.dropout",
            "unknown path; trial has epochs, batch_size, ",
        ),
        (
            {"trial.balancing.nam": {"choices": ["fixed", "dwa"]}},
            "trial.balancing.nam",
            "did you mean 'trial.balancing.name'?",
        ),
        ({"trial.epochs.few": {"low": 1, "high": 4}}, "trial.epochs.few", "is one value"),
        (
            {"space.backbone.args.blocks": {"low": 1, "high": 2}},
            "space.backbone.args.blocks",
            "gives no space.backbone.args.blocks; write down its own value",
        ),
        (
            {"space.backbone.args.stride": {"choices": [[2, 1], [1, 2]]}},
            "space.backbone.args.stride",
            "did you mean 'space.backbone.args.strides'?",
        ),
        (
            {"weights.edges": {"low": 1, "high": 4}},
            "weights.edges",
            "unknown path; weights has seg, depth, normals",
        ),
        (
            {"weights.normal": {"low": 1, "high": 4}},
            "weights.normal",
            "did you mean 'weights.normals'?",
        ),
        ({"trial.momentum": {"low": 0.1, "high": 0.5}}, "trial.momentum", "own value, 0.9"),
        ({"trial.momentum": {"low": 0.1, "high": 2}}, "high", "less than 1"),
        ({"trial.batch_size": {"low": 8, "high": 64.0}}, "trial.batch_size", "valid integer"),
        ({"trial.batch_size": {"low": 1, "high": 64, "step": 0.5}}, "trial.batch_size", "integer"),
        ({"trial.schedule": {"choices": ["cosine", "cosin"]}}, "- cosin", "'cosine', 'poly'"),
        ({"trial.schedule": {"low": 1, "high": 2}}, "trial.schedule", "give choices"),
        ({"trial.clip": {"choices": [1.0, 1.0]}}, "- 1.0", "named twice"),
        ({"trial.momentum": {"low": 0.1}}, "trial.momentum", "choices, or low and high"),
        ({"trial.momentum": {"low": 1, "high": 0}}, "trial.momentum", "low <= high"),
        ({"trial.momentum": {"lo": 0.1}}, "lo:", "did you mean 'low'"),
        (
            {"space.backbone.args.channels": {"choices": [[4, 6], [4, 6, 8]]}},
            "space.backbone.args.channels",
            "strides",
        ),
        (
            {
                "space.backbone": {
                    "choices": [
                        {"name": "resnet", "args": {"channels": [4, 6], "strides": [2, 1]}},
                        {"name": "resnet", "args": {"channels": [4], "strides": [2]}},
                    ]
                }
            },
            "space.backbone:",
            "has 1 stages; trees have 2",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, tuned: dict[str, Any], where: str, message: str
):
    path = tmp_path / "job.yaml"
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(tiny(tuned=tuned), path)
    with pytest.raises(InvalidSpec) as error:
        check_job(path)
    told = str(error.value).splitlines()[0]
    assert message in told
    number = int(told.removeprefix(f"{path}:").split(":")[0])
    assert where in path.read_text().splitlines()[number - 1]


def test_no_backbone_is_tuned_where_networks_inherit():
    with pytest.raises(InvalidSpec, match="inherit must be scratch"):
        checked(tuned=CHANNELS, trial={"epochs": 2, "inherit": "copy"})


def test_a_sampler_that_cannot_be_made_is_told_before_anything_is_trained():
    with pytest.raises(InvalidSpec, match=r"sampler.*did you mean optuna:GPSampler"):
        checked(sampler={"name": "optuna:GPSampl"})
    with pytest.raises(InvalidSpec, match="combinations of values"):
        checked(sampler={"name": "exhaustive"}, tuned=RATE)
