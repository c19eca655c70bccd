"""Exported folders checked again later: one export for all tests, copied by those that harm it."""

import json
import py_compile
import subprocess
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

import pytest
import safetensors.torch

from branchsearch.export import verify as verify_module
from branchsearch.export.checksums import Damaged, check_sums, sums
from branchsearch.export.description import NotAnExport, read_description
from branchsearch.export.folder import FILES
from branchsearch.export.proof import ProofFailed
from branchsearch.export.verify import verify
from branchsearch.tree import Tree
from tests.test_export_folder import copied, exported

TREE = Tree.parse("depth+images > depth,images")
FORMATS = ("pt2", "onnx")
GRAPHS = ("model.onnx", "model.pt2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in two formats beside its source."""
    facts = {"metrics": {"depth": 0.5}}
    return exported(
        tmp_path_factory.mktemp("exports") / "net", TREE, facts=facts, formats=FORMATS, fuse=True
    )


def test_an_honest_folder_is_proven_again_and_only_read(folder: Path):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = verify(folder)
    assert found["files"] == sorted([*FILES, *GRAPHS]) == sorted(before)
    assert found["left_out"] == []
    assert found["proof"]["graphs"].keys() == set(GRAPHS)
    first = json.loads(before["proof.json"])
    assert found["proof"]["outputs"] == first["outputs"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_formats_are_proven_and_described(folder: Path):
    proof = json.loads((folder / "proof.json").read_text())
    described = read_description(folder)
    assert [graph["file"] for graph in described["graphs"]] == ["model.pt2", "model.onnx"]
    for graph in described["graphs"]:
        measured = proof["graphs"][graph["file"]]
        assert measured["batch_sizes"] == [1, 5]
        assert len(measured["sizes"]) == 3
        assert measured["largest_relative_difference"] <= measured["tolerance"] == 1e-4
        assert measured["latency"].keys() == {"1", "32"}
        assert (graph["fused"], graph["precision"]) == (True, "float32")
        assert graph["dynamic"] == ["batch", "height", "width"]
        card = (folder / "README.md").read_text()
        assert f"| `{graph['file']}` | float32 | fused | batch, height, width |" in card
    assert described["graphs"][1]["input"] == "input_images"
    assert described["graphs"][1]["opset"] >= 18


def test_latency_is_measured_beside_single_task_networks(folder: Path):
    latency = json.loads((folder / "proof.json").read_text())["latency"]
    assert latency.keys() == {"1", "32"}
    for of_batch in latency.values():
        assert of_batch["ratio"] == of_batch["seconds"] / of_batch["single_task_seconds"] > 0


@pytest.mark.parametrize("name", [*FILES, *GRAPHS])
@pytest.mark.parametrize("place", [0, 0.3, 0.7, 0.999])
def test_a_flipped_byte_is_found_in_any_file(name: str, place: float, folder: Path, tmp_path: Path):
    to = copied(folder, tmp_path / "net")
    content = bytearray((to / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (to / name).write_bytes(content)
    with pytest.raises(Damaged, match=r"changed|SHA256SUMS|was not exported"):
        check_sums(to)


def test_every_byte_of_the_list_itself_is_looked_at(folder: Path, tmp_path: Path):
    to = copied(folder, tmp_path / "net")
    content = (to / "SHA256SUMS").read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        (to / "SHA256SUMS").write_bytes(changed)
        with pytest.raises(Damaged):
            check_sums(to)


def _drop(folder: Path) -> None:
    (folder / "tree.txt").unlink()


def _add(folder: Path) -> None:
    (folder / "torch.py").write_text("")


def _swap(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(reversed(lines)))


def _link(folder: Path) -> None:
    elsewhere = folder.with_name("elsewhere")
    (folder / "model.py").rename(elsewhere)
    (folder / "model.py").symlink_to(elsewhere)


def _climb(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/passwd\n")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_drop, "tree.txt is not there"),
        (_add, "torch.py was not exported"),
        (_swap, "SHA256SUMS is not as it was written"),
        (_link, "model.py is a link"),
        (_climb, "cannot be read as a list"),
    ],
)
def test_what_else_is_not_as_it_was_is_named(
    harm: Callable[[Path], None], reason: str, folder: Path, tmp_path: Path
):
    to = copied(folder, tmp_path / "net")
    (to / "__pycache__").mkdir()  # it was used
    check_sums(to)
    harm(to)
    with pytest.raises(Damaged, match=reason):
        verify(to)


def test_the_list_is_read_by_the_usual_program(folder: Path):
    ran = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, check=False)
    assert ran.returncode == 0


def _other_weights(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    weights["head_depth.predict.bias"] += 1
    safetensors.torch.save_file(weights, folder / "weights.safetensors")


def _other_promise(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    count = read_description(folder)["cost"]["parameters"]
    (folder / "model.json").write_text(text.replace(f'"parameters": {count}', '"parameters": 1'))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_other_weights, r"model.py, task 'depth', 1 images: the outputs differ"),
        (_other_promise, "but 1 were promised"),
    ],
)
def test_a_folder_that_was_changed_with_its_checksums_is_not_proven(
    harm: Callable[[Path], None], reason: str, folder: Path, tmp_path: Path
):
    to = copied(folder, tmp_path / "net")
    harm(to)
    (to / "SHA256SUMS").write_text(sums(to))
    with pytest.raises(ProofFailed, match=reason):
        verify(to)


@pytest.mark.parametrize("name", ["LICENSE", "train.py", "model.onnx"])
def test_a_file_that_went_with_its_checksum_is_missed(name: str, folder: Path, tmp_path: Path):
    net = copied(folder, tmp_path / "net")
    (net / name).unlink()
    (net / "SHA256SUMS").write_text(sums(net))
    with pytest.raises(Damaged, match=f"SHA256SUMS lacks {name}"):
        verify(net)


def test_byte_code_in_a_folder_is_not_what_is_proven(folder: Path, tmp_path: Path):
    to, other = copied(folder, tmp_path / "net"), tmp_path / "other.py"
    other.write_text("raise SystemExit('something else')")
    for name in ("model.py", "train.py"):
        py_compile.compile(
            str(other),
            cache_from_source(str(to / name)),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    verify(to)


def test_without_onnxruntime_its_files_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch):
    held = []
    monkeypatch.setattr(verify_module, "find_spec", lambda _: None)
    monkeypatch.setattr(
        verify_module, "prove", lambda _, promised, *__, **___: held.append(promised)
    )
    assert verify(folder)["left_out"] == ["model.onnx"]
    assert [graph["file"] for graph in held[0]["graphs"]] == ["model.pt2"]


@pytest.mark.parametrize("content", [None, "{", '{"schema_version": 1}', "[]"])
def test_what_is_no_export_is_said_to_be_none(content: str | None, tmp_path: Path):
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    with pytest.raises(NotAnExport, match=r"not an exported network|version 1"):
        verify(tmp_path)
