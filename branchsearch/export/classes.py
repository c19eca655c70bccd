"""The source of classes, with all that it builds upon, found by the names that it uses."""

import ast
import builtins
import inspect
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import nn

#: What an exported file may import, beside Python's own library; timm only where stages are made
#: of a model of timm.
ALLOWED = frozenset({"timm", "torch"})


class NotExportable(ValueError):
    """A module's source cannot be written to stand alone."""


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One imported name: ``import module`` where ``member`` is empty."""

    module: str
    member: str = ""
    alias: str = ""

    @property
    def binds(self) -> str:
        """The name it gives."""
        return self.alias or self.member or self.module.split(".")[0]

    @property
    def root(self) -> str:
        """The package it comes from."""
        return self.module.split(".")[0]

    @property
    def origin(self) -> str:
        """What its name stands for."""
        if self.member:
            return f"{self.module}.{self.member}"
        return self.module if self.alias else self.root


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Parts of other files that stand together on their own.

    Attributes:
        imports: What they need.
        definitions: Source by name; everything stands behind what it needs.
    """

    imports: frozenset[Import]
    definitions: Mapping[str, str]


def excerpt(
    classes: Iterable[Callable[..., Any]],
    reserved: Mapping[str, str],
    allowed: Set[str] = ALLOWED,
) -> Excerpt:
    """Gather the source of classes and functions, and of what they use from their own files.

    Args:
        classes: In the order in which they should stand.
        reserved: Names that the new file needs for itself, and what for.
        allowed: Packages that the new file may import, beside Python's own library.

    Raises:
        NotExportable: A class has no source, or needs what an exported file may not import; or two
            things of different source go by one name.
    """
    gathered = _Gathered(dict(reserved), allowed)
    for cls in classes:
        if cls.__qualname__ != cls.__name__:
            raise NotExportable(f"cannot export {cls.__qualname__}: it is not at the top of a file")
        gathered.add(cls.__module__, cls.__name__, wanted_by=cls.__name__)
    return Excerpt(frozenset(gathered.imports), gathered.definitions)


def arguments(module: nn.Module) -> dict[str, str]:
    """The constructor call that made a module, as keyword and Python literal.

    What an argument would be anyhow is left out.

    Raises:
        NotExportable: It does not keep an argument, or keeps what cannot be written down.
    """
    name = type(module).__name__
    written = {}
    for parameter in inspect.signature(type(module)).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise NotExportable(f"cannot export {name}: it is built with '{parameter}'")
        if not hasattr(module, parameter.name):
            raise NotExportable(
                f"cannot export {name}: it does not keep its constructor's argument "
                f"{parameter.name!r} as an attribute of that name"
            )
        kept = getattr(module, parameter.name)
        if type(kept) is type(parameter.default) and kept == parameter.default:
            continue
        try:
            written[parameter.name] = literal(kept)
        except TypeError as error:
            raise NotExportable(f"cannot export {name}: {parameter.name!r} is {error}") from error
    return written


def literal(value: Any) -> str:  # noqa: ANN401  # whatever a constructor takes
    """Write a plain value as formatted source.

    >>> print(literal({"size": (3, 1.5), "mode": 'a "b"'}))
    {"size": (3, 1.5), "mode": 'a "b"'}

    Raises:
        TypeError: It is none of None, bool, int, finite float, str, tuple, list and dict of those.
    """
    match value:
        case str() if type(value) is str:
            quote = "'" if value.count('"') > value.count("'") else '"'
            return quote + escaped(value).replace(quote, "\\" + quote) + quote
        case tuple():
            inner = ", ".join(map(literal, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case dict():
            return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in value.items())}}}"
        case None:
            return "None"
        case float() if type(value) is float and value - value == 0:
            return repr(value)
        case bool() | int() if type(value) in (bool, int):
            return repr(value)
    raise TypeError(f"{value!r} ({type(value).__name__}), which is not a plain value")


def escaped(text: str) -> str:
    """Text between quotes of a source file; what can be printed stays, except for backslashes."""
    return "".join(letter if letter in "'\"" else repr(letter)[1:-1] for letter in text)


@dataclass(slots=True)
class _Gathered:
    origins: dict[str, str]  # where each name of the new file comes from
    allowed: Set[str]
    imports: set[Import] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)

    def add(self, module: str, name: str, *, wanted_by: str) -> None:
        try:
            statements = _statements(module)
        except (KeyError, OSError, TypeError) as error:
            raise NotExportable(f"cannot export {wanted_by}: no source for {module}") from error
        if name not in statements:
            if hasattr(builtins, name) or name.startswith("__"):
                return
            raise NotExportable(
                f"cannot export {wanted_by}: {module} does not define {name!r} at its top"
            )
        found = statements[name]
        origin = f"{module}.{name}" if isinstance(found, str) else found.origin
        known = self.origins.setdefault(name, origin)
        if known != origin and self.definitions.get(name) == found:
            # a class of ours beside the same one of an export that was brought back
            self._add_used(module, name, found, wanted_by)
            return
        if known != origin:
            raise NotExportable(f"cannot export {wanted_by}: {name!r} is {origin} and also {known}")
        if isinstance(found, Import):
            if found.root not in self.allowed | sys.stdlib_module_names:
                raise NotExportable(
                    f"cannot export {wanted_by}: it uses {name!r} from {found.module}, but an "
                    f"exported file imports only {', '.join(sorted(self.allowed))}"
                )
            self.imports.add(found)
        elif name not in self.definitions:
            self._add_definition(module, name, found, wanted_by)

    def _add_definition(self, module: str, name: str, source: str, wanted_by: str) -> None:
        self._add_used(module, name, source, wanted_by)
        self.definitions[name] = source

    def _add_used(self, module: str, name: str, source: str, wanted_by: str) -> None:
        for used in _names_used(source):
            if used != name:
                self.add(module, used, wanted_by=wanted_by)


@cache
def _statements(module: str) -> Mapping[str, str | Import]:
    """What a module's top level gives each of its names: the source, or an import."""
    source = inspect.getsource(sys.modules[module])
    lines = source.splitlines()
    given: dict[str, str | Import] = {}
    for node in ast.parse(source).body:
        match node:
            case ast.Import(names=names):
                imports = [Import(alias.name, alias=alias.asname or "") for alias in names]
                given.update({one.binds: one for one in imports})
            case ast.ImportFrom(names=names, level=level):
                origin = "." * level + (node.module or "")
                imports = [Import(origin, alias.name, alias.asname or "") for alias in names]
                given.update({one.binds: one for one in imports})
            case _:
                given.update(dict.fromkeys(_bound(node), _text(node, lines)))
    return given


def _bound(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (one.id for one in targets if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _text(node: ast.stmt, lines: list[str]) -> str:
    """A statement's lines, with its decorators and the comment right above."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


def _names_used(source: str) -> list[str]:
    """The names that source takes from the file it stands in, in a fixed order."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from walk(child)

    return list(dict.fromkeys(walk(symtable.symtable(source, "<exported>", "exec"))))
