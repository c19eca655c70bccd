import numpy as np
import torch
from torch import nn

from branchsearch.affinity.evidence import Lookahead
from branchsearch.affinity.tag import TAG


def test_entry_i_j_is_what_a_step_for_j_does_to_i():
    before = np.array([[1.0, 2.0]])
    after = np.zeros((1, 1, 2, 2))
    after[0, 0, 0] = [0.8, 1.9]  # after a step for task 0
    after[0, 0, 1] = [1.1, 1.0]  # after a step for task 1
    np.testing.assert_allclose(TAG.values(Lookahead(before, after))[0], [[0.2, -0.1], [0.05, 0.5]])


def test_batches_are_averaged_and_their_spread_is_the_interval():
    random = np.random.default_rng(0)
    before = random.uniform(1, 2, (200, 2))
    share = random.normal(0.1, 0.05, (1, 200, 2, 2))
    found = TAG.estimate(Lookahead(before, before[:, None] * (1 - share)), draws=400, seed=1)
    np.testing.assert_allclose(found.values[0], share[0].mean(axis=0).T)
    standard_error = 0.05 / 200**0.5
    np.testing.assert_allclose(found.high - found.low, 2 * 1.96 * standard_error, rtol=0.2)


def test_a_real_step_on_a_linear_model():
    # task 1 wants twice what task 0 wants: steps for either help the other, not by the same share
    torch.manual_seed(0)
    images, shared = torch.randn(50, 3), nn.Parameter(torch.zeros(3))
    targets = [images.sum(dim=1), 2 * images.sum(dim=1)]

    def losses(weights: torch.Tensor) -> list[torch.Tensor]:
        return [(images @ weights - target).square().mean() for target in targets]

    before = losses(shared)
    after = []
    for loss in before:
        (gradient,) = torch.autograd.grad(loss, shared, retain_graph=True)
        after.append([each.item() for each in losses(shared - 0.05 * gradient)])
    evidence = Lookahead(np.array([[loss.item() for loss in before]]), np.array([[after]]))
    found = TAG.values(evidence)[0]
    assert (found > 0).all()
    assert found[0, 1] > 1.2 * found[1, 0]
