from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from branchsearch.affinity.affinity import Affinity
from branchsearch.affinity.features import NotComparable
from branchsearch.jobs import affinities
from branchsearch.jobs.check import check_job
from branchsearch.jobs.trainings import Trainings
from tests.report_findings import random_affinity
from tests.specs import TINY, checked, tiny

FOUND = [random_affinity("abc", 2, 0, name) for name in ("cka", "rsa", "tag")]
NAMES = ["cka", "rsa", "tag"]


def test_what_is_saved_is_loaded_in_the_order_of_the_measures(tmp_path: Path):
    affinities.save(FOUND, tmp_path)
    files = {"affinity.npz", "affinity-rsa.npz", "affinity-tag.npz"}
    assert {path.name for path in tmp_path.iterdir()} == files
    for ours, again in zip(FOUND, affinities.load(tmp_path, NAMES), strict=True):
        assert again.measure == ours.measure
        np.testing.assert_array_equal(again.estimate.values, ours.estimate.values)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_of_a_save_that_was_killed_nothing_is_loaded(tmp_path: Path, written: int):
    real, left = Affinity.save, iter(range(written))

    def killed(affinity: Affinity, path: Path) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(affinity, path)

    with patch.object(Affinity, "save", killed), pytest.raises(KeyboardInterrupt):
        affinities.save(FOUND, tmp_path)
    assert affinities.load(tmp_path, NAMES) == []


def test_a_measure_that_reads_no_features_needs_no_probe_images():
    space = tiny()["space"]
    args = {**TINY["space"]["dataset"]["args"], "probe": 1}
    spec = tiny(space={**space, "dataset": {"name": "scenes", "args": args}})
    assert check_job({**spec, "affinity": {"measures": ["tag"]}})


def test_only_asked_for_trainings_are_done(tmp_path: Path):
    asked: list[str] = []

    def refuse(needed: object) -> None:
        asked.extend(needed)
        raise NotComparable("enough")

    with pytest.raises(NotComparable, match="enough"):
        affinities.measure(
            Trainings(checked(), tmp_path),
            refuse,
            measures=["rsa"],
            draws=0,
            batches=1,
            seed=0,
        )
    assert asked == [f"{task} > {task}" for task in ("depth", "normals", "seg")]
