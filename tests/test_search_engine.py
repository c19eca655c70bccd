"""Real Ray processes, that die as well; one cluster for the whole file."""

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch

from branchsearch.search.engine import Engine, FolderNotShared, Interrupted, TooFewResources
from branchsearch.search.failure import Failure
from branchsearch.search.source import TrainingFailed, Work

pytestmark = pytest.mark.ray

EPOCHS = 3


class Book:
    """An account that writes down what it hears, and sees to it that it makes sense."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.ends: dict[str, list[str]] = {}
        self.said: dict[str, tuple[str | None, str | None]] = {}
        self.seconds, self.lives = 0.0, 0  # of the attempt that began last

    def began(self, key: str) -> None:
        assert key not in self.open
        self.open[key] = 0
        self.began_at = time.monotonic()

    def reported(self, key: str, report: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.open[key] += 1

    def alive(self) -> None:
        self.lives += 1

    def ended(
        self, key: str, how: str, *, reason: str | None = None, trace: str | None = None
    ) -> None:
        del self.open[key]
        self.seconds = time.monotonic() - self.began_at
        self.ends.setdefault(key, []).append(how)
        self.said[key] = reason, trace


@pytest.fixture(scope="module")
def book() -> Book:
    return Book()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home") / "engine"


@pytest.fixture(scope="module")
def engine(folder: Path, book: Book) -> Iterator[Engine]:
    assert not ray.is_initialized()
    with Engine(
        workers=2,
        cpus=1,
        gpus=0,
        retries=1,
        retries_after_exception=1,
        folder=folder,
        account=book,
    ) as engine:
        yield engine
    assert not ray.is_initialized()
    assert not folder.exists()


@pytest.fixture(autouse=True)
def _fresh_book(book: Book) -> None:
    book.open.clear()
    book.ends.clear()


def train(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Three epochs; what goes wrong in them is in the training."""
    for epoch in range(1, EPOCHS + 1):
        if epoch == 2 and training.get("raises"):
            raise ValueError(training["raises"])
        if epoch == 2 and training.get("allocates"):
            torch.empty(2**50)  # a pebibyte and more
        if epoch == 2 and ("dies" in training or "errs" in training):
            attempts = Path(training["folder"], training["name"])
            with attempts.open("a") as file:
                file.write("x")
            if attempts.stat().st_size <= training.get("dies", 0):
                time.sleep(training.get("after", 0))
                os.kill(os.getpid(), signal.SIGKILL)
            if attempts.stat().st_size <= training.get("errs", 0):
                raise ValueError("the first time")
        if epoch == 2 and training.get("hangs"):
            hang_here(training["hangs"])
        yield {"epoch": epoch, "name": training["name"], "of": {"nested/key": epoch * 0.1}}


def hang_here(how: str) -> None:
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)  # it does not even hear that it is to end
    time.sleep(600)


def work(name: str, **what: Any) -> Work:  # noqa: ANN401
    return Work(name, {"name": name, **what})


def last(name: str) -> dict[str, Any]:
    return {"epoch": EPOCHS, "name": name, "of": {"nested/key": EPOCHS * 0.1}}


class Heard:
    """A source that writes down what it hears, and stops some trainings early."""

    def __init__(self, works: list[Work], stopped: Mapping[str, int]) -> None:
        self._left, self._stopped = works[::-1], stopped
        self._running: set[str] = set()
        self.most = 0
        self.reports: dict[str, list[int | str]] = {work.key: [] for work in works}
        self.failures: dict[str, str] = {}
        self.closed: list[str] = []

    @property
    def finished(self) -> bool:
        return not self._left and not self._running

    def next(self) -> Work | None:
        if not self._left:
            return None
        work = self._left.pop()
        self._running.add(work.key)
        self.most = max(self.most, len(self._running))
        return work

    def report(self, key: str, report: Mapping[str, Any]) -> bool:
        self.reports[key].append(report.get("epoch", "failed"))
        if "failed" in report:
            self.failures[key] = report["outcome"]
        return report.get("epoch") != self._stopped.get(key)

    def close(self, key: str) -> None:
        self._running.discard(key)
        self.closed.append(key)


