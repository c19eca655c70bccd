"""Runs trainings side by side with Ray Tune. No other module knows Ray."""

import faulthandler
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, cast
from uuid import uuid4

# before Ray is imported: it reads these once
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this process alone
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # 3 ms a report that none reads
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it stays, and swallows what comes later
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.exceptions
from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from branchsearch.search.account import Account, Unaccounted
from branchsearch.search.failure import DIED, Failure, failure_of
from branchsearch.search.source import Listed, Source, TrainingFailed, Work

#: Runs one training and yields its reports; picklable by name.
Train = Callable[[Any], Iterator[Mapping[str, Any]]]

#: Bytes of shared memory that Ray may take; weights and features go by file.
_OBJECT_STORE = 100 * 2**20

#: Seconds between two looks at whether the cluster is still there.
_WATCH_EVERY = 5.0

#: Seconds that a training which takes too long gets to say where it stands.
_LAST_WORDS = 1.0

_KILLED = {"failed": DIED, "outcome": Failure.KILLED}

#: Stands for a failure in the report of a process that does not see the driver's files.
_NOT_SHARED = "not_shared"


class Interrupted(Exception):
    """The user asked to stop; what was finished is kept."""


class ClusterLost(RuntimeError):
    """No machine is left to train on; what was finished is kept."""


class TooFewResources(RuntimeError):
    """This machine has not what one training asks for."""


class FolderNotShared(RuntimeError):
    """A machine of the cluster does not see the files of the driver."""


