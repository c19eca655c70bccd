import numpy as np
import pytest
import torch

from branchsearch.affinity.features import affinity_per_stage, stage_features
from branchsearch.affinity.rsa import task_affinity
from branchsearch.tree import Tree
from tests.networks import small

IMAGES = np.random.default_rng(0).integers(0, 256, (250, 3, 8, 8), np.uint8)


def prepare(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).float() / 255


def test_features_are_those_of_every_stage_for_every_image():
    network = small(Tree.parse("a > a > a"))
    read = stage_features(network, IMAGES, prepare)
    assert [tuple(stage.shape) for stage in read] == [(250, 256), (250, 96), (250, 32)]
    network.eval()
    first, second, _ = network.stages
    with torch.no_grad():
        expected = second(first([prepare(IMAGES[-3:])]))[0].flatten(1)
    torch.testing.assert_close(read[1][-3:], expected)


def test_networks_that_are_the_same_are_alike_at_every_stage():
    network = small(Tree.parse("a > a"))
    affinity = affinity_per_stage([network, network], IMAGES[:20], prepare, task_affinity)
    np.testing.assert_allclose(affinity, np.ones((2, 2, 2)))


def test_a_network_of_several_tasks_is_refused():
    with pytest.raises(ValueError, match="a network of one task, not of a"):
        stage_features(small(Tree.parse("a+b > a,b")), IMAGES, prepare)
