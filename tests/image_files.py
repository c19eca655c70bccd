"""Small collections of images in files, for tests."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """An image [H, W, 3] that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    """Write an array as its name's ending says: npy, png or jpg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a table with the first row's keys for names; None is a blank cell."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def animals(folder: Path, count: int = 40) -> Path:
    """A manifest with a label of most kinds, some of them missing; its path."""
    rows: list[dict[str, object]] = []
    for number in range(count):
        rng = np.random.default_rng(number)
        save(folder / "images" / f"{number}.png", picture(number))
        save(folder / "seg" / f"{number}.png", rng.integers(0, 3, (24, 32), dtype=np.uint8))
        save(folder / "depth" / f"{number}.npy", rng.uniform(1, 9, (24, 32)).astype(np.float32))
        rows.append(
            {
                "image": f"images/{number}.png",
                "breed": None if number % 5 == 0 else ["cat", "dog"][number % 2],
                "age": None if number % 7 == 0 else number / 4,
                "furry": number % 2,
                "seg": None if number % 3 == 0 else f"seg/{number}.png",
                "depth": f"depth/{number}.npy",
            }
        )
    return write_csv(folder / "animals.csv", rows)


#: What ``animals`` holds.
TASKS = {
    "breed": {"kind": "classification", "classes": ["cat", "dog"]},
    "age": {"kind": "regression"},
    "attributes": {"kind": "attributes", "columns": ["furry"]},
    "seg": {"kind": "segmentation", "classes": 3},
    "depth": {"kind": "depth", "logarithmic": True},
}
