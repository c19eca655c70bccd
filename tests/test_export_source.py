import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ruff import find_ruff_bin

from branchsearch.backbones.resnet import resnet
from branchsearch.export.classes import literal
from branchsearch.export.names import Names
from branchsearch.export.parts import exported_state
from branchsearch.export.promise import Promise
from branchsearch.export.source import _call, model_source
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import DenseHead
from branchsearch.task import Direction, Task
from branchsearch.tree import Tree
from tests.generators import NAMES, trees
from tests.test_export_names import oddly_named_trees

SIZE = (8, 12)
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
FOUR_TASKS = Tree.parse(
    "depth+edges-2d+normals+seg > depth+normals,edges-2d+seg > depth,normals,edges-2d+seg"
)
#: As pyproject.toml has it for this project's own code.
HOUSE_RULES = "E,F,W,I,UP,B,C4,SIM,RET,PIE,PERF,PT,TID,ARG,ANN,D1,PGH,FIX,RUF"


def tasks_of(tree: Tree) -> list[Task]:
    """A task of every kind in turn."""
    kinds = [
        ("depth", "rmse", Direction.MINIMIZE, None),
        ("segmentation", "mean_iou", Direction.MAXIMIZE, 4),
        ("normals", "angular_error", Direction.MINIMIZE, None),
        ("edges", "average_precision", Direction.MAXIMIZE, None),
    ]
    return [Task(name, *kinds[number % len(kinds)]) for number, name in enumerate(tree.tasks)]


def network_of(tree: Tree, *, seed: int = 0) -> BranchedNetwork:
    """A small residual network in which no two copies are alike, as after training."""
    channels = [4 + stage for stage in range(len(tree.branches))]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = {task.name: DenseHead(channels[-1], task.outputs) for task in tasks_of(tree)}
        network = BranchedNetwork(tree, resnet(channels=channels).modules, heads)
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.2 * torch.rand(tensor.shape)
    return network.eval()


def promise_of(network: BranchedNetwork) -> Promise:
    return Promise.of(network, tasks=tasks_of(network.tree), size=SIZE, mean=MEAN, std=STD)


def source_of(tree: Tree) -> str:
    network = network_of(tree)
    return model_source(network, promise_of(network))


def imported(folder: Path, name: str = "model") -> ModuleType:
    """The module that a folder's model.py is."""
    spec = importlib.util.spec_from_file_location("exported", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(network: BranchedNetwork, folder: Path) -> ModuleType:
    (folder / "model.py").write_text(model_source(network, promise_of(network)), encoding="utf-8")
    safetensors.torch.save_file(exported_state(network), folder / "weights.safetensors")
    return imported(folder)


def images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, *SIZE), generator=generator, dtype=torch.uint8)


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (MEAN, STD))
    return (images / 255 - mean) / std


def ruff(source: str, *arguments: str) -> None:
    """Run ruff, without any settings of this project, over a file's content."""
    command = [find_ruff_bin(), *arguments, "--isolated", "--no-cache", "--line-length=100", "-"]
    ran = subprocess.run(command, input=source, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def mypy(folder: Path) -> None:
    """Run mypy over a folder's files; as strictly as over this project, whose cache it shares."""
    cache = f"--cache-dir={Path(__file__).parents[1] / '.mypy_cache'}"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", cache, "."]
    ran = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@settings(max_examples=30, deadline=None)
@given(oddly_named_trees())
def test_an_exported_network_predicts_what_the_searched_one_does(tree: Tree):
    network = network_of(tree)
    with TemporaryDirectory() as folder, torch.no_grad():
        model = written(network, Path(folder))
        for batch in (1, 3):
            expected = network(normalised(images(batch)))
            given = model.load()(model.prepare(images(batch)))
            assert list(given) == list(expected)
            for task in tree.tasks:
                torch.testing.assert_close(given[task], expected[task], rtol=0, atol=0)


@settings(max_examples=10, deadline=None)
@given(trees(max_tasks=4, max_stages=3))
def test_a_task_trains_exactly_its_own_path(tree: Tree):
    with TemporaryDirectory() as folder:
        model = written(network_of(tree), Path(folder))
    names = Names.of(tree)
    for column, task in enumerate(tree.tasks):
        network = model.BranchedNet()
        network(torch.ones(2, 3, *SIZE))[task].sum().backward()
        gradients = {
            name: {weight.grad is not None for weight in part.parameters()}
            for name, part in network.named_children()
        }
        path = [stage[row[column]] for stage, row in zip(names.stages, tree.branches, strict=True)]
        on_path = {*path, names.heads[task]}
        assert gradients == {name: {name in on_path} for name in gradients}


@settings(max_examples=30, deadline=None)
@given(trees())
def test_source_keeps_the_rules_of_this_house(tree: Tree):
    source = source_of(tree)
    ruff(source, "format", "--check")
    ruff(source, "check", f"--select={HOUSE_RULES}", "--ignore=D105,D107")


@settings(max_examples=30, deadline=None)
@given(oddly_named_trees())
def test_source_is_formatted_whatever_the_tasks_are_called(tree: Tree):
    source = source_of(tree)
    ruff(source, "format", "--check")
    ruff(source, "check")


#: What backbones and heads are built with.
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.lists(inner, max_size=12).map(tuple)
        | st.dictionaries(st.sampled_from(NAMES), inner)
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["channels", "cuts", "arguments"]), PLAIN, min_size=1))
def test_a_call_is_formatted_whatever_its_arguments(arguments: dict[str, object]):
    written = [(f"{key}=", literal(value)) for key, value in arguments.items()]
    call = _call("self.stage0_depth_normals = TimmFirstStage", written, indent=0)
    ruff(f"{call}\n", "format", "--check")
    assert {
        key.arg: ast.literal_eval(key.value) for key in ast.parse(call).body[0].value.keywords
    } == arguments


def test_forty_tasks_stay_legible(tmp_path: Path):
    tasks = [f"attribute-{number}" for number in range(40)]
    branches = [[number // size for number in range(40)] for size in (40, 20, 2)]
    tree = Tree.from_labels(tasks, branches)
    source = source_of(tree)
    ruff(source, "format", "--check")
    ruff(source, "check", f"--select={HOUSE_RULES}", "--ignore=D105,D107")
    model = written(network_of(tree), tmp_path)
    assert list(model.load()(model.prepare(images(1)))) == list(tree.tasks)


def test_source_passes_mypy(tmp_path: Path):
    awkward = Tree.parse("40+b.c+class+é > 40,b.c+class+é")
    for name, tree in {"four": FOUR_TASKS, "odd": awkward}.items():
        (tmp_path / f"{name}.py").write_text(source_of(tree), encoding="utf-8")
    mypy(tmp_path)


def test_source_uses_torch_and_safetensors_alone():
    lines = [line for line in source_of(FOUR_TASKS).splitlines() if "import " in line]
    assert lines == [
        "from pathlib import Path",
        "import safetensors.torch",
        "import torch",
        "from torch import Tensor, nn",
    ]


@pytest.mark.parametrize("word", ["exec(", "eval(", "pickle", "importlib"])
def test_source_has_nothing_to_hide(word: str):
    assert word not in source_of(FOUR_TASKS).replace(".eval()", "")


def test_a_branch_runs_once_however_many_tasks_share_it(tmp_path: Path):
    network = written(network_of(FOUR_TASKS), tmp_path).load()
    runs: list[str] = []
    for name, part in network.named_children():
        part.register_forward_hook(lambda *_, name=name: runs.append(name))
    network(torch.zeros(1, 3, *SIZE))
    assert runs == [name for name, _ in network.named_children()]
