"""The flagship sampler, part by part; what every sampler promises is in the contracts."""

from random import Random

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial
from scipy.stats import multivariate_normal

from branchsearch.search.candidate import Candidate, own
from branchsearch.search.outcome import OUTCOME, Outcome
from branchsearch.search.parameters import distributions, params_of, tree_of
from branchsearch.search.problem import Problem
from branchsearch.search.samplers.tree_gp import posterior as posterior_module
from branchsearch.search.samplers.tree_gp.acquisition import hypervolume_gain, quality
from branchsearch.search.samplers.tree_gp.candidates import beside, bred, listed
from branchsearch.search.samplers.tree_gp.kernel import PathKernel, Settings, drawn_settings
from branchsearch.search.samplers.tree_gp.observations import told
from branchsearch.search.samplers.tree_gp.paths import paths_TND, pool_of
from branchsearch.search.samplers.tree_gp.posterior import (
    Layout,
    Observations,
    Posterior,
    weigh,
)
from branchsearch.search.samplers.tree_gp.sampler import tree_gp, weighed_at
from branchsearch.search.tuned import Tuned
from branchsearch.space.cost import Cost, CostTable
from branchsearch.space.space import Space
from branchsearch.tree import Tree

SPACE = Space.of("abcd", 3)
TREES = list(SPACE)
LAYOUT = Layout(stages=3, others=3)


def affinity(seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(3, 4, 4))
    return drawn + drawn.transpose(0, 2, 1)


def problem_of(space: Space = SPACE, alike: np.ndarray | None = None, **budget: int) -> Problem:
    part, tasks = Cost(10, 100), len(space.tasks)
    costs = CostTable((part,) * space.stages, dict.fromkeys(space.tasks, part))
    nothing = np.zeros((space.stages, tasks, tasks))
    return Problem(space, costs, budget, nothing if alike is None else alike)


def told_study(gains: dict[Tree, np.ndarray], directions: tuple[str, ...] = ("maximize",)) -> Study:
    study = optuna.create_study(directions=directions)
    for tree, of_tasks in gains.items():
        add(study, tree, of_tasks)
    return study


def add(study: Study, tree: Tree, gains: np.ndarray, **attributes: object) -> None:
    space = Space.of(tree.tasks, len(tree.branches))
    each = {f"gain/{task}": float(gain) for task, gain in zip(tree.tasks, gains, strict=True)}
    state = attributes.pop("state", TrialState.COMPLETE)
    values = [float(gains.mean()), float(sum(tree.widths))][: len(study.directions)]
    study.add_trial(
        create_trial(
            state=state,  # type: ignore[arg-type]
            params=params_of(space, tree),
            distributions=dict(distributions(space)),
            values=values if state is TrialState.COMPLETE else None,
            user_attrs={**each, **attributes},
        )
    )


def planted(tree: Tree) -> np.ndarray:
    """Task a gains with b, and loses with whoever else; the others do not care."""
    shares = [[row[0] == row[task] for task in (1, 2, 3)] for row in tree.branches]
    with_b, with_c, with_d = np.sum(shares, axis=0)
    return np.array([2.0 * with_b - with_c - with_d, 0.0, 0.0, 0.1 * with_c])


def random_paths(count: int, seed: int) -> torch.Tensor:
    chosen = np.random.default_rng(seed).integers(len(TREES), size=count)
    return paths_TND([TREES[n] for n in chosen], affinity(), np.zeros((count, 0)))


def test_a_path_says_with_whom_a_task_shares_each_stage():
    tree = Tree.parse("a+b+c,d > a+b,c,d > a,b,c,d")
    paths = paths_TND([tree], np.zeros((3, 4, 4)), np.array([[0.5]]))
    assert paths.shape == (4, 1, 3 * 3 + 1 + 1)
    assert paths[0, 0].tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0.5]
    assert paths[3, 0].tolist() == [0] * 10 + [0.5]


def test_more_branches_than_a_byte_counts_are_told_apart():
    tasks = [f"t{number:03}" for number in range(130)]
    paths = paths_TND([Tree.share_none(tasks, 1)], np.zeros((1, 130, 130)), np.zeros((1, 0)))
    assert paths.shape == (130, 1, 130)
    assert not paths.any()


