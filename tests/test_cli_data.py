import json
import logging
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from branchsearch.cli.main import app, exit_code
from branchsearch.datasets.dataset import PARTS
from tests.image_files import animals, write_csv

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
        "shares": dict.fromkeys(PARTS, 0.25),
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


def test_what_is_left_out_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = animals(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"torn")
    source = space(tmp_path, path, unreadable=0.1)
    with caplog.at_level(logging.INFO):
        told = check(source, "--home", str(tmp_path / "home"))
    image = tmp_path / "images" / "3.png"
    assert f"left out: {path}: row 5, column 'image': {image}: is no picture" in told.stdout
    assert told.output.count(str(image)) == 1
    assert caplog.text == ""  # a warning on standard error would say it again


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
    shares = {"train": 0.925, "validation": 0.025, "test": 0.025, "probe": 0.025}
    done = check(space(tmp_path, animals(tmp_path), shares=shares))
    assert done.exit_code != 0
    assert "has the label 'seg', so there is nothing to learn it from" in str(done.exception)


def test_a_table_alone_is_looked_at(tmp_path: Path):
    done = check(str(animals(tmp_path)))
    assert done.exit_code == 0, done.output
    assert "2 names: cat, dog" in done.stdout


def test_a_table_with_a_torn_file_is_shown_all_the_same(tmp_path: Path):
    path = animals(tmp_path, 100)
    image = tmp_path / "images" / "3.png"
    image.write_bytes(b"torn")
    done = check(str(path))
    assert done.exit_code == 0, done.output
    assert "2 names: cat, dog" in done.stdout
    assert f"torn: {path}: row 5, column 'image': {image}: is no picture" in done.stdout
    rows = json.loads(check(str(path), "--output", "json").stdout)
    assert [len(row["torn"]) for row in rows] == [1, 0, 0, 0, 0, 0]


def test_a_table_with_many_torn_files_is_shown_and_refused(tmp_path: Path):
    path = animals(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"torn")
    done = check(str(path))
    assert "2 names: cat, dog" in done.stdout
    assert isinstance(done.exception, Exception)
    assert exit_code(done.exception) == 2
    assert "1 of 40 rows have torn files" in str(done.exception)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("image,breed,seg\n", "no images"),
        ("image;breed;seg\n1.png;cat;1-seg.png\n", "seem to be separated by ';'; use commas"),
        ("image\tbreed\tseg\n", r"seem to be separated by '\t'; use commas"),
    ],
)
def test_a_table_alone_and_in_a_space_is_refused_alike(tmp_path: Path, text: str, says: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    for source in (str(path), space(tmp_path, path)):
        done = check(source)
        assert isinstance(done.exception, Exception)
        assert exit_code(done.exception) == 2
        assert f"{path}: " in str(done.exception)
        assert says in str(done.exception)


@pytest.mark.parametrize("name", ["t.CSV", "t.pq", "t.tsv"])
def test_tables_are_known_by_any_common_ending(tmp_path: Path, name: str):
    path = write_csv(tmp_path / name, [{"age": 1}])
    done = check(str(path))
    if name.endswith("pq"):
        assert "not Parquet" in str(done.exception)
    else:
        assert "0 and 1" in done.stdout


def test_what_is_cut_off_images_is_said(tmp_path: Path):
    path, home = animals(tmp_path), ("--home", str(tmp_path / "home"))
    done = check(space(tmp_path, path, size=[16, 32]), *home)
    assert done.exit_code == 0, done.output
    assert (
        "cropped: 40 of 40 images, about their centre to the shape of size 16 x 32" in done.stdout
    )
    assert "row 2 loses most, from 24 x 32 pixels (height x width) to 16 x 32" in done.stdout
    whole = space(tmp_path, path, size=[12, 16])
    assert "cropped" not in check(whole, *home).stdout
    assert json.loads(check(whole, *home, "--output", "json").stdout)["cropped"] is None


@pytest.mark.parametrize(
    ("changes", "at", "says"),
    [
        ({"shares": {"trian": 1}}, "trian: 1", "dataset.args.shares.trian: shares: no part"),
        ({"size": 4}, "size: 4", "dataset.args.size: size must be at least 8"),
        ({"path": "animals.csv"}, "path: ", "dataset.args.path: 'animals.csv' must be an absolute"),
        (
            {"tasks": {"breed": {"kind": "regression"}, "seg": {"kind": "depth", "colum": "x"}}},
            "colum: x",
            "dataset.args.tasks.seg.colum: task 'seg': takes no 'colum'",
        ),
        (
            {"tasks": {"breed": {"kind": "regression", "column": "age"}}},
            "kind: classification",
            "tasks.0.kind: label 'breed' is regression of 1 numbers, but the task says class",
        ),
        (
            {
                "tasks": {
                    "breed": {"kind": "classification", "classes": ["cat", "dog"]},
                    "seg": {"kind": "segmentation", "classes": 4},
                }
            },
            "classes: 3",
            "tasks.1.classes: label 'seg' is segmentation of 4 classes, but the task says 3",
        ),
    ],
)
def test_a_fault_of_a_space_is_told_with_its_line(
    tmp_path: Path, changes: dict[str, Any], at: str, says: str
):
    source = space(tmp_path, animals(tmp_path), **changes)
    lines = Path(source).read_text().splitlines()
    (line,) = (number for number, text in enumerate(lines, start=1) if at in text)
    done = check(source)
    assert isinstance(done.exception, Exception)
    assert exit_code(done.exception) == 2
    assert str(done.exception).startswith(f"{source}:{line}: {says}")
