"""What a Python module says, without its comments, docstrings and layout."""

from __future__ import annotations

import ast
import functools
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields of syntax nodes that change nothing."""


@dataclass(frozen=True)
class Module:
    """What is read from the source of a module.

    Attributes:
        digest: sha256 of its syntax; of its bytes where they are no Python of this version.
        imports: (level, dotted name) of all that it imports; level 0 is absolute, 1 the module's own package.
        strings: all that it holds.
    """

    digest: str
    imports: tuple[tuple[int, str], ...] = ()
    strings: frozenset[str] = frozenset()


def parse(source: bytes) -> ast.Module:
    """Return the syntax of a module of unknown origin, without Python's warnings about its style.

    Raises:
        SyntaxError, ValueError, RecursionError: it is no Python of this version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def read_module(file: Path) -> Module:
    """Return what a file of Python says; it is read once a process as long as its size and time stay the same."""
    state = file.stat()
    return _read(file, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _read(file: Path, size: int, mtime_ns: int) -> Module:
    source = file.read_bytes()
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return Module(hashlib.sha256(source).hexdigest())
    nodes = list(ast.walk(tree))
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return Module(
        hashlib.sha256("\n".join(tokens(tree)).encode("utf-8", "surrogatepass")).hexdigest(),
        tuple(name for node in nodes for name in _imports(node)),
        frozenset(strings),
    )


def tokens(tree: ast.AST) -> Iterator[str]:
    r"""Yield a syntax tree in preorder: types and fields of nodes, and values.

    Statements that do nothing are left out: ``pass``, and strings, as docstrings are. So are empty fields, of which a
    later Python has more, and empty pieces of f-strings, which Python 3.12.1 keeps: all give the same tokens.

    Example:
        >>> list(tokens(ast.parse("x = 1  # one")))
        ['(Module', '.body', '[', '(Assign', '.targets', '[', '(Name', '.id', "'x'", ')', ']', '.value', ...
    """
    pending: list[object] = [tree]  # a stack, since expressions may be nested deeper than Python's own
    while pending:
        item = pending.pop()
        if isinstance(item, _Token):
            yield item.text
        elif isinstance(item, ast.AST):
            yield f"({type(item).__name__}"
            pending.append(_Token(")"))
            for name, value in reversed(list(ast.iter_fields(item))):
                if isinstance(item, ast.JoinedStr):
                    value = [piece for piece in value if not (isinstance(piece, ast.Constant) and piece.value == "")]
                if name not in LEFT_OUT and (isinstance(item, ast.Constant) or value not in (None, [])):
                    pending += [value, _Token(f".{name}")]
        elif isinstance(item, list):
            yield "["
            pending.append(_Token("]"))
            pending += [value for value in reversed(item) if not _does_nothing(value)]
        else:  # neither the digits that may be printed nor the signs that are printable are the same in all versions
            yield hex(item) if type(item) is int else ascii(item)


@dataclass(frozen=True)
class _Token:
    text: str


def _does_nothing(node: object) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)


def _imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Import):
        yield from ((0, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # What is imported from a package may be a module of it.
        yield node.level, node.module or ""
        yield from ((node.level, f"{node.module}.{alias.name}" if node.module else alias.name) for alias in node.names)