def test_sharing_with_the_like_is_liked():
    alike = np.zeros((3, 4, 4))
    alike[:, 0, 1] = alike[:, 1, 0] = 1.0
    with_b = paths_TND([Tree.parse("a+b,c,d > a+b,c,d > a+b,c,d")], alike, np.zeros((1, 0)))
    with_c = paths_TND([Tree.parse("a+c,b,d > a+c,b,d > a+c,b,d")], alike, np.zeros((1, 0)))
    assert with_b[0, 0, -1] > 0.5 > 0 > with_c[0, 0, -1]
    assert with_b[3, 0, -1] == 0


def test_a_pool_gives_back_every_path():
    pool = pool_of(TREES, affinity(), np.zeros((len(TREES), 0)))
    assert torch.equal(pool.paths, paths_TND(TREES, affinity(), np.zeros((len(TREES), 0))))
    assert pool.unique_TPD.shape[1] == 64  # (S + 1) ** (T - 1)


def test_covariances_are_those_of_some_process():
    paths = random_paths(40, 0)
    kernel = PathKernel(drawn_settings(32), *LAYOUT)
    k_GTNN = kernel(paths, paths)
    assert torch.allclose(k_GTNN, k_GTNN.mT)
    assert torch.linalg.eigvalsh(k_GTNN).min() > -1e-9
    assert torch.allclose(k_GTNN.diagonal(dim1=-2, dim2=-1), kernel.variances(paths))


def test_numbers_beside_the_tree_part_what_is_alike():
    tree = [TREES[5]] * 3
    paths = paths_TND(tree, affinity(), np.array([[0.0], [0.1], [1.0]]))
    k_N = PathKernel(drawn_settings(32), *LAYOUT)(paths, paths)[0, 0, 0]
    assert k_N[0] > k_N[1] > k_N[2]


def one_setting() -> Settings:
    return drawn_settings(32)[torch.tensor([3])]


def test_the_posterior_is_that_of_a_gaussian_process():
    """Against the formulas, written out for one task and one setting."""
    setting, seen, new = one_setting(), random_paths(12, 1), random_paths(7, 2)
    gains = torch.from_numpy(np.random.default_rng(3).normal(5, 2, size=(4, 12)))
    blur = torch.rand(4, 12, dtype=torch.double)
    noise = torch.tensor([[0.01, 0.1, 0.3, 1.0]]).double()
    weighed = posterior_module.Weighed(setting, torch.ones(1, 4, dtype=torch.double), noise)
    belief = Posterior(Observations(seen, gains, blur), weighed, LAYOUT, slope=0.3).of(
        posterior_module.Pool([], new, torch.arange(7).repeat(4, 1))
    )
    kernel = PathKernel(setting, *LAYOUT)
    for task in range(4):
        middle, spread = gains[task].mean(), gains[task].std(correction=0)
        k_NN = kernel(seen, seen)[0, task] + torch.diag(noise[0, task] + blur[task] / spread**2)
        k_NM, k_MM = kernel(seen, new)[0, task], kernel(new, new)[0, task]
        y_N = (gains[task] - middle) / spread - 0.3 * seen[task, :, 9]
        mean = k_NM.T @ torch.linalg.solve(k_NN, y_N) + 0.3 * new[task, :, 9]
        scale = (1 + 0.5 * y_N @ torch.linalg.solve(k_NN, y_N)) / (1 + 12 / 2)
        variance = scale * (k_MM - k_NM.T @ torch.linalg.solve(k_NN, k_NM)).diagonal()
        assert torch.allclose(belief.mean[task], middle + spread * mean)
        assert torch.allclose(belief.variance[task], spread**2 * variance)