def test_nothing_to_run_starts_no_ray():
    with Engine(workers=2, cpus=1, gpus=0, retries=0) as idle:
        assert idle.run_all([], train) == {}
        assert not ray.is_initialized()


def test_a_training_that_no_machine_can_take_is_not_waited_for():
    with Engine(workers=1, cpus=1, gpus=64, retries=0) as short:
        with pytest.raises(TooFewResources, match=r"resources\.num_gpus: a training asks for 64"):
            short.run_all([work("a")], train)
        assert not ray.is_initialized()


def test_the_last_report_of_each_comes_back_as_it_was(engine: Engine):
    ended: list[str] = []
    names = ["a", "b", "c", "d"]
    got = engine.run_all([work(name) for name in names], train, ended.append)
    assert got == {name: last(name) for name in names}
    assert sorted(ended) == names


def test_more_workers_than_works(engine: Engine):
    assert engine.run_all([work("alone")], train) == {"alone": last("alone")}


def test_an_exception_is_named_with_its_training(engine: Engine):
    with pytest.raises(TrainingFailed, match=r"^bad: ValueError: of itself$"):
        engine.run_all([work("good"), work("bad", raises="of itself")], train)


def test_a_training_whose_process_is_killed_runs_again(engine: Engine, tmp_path: Path):
    works = [work("killed", dies=1, folder=str(tmp_path)), work("beside")]
    got = engine.run_all(works, train)
    assert got == {name: last(name) for name in ("killed", "beside")}
    assert (tmp_path / "killed").read_text() == "xx"


def test_a_process_killed_between_two_trainings_costs_the_next_none(engine: Engine):
    """The next training meets a dead process before it begins, which is no fault of its own."""

    class Murderous(Heard):
        def next(self) -> Work | None:
            if self._running:
                return None  # one at a time
            for process in psutil.Process().children(recursive=True):
                if process.name().startswith("ray::ImplicitFunc"):
                    process.kill()
            return super().next()

    source = Murderous([work(name) for name in ("a", "b", "c")], {})
    engine.run(source, train)
    assert source.reports == {name: [1, 2, 3] for name in ("a", "b", "c")}


def test_a_process_killed_more_often_than_is_tried_again_fails(engine: Engine, tmp_path: Path):
    source = Heard([work("killed", dies=9, folder=str(tmp_path)), work("beside")], {})
    engine.run(source, train)
    assert source.finished
    assert (tmp_path / "killed").read_text() == "xx"
    assert sorted(source.closed) == ["beside", "killed"]
    assert source.reports == {"killed": [1, 1, "failed"], "beside": [1, 2, 3]}


def test_a_training_that_raised_runs_again_as_often_as_it_may(
    engine: Engine, book: Book, tmp_path: Path
):
    names = {"once": 1, "always": 9}
    works = [work(name, errs=times, folder=str(tmp_path)) for name, times in names.items()]
    source = Heard(works, {})
    engine.run(source, train)
    assert source.reports == {"once": [1, 1, 2, 3], "always": [1, 1, "failed"]}
    assert book.ends == {"once": ["failed", "ended"], "always": ["failed", "failed"]}
    assert "in train" in str(book.said["always"][1])


def test_a_training_that_lacks_memory_is_not_run_again(engine: Engine, book: Book):
    source = Heard([work("large", allocates=True), work("beside")], {})
    engine.run(source, train)
    assert source.reports == {"large": [1, "failed"], "beside": [1, 2, 3]}
    assert source.failures == {"large": Failure.OUT_OF_MEMORY}
    assert book.ends == {"large": ["out_of_memory"], "beside": ["ended"]}


@pytest.mark.parametrize("how", ["asleep", "stopped"])
def test_a_training_that_hangs_is_ended_and_says_where_it_stood(
    engine: Engine, book: Book, how: str
):
    began = time.monotonic()
    source = Heard([work("hangs", hangs=how), work("a"), work("b"), work("c")], {})
    engine.run(source, train, seconds=8)
    assert time.monotonic() - began < 100  # it would hang for 600
    assert source.reports == {"hangs": [1, "failed"], **{key: [1, 2, 3] for key in "abc"}}
    assert source.failures == {"hangs": Failure.TIMED_OUT}
    assert book.ends["hangs"] == ["timed_out"]
    reason, trace = book.said["hangs"]
    assert "more than 8 seconds" in str(reason)
    assert how == "stopped" or "in hang_here" in str(trace)


