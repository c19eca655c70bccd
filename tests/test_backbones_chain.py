from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from branchsearch.backbones.chain import NotCuttable, calls, row


class Model(nn.Module):
    """Parts that are run as a test says."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run
        self.a, self.b, self.c = nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Linear(2, 2)
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return eval(self.run, {"self": self, "torch": torch}, {"x": x})


def found(run: str, cuts: Sequence[str] = ()) -> list[str]:
    model = Model(run)
    return [call.name for call in row(calls(model, model.forward, torch.ones(1, 2)), cuts)]


@pytest.mark.parametrize(
    ("run", "names"),
    [
        ("self.c(self.b(self.a(x)))", ["a", "b", "c"]),
        ("self.c(self.inner(self.a(x)))", ["a", "inner", "c"]),
        ("self.c(self.b(self.a(x)) + 1)", ["c"]),  # something between b and c
        ("self.c(self.b(self.a(x)).add_(1))", ["c"]),  # and in place
        ("self.c(self.a(x)) + 1", []),  # and behind
        ("(lambda y: self.c(self.b(y)) + y)(self.a(x))", []),  # a skip connection
        ("self.c(self.b(self.a(2 * x)))", ["a", "b", "c"]),  # what is before them may be anything
        ("self.c(input=self.a(x))", []),
    ],
)
def test_a_row_is_modules_that_hand_on_one_tensor_alone(run: str, names: list[str]):
    assert found(run) == names


def test_a_row_is_opened_where_a_cut_lies_inside():
    run = "self.c(self.inner(self.a(x)))"
    assert found(run, ["inner.0"]) == ["a", "inner.0", "inner.1", "c"]


class Around(nn.Module):
    """Has a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + x


def test_a_cut_beside_a_shortcut_is_refused_and_names_the_parts():
    model = nn.Sequential(nn.Linear(2, 2), Around())
    noted = calls(model, model.forward, torch.ones(1, 2))
    assert [call.name for call in row(noted, [])] == ["0", "1"]
    with pytest.raises(NotCuttable, match=r"cannot cut inside '1': something goes .* second"):
        row(noted, ["1.first"])


def test_hooks_do_not_stay():
    model = Model("self.a(x)")
    calls(model, model.forward, torch.ones(1, 2))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
