"""What holds for the whole suite."""

import os
import signal

import pytest
import torch
from hypothesis import settings

# one thread: the machine's other cores run other workers, and small networks gain nothing
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

settings.register_profile("branchsearch", deadline=None)  # first calls of torch are slow
settings.load_profile("branchsearch")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share the suite out among processes: what runs Ray to one of them, a file to one at a time.

    Two tests of Ray side by side would take each other's cores, and both be late.
    """
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)  # the longest group first


# what a shell starts in the background ignores interrupts, and so would all that is started here
signal.signal(signal.SIGINT, signal.default_int_handler)
