"""The trainings that a job is made of."""

from dataclasses import dataclass
from pathlib import Path

from branchsearch.jobs.check import CheckedJob
from branchsearch.jobs.training import Inherited, Training
from branchsearch.search.tuned import Choices
from branchsearch.train.inheritance import Inherit
from branchsearch.tree import Tree


@dataclass(frozen=True)
class Trainings:
    """Makes a job's trainings, all by its recipes.

    Attributes:
        checked: The job.
        root: Where trainings are kept.
    """

    checked: CheckedJob
    root: Path

    def of_trial(self, tree: Tree, choices: Choices = ()) -> Training:
        """The training of a trial; also of the baselines that trials are compared with."""
        spec = self.checked.spec
        seed = spec.reproducibility.seed
        return self._training(tree, choices, epochs=spec.trial.epochs, seed=seed, test=False)

    def of_confirmation(self, tree: Tree, seed: int, choices: Choices = ()) -> Training:
        """One of the final trainings of a tree."""
        epochs = self.checked.spec.confirm.epochs
        return self._training(tree, choices, epochs=epochs, seed=seed, test=True)

    @property
    def confirmation_seeds(self) -> list[int]:
        """The seeds of the final trainings; none is the one that trials were chosen with."""
        first = self.checked.spec.reproducibility.seed + 1
        return list(range(first, first + self.checked.spec.confirm.seeds))

    @property
    def shared(self) -> Tree:
        """The tree in which all tasks share all stages."""
        return Tree.share_all(self._names, self._stages)

    @property
    def separate(self) -> Tree:
        """The tree of one network per task, whether or not the space holds it."""
        return Tree.share_none(self._names, self._stages)

    def alone(self, task: str) -> Tree:
        """The tree of a network of one task."""
        return Tree.share_all([task], self._stages)

    def _training(
        self, tree: Tree, choices: Choices, *, epochs: int, seed: int, test: bool
    ) -> Training:
        checked = self.checked.chosen(choices)
        spec = checked.spec
        inherits = spec.trial.inherit != "scratch" and len(tree.tasks) > 1
        recipe = spec.trial.model_copy(update={"epochs": epochs}).recipe()
        return checked.space.training(
            self.root,
            tree,
            recipe=recipe,
            balancing=spec.trial.balancing,
            seed=seed,
            test=test,
            threads=spec.resources.num_cpus,
            device="cuda" if spec.resources.num_gpus else "cpu",
            inherit=self._inherited(tree) if inherits else None,
            processes=max(1, int(spec.resources.num_gpus)),
        )

    def _inherited(self, tree: Tree) -> Inherited:
        """The baselines of the trials: they are trained before anything else."""
        keys = {task: self.of_trial(self.alone(task)).key for task in tree.tasks}
        return Inherited(Inherit(self.checked.spec.trial.inherit), keys)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.checked.space.space.tasks

    @property
    def _stages(self) -> int:
        return self.checked.space.space.stages
