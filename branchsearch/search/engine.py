"""Runs trainings side by side with Ray Tune. No other module knows Ray."""

import json
import logging
import os
import signal
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, cast

# before Ray is imported: it reads these once
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this process alone
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # 3 ms a report that none reads
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it stays, and swallows what comes later
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from branchsearch.search.source import Listed, Source, TrainingFailed, Work

#: Runs one training and yields its reports; picklable by name.
Train = Callable[[Any], Iterator[Mapping[str, Any]]]

#: Bytes of shared memory that Ray may take; weights and features go by file.
_OBJECT_STORE = 100 * 2**20

#: Seconds between two looks at whether the cluster is still there.
_WATCH_EVERY = 5.0


class Interrupted(Exception):
    """The user asked to stop; what was finished is kept."""


class ClusterLost(RuntimeError):
    """No machine is left to train on; what was finished is kept."""


class Engine:
    """Processes that train, started when there is something to train.

    Args:
        workers: How many trainings run at once.
        cpus: CPU cores for each; a training uses as many threads.
        gpus: GPUs for each, fractions allowed.
        retries: How often a training is run again whose process died.
        address: Of a Ray cluster; None starts one in this machine for the engine's life.
    """

    def __init__(
        self, *, workers: int, cpus: int, gpus: float, retries: int, address: str | None = None
    ) -> None:
        self.workers = workers
        self._cpus, self._gpus = cpus, gpus
        self._retries, self._address = retries, address
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def run_all(
        self,
        works: Iterable[Work],
        train: Train,
        ended: Callable[[str], None] = lambda _: None,
    ) -> dict[str, Mapping[str, Any]]:
        """Run given trainings and give the last report of each, by key.

        Args:
            works: With different keys.
            train: Runs one.
            ended: Called with the key of each that has ended.

        Raises:
            TrainingFailed: One did not come to its end; names it and says why.
            Interrupted: The user asked to stop.
        """
        listed = Listed(works, ended)
        self.run(listed, train)
        for key, reason in listed.failed.items():
            raise TrainingFailed(f"{key}: {reason}")
        return listed.last

    def run(self, source: Source, train: Train) -> None:
        """Run what a source hands out until it is finished.

        Raises:
            Interrupted: The user asked to stop; what still trained has ended halfway, and the
                source has not heard of that.
            ClusterLost: Every machine is gone.
        """
        if source.finished:
            return
        self._start()
        searcher = _SourceSearcher(source, self.workers, self._retries)
        with (
            tempfile.TemporaryDirectory(prefix="branchsearch-") as folder,
            _interruptible() as asked,
        ):
            tuner = tune.Tuner(
                tune.with_resources(_trainable(train), {"cpu": self._cpus, "gpu": self._gpus}),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=_SourceScheduler(searcher),
                    num_samples=-1,  # the source says when it is over
                    reuse_actors=True,  # 50 ms between trials instead of 3 s
                ),
                run_config=tune.RunConfig(
                    storage_path=folder,
                    verbose=0,
                    # the searcher hands it out again
                    failure_config=tune.FailureConfig(max_failures=0),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    callbacks=[_Watch(asked)],
                ),
            )
            try:
                tuner.fit()
            except BaseException:
                self._stop()  # with all that trains there
                raise
        if asked.is_set():
            raise Interrupted("stopped by the user")

    def _start(self) -> None:
        if self._started:
            return
        ray.init(
            address=self._address,
            include_dashboard=None if self._address else False,
            num_cpus=None if self._address else self.workers * self._cpus,
            object_store_memory=None if self._address else _OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        self._started = True

    def _stop(self) -> None:
        if self._started:
            ray.shutdown()
            self._started = False


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Sets an event when the user interrupts, since an exception may be lost inside Tune.

    A second interrupt is the exception. Before and after, it always is.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals come to the main thread alone
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a handler's signature
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Watch(tune.Callback):
    """Ends a run that is interrupted, or whose machines are gone: Tune would wait for ever.

    Args:
        asked: Set when the user asked to stop.
    """

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked
        self._due = time.monotonic() + _WATCH_EVERY

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the searcher

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ANN401, ARG002
        if self._asked.is_set():
            raise Interrupted("stopped by the user")
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _WATCH_EVERY
        nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own
        if not any(node["Alive"] for node in nodes):
            raise ClusterLost("no Ray node is alive any more; the same command continues the job")


class _SourceSearcher(Searcher):
    """Tune asks it for trainings; it asks the source.

    It hands out again whatever ran in a process that died. Tune would do so, too, but not where the
    process that it keeps for the next trial is dead before that one begins.
    """

    def __init__(self, source: Source, most: int, retries: int) -> None:
        super().__init__()
        self.source, self._most, self._retries = source, most, retries
        self._live: dict[str, Work] = {}  # by Tune's trial id
        self._again: list[Work] = []
        self._deaths: Counter[str] = Counter()

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if len(self._live) >= self._most:
            return None
        work = self._again.pop(0) if self._again else self.source.next()
        if work is None:
            # Tune's mark for the end is a text, whatever its signature says
            return cast(dict[str, Any], Searcher.FINISHED) if self.source.finished else None
        self._live[trial_id] = work
        return {"training": work.training}

    def report(self, trial_id: str, report: Mapping[str, Any]) -> bool:
        """Pass a report on; whether the trial goes on."""
        work = self._live.get(trial_id)
        return work is not None and self.source.report(work.key, report)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,  # noqa: ARG002  # Tune's signature
        error: bool = False,
    ) -> None:
        work = self._live.pop(trial_id, None)
        if work is None:
            return
        if error:  # not an exception of the training: that is a report
            self._deaths[work.key] += 1
            if self._deaths[work.key] <= self._retries:
                self._again.append(work)
                return
            self.source.report(work.key, {"failed": "its process died, also when it ran again"})
        self.source.close(work.key)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never restored: the source knows what is left

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing, for the same reason."""

    def restore(self, checkpoint_path: str) -> None:
        raise AssertionError(f"nothing was saved in {checkpoint_path}")


class _SourceScheduler(FIFOScheduler):
    """Passes every report to the source, which may stop the trial.

    Tune calls a scheduler before the searcher, and on a stop the searcher not at all.
    """

    def __init__(self, searcher: _SourceSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Tune's own
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(
        self,
        tune_controller: TuneController,  # noqa: ARG002  # Tune's signature
        trial: Trial,
        result: dict[str, Any],
    ) -> str:
        goes_on = self._searcher.report(trial.trial_id, json.loads(result["report"]))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


def _trainable(train: Train) -> Callable[[dict[str, Any]], None]:
    def run(config: dict[str, Any]) -> None:
        try:
            for report in train(config["training"]):
                _say(report)
        except Exception as error:  # the boundary: a training's error is its outcome
            trace = traceback.format_exc()
            _say({"failed": f"{type(error).__name__}: {error}", "trace": trace})

    return run


def _say(report: Mapping[str, Any]) -> None:
    # as text: Tune flattens mappings and joins their keys with a slash
    tune.report({"report": json.dumps(report)})
