"""How many seconds of one core a proposal takes: tree_gp with 500 and 5,000 finished trials, others
with 10,000; Optuna's tpe with 500 is the reference.

Hyperparameters are weighed at fixed numbers of trials only, and so timed apart.
"""

import time
from collections.abc import Callable
from random import Random
from typing import Annotated

import numpy as np
import optuna
import torch
import typer
from optuna.study import Study
from optuna.trial import create_trial

from benchmarks.measure import process_mib, say
from branchsearch import catalog
from branchsearch.search.parameters import distributions, params_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.fresh import FreshSampler
from branchsearch.search.samplers.tree_gp.sampler import weighed_at
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree

#: Seconds that a proposal of tree_gp may take after 500 trials, and after 5,000.
_FLOOR, _FLOOR_MANY = 0.5, 2.0


def problem_of(tasks: str, stages: int) -> Problem:
    """Without a budget."""
    part = Cost(10, 100)
    costs = CostTable((part,) * stages, dict.fromkeys(tasks, part))
    drawn = np.random.default_rng(0).normal(size=(stages, len(tasks), len(tasks)))
    return Problem(Space.of(tasks, stages), costs, {}, drawn + drawn.transpose(0, 2, 1))


def gains_of(tree: Tree, weights_STT: np.ndarray) -> np.ndarray:
    """A planted gain for each task, shape [T]."""
    branches_ST = np.array(tree.branches)
    shares_STT = branches_ST[:, :, None] == branches_ST[:, None, :]
    gains: np.ndarray = (shares_STT * weights_STT).sum((0, 2))
    return gains


def studied(problem: Problem, trials: int) -> Study:
    """A study of so many different trees (or of all there are), uniformly drawn."""
    random, space = Random(0), problem.space
    trees: dict[Tree, None] = {}
    most = min(trials, space.count())
    while len(trees) < most:
        trees[space.sample(random)] = None
    noise = np.random.default_rng(1)
    study = optuna.create_study(direction="maximize")
    for tree in trees:
        gains = gains_of(tree, problem.affinity) + noise.normal(size=len(space.tasks))
        each = {f"gain/{task}": float(g) for task, g in zip(space.tasks, gains, strict=True)}
        study.add_trial(
            create_trial(
                params=params_of(space, tree),
                distributions=dict(distributions(space)),
                value=float(gains.mean()),
                user_attrs=each,
            )
        )
    return study


def seconds_of(call: Callable[[], object]) -> float:
    """Of the processor, so that other work on the machine does not count."""
    started = time.process_time()
    call()
    return time.process_time() - started


def ask(study: Study, problem: Problem, make: Callable[[int], optuna.samplers.BaseSampler]) -> None:
    """Ask for a proposal, as a search does."""
    study.sampler = FreshSampler(make(len(study.get_trials(deepcopy=False))), problem, seed=0)
    trial = study.ask(dict(distributions(problem.space)))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="only show that it runs")] = False,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print seconds per proposal."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{'sampler':12} {'tasks x stages':>15} {'trees':>12} {'trials':>7}  first    later")
    few, many, most = (20, 40, 60) if quick else (500, 5_000, 10_000)
    cases = [("tpe", "abcdef", 4, few)]
    cases += [("tree_gp", "abcdef", 4, n) for n in (20, few, many)]
    cases += [("tree_gp", "abcdefgh", 5, n) for n in (few, many)]
    cases += [(name, "abcdefgh", 5, most) for name in ("random_tree", "evolution")]
    found = {}
    for name, tasks, stages, trials in cases:
        problem = problem_of(tasks, stages)
        study = studied(problem, trials)
        make = catalog.find("sampler", name)(problem)
        first = seconds_of(lambda: ask(study, problem, make))  # noqa: B023  # called at once
        later = [seconds_of(lambda: ask(study, problem, make)) for _ in range(repeats)]  # noqa: B023
        trees = f"{problem.space.count():,}"
        print(
            f"{name:12} {len(tasks):>11} x {stages} {trees:>12} {trials:>7}  {first:5.2f} s "
            f"{float(np.median(later)):5.2f} s",
            flush=True,
        )
        found[name, stages, trials] = float(np.median(later))
    ours, reference = found["tree_gp", 4, few], found["tpe", 4, few]
    slowest = max(found["tree_gp", stages, few] for stages in (4, 5))
    slowest_many = max(found["tree_gp", stages, many] for stages in (4, 5))
    say(
        [
            f"first: hyperparameters weighed (at 20, {weighed_at(30)}, ... {weighed_at(500)}, ... "
            "trials only) and trees listed; later: the median of the others",
            f"tree_gp at {few} trials at most {slowest:.2f} s, to reach: {_FLOOR}; "
            f"at {many} at most {slowest_many:.2f} s, to reach: {_FLOOR_MANY}",
        ],
        {
            "name": "samplers",
            "ratio": ours / reference,
            "seconds": ours,
            "reference_seconds": reference,
            "peak_mib": process_mib(),
            "seconds_many": slowest_many,
            "reached": slowest <= _FLOOR and slowest_many <= _FLOOR_MANY,
        },
    )


if __name__ == "__main__":
    typer.run(main)
