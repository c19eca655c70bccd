"""The folder under which everything lies: database, data sets, trainings, what jobs gave."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.study import Study

from branchsearch.jobs.job import Job, JobIsRunning
from branchsearch.jobs.store import JobStore, sqlite_url
from branchsearch.jobs.study import open_study


class HomeUnusable(OSError):
    """Nothing can be written there."""


class Home:
    """Where branchsearch keeps things.

    Args:
        root: Made when it is first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @cached_property
    def store(self) -> JobStore:
        """The job table.

        Raises:
            HomeUnusable: The folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            trial = self.root / ".writable"
            trial.write_bytes(b"1")
            trial.unlink()
        except OSError as error:
            why = "it is a file, not a folder" if self.root.is_file() else error.strerror
            raise HomeUnusable(f"cannot write to {self.root}: {why}") from error
        return JobStore(self.database)

    @property
    def database(self) -> str:
        """The URL of the database that holds jobs and Optuna's studies."""
        return sqlite_url(self.root / "branchsearch.db")

    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        return (self.root / "branchsearch.db").is_file()

    def folder(self, job: Job) -> Path:
        """Where what a job gave lies."""
        return self.root / "jobs" / job.id

    @contextmanager
    def driving(self, job: Job) -> Iterator[None]:
        """Hold the job for this process; the system lets go of it however the process ends.

        Raises:
            JobIsRunning: Another process holds it.
        """
        lock = self._lock(job)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise JobIsRunning(f"job {job.id} is being run by another process") from None
        try:
            yield
        finally:
            lock.release()

    def is_driven(self, job: Job) -> bool:
        """Whether a process holds the job at this moment."""
        lock = self._lock(job)
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _lock(self, job: Job) -> FileLock:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{job.id}.lock")

    def study(self, job: Job) -> Study:
        """The Optuna study of a job, made when it is not there."""
        return open_study(self.store.optuna_storage(), job)
