"""Writes a branched network as the file that a person would have written by hand.

The file has the layout that ``ruff format`` gives it at 100 columns.
"""

import ast
import sys
from collections.abc import Iterable, Sequence

from torch import nn

from branchsearch.drawing.text import text
from branchsearch.export.classes import ALLOWED, Import, arguments, escaped, excerpt, literal
from branchsearch.export.names import Names
from branchsearch.export.parts import parts
from branchsearch.export.promise import MEANINGS, Promise
from branchsearch.export.templates import render
from branchsearch.model.branched import BranchedNetwork
from branchsearch.model.heads import reads_path

_COLUMNS = 100

#: What the file needs for itself, beside what the stages and heads need.
_IMPORTS = frozenset(
    {
        Import("pathlib", "Path"),
        Import("safetensors.torch"),
        Import("torch"),
        Import("torch", "Tensor"),
        Import("torch", "nn"),
    }
)
_OWN = ("SIZE", "MEAN", "STD", "BranchedNet", "prepare", "load")


def model_source(network: BranchedNetwork, promise: Promise) -> str:
    """Write ``model.py``.

    Args:
        network: Its stages and heads keep their constructors' arguments as attributes.
        promise: Read off the same network.

    Raises:
        NotExportable: A stage or head cannot be written to stand alone.
    """
    tree, names, modules = network.tree, Names.of(network.tree), parts(network)
    reserved = {one.binds: one.origin for one in _IMPORTS} | dict.fromkeys(_OWN, "the file's own")
    used = excerpt(dict.fromkeys(map(type, modules.values())), reserved)
    return render(
        "model.py.jinja",
        tasks=_count(len(tree.tasks), "task"),
        stage_count=_count(len(tree.branches), "stage"),
        drawing=docstring(text(tree)),
        imports=import_lines(_IMPORTS | used.imports),
        needs=" and ".join(sorted({one.root for one in used.imports} & ALLOWED) or ["torch"]),
        size=promise.size,
        mean=promise.mean,
        std=promise.std,
        definitions="\n\n\n".join(used.definitions.values()),
        stages=[
            [
                {
                    "built": _built(name, modules[name]),
                    "run": _run(name, names.stages[number - 1][parent] if number else "images"),
                }
                for name, parent in zip(stage, tree.parents(number), strict=True)
            ]
            for number, stage in enumerate(names.stages)
        ],
        heads=[
            {
                "task": docstring(task.name),
                "shape": promise.shape_text(task),
                "meaning": MEANINGS[task.kind],
                "built": _built(head, modules[head]),
                "run": _call(
                    f"{literal(task.name)}: self.{head}",
                    [("", _read(modules[head], way)), ("", "size")],
                    ",",
                    indent=12,
                ),
            }
            for task, head, way in zip(
                promise.tasks, names.heads.values(), _ways(network, names), strict=True
            )
        ],
    )


def _ways(network: BranchedNetwork, names: Names) -> list[list[str]]:
    """The features of every stage on each task's way, by name."""
    return [
        [stage[row[task]] for stage, row in zip(names.stages, network.tree.branches, strict=True)]
        for task in range(len(network.tree.tasks))
    ]


def _read(head: nn.Module, way: Sequence[str]) -> str:
    """What a head takes of the features on its way, as an argument is written."""
    return f"[{', '.join(way)}]" if reads_path(head) else way[-1]


def _built(name: str, module: nn.Module) -> str:
    """The line of ``__init__`` that builds a part."""
    written = [(f"{key}=", value) for key, value in arguments(module).items()]
    return _call(f"self.{name} = {type(module).__name__}", written, indent=8)


def _run(name: str, above: str) -> str:
    """The line of ``forward`` that runs a branch."""
    return _call(f"{name} = self.{name}", [("", above)], indent=8)


def _call(start: str, written: Sequence[tuple[str, str]], end: str = "", *, indent: int) -> str:
    """A call as the formatter breaks it: on one line, else on three, else an argument a line.

    An argument is its keyword, if it has one, with what stands before the value; and the value.
    """
    blank, inner = " " * indent, ", ".join(keyword + value for keyword, value in written)
    one_line = f"{blank}{start}({inner}){end}"
    if len(one_line) <= _COLUMNS or not written:
        return one_line
    if len(blank) + 4 + len(inner) > _COLUMNS:
        lines = (_folded(*one, indent=indent + 4) for one in written)
        inner = f",\n{blank}    ".join(lines) + ","
    return f"{blank}{start}(\n{blank}    {inner}\n{blank}){end}"


def _folded(start: str, value: str, *, indent: int) -> str:
    """A value behind what it belongs to; with an entry a line where one is too long for it."""
    entries = _entries(value) if indent + len(start + value) + 1 > _COLUMNS else []
    if not entries:
        return start + value
    blank = "\n" + " " * indent
    each = "".join(f"{blank}    {_folded(*entry, indent=indent + 4)}," for entry in entries)
    return f"{start}{value[0]}{each}{blank}{value[-1]}"


def _entries(value: str) -> list[tuple[str, str]]:
    """What a list, tuple or dictionary holds, each behind its key; nothing else can be folded."""
    node = ast.parse(value, mode="eval").body
    match node:
        case ast.List() | ast.Tuple():
            return [("", _of(value, one)) for one in node.elts]
        case ast.Dict():
            keys = [f"{_of(value, key)}: " for key in node.keys if key]
            return [(key, _of(value, one)) for key, one in zip(keys, node.values, strict=True)]
    return []


def _of(source: str, node: ast.expr) -> str:
    segment = ast.get_source_segment(source, node)
    assert segment is not None
    return segment


def import_lines(imports: Iterable[Import]) -> str:
    """Imports as isort orders them: Python's own, then the others."""
    groups: tuple[list[Import], list[Import]] = ([], [])
    for one in imports:
        groups[one.root not in sys.stdlib_module_names].append(one)
    return "\n\n".join("\n".join(_group_lines(group)) for group in groups if group)


def _group_lines(group: Sequence[Import]) -> list[str]:
    whole = sorted((one for one in group if not one.member), key=lambda one: one.module)
    lines = [f"import {one.module}{_as(one)}" for one in whole]
    for module in sorted({one.module for one in group if one.member}):
        members = sorted(
            (one for one in group if one.member and one.module == module), key=_member_order
        )
        plain = [one.member for one in members if not one.alias]
        if plain:
            lines.append(f"from {module} import {', '.join(plain)}")
        lines += [f"from {module} import {one.member}{_as(one)}" for one in members if one.alias]
    return lines


def _as(one: Import) -> str:
    return f" as {one.alias}" if one.alias else ""


def _member_order(one: Import) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    name = one.member
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def docstring(written: str) -> str:
    """Text that stands in a docstring as it is."""
    return "\n".join(escaped(line).rstrip() for line in written.split("\n")).replace(
        '"""', '\\"\\"\\"'
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