def test_settings_weigh_what_they_foretold():
    """Against densities of the observations, scale and noise summed out numerically."""
    seen = random_paths(8, 4)
    random = np.random.default_rng(5)
    gains = torch.from_numpy(random.normal(size=(4, 8)))
    blur = torch.from_numpy(random.uniform(0, 0.5, size=(4, 8)))
    weighed = weigh(Observations(seen, gains, blur), LAYOUT)
    kernel = PathKernel(weighed.settings, *LAYOUT)
    spread = float(gains[0].std(correction=0))
    y_N = ((gains[0] - gains[0].mean()) / spread).numpy()
    scales = np.exp(np.linspace(-8, 8, 801))
    inverse_gamma = scales**-3.0 * np.exp(-1 / scales) * scales  # (2, 1), per log scale
    noises = np.linspace(-12, 3, 121)
    normal = np.exp(-((noises + 4.5) ** 2) / (2 * 1.5**2))
    evidence, typical = [], []
    for k_NN in kernel(seen, seen)[:, 0].numpy():
        densities = []
        for noise in np.exp(noises):
            covariance = k_NN + np.diag(noise + blur[0].numpy() / spread**2)
            unit = multivariate_normal.logpdf(y_N, cov=covariance)
            squares = y_N @ np.linalg.solve(covariance, y_N)
            density = np.exp(unit + squares / 2 - squares / (2 * scales)) * scales**-4.0
            densities.append((density * inverse_gamma).sum())
        evidence.append(normal @ densities)
        typical.append(np.exp((normal * densities) @ noises / evidence[-1]))
    found = (weighed.weights[:, 0] / weighed.weights[0, 0]).numpy()
    assert len(found) == 16  # many settings while little is known
    assert found == pytest.approx(np.array(evidence) / evidence[0], rel=1e-4)
    assert weighed.noise[:, 0].numpy() == pytest.approx(np.array(typical), rel=1e-3)


def test_noise_is_learnt_for_each_task():
    """Gains drawn from a setting of the prior, and chance on top, to each task its own."""
    paths = random_paths(300, 9)
    setting = one_setting()
    k_TNN = PathKernel(setting, *LAYOUT)(paths, paths)[0] + 1e-6 * torch.eye(300)
    random = np.random.default_rng(10)
    noises = [0.01, 0.1, 0.5, 1.0]
    draws = torch.from_numpy(random.normal(size=(4, 300)))
    smooth_TN = (torch.linalg.cholesky(k_TNN) @ draws[..., None])[..., 0]
    chance_TN = torch.from_numpy(random.normal(size=(4, 300)) * np.sqrt(noises)[:, None])
    weighed = weigh(
        Observations(paths, smooth_TN + chance_TN, torch.zeros(4, 300).double()), LAYOUT
    )
    assert len(weighed.settings) == 1  # one is enough, and what more would cost time
    learnt = weighed.noise[0].numpy()
    # in units of a scale that is learnt as well
    assert list(np.argsort(learnt)) == [0, 1, 2, 3]
    assert learnt[3] > 20 * learnt[0]


def test_inducing_points_that_are_all_observations_change_nothing(monkeypatch: pytest.MonkeyPatch):
    """The sparse formulas, with as many points as make them exact: every path once."""
    seen = random_paths(100, 6).repeat_interleave(2, dim=1)
    gains = torch.from_numpy(np.random.default_rng(7).normal(size=(4, 200)))
    observed = Observations(seen, gains, torch.zeros(4, 200).double())
    weighed = weigh(observed, LAYOUT)
    new = posterior_module.Pool([], random_paths(20, 8), torch.arange(20).repeat(4, 1))
    exact = Posterior(observed, weighed, LAYOUT, slope=0.5).of(new)
    monkeypatch.setattr(posterior_module, "EXACT", 100)
    sparse = Posterior(observed, weighed, LAYOUT, slope=0.5).of(new)
    assert torch.allclose(exact.mean, sparse.mean, atol=1e-4)
    assert torch.allclose(exact.variance, sparse.variance, atol=1e-4)


def test_without_observations_affinity_decides():
    alike = affinity(1)
    pool = pool_of(TREES, alike, np.zeros((len(TREES), 0)))
    nothing = Observations(
        pool.paths[:, :0], torch.zeros(4, 0).double(), torch.zeros(4, 0).double()
    )
    belief = Posterior(nothing, weigh(nothing, LAYOUT), LAYOUT, slope=0.5).of(pool)
    off = ~np.eye(4, dtype=bool)
    centred = np.where(off, alike - alike[:, off].mean(), 0)
    branches = np.array([tree.branches for tree in TREES])
    shares = branches[..., :, None] == branches[..., None, :]
    liked = np.einsum("nstu,stu->n", shares, centred)
    assert np.corrcoef(quality(belief)[0], liked)[0, 1] > 0.9999


