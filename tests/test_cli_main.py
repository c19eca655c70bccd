from pkgutil import resolve_name

import pytest

from branchsearch.cli.main import EXIT_CODES, exit_code
from branchsearch.jobs.job import JobNotFound


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_error_that_has_a_code_exists(name: str):
    assert issubclass(resolve_name(name), Exception)


def test_an_error_has_the_code_of_its_nearest_kind():
    assert exit_code(JobNotFound("x")) == 3
    assert exit_code(PermissionError("x")) == 1
    assert exit_code(ZeroDivisionError()) is None
