import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from branchsearch.cli.main import app, exit_code
from branchsearch.datasets.dataset import PARTS
from tests.image_files import animals

TASK: dict[str, Any] = {
    "name": "breed",
    "kind": "classification",
    "classes": 2,
    "metric": "balanced_accuracy",
    "direction": "maximize",
}
SEG: dict[str, Any] = {
    "name": "seg",
    "kind": "segmentation",
    "classes": 3,
    "metric": "mean_iou",
    "direction": "maximize",
}


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", "check", *arguments])


def space(folder: Path, manifest: Path, **changes: Any) -> str:  # noqa: ANN401  # any argument
    arguments = {
        "path": str(manifest),
        "size": 16,
        "shares": dict.fromkeys(PARTS, 1),
        "tasks": {
            "breed": {"kind": "classification", "classes": ["cat", "dog"]},
            "seg": {"kind": "segmentation", "classes": 3},
        },
        **changes,
    }
    content = {
        "dataset": {"name": "manifest", "args": arguments},
        "backbone": {"name": "resnet", "args": {"channels": [4, 6]}},
        "tasks": [TASK, SEG],
    }
    path = folder / "space.yaml"
    with path.open("w") as file:
        YAML().dump(content, file)
    return str(path)


def test_a_space_is_checked_by_reading_all_its_data(tmp_path: Path):
    source = space(tmp_path, animals(tmp_path))
    home = ("--home", str(tmp_path / "home"))
    done = check(source, *home, "--output", "json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert sum(row["images"] for row in told["parts"]) == 40
    assert sum(row["breed"] for row in told["parts"]) == 32
    assert told["skipped"] == []
    assert "probe" in check(source, *home).stdout


def test_what_is_left_out_is_said(tmp_path: Path):
    path = animals(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"torn")
    source = space(tmp_path, path, unreadable=0.1)
    told = check(source, "--home", str(tmp_path / "home"))
    assert "left out: row 5:" in told.stdout
    assert "images/3.png" in told.stdout


@pytest.mark.parametrize(
    ("cell", "says"), [("dgo", "row 3, column 'breed': no class 'dgo'"), ("cat", "")]
)
def test_a_fault_ends_with_its_place(tmp_path: Path, cell: str, says: str):
    path = animals(tmp_path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("dog", cell)
    path.write_text("\n".join(lines))
    done = check(space(tmp_path, path), "--home", str(tmp_path / "home"))
    assert (done.exit_code == 0) == (not says), done.output
    if says:
        assert isinstance(done.exception, Exception)
        assert exit_code(done.exception) == 2
        assert says in str(done.exception)


def test_a_part_without_labels_is_said(tmp_path: Path):
    shares = {"train": 37, "validation": 1, "test": 1, "probe": 1}
    done = check(space(tmp_path, animals(tmp_path), shares=shares))
    assert done.exit_code != 0
    assert "has the label 'seg', so there is nothing to learn it from" in str(done.exception)


def test_a_table_alone_is_looked_at(tmp_path: Path):
    done = check(str(animals(tmp_path)))
    assert done.exit_code == 0, done.output
    assert "2 names: cat, dog" in done.stdout
