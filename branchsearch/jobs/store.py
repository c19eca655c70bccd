"""Job state and the Optuna storage in one relational database. No other module knows SQLAlchemy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from optuna.storages import RDBStorage
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from ulid import ULID

from branchsearch.jobs.job import NEXT, IllegalTransition, Job, JobNotFound, JobState
from branchsearch.jobs.ledger import LOST, Attempt

if TYPE_CHECKING:
    from branchsearch.jobs.spec import JobSpec  # at run time it would bring torch

#: Optuna's own migrations keep ``alembic_version`` in the same database.
VERSION_TABLE = "branchsearch_alembic_version"


class _Base(DeclarativeBase):
    pass


class _JobRow(_Base):
    __tablename__ = "branchsearch_jobs"

    id: Mapped[str] = mapped_column(sa.String(30), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    step: Mapped[str | None] = mapped_column(sa.String(32))
    reason: Mapped[str | None] = mapped_column(sa.String(32))
    message: Mapped[str | None] = mapped_column(sa.Text)
    spec: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    spec_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    created: Mapped[datetime] = mapped_column(sa.DateTime)  # naive UTC: SQLite keeps no zone
    changed: Mapped[datetime] = mapped_column(sa.DateTime)
    extension: Mapped[dict[str, Any]] = mapped_column(sa.JSON)

    def snapshot(self) -> Job:
        return Job(
            id=self.id,
            name=self.name,
            state=JobState(self.state),
            step=self.step,
            reason=self.reason,
            message=self.message,
            spec=self.spec,
            spec_hash=self.spec_hash,
            created=self.created.replace(tzinfo=UTC),
            changed=self.changed.replace(tzinfo=UTC),
            extension=self.extension,
        )


class _EventRow(_Base):
    __tablename__ = "branchsearch_events"

    number: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("branchsearch_jobs.id"), index=True)
    at: Mapped[datetime] = mapped_column(sa.DateTime)
    kind: Mapped[str] = mapped_column(sa.String(32))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class _AttemptRow(_Base):
    __tablename__ = "branchsearch_attempts"

    number: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("branchsearch_jobs.id"), index=True)
    step: Mapped[str] = mapped_column(sa.String(32))
    key: Mapped[str] = mapped_column(sa.Text)
    began: Mapped[datetime] = mapped_column(sa.DateTime)
    seconds: Mapped[float]
    gpus: Mapped[float]
    how: Mapped[str | None] = mapped_column(sa.String(16))

    def snapshot(self) -> Attempt:
        began = self.began.replace(tzinfo=UTC)
        return Attempt(self.step, self.key, began, self.seconds, self.gpus, self.how)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: appended once, never changed.

    Attributes:
        at: When, UTC.
        kind: ``submitted``, ``moved``, ``step`` or ``extended``.
        data: What there is to say.
    """

    at: datetime
    kind: str
    data: Mapping[str, Any]


