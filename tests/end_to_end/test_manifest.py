"""A job on somebody's own images: kinds mixed, labels missing, a backbone of timm."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.end_to_end.test_cli import program, written
from tests.image_files import save, write_csv
from tests.specs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def collection(folder: Path) -> Path:
    """Bright boxes on dark ground: every third image lacks its map, every fourth one attribute."""
    rows: list[dict[str, object]] = []
    for number in range(96):
        rng = np.random.default_rng(number)
        box = np.zeros((32, 32), np.uint8)
        top, left = rng.integers(0, 16, 2)
        box[top : top + 16, left : left + 16] = 1
        colour = rng.integers(100, 255, 3)
        image = (rng.integers(0, 60, (32, 32, 3)) + box[:, :, None] * colour // 2).astype(np.uint8)
        save(folder / f"{number}.png", image)
        save(folder / f"{number}-box.png", box)
        rows.append(
            {
                "image": f"{number}.png",
                "seg": None if number % 3 == 0 else f"{number}-box.png",
                "red": None if number % 4 == 0 else int(colour[0] > 180),
                "upper": int(top < 8),
            }
        )
    return write_csv(folder / "boxes.csv", rows)


def job(manifest: Path) -> dict[str, Any]:
    tasks = {
        "seg": {"kind": "segmentation", "classes": 2},
        "looks": {"kind": "attributes", "columns": ["red", "upper"]},
    }
    arguments = {
        "path": str(manifest),
        "size": 32,
        "tasks": tasks,
        "shares": {"train": 5 / 11, "validation": 2 / 11, "test": 2 / 11, "probe": 2 / 11},
        "unreadable": 0.02,
    }
    space = {
        "dataset": {"name": "manifest", "args": arguments},
        "backbone": {"name": "timm:mobilenetv3_small_050"},
        "tasks": [
            {"name": "seg", "kind": "segmentation", "classes": 2, "metric": "mean_iou"},
            {"name": "looks", "kind": "attributes", "count": 2, "metric": "mean_average_precision"},
        ],
    }
    for task in space["tasks"]:
        task["direction"] = "maximize"
    return tiny(
        space=space,
        trial={"epochs": 1, "batch_size": 16},
        budget={"max_trials": 2},
        confirm={"trees": 1, "epochs": 1, "seeds": 1},
        affinity={"draws": 0},
    )


def test_a_mixed_job_runs_from_a_table_to_an_exported_network(tmp_path: Path):
    manifest, home = collection(tmp_path / "boxes"), tmp_path / "home"
    (tmp_path / "boxes" / "7.png").write_bytes(b"torn")
    spec = written(tmp_path / "job.yaml", job(manifest))
    ran = program("run", spec, "--home", home)
    assert ran.returncode == 0, ran.stderr
    best = program("best", "last", "--home", home, "--output", "json")
    chosen = json.loads(best.stdout)["chosen"]
    assert {"seg", "looks"} == set(chosen["tree"].split(" > ")[0].replace(",", "+").split("+"))
    assert np.isfinite(chosen["test_delta_percent"]).all()
    assert program("export", "last", "--to", tmp_path / "net", "--home", home).returncode == 0
    assert (tmp_path / "net" / "weights.safetensors").is_file()
