from pathlib import Path

import pytest

import branchsearch
from branchsearch.jobs.pipeline import Result
from tests.specs import tiny


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one job has run to its end."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def result(home: Path) -> Result:
    """What it gave: real trainings on real Ray, a real study, a proved export."""
    return branchsearch.run(tiny(), home=home)
