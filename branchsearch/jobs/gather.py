"""What is known of a job, read back from its study and its folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from branchsearch.affinity.affinity import Affinity
from branchsearch.jobs import affinities
from branchsearch.jobs.budget import budget_of
from branchsearch.jobs.check import CheckedJob, check_job
from branchsearch.jobs.home import Home
from branchsearch.jobs.job import Job
from branchsearch.jobs.spec import Budget
from branchsearch.jobs.standing import confirmed
from branchsearch.report.findings import Confirmed, Findings, TrialResult
from branchsearch.search.candidate import choices_of_trial
from branchsearch.search.outcome import outcome_of
from branchsearch.search.parameters import tree_of_trial
from branchsearch.search.tuned import Choices
from branchsearch.space.cost import Cost
from branchsearch.tree import Tree

#: Files in a job's folder.
PROVENANCE = "provenance.json"
EXPORT, REPORT = "export", "report.html"


@dataclass(frozen=True)
class Seen:
    """What a job has found so far.

    Attributes:
        job: The job.
        checked: Its spec.
        study: Its trials.
        folder: Its files.
    """

    job: Job
    checked: CheckedJob
    study: Study
    folder: Path

    @property
    def budget(self) -> Budget:
        """As it was raised."""
        return budget_of(self.checked.spec.budget, self.job)

    def trials(self) -> list[TrialResult]:
        """Every trial that has a tree, by number."""
        results = []
        for trial in self.study.get_trials(deepcopy=False):
            tree = tree_of_trial(self.checked.space.space, trial)
            if tree is not None:
                choices = choices_of_trial(self.checked.tuned, trial) or ()
                cost = self.checked.cost(tree, choices)
                results.append(_result(trial, tree, choices, cost))
        return results

    def affinities(self) -> list[Affinity]:
        """By every measure of the job, in its order; empty before they are measured."""
        return affinities.load(self.folder, self.checked.spec.affinity.measures)

    def confirmed(self) -> list[dict[str, Any]]:
        """What was trained fully, as ``branchsearch.jobs.confirm.as_json`` wrote it; or nothing."""
        return confirmed(self.folder)

    def findings(self) -> Findings:
        """Everything that a report shows; what is not there yet is empty."""
        return Findings(
            title=self.job.name,
            job_id=self.job.id,
            tasks=self.checked.space.tasks,
            affinities=self.affinities(),
            trials=self.trials(),
            confirmed=[_confirmed(entry) for entry in self.confirmed()],
            budget=self.checked.spec.upper_bounds,
            provenance=_json(self.folder / PROVENANCE, {}),
        )


def seen(home: Home, job: Job, checked: CheckedJob | None = None) -> Seen:
    """Look at what a job has found so far."""
    checked = checked or check_job(job.spec)
    return Seen(job, checked, home.study(job), home.folder(job))


def _result(trial: FrozenTrial, tree: Tree, choices: Choices, cost: Cost) -> TrialResult:
    known = trial.user_attrs
    return TrialResult(
        number=trial.number,
        tree=tree,
        outcome=outcome_of(trial),
        delta=known.get("delta"),
        metrics={
            name.removeprefix("task/"): metric
            for name, metric in known.items()
            if name.startswith("task/")
        },
        curve=tuple(known.get("curve", ())),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        seconds=known.get("seconds", 0.0),
        choices=choices,
    )


def _confirmed(entry: Mapping[str, Any]) -> Confirmed:
    return Confirmed(
        name=entry["name"],
        tree=Tree.parse(entry["tree"]),
        metrics=entry["test"],
        deltas=entry["deltas"],
        parameters=entry["parameters"],
        multiply_adds=entry["multiply_adds"],
        chosen=entry["chosen"],
        choices=tuple(sorted(entry.get("choices", {}).items())),
    )


def _json(path: Path, otherwise: Any) -> Any:  # noqa: ANN401  # any JSON
    return json.loads(path.read_text()) if path.is_file() else otherwise
