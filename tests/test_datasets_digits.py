import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branchsearch.datasets.dataset import PARTS
from branchsearch.datasets.digits import Digits, pair, scans

FEW: dict[str, Any] = {"train": 40, "validation": 6, "test": 6, "probe": 6, "seed": 3}


def test_parts_share_no_scan_and_each_has_every_digit():
    every = scans()
    seen = [{image.tobytes() for image in every.part(part).images} for part in PARTS]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 1797
    for part in PARTS:
        counts = np.bincount(every.part(part).digits, minlength=10)
        assert counts.min() >= 5


def test_labels_belong_together(tmp_path: Path):
    part = Digits(**FEW).open(tmp_path).parts["train"]
    left, right = part.targets["left"][:], part.targets["right"][:]
    np.testing.assert_array_equal(part.targets["sum"][:, 0], left + right)
    np.testing.assert_array_equal(part.targets["parity"][:], np.stack([left % 2, right % 2], 1))
    ink = part.targets["ink"][:]
    assert ((ink > 0.1) & (ink < 0.6)).all()
    assert set(left) | set(right) == set(range(10))


def test_a_mirror_image_has_other_labels(tmp_path: Path):
    assert not Digits(**FEW).open(tmp_path).mirrors


def test_each_half_shows_its_own_digit():
    """Of the scans of all digits, the one that was written is the nearest to the half's ink."""
    source = scans().part("train")
    means = np.stack([source.images[source.digits == digit].mean(axis=0) for digit in range(10)])
    right = 0
    for seed in range(200):
        drawn = pair(source, 32, np.random.default_rng(seed))
        for name, columns in (("left", slice(0, 16)), ("right", slice(16, 32))):
            half = drawn["images"][:, :, columns].mean(axis=0)
            ink = np.abs(half - np.median(half))  # there is more paper than ink
            rows, across = np.nonzero(ink > 0.4 * ink.max())
            inked = ink[rows.min() : rows.max() + 1, across.min() : across.max() + 1]
            small = inked[
                np.linspace(0, len(inked) - 1, 8).astype(int)[:, None],
                np.linspace(0, inked.shape[1] - 1, 6).astype(int),
            ]
            small = (small - small.mean()) / small.std()
            core = means[:, :, 1:7]
            core = core - core.mean(axis=(1, 2), keepdims=True)
            core = core / core.std(axis=(1, 2), keepdims=True)
            right += int(np.argmax((core * small).sum(axis=(1, 2))) == drawn[name])
    assert right / 400 > 0.6  # chance is 0.1


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"size": 15}, "size must be 16 to 256 pixels, got 15"),
        ({"probe": 0}, "probe must be at least 1 image, got 0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_a_number_out_of_range_is_named(wrong: dict[str, int], right: str):
    with pytest.raises(ValueError, match=right):
        Digits(**{**FEW, **wrong})


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"pip install 'branchsearch\[digits\]'"):
        Digits(**FEW)
