import pytest
import torch

from branchsearch.search.failure import Failure, failure_of
from branchsearch.search.outcome import Outcome
from branchsearch.train.fit import NotFinite


def raised(by: object) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever torch says
        by()  # type: ignore[operator]
    return caught.value


def test_torch_says_in_words_that_the_machine_lacks_memory():
    error = raised(lambda: torch.empty(2**50))
    assert type(error) is RuntimeError
    assert failure_of(error) is Failure.OUT_OF_MEMORY


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("process 1: Traceback ...\ntorch.OutOfMemoryError: CUDA out of memory."),
    ],
)
def test_every_kind_of_lacking_memory_is_one(error: Exception):
    assert failure_of(error) is Failure.OUT_OF_MEMORY


def test_other_errors_are_what_they_are():
    assert failure_of(NotFinite("a loss")) is Failure.NOT_FINITE
    assert failure_of(ValueError("not enough memory of the past")) is Failure.EXCEPTION
    assert failure_of(RuntimeError("shapes do not fit")) is Failure.EXCEPTION


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_makes_a_trial_a_failed_one(failure: Failure):
    outcome = Outcome.of_failure(failure)
    assert outcome.failed
    assert not outcome.counts
