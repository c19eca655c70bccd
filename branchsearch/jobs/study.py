"""The Optuna study of a job."""

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import Study

from branchsearch.jobs.job import Job
from branchsearch.search.trials import OBJECTIVES


def open_study(storage: BaseStorage, job: Job) -> Study:
    """Open the study that is named after a job; the first caller makes it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    objectives = objectives_of(job)
    study = optuna.create_study(
        study_name=job.id,
        storage=storage,
        directions=[OBJECTIVES[name] for name in objectives],
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the names are all that it does
        if study.metric_names != objectives:
            study.set_metric_names(objectives)
    return study


def objectives_of(job: Job) -> list[str]:
    """What the study's values are."""
    return [objective["metric"] for objective in job.spec["objectives"]]
