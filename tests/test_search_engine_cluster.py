"""The engine on several nodes, on GPUs that are only counted, and where memory runs out."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from branchsearch.search.engine import Engine
from branchsearch.search.failure import Failure
from branchsearch.search.source import Work
from tests.test_search_engine import Book, Heard

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

EPOCHS = 4


def train(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for epoch in range(1, EPOCHS + 1):
        yield {
            "epoch": epoch,
            "began": time.time(),
            "node": ray.get_runtime_context().get_node_id(),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","),
        }
        time.sleep(training["seconds"])


def works(count: int, seconds: float) -> list[Work]:
    return [Work(str(number), {"seconds": seconds}) for number in range(count)]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three nodes, each with two cores and two GPUs that are only counted."""
    started = Cluster()
    try:
        for _ in range(3):
            started.add_node(num_cpus=2, num_gpus=2, object_store_memory=80 * 2**20)
        started.wait_for_nodes()
        yield started
    finally:
        started.shutdown()


class Noting(Heard):
    """Kills the first node but the head that trains anything, and notes who trained after that."""

    def __init__(self, works: list[Work], cluster: Cluster) -> None:
        super().__init__(works, {})
        self._cluster, self.killed, self.after = cluster, "", set[str]()

    def report(self, key: str, report: Mapping[str, Any]) -> bool:
        nodes = {node.node_id: node for node in self._cluster.worker_nodes}  # without the head
        if not self.killed and report["node"] in nodes:
            self.killed = report["node"]
            self._cluster.remove_node(nodes[self.killed], allow_graceful=False)
        elif self.killed and report["epoch"] == 1:
            self.after.add(report["node"])
        return super().report(key, report)


@pytest.mark.timeout(300)
def test_a_node_that_dies_takes_no_training_with_it(cluster: Cluster, tmp_path: Path):
    source, book = Noting(works(12, 0.5), cluster), Book()
    with Engine(
        workers=6,
        cpus=1,
        gpus=0,
        retries=2,
        address=cluster.address,
        folder=tmp_path / "engine",
        account=book,
    ) as engine:
        engine.run(source, train)
    assert source.killed
    assert source.after - {source.killed}
    assert sorted(source.closed) == sorted(source.reports)
    assert all(reports[-EPOCHS:] == [1, 2, 3, 4] for reports in source.reports.values())
    assert {ends[-1] for ends in book.ends.values()} == {"ended"}
    assert sum(ends.count("killed") for ends in book.ends.values()) >= 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("gpus", "most", "each"), [(0.5, 12, 1), (2, 3, 2)])
def test_gpus_are_shared_out_and_no_more_train_than_there_are_for(
    cluster: Cluster, tmp_path: Path, gpus: float, most: int, each: int
):
    with Engine(
        workers=12,
        cpus=0 if gpus < 1 else 1,
        gpus=gpus,
        retries=0,
        address=cluster.address,
        folder=tmp_path / "engine",
    ) as engine:
        last = engine.run_all(works(6, 0.3), train)
    assert len(last) == 6
    assert {len(report["gpus"]) for report in last.values()} == {each}
    times = sorted((report["began"] - 0.9, report["began"]) for report in last.values())
    at_once = max(sum(a <= began < b for a, b in times) for began, _ in times)
    assert at_once <= most


@pytest.mark.timeout(300)
def test_trainings_that_ray_kills_for_want_of_memory_are_killed_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Ray ends processes when the machine is nearly full, and Tune then gives up for all trials."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    source, book = Heard(works(2, 1.0), {}), Book()
    with Engine(
        workers=2, cpus=1, gpus=0, retries=1, folder=tmp_path / "engine", account=book
    ) as engine:
        engine.run(source, train)
    assert source.failures == {"0": Failure.KILLED, "1": Failure.KILLED}
    assert sorted(source.closed) == ["0", "1"]
    assert set(map(tuple, book.ends.values())) <= {("killed",), ("killed", "killed")}
