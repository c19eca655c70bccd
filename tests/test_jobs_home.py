from pathlib import Path

import pytest

from branchsearch.jobs.home import Home, HomeUnusable
from branchsearch.jobs.job import JobIsRunning
from branchsearch.jobs.reading import read_job
from tests.specs import TINY


def test_looking_at_a_home_that_is_not_there_makes_none(tmp_path: Path):
    home = Home(tmp_path / "home")
    assert not home.exists()
    assert not (tmp_path / "home").exists()


def test_a_job_is_driven_by_one_process_at_a_time(tmp_path: Path):
    home = Home(tmp_path)
    job = home.store.submit(read_job(TINY))
    with home.driving(job):
        assert home.is_driven(job)
        with pytest.raises(JobIsRunning, match=job.id), Home(tmp_path).driving(job):
            pass
    assert not home.is_driven(job)


@pytest.mark.parametrize("place", ["/proc/self/home", "a file"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str):
    (tmp_path / "a file").write_text("")
    with pytest.raises(HomeUnusable, match=f"cannot write to .*{place}"):
        Home(tmp_path / place).store  # noqa: B018  # opened on first use


def test_a_file_is_no_home(tmp_path: Path):
    (tmp_path / "a file").write_text("")
    with pytest.raises(HomeUnusable, match="a file: it is a file, not a folder"):
        Home(tmp_path / "a file").store  # noqa: B018


@pytest.mark.parametrize("name", ["what?", "50%20", "a#b", "mode=memory", "a b"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str):
    home = Home(tmp_path / name)
    job = home.store.submit(read_job(TINY))
    assert home.study(job).study_name == job.id
    assert (tmp_path / name / "branchsearch.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_study_is_named_after_its_job_and_opened_again(tmp_path: Path):
    home = Home(tmp_path)
    job = home.store.submit(read_job(TINY))
    home.study(job).enqueue_trial({"x": 1})
    study = home.study(job)
    assert study.study_name == job.id
    assert study.metric_names == ["delta"]
    assert len(study.trials) == 1
