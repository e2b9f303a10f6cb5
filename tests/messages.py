"""What a message says, apart from its words: they may change without a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)")
SENTENCE = re.compile(r"(?<![\w./-])[A-Za-z][a-z]*(?:'s)?(?:[,;:.]? [a-z]+(?:'s)?){3}(?![\w-])")
"""Four plain words in a row; up to three may be a term."""
CONTRACTS = {"an exact or near copy"}
"""Names of fields of JSON that are sentences too."""


def says(text: str, *parts: str) -> bool:
    """Return whether ``text`` holds names, numbers and options in this order; how it is wrapped does not count."""
    rest = " ".join(text.split())
    for part in parts:
        _, there, rest = rest.partition(part)
        if not there:
            return False
    return True


def _compared(tree: ast.AST) -> Iterator[ast.expr]:
    """Return what texts are compared with: in assertions, calls within them, and the ``match`` of an error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Compare):
                    yield from (part.left, *part.comparators)
                elif isinstance(part, ast.Call):
                    yield from part.args
        elif isinstance(node, ast.keyword) and node.arg == "match":
            yield node.value


def _columns(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Return the values of those parameters of a test that it compares with."""
    names = {part.id for value in _compared(function) for part in ast.walk(value) if isinstance(part, ast.Name)}
    for call in function.decorator_list:
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "pytest.mark.parametrize":
            continue
        keys = ast.literal_eval(call.args[0])
        if isinstance(keys, str):
            keys = [key.strip() for key in keys.split(",")]
        for row in getattr(call.args[1], "elts", []):
            values = row.args if isinstance(row, ast.Call) else row.elts if len(keys) > 1 else [row]
            yield from (value for key, value in zip(keys, values, strict=False) if key in names)


def sentences(source: str) -> list[str]:
    """Return the sentences that a source of tests expects."""
    tree = ast.parse(source)
    compared = list(_compared(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            compared += _columns(node)
    texts = {part.value for value in compared for part in ast.walk(value) if isinstance(part, ast.Constant)}
    plain = {text for text in texts if isinstance(text, str) and SENTENCE.search(QUOTED.sub("''", text))}
    return sorted(plain - CONTRACTS)
