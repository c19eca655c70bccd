from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchsearch.jobs.ledger import Attempt, spent, wall_clock

BEGAN = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def attempt(
    began: float = 0,
    seconds: float = 60,
    *,
    key: str = "0",
    gpus: float = 0,
    how: str | None = "ended",
) -> Attempt:
    return Attempt("search", key, BEGAN + timedelta(seconds=began), seconds, gpus, how)


attempts = st.lists(
    st.builds(attempt, st.integers(0, 40), st.integers(0, 20), gpus=st.sampled_from([0, 0.5, 2]))
)


@given(attempts, attempts)
def test_what_parts_took_adds_up_to_the_whole(some: list[Attempt], others: list[Attempt]):
    parts, whole = [spent(some, 7.2), spent(others, 7.2)], spent(some + others, 7.2)
    assert whole.attempts == sum(part.attempts for part in parts)
    for name in ("seconds", "gpu_seconds", "cost"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(part, name) for part in parts))


@given(attempts)
def test_wall_clock_counts_each_second_once(some: list[Attempt]):
    seconds = set()
    for one in some:
        start = int((one.began - BEGAN).total_seconds())
        seconds |= set(range(start, start + int(one.seconds)))
    assert wall_clock(some) == len(seconds)


def test_an_hour_by_hand():
    taken = spent([attempt(0, 1800, gpus=2), attempt(0, 1800, gpus=2)], 3.0)
    assert (taken.attempts, taken.seconds, taken.gpu_seconds, taken.cost) == (2, 3600, 7200, 3.0)
    assert spent([attempt()], None).cost is None