@pytest.mark.parametrize("uncertain", [1e-9, 0.4])
def test_the_expected_volume_is_that_of_draws(uncertain: float):
    front = torch.tensor([[0.2, 0.9, 0.3], [0.6, 0.5, 0.5], [0.8, 0.1, 0.2]]).double()
    worst = torch.full((3,), -0.1).double()
    mean = torch.tensor([0.5, 0.9, -0.2, 1.1]).double()
    known = torch.tensor([[0.7, 0.4], [0.2, 0.9], [0.95, 0.95], [0.05, 0.1]]).double()
    found = hypervolume_gain(mean, torch.full((4,), uncertain).double(), known, front, worst)
    random = np.random.default_rng(0)
    grid = random.uniform(-0.1, 3, size=(40_000, 3))
    held = (grid[:, None] <= front.numpy()).all(-1).any(1)
    for place in range(4):
        first = float(mean[place]) + uncertain * random.normal(size=300)
        beside_first = ~held & (grid[:, 1:] <= known[place].numpy()).all(1)
        share = (grid[beside_first, 0][:, None] <= first).mean(1).sum() / len(grid)
        assert float(found[place]) == pytest.approx(share * 3.1**3, abs=0.05)


def test_what_was_stopped_is_raised_by_what_others_gained_later():
    study = told_study({})
    for tree, last in ((TREES[0], 5.0), (TREES[1], 7.0)):
        curves = {task: [1.0, last - 2, last] for task in "abcd"}
        add(study, tree, np.full(4, last), curves=curves)
    curves = {task: [1.0, 4.0] for task in "abcd"}
    stopped = {"state": TrialState.PRUNED, "curves": curves, OUTCOME: Outcome.STOPPED}
    add(study, TREES[2], np.full(4, 4.0), **stopped)
    facts = told(study, problem_of(), 0)
    assert [one.tree for one in facts.candidates] == TREES[:3]
    assert facts.gains_NT[:, 0].tolist() == [5.0, 7.0, 6.0]
    assert facts.blur_NT.max() == 0  # both gained the same
    assert np.isnan(facts.objectives_NJ[2, 0])


def test_a_stopped_one_without_others_to_go_by_is_passed_over():
    study = told_study({TREES[0]: np.zeros(4)})
    curves = {task: [1.0] for task in "abcd"}
    stopped = {"state": TrialState.PRUNED, "curves": curves, OUTCOME: Outcome.STOPPED}
    add(study, TREES[2], np.full(4, 4.0), **stopped)
    assert [one.tree for one in told(study, problem_of(), 0).candidates] == TREES[:1]


def test_hyperparameters_come_from_fixed_numbers_of_trainings():
    counts = [weighed_at(n) for n in range(200)]
    assert counts[:21] == list(range(21))
    assert all(at <= n < at * 1.2 + 1 for n, at in enumerate(counts) if n > 20)
    assert sorted(set(counts)) == [
        *range(21),
        24,
        28,
        33,
        39,
        46,
        55,
        66,
        79,
        94,
        112,
        134,
        160,
        192,
    ]


def proposals(problem: Problem, count: int, *, seed: int = 0) -> tuple[Study, list[Tree]]:
    """What it proposes when every proposal is trained at once."""
    study, trees = told_study({}), []
    make = tree_gp(problem)
    for number in range(count):
        study.sampler = make(seed + number)
        trial = study.ask(dict(distributions(problem.space)))
        trees.append(own_tree(problem, trial.params))
        gains = planted(trees[-1])
        for task, gain in zip("abcd", gains, strict=True):
            trial.set_user_attr(f"gain/{task}", gain)
        study.tell(trial, gains.mean())
    return study, trees


def own_tree(problem: Problem, params: dict[str, int]) -> Tree:
    return tree_of(problem.space, params)


def test_it_begins_with_the_extremes_and_finds_what_is_planted():
    study, trees = proposals(problem_of(), 14)
    assert trees[:2] == [Tree.share_all("abcd", 3), Tree.share_none("abcd", 3)]
    assert len(set(trees)) == 14
    best = max(planted(tree).mean() for tree in TREES)
    assert study.best_value == pytest.approx(best)
    estimates = tree_gp(problem_of())(0).estimates(study, TREES)
    true = [planted(tree).mean() for tree in TREES]
    assert np.corrcoef(estimates, true)[0, 1] > 0.95


