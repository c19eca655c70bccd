import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from branchsearch.backbones.weights import load_weights, read_weights

WEIGHTS = {"a.weight": torch.ones(2), "fc.bias": torch.zeros(3)}


def part() -> nn.Module:
    return nn.ModuleDict({"a": nn.BatchNorm1d(2)})


@pytest.mark.parametrize(
    "kept", [WEIGHTS, {"state_dict": WEIGHTS, "epoch": 3}, {"model": WEIGHTS, "args": None}]
)
def test_what_torch_wrote_is_read(kept: dict[str, object], tmp_path: Path):
    torch.save(kept, tmp_path / "weights.pth")
    assert read_weights(str(tmp_path / "weights.pth")).keys() == WEIGHTS.keys()


def test_safetensors_are_read_and_the_name_of_a_wrapper_is_dropped(tmp_path: Path):
    save_file(
        {f"module.{name}": value for name, value in WEIGHTS.items()}, tmp_path / "w.safetensors"
    )
    assert read_weights(str(tmp_path / "w.safetensors")).keys() == WEIGHTS.keys()


class Harm:
    """What a malicious file would run when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("harm",))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"neither of the two", pickle.dumps(Harm(), protocol=2)])
def test_what_holds_no_weights_is_refused_and_runs_nothing(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_weights(str(tmp_path / name))
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_and_one_without_names(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no file of weights at .*none\.pth"):
        read_weights(str(tmp_path / "none.pth"))
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no weights by name"):
        read_weights(str(tmp_path / "list.pth"))


def test_all_that_does_not_fit_is_named():
    weights = {"a.weight": torch.ones(3), "a.bias": torch.ones(2), "b.bias": torch.ones(1)}
    told = (
        "the file does not fit: it lacks a.running_mean, a.running_var; it also has b.bias; "
        "it has another shape of a.weight ([3], not [2])"
    )
    with pytest.raises(ValueError, match=re.escape(told)):
        load_weights(part(), weights, source="the file")


def test_what_nobody_needs_may_be_there_and_a_counter_may_lack():
    module = part()
    weights = {name: value + 1 for name, value in module.state_dict().items() if "num" not in name}
    load_weights(module, {**weights, "fc.bias": torch.ones(1)}, source="it", unused=("fc.",))
    for name, value in weights.items():
        assert torch.equal(module.state_dict()[name], value)