class Engine:
    """Processes that train, started when there is something to train.

    Args:
        workers: How many trainings run at once.
        cpus: CPU cores for each; a training uses as many threads.
        gpus: GPUs for each, fractions allowed.
        retries: How often a training is run again whose process died.
        retries_after_exception: The same of one that raised an exception. After a number that is
            not finite, after memory that did not suffice and after too long a time never: these
            would come again.
        address: Of a Ray cluster; None starts one in this machine for the engine's life.
        folder: Of the engine's own, for as long as it lives. Where trainings read and write files,
            it lies beside these: a process that does not see it ends the run. None where they do
            not.
        account: Hears of every attempt at a training.
    """

    def __init__(
        self,
        *,
        workers: int,
        cpus: int,
        gpus: float,
        retries: int,
        retries_after_exception: int = 0,
        address: str | None = None,
        folder: Path | None = None,
        account: Account | None = None,
    ) -> None:
        self.workers = workers
        self._cpus, self._gpus = cpus, gpus
        self._retries = {Failure.KILLED: retries, Failure.EXCEPTION: retries_after_exception}
        self._address, self._folder = address, folder
        self._account = account or Unaccounted()
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
            ClusterLost: Every machine is gone.
            FolderNotShared: A machine does not see the driver's files.
            TooFewResources: This machine has not the GPUs of a training.
        """
        listed = Listed(works, ended)
        self.run(listed, train)
        for key, reason in listed.failed.items():
            raise TrainingFailed(f"{key}: {reason}")
        return listed.last

    def run(self, source: Source, train: Train, *, seconds: float | None = None) -> None:
        """Run what a source hands out until it is finished.

        Args:
            source: Hands out trainings.
            train: Runs one.
            seconds: How long one may take, all attempts at it together; its process is ended then.

        Raises:
            Interrupted: The user asked to stop; what still trained has ended halfway, and the
                source has not heard of that.
            ClusterLost: Every machine is gone.
            FolderNotShared: A machine does not see the driver's files; as for an interrupt.
            TooFewResources: This machine has not the GPUs of a training.
        """
        if source.finished:
            return
        searcher = _SourceSearcher(
            source,
            self._account,
            most=self.workers,
            retries=self._retries,
            seconds=seconds,
            folder=self._folder,
        )
        with _interruptible() as asked:
            while not self._fit(searcher, train, asked):
                searcher.all_died()
        if searcher.stranger is not None:
            raise searcher.stranger
        if asked.is_set():
            raise Interrupted("stopped by the user")

    def _fit(self, searcher: "_SourceSearcher", train: Train, asked: threading.Event) -> bool:
        """Run Tune; False where Ray itself ended it, with all that trained, and it may go on."""
        self._start()
        # else Tune starts one process after the other, and short trainings never get them all
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(self.workers)
        with tempfile.TemporaryDirectory(prefix="branchsearch-") as folder:
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
                    callbacks=[_Watch(asked, searcher)],
                ),
            )
            try:
                tuner.fit()
            except BaseException as error:
                self._stop()  # with all that trains there
                if not _is_of_ray(error):
                    raise
                return False
        return True

    def _start(self) -> None:
        if self._started:
            return
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # of an engine that was killed
            self._folder.mkdir(parents=True)
        ray.init(
            # said outright: else Ray joins whatever cluster somebody has started on this machine
            address=self._address or "local",
            include_dashboard=None if self._address else False,
            num_cpus=None if self._address else self.workers * self._cpus,
            object_store_memory=None if self._address else _OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        self._started = True
        if self._address is None:  # a cluster may grow when it is asked
            self._check_gpus()

    def _check_gpus(self) -> None:
        """See that this machine has the GPUs of a training: Tune would wait for them for ever."""
        there_are = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]  # Ray's
        if there_are < self._gpus:
            self._stop()
            raise TooFewResources(
                f"resources.num_gpus: a training asks for {self._gpus:g} GPUs, and this machine "
                f"has {there_are:g}"
            )

    def _stop(self) -> None:
        if self._started:
            ray.shutdown()
            self._started = False
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _is_of_ray(error: BaseException) -> bool:
    """Whether it is of Ray's processes, and no error in a process that trains or in this one.

    Tune gives up for all trials when a process ends that Ray killed for want of memory, or whose
    machine went while it was asked for.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ray.exceptions.RayTaskError):
            return False
        if isinstance(cause, ray.exceptions.RayError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


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
        searcher: Ends trainings that take too long.
    """

    def __init__(self, asked: threading.Event, searcher: "_SourceSearcher") -> None:
        self._asked, self._searcher = asked, searcher
        self._due = time.monotonic() + _WATCH_EVERY

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the searcher

    def on_trial_start(
        self,
        iteration: int,  # noqa: ARG002  # Tune's signature
        trials: list[Trial],  # noqa: ARG002
        trial: Trial,
        **info: Any,  # noqa: ANN401, ARG002
    ) -> None:
        self._searcher.started(trial)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:  # noqa: ANN401, ARG002
        if self._searcher.stranger is not None:
            raise self._searcher.stranger
        if self._asked.is_set():
            raise Interrupted("stopped by the user")
        self._searcher.end_overdue()
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _WATCH_EVERY
        self._searcher.account.alive()
        nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own
        if not any(node["Alive"] for node in nodes):
            raise ClusterLost("no Ray node is alive any more; the same command continues the job")


@dataclass
class _Attempt:
    """A training that was handed out, and how it goes.

    Attributes:
        work: What was handed out.
        left: Seconds that it may take; None for any number.
        trace: Where its process writes where it stands when these are over.
        trial: Tune's; None until a process has begun with it.
        began: When that was, by the clock that never jumps.
        failed: What it reported when it failed.
        overdue: Whether its process was ended for taking too long.
    """

    work: Work
    left: float | None
    trace: Path | None
    trial: Trial | None = None
    began: float = 0.0
    failed: Mapping[str, Any] | None = None
    overdue: bool = False

    @property
    def seconds(self) -> float:
        """How long a process has been at it."""
        return 0.0 if self.trial is None else time.monotonic() - self.began

    def is_overdue(self) -> bool:
        """Whether its process is to be ended."""
        return self.left is not None and self.seconds > self.left + _LAST_WORDS

    def last_words(self) -> str | None:
        """Where it stood when its time was over."""
        if self.trace is None:
            return None
        with suppress(OSError):  # its machine may be gone, and the file with it
            return self.trace.read_text() or None
        return None


class _SourceSearcher(Searcher):
    """Tune asks it for trainings; it asks the source.

    It hands out again whatever ran in a process that died. Tune would do so, too, but not where the
    process that it keeps for the next trial is dead before that one begins.

    Args:
        source: Hands out trainings.
        account: Hears of every attempt.
        most: Trainings at once.
        retries: How often a training is run again, by what ended it.
        seconds: How long one may take.
        folder: That every process must see.
    """

    def __init__(
        self,
        source: Source,
        account: Account,
        *,
        most: int,
        retries: Mapping[Failure, int],
        seconds: float | None,
        folder: Path | None,
    ) -> None:
        super().__init__()
        self.source, self.account = source, account
        self.stranger: FolderNotShared | None = None
        self._most, self._retries, self._seconds, self._folder = most, retries, seconds, folder
        self._live: dict[str, _Attempt] = {}  # by Tune's trial id
        self._again: list[Work] = []
        self._failures: Counter[tuple[str, Failure]] = Counter()
        self._spent: defaultdict[str, float] = defaultdict(
            float
        )  # seconds so far, by the work's key

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        if len(self._live) >= self._most:
            return None
        work = self._again.pop(0) if self._again else self.source.next()
        if work is None:
            # Tune's mark for the end is a text, whatever its signature says
            return cast(dict[str, Any], Searcher.FINISHED) if self.source.finished else None
        trace = self._folder and self._folder / f"trace-{uuid4().hex}"
        left = None if self._seconds is None else self._seconds - self._spent[work.key]
        self._live[trial_id] = _Attempt(work, left, trace)
        return {
            "training": work.training,
            "seconds": left,
            "trace": trace and str(trace),
            "folder": self._folder and str(self._folder),
        }

    def started(self, trial: Trial) -> None:
        """A process has begun with a trial."""
        attempt = self._live[trial.trial_id]
        attempt.trial, attempt.began = trial, time.monotonic()
        self.account.began(attempt.work.key)

    def end_overdue(self) -> None:
        """End the processes of trainings that have taken too long."""
        for attempt in self._live.values():
            if attempt.is_overdue() and not attempt.overdue:
                attempt.overdue = True
                assert attempt.trial is not None  # it has begun
                actor = attempt.trial.temporary_state.ray_actor
                assert actor is not None
                ray.kill(actor)

    def all_died(self) -> None:
        """Every process has ended at once, and Tune with them."""
        for trial_id in list(self._live):
            self.on_trial_complete(trial_id, error=True)

    def report(self, trial_id: str, report: Mapping[str, Any]) -> bool:
        """Pass a report on; whether the trial goes on."""
        attempt = self._live.get(trial_id)
        if attempt is None:
            return False
        if "failed" in report:
            attempt.failed = report
            return False
        self.account.reported(attempt.work.key, report)
        return self.source.report(attempt.work.key, report)

    def on_trial_complete(
        self,
        trial_id: str,
        result: dict[str, Any] | None = None,  # noqa: ARG002  # Tune's signature
        error: bool = False,
    ) -> None:
        attempt = self._live.pop(trial_id, None)
        if attempt is None:
            return
        key, failed = attempt.work.key, attempt.failed
        self._spent[key] += attempt.seconds
        if error:  # not an exception of the training: that is a report
            failed = self._timed_out(attempt) if attempt.overdue else _KILLED
        if failed is not None and failed["outcome"] == _NOT_SHARED:
            self.stranger = FolderNotShared(failed["failed"])
            return
        if attempt.trial is not None:
            how = "ended" if failed is None else failed["outcome"]
            reason, trace = (failed or {}).get("failed"), (failed or {}).get("trace")
            self.account.ended(key, how, reason=reason, trace=trace)
        if failed is not None:
            failure = Failure(failed["outcome"])
            self._failures[key, failure] += 1
            if self._failures[key, failure] <= self._retries.get(failure, 0):
                self._again.append(attempt.work)
                return
            self.source.report(key, failed)
        self.source.close(key)

    def _timed_out(self, attempt: "_Attempt") -> Mapping[str, Any]:
        return {
            "failed": f"it took more than {self._seconds:g} seconds, all attempts together",
            "outcome": Failure.TIMED_OUT,
            "trace": attempt.last_words(),
        }

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
        folder = config["folder"]
        if folder is not None and not Path(folder).is_dir():
            _say(
                {
                    "failed": f"machine {socket.gethostname()} does not see {folder}: what is kept "
                    "must be mounted at the same place on every machine of the cluster",
                    "outcome": _NOT_SHARED,
                }
            )
            return
        try:
            with _last_words(config["seconds"], config["trace"]):
                for report in train(config["training"]):
                    _say(report)
        except Exception as error:  # the boundary: a training's error is its outcome
            trace, failure = traceback.format_exc(), failure_of(error)
            said = f"{type(error).__name__}: {error}"
            _say({"failed": said, "outcome": failure, "trace": trace})

    return run


@contextmanager
def _last_words(seconds: float | None, path: str | None) -> Iterator[None]:
    """Write to a file where this process stands, should it be in the block for so long.

    By a thread of C's, that needs no lock of Python's: it is heard whatever hangs.
    """
    if seconds is None or path is None:
        yield
        return
    with open(path, "w") as file:
        faulthandler.dump_traceback_later(max(seconds, 0.001), file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    Path(path).unlink()


def _say(report: Mapping[str, Any]) -> None:
    # as text: Tune flattens mappings and joins their keys with a slash
    tune.report({"report": json.dumps(report)})
