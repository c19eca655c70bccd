"""A job from start to end: baselines, affinity, search, confirmation, export, report."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from branchsearch.files import write_whole
from branchsearch.jobs import gather, steps
from branchsearch.jobs.account import JobAccount
from branchsearch.jobs.check import CheckedJob, check_job
from branchsearch.jobs.gather import Seen, seen
from branchsearch.jobs.handing import export_chosen
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import Job, JobState, Reason
from branchsearch.jobs.keys import note_keys
from branchsearch.jobs.machine import RAY_ADDRESS, check_machine
from branchsearch.jobs.progress import Progress
from branchsearch.jobs.spec import JobSpec
from branchsearch.jobs.steps import JobFailed
from branchsearch.jobs.training import code_version, open_dataset
from branchsearch.jobs.trainings import Trainings
from branchsearch.report.dashboard import publish
from branchsearch.report.html import write_report
from branchsearch.search.engine import Engine, Interrupted, TooFewResources
from branchsearch.search.trials import End
from branchsearch.tree import Tree


@dataclass(frozen=True, slots=True)
class Result:
    """What a job gave.

    Attributes:
        job: The job, as it ended.
        tree: The tree that was chosen and exported.
        deltas: Its gain over the single-task networks on the test part, percent, one per seed.
        export: The exported folder.
        report: The HTML report.
    """

    job: Job
    tree: Tree
    deltas: tuple[float, ...]
    export: Path
    report: Path


def run_job(
    source: str | Path | Mapping[str, Any] | JobSpec,
    home: Home,
    *,
    progress: Progress,
    new: bool = False,
    early_stopping: bool = True,
) -> Result:
    """Run a job to its end, from wherever an earlier run of the same spec has left it.

    Args:
        source: As for ``branchsearch.jobs.reading.read_job``.
        home: Where everything is kept.
        progress: Hears how it goes.
        new: Start a new job also when there is one with this spec.
        early_stopping: Without it, run the job whose ``fidelity.scheduler`` is none.

    Raises:
        InvalidSpec: Before anything is written; also where this machine has not what it asks for.
        HomeUnusable: Nothing can be written there.
        JobIsRunning: Another process runs the job.
        JobFailed: The job came to an end without a result; the store knows why.
        Interrupted: The user asked to stop; run again to continue.
    """
    checked = check_job(source)
    if not early_stopping:
        checked = checked.without_early_stopping()
    earlier = home.store.newest(checked.spec) if home.exists() and not new else None
    if earlier is None or earlier.state is not JobState.SUCCEEDED:
        check_machine(source, checked.spec)
    job = earlier or home.store.submit(checked.spec)
    return go_on(home, job, checked, progress=progress)


def go_on(home: Home, job: Job, checked: CheckedJob, *, progress: Progress) -> Result:
    """Run a job that was submitted to its end, from wherever it stands.

    Args:
        home: Of the job.
        job: In any state.
        checked: Its spec.
        progress: Hears how it goes.

    Raises:
        JobIsRunning: Another process runs the job.
        JobFailed: As for ``run_job``.
        Interrupted: As for ``run_job``.
    """
    with home.driving(job):
        job = home.store.get(job.id)
        if job.state is not JobState.SUCCEEDED:
            _drive(checked, home, job, progress)
    return result(seen(home, home.store.get(job.id), checked))


def result(seen: Seen) -> Result:
    """What a finished job gave."""
    chosen = next(network for network in seen.findings().confirmed if network.chosen)
    return Result(
        job=seen.job,
        tree=chosen.tree,
        deltas=tuple(chosen.deltas),
        export=seen.folder / gather.EXPORT,
        report=seen.folder / gather.REPORT,
    )


def _drive(checked: CheckedJob, home: Home, job: Job, progress: Progress) -> None:
    if job.state is not JobState.RUNNING:
        job = home.store.move(job.id, JobState.RUNNING)
    try:
        end, message = _steps(checked, home, job, progress)
    except (Interrupted, KeyboardInterrupt):
        home.store.move(job.id, JobState.QUEUED, message="interrupted; run again to continue")
        raise Interrupted(f"job {job.id} is kept; the same command continues it") from None
    except JobFailed as failed:
        home.store.move(job.id, JobState.FAILED, reason=failed.reason, message=str(failed))
        raise
    except TooFewResources as error:
        message = str(error)
        home.store.move(job.id, JobState.FAILED, reason=Reason.INVALID_SPEC, message=message)
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        home.store.move(job.id, JobState.FAILED, reason=Reason.INTERNAL, message=message)
        raise
    home.store.move(job.id, JobState.SUCCEEDED, reason=Reason(end), message=message)


def _steps(checked: CheckedJob, home: Home, job: Job, progress: Progress) -> tuple[End, str]:
    trainings = Trainings(checked, home.root)
    at = seen(home, job, checked)
    resources, retries = checked.spec.resources, checked.spec.retries
    account = JobAccount(home.store, job.id, at.folder, gpus=resources.num_gpus)

    def enter(step: str) -> None:
        home.store.enter(job.id, step)
        account.enter(step)
        progress.enter(step)

    with Engine(
        workers=resources.max_concurrent_trials,
        cpus=resources.num_cpus,
        gpus=resources.num_gpus,
        retries=retries.max_per_trial,
        retries_after_exception=retries.after_exception,
        address=os.environ.get(RAY_ADDRESS),
        folder=at.folder / "engine",
        account=account,
    ) as engine:
        enter("baselines")
        _keep_provenance(trainings, at)
        references = steps.baselines(trainings, engine, progress.stand)
        enter("affinity")
        affinity = steps.affinity(trainings, at, engine, progress.stand)
        enter("search")
        end, message = steps.search(
            trainings,
            at,
            engine,
            progress.stand,
            references=references,
            affinity=affinity,
            account=account,
        )
        note_keys(trainings, at)
        enter("confirm")
        steps.confirm(trainings, at, engine, progress.stand)
        note_keys(trainings, at)
    enter("export")
    if not (at.folder / gather.EXPORT).is_dir():
        export_chosen(trainings, at, at.folder / gather.EXPORT)
    enter("report")
    write_report(at.findings(), at.folder / gather.REPORT)
    publish(at.study, at.findings())
    return end, message


def _keep_provenance(trainings: Trainings, at: Seen) -> None:
    # the data set is opened here first, so that the workers do not all make it at once
    spec = trainings.checked.space.spec
    dataset = open_dataset((spec.dataset.name, spec.dataset.args), trainings.root)
    path = at.folder / gather.PROVENANCE
    if path.is_file():
        facts = json.loads(path.read_text())
        if code_version() not in facts["branchsearch"].split(", "):  # the job goes on under another
            facts["branchsearch"] += f", {code_version()}"
            write_whole(path, json.dumps(facts, indent=1))
        return
    packages = ("torch", "ray", "optuna", "numpy")
    facts = {
        "spec": at.job.spec_hash,
        "data set": dataset.fingerprint,
        "branchsearch": code_version(),
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "seed of the search": str(at.checked.spec.reproducibility.seed),
        "seeds of the confirmation": ", ".join(map(str, trainings.confirmation_seeds)),
    }
    write_whole(path, json.dumps(facts, indent=1))
