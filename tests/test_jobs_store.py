import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from branchsearch.jobs.job import NEXT, IllegalTransition, JobNotFound, JobState
from branchsearch.jobs.reading import read_job
from branchsearch.jobs.store import JobStore, spec_hash
from tests.specs import TINY, tiny

SPEC = read_job(TINY)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")


class StoreKeepsItsPromises(RuleBasedStateMachine):
    """A store beside a plain dict: whatever is done to both, they agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.url = f"sqlite:///{self.folder.name}/jobs.db"
        self.store = JobStore(self.url)
        self.expected: dict[str, JobState] = {}
        self.moves: dict[str, list[str]] = {}

    @rule()
    def submit(self) -> None:
        job = self.store.submit(SPEC)
        self.expected[job.id], self.moves[job.id] = JobState.QUEUED, []

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), to=st.sampled_from(JobState))
    def move(self, data: st.DataObject, to: JobState) -> None:
        job = data.draw(st.sampled_from(sorted(self.expected)))
        if to in NEXT.get(self.expected[job], set()):
            self.store.move(job, to)
            self.expected[job] = to
            self.moves[job].append(to)
        else:
            with pytest.raises(IllegalTransition):
                self.store.move(job, to)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = JobStore(self.url)

    @invariant()
    def states_agree(self) -> None:
        assert {job.id: job.state for job in self.store.newest_first()} == self.expected

    @invariant()
    def events_tell_every_move(self) -> None:
        for job, moves in self.moves.items():
            told = [e.data["to"] for e in self.store.events(job) if e.kind == "moved"]
            assert told == moves

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestStoreKeepsItsPromises = StoreKeepsItsPromises.TestCase
TestStoreKeepsItsPromises.settings = settings(
    max_examples=10, stateful_step_count=12, deadline=None
)


def test_a_spec_comes_back_as_it_went_in(store: JobStore):
    job = store.submit(SPEC)
    assert read_job(store.get(job.id).spec) == SPEC


def test_the_newest_job_of_a_spec_is_found(store: JobStore):
    store.submit(SPEC)
    newest = store.submit(SPEC)
    other = read_job(tiny(budget={"max_trials": 6}))
    store.submit(other)
    assert store.newest(SPEC) == newest
    assert store.newest(read_job(tiny(budget={"max_trials": 7}))) is None


def test_the_order_of_keys_does_not_make_another_spec():
    turned = dict(reversed(TINY.items()))
    assert spec_hash(read_job(turned)) == spec_hash(SPEC)


def test_steps_are_kept(store: JobStore):
    job = store.submit(SPEC)
    store.enter(job.id, "search")
    assert store.get(job.id).step == "search"


def test_unknown_job(store: JobStore):
    with pytest.raises(JobNotFound, match="no job 'job_7'"):
        store.get("job_7")
    with pytest.raises(JobNotFound):
        store.move("job_7", JobState.RUNNING)


def test_optuna_lives_in_the_same_database(store: JobStore, tmp_path: Path):
    store.submit(SPEC)
    store.optuna_storage()
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        (mode,) = database.execute("PRAGMA journal_mode").fetchone()
    assert {"branchsearch_jobs", "studies", "alembic_version"} <= names
    assert mode == "wal"
    assert len(JobStore(f"sqlite:///{tmp_path / 'jobs.db'}").newest_first()) == 1


def test_a_migration_that_is_killed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import alembic.operations

    create = alembic.operations.Operations.create_table

    def killed(self: object, name: str, *rest: object, **more: object) -> object:
        if name == "branchsearch_events":
            raise KeyboardInterrupt
        return create(self, name, *rest, **more)  # type: ignore[arg-type]

    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(
            alembic.op, "create_table", lambda *a, **k: killed(alembic.op._proxy, *a, **k)
        )
        with pytest.raises(KeyboardInterrupt):
            JobStore(url)
    assert JobStore(url).newest_first() == []


def test_a_database_of_the_version_before_is_brought_up_to_date(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    job = JobStore(url).submit(SPEC)
    with sqlite3.connect(tmp_path / "jobs.db") as database:  # back to what 0001 made
        database.execute("DROP TABLE branchsearch_attempts")
        database.execute("ALTER TABLE branchsearch_jobs DROP COLUMN extension")
        database.execute("UPDATE branchsearch_alembic_version SET version_num = '0001'")
    store = JobStore(url)
    assert store.newest_first() == [job]
    assert store.attempts(job.id) == []
