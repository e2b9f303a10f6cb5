"""Words that documents, code and messages do without: readers may have English as their second language."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANNERED = re.compile(
    r"\b(mend(s|ed|ing)?|foretell\w*|foretold|foresees?|hangs? on|whatever|whoever|whichever|anew|"
    r"(held|holds?)( it| them)? against|come[s]? of|came of|of (its|their) kind|in place of|"
    r"for ever|whence|thereby|learnt|befall\w*)\b",
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


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string and every comment of a source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _find(text: str) -> list[str]:
    return [match[0] for match in MANNERED.finditer(" ".join(text.split()))]


def test_sources_do_without_mannered_words():
    faults = [
        f"{file.relative_to(ROOT)}:{line}: {words}"
        for file in SOURCES
        for line, text in _texts(file.read_text(encoding="utf-8"))
        if (words := _find(text))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_documents_do_without_mannered_words(file):
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert _find(text) == []


def test_the_words_are_found_in_strings_comments_and_documents():
    source = 'def run():\n    """Mend it."""\n    raise ValueError(f"{1} is computed\\nanew")  # for ever\n'
    assert [_find(text) for _, text in _texts(source) if _find(text)] == [["Mend"], ["anew"], ["for ever"]]
    assert _find("it comes of\nheld\nagainst") == ["comes of", "held against"]
    assert _find("recommended outcome of") == []
