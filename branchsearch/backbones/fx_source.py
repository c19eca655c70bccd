"""Source of what torch.fx traced, so that a stage of it is a class like any other.

A class that has source can be copied, read and exported to a file that stands alone.
"""

import ast
import linecache
import re
import sys
from collections.abc import Mapping
from hashlib import sha256
from inspect import signature
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, fx, nn

from branchsearch.backbones.chain import NotCuttable

#: Characters in a line, at most.
_WIDTH = 100

_IMPORTS = "import torch\nfrom torch import Tensor, nn\n\n\n"


def stage_of(name: str, graph: fx.Graph, held: Mapping[str, Any], *, source: str) -> nn.Module:
    """A module that does what a graph does.

    Args:
        name: Of its class.
        graph: From ``features`` to one value; it names what it uses as ``held`` does.
        held: Modules of torch, weights and buffers; they become the stage's own.
        source: What its documentation calls the module that it is a part of.

    Raises:
        NotCuttable: It uses what cannot be written down with torch alone.
    """
    built = "\n".join(_folded(f"        {_built(key, value)}") for key, value in held.items())
    text = (
        f'class {name}(nn.Module):\n    """A part of {source}, as torch.fx traced it."""\n\n'
        f"    def __init__(self) -> None:\n        super().__init__()\n{built}\n\n"
        f"    def forward(self, features: Tensor) -> Tensor:\n"
        f'        """From what the stage before gives to what this one gives."""\n{_run(graph)}\n'
    )
    stage: nn.Module = getattr(_module(_IMPORTS + text), name)()
    for key, value in held.items():
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            stage.register_buffer(key, value)
        else:
            setattr(stage, key, value)
    return stage


def _built(key: str, value: Any) -> str:  # noqa: ANN401  # a module, a weight or a buffer
    """The line that makes an attribute with the same shapes."""
    if isinstance(value, nn.Module):
        written = f"nn.{value!r}"
        try:
            again = eval(written, {"nn": nn})
            if more := _not_shown(value, again):
                written = f"{written.removesuffix(')')}{more})"
                again = eval(written, {"nn": nn})
        except (SyntaxError, AttributeError, NameError, TypeError) as error:
            raise NotCuttable(
                f"{key!r} cannot be written down as it shows itself: {value!r}"
            ) from error
        if (
            type(again) is not type(value)
            or _shapes(again) != _shapes(value)
            or any(
                _plain(one) != _plain(two)
                for one, two in zip(again.modules(), value.modules(), strict=True)
            )
        ):
            raise NotCuttable(f"{key!r} does not show how it was made: {value!r}")
        return f"self.{key} = {written}"
    kind = "" if value.dtype == torch.float32 else f", dtype={value.dtype}"
    empty = f"torch.zeros({tuple(value.shape)}{kind})"
    if isinstance(value, nn.Parameter):
        return f"self.{key} = nn.Parameter({empty})"
    return f'self.register_buffer("{key}", {empty})'


def _folded(line: str) -> str:
    """A line that sets something to a call, in several lines where it is too long for one."""
    if len(line) <= _WIDTH:
        return line
    (statement,) = ast.parse(line.strip()).body
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    call, indent = statement.value, line[: len(line) - len(line.lstrip())]
    each = [ast.unparse(argument) for argument in [*call.args, *call.keywords]]
    inner = f"{indent}    {', '.join(each)}"
    if len(inner) > _WIDTH:
        inner = "\n".join(f"{indent}    {argument}," for argument in each)
    begin = f"{indent}{ast.unparse(statement.targets[0])} = {ast.unparse(call.func)}("
    return f"{begin}\n{inner}\n{indent})"


def _not_shown(value: nn.Module, again: nn.Module) -> str:
    """Arguments that a module of torch's does not show, as they are written behind the others."""
    takes, now = signature(type(value)).parameters, _plain(again)
    return "".join(
        f", {name}={one!r}"
        for name, one in _plain(value).items()
        if name in takes and now.get(name) != one
    )


def _plain(module: nn.Module) -> dict[str, Any]:
    """What a module was made with, as far as its attributes say."""
    return {
        name: value
        for name, value in vars(module).items()
        if name != "training"
        and not name.startswith("_")
        and isinstance(value, bool | int | float | str | tuple | None)
    }


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def _run(graph: fx.Graph) -> str:
    """The lines of ``forward``."""
    code = graph.python_code("self")
    function = ast.parse(code.src).body[-1]
    assert isinstance(function, ast.FunctionDef)  # torch.fx writes one
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    strange = [name for name in used & code.globals.keys() if code.globals[name] is not torch]
    if strange:
        raise NotCuttable(f"it uses what cannot be written down with torch alone: {strange}")
    lines = code.src.splitlines()[function.body[0].lineno - 1 : function.end_lineno]
    # torch.fx drops every value behind its last use, which only adds noise
    body = (re.sub(r";  .* = None\b.*$", "", line) for line in lines)
    written = [line.split("  #")[0].strip() for line in body if line.strip()]
    last, name = written[-1], written[-1].removeprefix("return ")
    if len(written) > 1 and written[-2].startswith(f"{name} = "):
        last = f"return {written.pop(-2).removeprefix(f'{name} = ')}"
    return "\n".join(f"        {line}" for line in [*written[:-1], last])


def _module(text: str) -> ModuleType:
    """A module of that text, whose source can be looked up; the same text gives the same one."""
    name = f"branchsearch_fx_{sha256(text.encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = file = f"<{name}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), module.__dict__)
        sys.modules[name] = module
    return sys.modules[name]