class JobStore:
    """Every read and write of job state. Each method is one transaction and returns snapshots.

    Args:
        url: Of the database, as SQLAlchemy takes it; its tables are brought up to date.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = sa.create_engine(url)
        _listen(self._engine)
        _begin_at_once(self._engine)
        self._migrate()
        self._transaction = sessionmaker(self._engine).begin

    def submit(self, spec: "JobSpec") -> Job:
        """Queue a new job; the spec is kept word for word."""
        now = _now()
        with self._transaction() as session:
            row = _JobRow(
                id=f"job_{ULID()}",
                name=spec.metadata.name,
                state=JobState.QUEUED,
                spec=spec.model_dump(mode="json"),
                spec_hash=spec_hash(spec),
                created=now,
                changed=now,
                extension={},
            )
            session.add(row)
            session.flush()
            session.add(_EventRow(job_id=row.id, at=now, kind="submitted", data={}))
            return row.snapshot()

    def get(self, job_id: str) -> Job:
        """Read one job, or raise JobNotFound."""
        with self._transaction() as session:
            row = session.get(_JobRow, job_id)
            if row is None:
                raise JobNotFound(f"no job {job_id!r}; `branchsearch list` shows those there are")
            return row.snapshot()

    def newest_first(self) -> list[Job]:
        """Every job, the newest first."""
        with self._transaction() as session:
            rows = session.scalars(sa.select(_JobRow).order_by(_JobRow.id.desc()))
            return [row.snapshot() for row in rows]

    def newest(self, spec: "JobSpec") -> Job | None:
        """The newest job with that very spec."""
        newest = (
            sa.select(_JobRow)
            .where(_JobRow.spec_hash == spec_hash(spec))
            .order_by(_JobRow.id.desc())
            .limit(1)
        )
        with self._transaction() as session:
            row = session.scalars(newest).one_or_none()
            return None if row is None else row.snapshot()

    def move(
        self, job_id: str, to: JobState, *, reason: str | None = None, message: str | None = None
    ) -> Job:
        """Take one step from state to state, or raise JobNotFound or IllegalTransition."""
        before = [state for state, after in NEXT.items() if to in after]
        now = _now()
        step = (
            sa.update(_JobRow)
            .where(_JobRow.id == job_id, _JobRow.state.in_(before))
            .values(state=to, reason=reason, message=message, changed=now)
            .returning(_JobRow)
        )
        with self._transaction() as session:
            row = session.scalars(step).one_or_none()
            if row is not None:
                data = {"to": to, "reason": reason, "message": message}
                session.add(_EventRow(job_id=job_id, at=now, kind="moved", data=data))
                return row.snapshot()
        raise IllegalTransition(f"job {job_id} is {self.get(job_id).state}, it cannot become {to}")

    def extend(self, job_id: str, raised: Mapping[str, float]) -> Job:
        """Raise limits of a job's budget and, if it has ended, queue it again.

        Args:
            job_id: Whose.
            raised: The new limits, by their names in ``Budget``.
        """
        now = _now()
        with self._transaction() as session:
            row = session.get(_JobRow, job_id, with_for_update=True)
            if row is None:
                raise JobNotFound(f"no job {job_id!r}")
            row.extension = {**row.extension, **raised}
            row.changed = now
            session.add(_EventRow(job_id=job_id, at=now, kind="extended", data=dict(raised)))
            if JobState.QUEUED in NEXT[JobState(row.state)]:
                row.state, row.reason, row.message = JobState.QUEUED, None, None
                data = {"to": JobState.QUEUED, "reason": None, "message": None}
                session.add(_EventRow(job_id=job_id, at=now, kind="moved", data=data))
            session.flush()
            return row.snapshot()

    def begin_attempt(self, job_id: str, step: str, key: str, gpus: float) -> tuple[int, Attempt]:
        """Open a line of a job's ledger; with the number by which it is kept and ended."""
        with self._transaction() as session:
            row = _AttemptRow(
                job_id=job_id, step=step, key=key, began=_now(), seconds=0.0, gpus=gpus, how=None
            )
            session.add(row)
            session.flush()
            return row.number, row.snapshot()

    def keep_attempts(self, seconds: Mapping[int, float]) -> None:
        """Note how long open attempts have taken so far, by their numbers."""
        if not seconds:
            return
        with self._transaction() as session:
            for number, taken in seconds.items():
                kept = sa.update(_AttemptRow).where(_AttemptRow.number == number)
                session.execute(kept.values(seconds=taken))

    def end_attempt(self, number: int, seconds: float, how: str) -> None:
        """Close a line of the ledger."""
        ended = sa.update(_AttemptRow).where(_AttemptRow.number == number)
        with self._transaction() as session:
            session.execute(ended.values(seconds=seconds, how=how))

    def close_lost_attempts(self, job_id: str) -> None:
        """Close the lines that a killed driver has left open."""
        left = sa.update(_AttemptRow).where(_AttemptRow.job_id == job_id, _AttemptRow.how.is_(None))
        with self._transaction() as session:
            session.execute(left.values(how=LOST))

    def attempts(self, job_id: str) -> list[Attempt]:
        """A job's ledger, in order."""
        in_order = (
            sa.select(_AttemptRow).where(_AttemptRow.job_id == job_id).order_by(_AttemptRow.number)
        )
        with self._transaction() as session:
            return [row.snapshot() for row in session.scalars(in_order)]

    def enter(self, job_id: str, step: str) -> None:
        """Note which step a job has come to."""
        now = _now()
        entered = sa.update(_JobRow).where(_JobRow.id == job_id).values(step=step, changed=now)
        with self._transaction() as session:
            session.execute(entered)
            session.add(_EventRow(job_id=job_id, at=now, kind="step", data={"step": step}))

    def events(self, job_id: str) -> list[Event]:
        """Everything that happened to a job, in order."""
        in_order = sa.select(_EventRow).where(_EventRow.job_id == job_id).order_by(_EventRow.number)
        with self._transaction() as session:
            rows = session.scalars(in_order)
            return [Event(row.at.replace(tzinfo=UTC), row.kind, row.data) for row in rows]

    def optuna_storage(self) -> RDBStorage:
        """The same database as Optuna sees it."""
        storage = RDBStorage(self._url, engine_kwargs={"pool_pre_ping": True})
        _listen(storage.engine)
        return storage

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file, whatever its path holds: ``?`` and ``%`` mean nothing."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def spec_hash(spec: "JobSpec") -> str:
    """SHA-256 of a spec's canonical JSON: equal for equal specs, however they were written."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _listen(engine: sa.Engine) -> None:
    """Let SQLite write beside readers, and survive a killed process without a sync per commit."""
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def _set(connection: Any, _: object) -> None:  # noqa: ANN401  # a driver's own type
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")


def _begin_at_once(engine: sa.Engine) -> None:
    """Put everything on SQLite into transactions, also the migrations' changes of tables.

    Python's driver would commit each of those alone, and a process killed between two of them
    would leave a database that no later one can open.
    """
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def _leave_it_to_us(connection: Any, _: object) -> None:  # noqa: ANN401
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