def test_a_training_has_its_time_for_all_attempts_together(
    engine: Engine, book: Book, tmp_path: Path
):
    works = [work("killed", dies=1, after=3, folder=str(tmp_path), hangs="asleep")]
    engine.run(Heard(works, {}), train, seconds=5)
    assert book.ends == {"killed": ["killed", "timed_out"]}
    assert book.seconds < 5  # what the first attempt had left, and a little


def test_a_machine_that_does_not_see_the_folder_ends_the_run(engine: Engine, folder: Path):
    class Unmounting(Heard):
        def next(self) -> Work | None:
            shutil.rmtree(folder, ignore_errors=True)
            return super().next()

    source = Unmounting([work("a"), work("b")], {})
    with pytest.raises(FolderNotShared, match=r"does not see .*/engine: .* mounted"):
        engine.run(source, train)
    assert source.reports == {"a": [], "b": []}
    assert engine.run_all([work("after")], train) == {"after": last("after")}


def test_a_run_that_tune_gives_up_for_rays_sake_goes_on(engine: Engine, book: Book):
    """As Tune does when Ray has ended a process for want of memory while it was handed over."""

    class Fragile(Heard):
        raised = False

        def report(self, key: str, report: Mapping[str, Any]) -> bool:
            if not self.raised:
                self.raised = True
                cause = ray.exceptions.OutOfMemoryError("the node is running low on memory")
                raise RuntimeError("Caught unexpected exception") from cause
            return super().report(key, report)

    source = Fragile([work(name) for name in ("a", "b", "c")], {})
    engine.run(source, train)
    assert {key: reports[-3:] for key, reports in source.reports.items()} == {
        key: [1, 2, 3] for key in ("a", "b", "c")
    }
    assert {ends[-1] for ends in book.ends.values()} == {"ended"}
    assert "killed" in [how for ends in book.ends.values() for how in ends]


def test_every_attempt_is_accounted_for(engine: Engine, book: Book, tmp_path: Path):
    works = [work("killed", dies=1, folder=str(tmp_path)), work("stopped"), work("whole")]
    engine.run(Heard(works, {"stopped": 2}), train)
    assert book.ends == {"killed": ["killed", "ended"], "stopped": ["ended"], "whole": ["ended"]}
    assert not book.open


def test_a_listed_training_that_came_halfway_is_not_taken_for_ended(engine: Engine, tmp_path: Path):
    with pytest.raises(TrainingFailed, match=r"^killed: its process died"):
        engine.run_all([work("killed", dies=9, folder=str(tmp_path))], train)


def test_one_stopped_early_leaves_the_others_alone(engine: Engine):
    works = [work(name) for name in ("a", "b", "c", "d")]
    source = Heard(works, {"a": 1, "c": 2})
    engine.run(source, train)
    assert source.reports == {"a": [1], "b": [1, 2, 3], "c": [1, 2], "d": [1, 2, 3]}
    assert sorted(source.closed) == ["a", "b", "c", "d"]
    assert source.most <= engine.workers


def test_an_interrupt_ends_the_run_and_is_not_told_as_a_training(engine: Engine):
    class Interrupting(Heard):
        def report(self, key: str, report: Mapping[str, Any]) -> bool:
            os.kill(os.getpid(), signal.SIGINT)
            return super().report(key, report)

    source = Interrupting([work(str(n)) for n in range(20)], {})
    with pytest.raises(Interrupted):
        engine.run(source, train)
    assert len(source.closed) < 20
    assert engine.run_all([work("after")], train) == {"after": last("after")}


def test_an_interrupt_is_not_lost_in_the_last_report(engine: Engine):
    def interrupt(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        engine.run_all([work("only")], train, interrupt)


def test_an_interrupt_after_a_run_is_one(engine: Engine):
    engine.run_all([work("only")], train)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