def test_a_budget_is_kept_to():
    problem = problem_of(parameters=110)
    _, trees = proposals(problem, 12)
    assert all(problem.allows(tree) for tree in trees)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_with_costs_it_looks_for_the_whole_front():
    problem = problem_of()
    study = told_study({}, ("maximize", "minimize"))
    study.set_metric_names(["delta", "parameters"])
    make = tree_gp(problem)
    costs = set()
    for number in range(14):
        study.sampler = make(number)
        trial = study.ask(dict(distributions(problem.space)))
        tree = own_tree(problem, trial.params)
        for task, gain in zip("abcd", planted(tree), strict=True):
            trial.set_user_attr(f"gain/{task}", gain)
        costs.add(problem.cost(tree).parameters)
        study.tell(trial, [planted(tree).mean(), problem.cost(tree).parameters])
    by_cost: dict[int, float] = {}
    for tree in TREES:
        paid = problem.cost(tree).parameters
        by_cost[paid] = max(by_cost.get(paid, -9.0), planted(tree).mean())
    front = [p for p, best in by_cost.items() if all(best > by_cost[q] for q in by_cost if q < p)]
    found = {t.values[1]: t.values[0] for t in study.best_trials}
    assert len(front) > 2
    assert all(found.get(paid) == pytest.approx(by_cost[paid]) for paid in front)


def test_wrong_affinities_are_unlearnt():
    wrong = np.zeros((3, 4, 4))
    wrong[:, 0, 2:] = wrong[:, 2:, 0] = 1.0
    wrong[:, 0, 1] = wrong[:, 1, 0] = -1.0
    study, _ = proposals(problem_of(alike=wrong), 16)
    assert study.best_value == pytest.approx(max(planted(tree).mean() for tree in TREES))


def test_proposals_beside_each_other_differ():
    study = told_study({tree: planted(tree) for tree in TREES[:40:4]})
    make, problem = tree_gp(problem_of()), problem_of()
    asked = []
    for number in range(6):
        study.sampler = make(number)
        asked.append(own_tree(problem, study.ask(dict(distributions(SPACE))).params))
    assert len(set(asked)) == 6


def test_spaces_too_large_to_list_are_bred_with_the_solvers_help():
    space = Space.of("abcdefgh", 5)
    problem = problem_of(space)
    assert listed(space) is None

    def promise(candidates: list[Candidate]) -> np.ndarray:
        """How many stages a and b share, less what all others share."""
        branches = np.array([one.tree.branches for one in candidates])
        shares = branches[..., :, None] == branches[..., None, :]
        others = shares.sum((1, 2, 3)) - 2 * shares[:, :, 0, 1].sum(1)
        return 4.0 * shares[:, :, 0, 1].sum(1) - others

    found = bred(problem, promise, [], Random(0))
    best = found[int(np.argmax(promise(found)))]
    assert str(best.tree).startswith("a+b,c,d,e,f,g,h > ")
    assert best.tree.widths == (7, 7, 7, 7, 7)


def test_choices_beside_the_tree_are_numbers_of_like_size():
    ranges = {
        "rate": FloatDistribution(0.001, 0.1, log=True),
        "wide": CategoricalDistribution(["narrow", "wide", "huge"]),
    }
    costs = problem_of().costs
    tuned = Tuned(ranges, (("rate", 0.01), ("wide", "wide")), lambda _: costs)
    problem = Problem(SPACE, costs, {}, np.zeros((3, 4, 4)), tuned)
    other = Candidate(TREES[0], (("rate", 0.1), ("wide", "huge")))
    numbers = beside(problem, [own(problem, TREES[0]), other])
    half = 0.5**0.5
    assert numbers == pytest.approx(np.array([[0.5, 0, half, 0], [1.0, 0, 0, half]]))


def test_memory_changes_nothing():
    study = told_study({tree: planted(tree) for tree in TREES[:40:4]})
    kept = tree_gp(problem_of())
    kept(0).estimates(study, TREES)
    add(study, TREES[77], planted(TREES[77]))
    anew = tree_gp(problem_of())(0).estimates(study, TREES)
    assert np.array_equal(kept(0).estimates(study, TREES), anew)
