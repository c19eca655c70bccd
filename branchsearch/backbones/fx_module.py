"""A module of the user's own as a backbone, cut at named nodes of its graph.

torch.fx runs the module on symbols and writes down what it does: one node for every call of one of
torch's modules or functions. A cut is behind a node, and is possible where that node's value is all
that is used on the other side. What depends on ``self.training`` does so in the stages, too.

The name says what code to import, so a specification from elsewhere may not hold it:
``branchsearch.catalog.is_local`` says which names those are.
"""

import re
from collections.abc import Container, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from importlib import import_module
from inspect import signature
from itertools import chain, count, pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from branchsearch.backbones.backbone import Backbone, Stage
from branchsearch.backbones.chain import NotCuttable
from branchsearch.backbones.form import Form
from branchsearch.backbones.fx_source import stage_of
from branchsearch.backbones.fx_training import attribute, follow_training
from branchsearch.backbones.weights import content_of, load_weights, read_weights

#: How many values that go around a cut an error names.
_SHOWN = 4


def fx_module(
    module: str,
    /,
    *,
    cuts: Sequence[str],
    output: str | None = None,
    weights: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    size: Sequence[int] = (256, 256),
) -> Backbone:
    """A module that can be imported here, cut at nodes that torch.fx names.

    Args:
        module: ``package.module:factory``; the factory gives an ``nn.Module`` that takes images
            [batch, 3, H, W].
        cuts: Names of nodes or of modules, in order; a stage ends behind each, and one more at the
            end.
        output: The node or module whose output is the last stage's; what comes behind it, such as
            a classifier, is dropped. Without it, what the module gives.
        weights: A file of the module's weights.
        arguments: Of the factory.
        size: Height and width, in pixels, of an image to find channels and strides with.

    Raises:
        ValueError: Nothing can be imported under that name; weights that do not fit; a module that
            torch.fx cannot trace; or a cut that a value goes around, which the message names.
    """
    whole = _made(module, dict(arguments or {}))
    if weights is not None:
        load_weights(whole, read_weights(weights), source=weights)
    graph, ends = _graph(whole, module, cuts, output)
    _check_cuts(graph, ends)
    _check_weights(whole, graph, ends)
    name, source = type(whole).__name__, f"fx:{module}"
    modules = [
        _stage(f"{name}Stage{number}", source, whole, graph, after, until)
        for number, (after, until) in enumerate(pairwise([_images(graph), *ends]))
    ]
    # what a class is called says what its source is
    code = " ".join(type(stage).__module__ for stage in modules)
    stages = _declared(modules, whole, (int(size[0]), int(size[1])))
    content = [code, content_of(weights), _values(module, dict(arguments or {}))]
    return Backbone(tuple(stages), " ".join(filter(None, content)))


def _values(target: str, arguments: Mapping[str, Any]) -> str:
    """A hash of the weights and buffers that a factory gives, drawn with the same seed.

    So it changes when the factory begins with other values, or with another file of its own. Empty
    where they differ each time.
    """
    first, second = (_hash_of_seeded(target, arguments) for _ in range(2))
    return f"values {first[:16]}" if first == second else ""


def _hash_of_seeded(target: str, arguments: Mapping[str, Any]) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = _made(target, arguments).state_dict()
    told = sha256()
    for name, value in state.items():
        told.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        told.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return told.hexdigest()


