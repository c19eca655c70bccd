import pytest

from branchsearch.backbones.vgg import vgg


def test_every_stage_halves_the_resolution():
    assert [stage.stride for stage in vgg().stages] == [2, 4, 8, 16, 32]
    assert [stage.channels for stage in vgg(channels=[3, 5], convolutions=[1, 1]).stages] == [3, 5]


@pytest.mark.parametrize(
    "wrong", [{"channels": []}, {"channels": [0] * 5}, {"convolutions": [1, 1, 0, 1, 1]}]
)
def test_numbers_below_one_are_refused(wrong: dict[str, list[int]]):
    with pytest.raises(ValueError, match="at least 1"):
        vgg(**wrong)


def test_every_stage_has_convolutions():
    with pytest.raises(ValueError, match="2 stages need as many convolutions"):
        vgg(channels=[4, 4])
