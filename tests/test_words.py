"""Words that documents, help and messages do without: readers may have English as their second language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANNERED = re.compile(
    r"\b(mend(s|ed|ing)?|foretell\w*|foretold|foresees?|hangs? on|whatever|whoever|whichever|anew|"
    r"(held|holds?)( it| them)? against|come[s]? of|came of|of (its|their) kind|in place of|"
    r"for ever|whence|thereby)\b",
    re.IGNORECASE,
)
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]
SOURCES = [
    *sorted((ROOT / "fer_bench").rglob("*.py")),
    *(file for file in sorted((ROOT / "plugins").rglob("*.py")) if "tests" not in file.parts),
]


def _texts(source: str, help_too: bool) -> Iterator[tuple[int, str]]:
    """Return line and text of every string of a source that may reach a user: those of docstrings only as help."""
    tree = ast.parse(source)
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(id(node.value))
        if help_too and isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.lineno, str(first.value.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value


def _find(text: str) -> list[str]:
    return [match[0] for match in MANNERED.finditer(" ".join(text.split()))]


def test_messages_and_help_do_without_mannered_words():
    faults = [
        f"{file.relative_to(ROOT)}:{line}: {words}"
        for file in SOURCES
        for line, text in _texts(file.read_text(encoding="utf-8"), file.parent.name == "cli")
        if (words := _find(text))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_documents_do_without_mannered_words(file):
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert _find(text) == []


def test_the_words_are_found_in_messages_help_and_documents():
    source = 'def run():\n    """Mend it."""\n    raise ValueError(f"{1} is computed\\nanew")\n'
    assert [_find(text) for _, text in _texts(source, True) if _find(text)] == [["Mend"], ["anew"]]
    assert [_find(text) for _, text in _texts(source, False) if _find(text)] == [["anew"]]
    assert _find("it comes of\nheld\nagainst") == ["comes of", "held against"]
    assert _find("recommended outcome of") == []