def _made(target: str, arguments: Mapping[str, Any]) -> nn.Module:
    where, _, name = target.partition(":")
    try:
        factory = getattr(import_module(where), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"fx:{target} names no factory; it should be fx:package.module:factory: {error}"
        ) from error
    try:
        made = factory(**arguments)
    except TypeError as error:
        raise ValueError(f"fx:{target} does not take {dict(arguments)}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"fx:{target} gives {type(made).__name__}, not a torch module")
    return made


def _graph(
    whole: nn.Module, target: str, cuts: Sequence[str], output: str | None
) -> tuple[fx.Graph, list[fx.Node]]:
    """What a module does, in training and in evaluation, and the nodes that stages end behind."""
    evaluation, training = (_traced(whole.train(mode), target) for mode in (False, True))
    last, also_last = (
        _result(graph) if output is None else _node(graph, output, target)
        for graph in (training, evaluation)
    )
    ends = [*(_node(training, name, target) for name in cuts), last]
    follow_training(_leading_to(last, training), _leading_to(also_last, evaluation), whole)
    return training, ends


def _traced(whole: nn.Module, target: str) -> fx.Graph:
    _, *others = signature(whole.forward).parameters.values()
    for one in others:
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            raise NotCuttable(f"fx:{target} takes {one.name!r} beside the images")
    defaults = {one.name: one.default for one in others if one.default is not one.empty}
    try:
        return fx.Tracer().trace(whole, concrete_args=defaults or None)
    except (TypeError, ValueError, NameError, RuntimeError) as error:
        raise NotCuttable(f"torch.fx cannot trace fx:{target}: {error}") from error


def _leading_to(end: fx.Node, graph: fx.Graph) -> list[fx.Node]:
    """What a node is made of, and itself, in order."""
    needed = _needed(end, _images(graph))
    return [node for node in graph.nodes if node in needed]


def _node(graph: fx.Graph, name: str, target: str) -> fx.Node:
    """The node of a name, or the last one inside the module of that name."""
    found: fx.Node | None = None
    node: fx.Node
    for node in graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        if node.name == name:
            return node
        if name in (node.target, *node.meta.get("nn_module_stack", {})):
            found = node
    if found is None:
        there_are = [node.name for node in graph.nodes if node.op.startswith("call_")]
        raise NotCuttable(f"fx:{target} has no node {name!r}; there are {', '.join(there_are)}")
    return found


def _images(graph: fx.Graph) -> fx.Node:
    first: fx.Node = next(iter(graph.nodes))
    assert first.op == "placeholder"  # a forward method takes something
    return first


def _result(graph: fx.Graph) -> fx.Node:
    (output,) = (node for node in graph.nodes if node.op == "output")
    (given,) = output.args
    if not isinstance(given, fx.Node):
        raise NotCuttable(f"the module gives several values; say which by output: {given}")
    return given


def _check_cuts(graph: fx.Graph, ends: Sequence[fx.Node]) -> None:
    order = {node: place for place, node in enumerate(graph.nodes)}
    if any(order[a] >= order[b] for a, b in pairwise(ends)):
        raise NotCuttable(f"cuts are not in the order of the nodes: {', '.join(map(str, ends))}")
    inner = [node for node in graph.nodes if order[node] <= order[ends[-1]]]
    for cut in ends[:-1]:
        around = [
            f"{node.name} (to {user.name})"
            for node in inner
            if order[node] < order[cut] and node.op != "get_attr"
            for user in node.users
            if order[cut] < order[user] <= order[ends[-1]]
        ]
        if around:
            more = f" and {len(around) - _SHOWN} more" if len(around) > _SHOWN else ""
            raise NotCuttable(
                f"cannot cut behind {cut.name!r}: around it go {', '.join(around[:_SHOWN])}{more}"
            )


def _check_weights(whole: nn.Module, graph: fx.Graph, ends: Sequence[fx.Node]) -> None:
    """See that no two stages hold the same weight, since each gets its own; and no two names."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    held: dict[int, tuple[int, str]] = {}
    for node in graph.nodes:
        if node.op not in ("get_attr", "call_module") or order[node] > order[ends[-1]]:
            continue
        weights = _weights(attribute(whole, node.target), node.target)
        for user in node.users if node.op == "get_attr" else [node]:
            stage = sum(order[cut] < order[user] for cut in ends[:-1])
            for name, weight in weights.items():
                first, known_as = held.setdefault(id(weight), (stage, name))
                names = " and ".join(dict.fromkeys(map(repr, (known_as, name))))
                if first != stage:
                    raise NotCuttable(f"two stages use the weights of {names}")
                if known_as != name:
                    raise NotCuttable(f"{names} are one weight, and files hold each by one name")


def _weights(found: nn.Module | Tensor, name: str) -> dict[str, Tensor]:
    if isinstance(found, Tensor):
        return {name: found}
    return {f"{name}.{inner}": weight for inner, weight in found.state_dict(keep_vars=True).items()}


def _stage(
    name: str, source: str, whole: nn.Module, graph: fx.Graph, after: fx.Node, until: fx.Node
) -> nn.Module:
    """What is done between two nodes, as a module that takes the one and gives the other."""
    part, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    copies[after] = part.placeholder("features")
    held: dict[str, Any] = {}
    keys: dict[Any, str] = {}
    needed = _needed(until, after)
    # other copies of this stage read the same features, so they must stay
    changes = _in_place(whole, [node for node in after.users if node in needed])
    if changes is not None and not _is_alone(changes, after, graph):
        copies[after] = part.call_method("clone", (copies[after],))
        changes = None
    for node in graph.nodes:
        if node in needed:
            copies[node] = part.node_copy(node, copies.__getitem__)
            if node.op in ("get_attr", "call_module"):
                key = keys.setdefault(node.target, _free_key(node.target, held))
                held[key] = found = attribute(whole, node.target)
                copies[node].target = key
                if node is changes:
                    found.inplace = False
    part.output(copies[until])
    return stage_of(name, part, held, source=source)


def _in_place(whole: nn.Module, nodes: Sequence[fx.Node]) -> fx.Node | None:
    """The first of some nodes that is a module which changes what it is given, if any is."""
    modules = (node for node in nodes if node.op == "call_module")
    return next(
        (node for node in modules if getattr(attribute(whole, str(node.target)), "inplace", False)),
        None,
    )


def _is_alone(node: fx.Node, after: fx.Node, graph: fx.Graph) -> bool:
    """Whether nothing sees if a node changes what it is given: no other reader, nor other call."""
    calls = [one for one in graph.nodes if one.op == "call_module" and one.target == node.target]
    return len(calls) == 1 == len(after.users)


def _free_key(target: str, held: Container[str]) -> str:
    """A name for a part, different from the others': ``a.b_c`` and ``a_b.c`` would be alike."""
    key = "part_" + re.sub(r"\W", "_", target)
    numbered = (f"{key}_{number}" for number in count(2))
    return next(free for free in chain([key], numbered) if free not in held)


def _needed(until: fx.Node, after: fx.Node) -> set[fx.Node]:
    """What a node is made of, back to another."""
    found, left = set(), [until]
    while left:
        node = left.pop()
        if node is not after and node not in found:
            found.add(node)
            left += node.all_input_nodes
    return found


def _declared(modules: Sequence[nn.Module], whole: nn.Module, size: tuple[int, int]) -> list[Stage]:
    features = torch.empty(1, 3, *size, device="meta")
    stages = []
    for number, module in enumerate(modules):
        ghost, given = deepcopy(module).to("meta"), features
        for training in (True, False):  # where it drops out at random, it may do so in place
            # two images: batch norm takes no single number
            shown = given.expand(2, *given.shape[1:]).clone()
            before = shown._version
            with torch.no_grad():
                features = ghost.train(training)(shown)[:1]
            if shown._version != before:
                raise NotCuttable(f"stage {number} changes in place what it is given")
        form = Form.of(features.shape, whole, size, last=False)
        stages.append(Stage(module, form.channels, form.stride, form.kind))
    return stages
