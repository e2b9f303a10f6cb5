"""Sizes as people write them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fer_bench
from fer_bench.errors import FerBenchError
from fer_bench.sizes import format_size, format_time, number_of, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("1.5 TiB", 3 * 2**39), ("7", 7), ("8 b", 8), ("1 kB", 1000), ("2MiB", 2**21)],
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 XB", "1e3", "nan", "1 GB free"])
def test_what_is_no_size_says_how_to_write_one(text):
    with pytest.raises(FerBenchError, match="as in 20GB"):
        parse_size(text)


def test_format_size():
    assert [format_size(size) for size in (0, 999, 1000, 1_550_000, 2 * 10**9, 10**13)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.6 MB",
        "2.0 GB",
        "10.0 TB",
    ]


def test_format_time():
    seconds = (0.04, 9.96, 59.4, 60, 900, 3599, 3600, 100_000)
    assert [format_time(each) for each in seconds] == [
        *("0.0 s", "10.0 s", "59 s", "1.0 min", "15 min", "60 min", "1.0 h", "28 h")
    ]


def test_one_thing_is_no_plural():
    counted = [number_of(1, "row"), number_of(0, "row"), number_of(35887, "image"), number_of(1, "class", "classes")]
    assert counted == ["1 row", "0 rows", "35,887 images", "1 class"]
    assert [number_of(n, "cell is", "cells are") for n in (1, 2)] == ["1 cell is", "2 cells are"]


SIZES = {"pixels", "bytes", "bits", "points", "units", "as"}
"""Words after a size or a score, of which there is never one; and one that is no noun."""
CORE = Path(fer_bench.__file__).parent
COUNTING = [CORE, CORE.parent / "plugins" / "fer-bench-datasets" / "fer_bench_datasets"]
"""Not in the packages of backbones: what a message says there is part of the identity of their cells."""


def plurals(source: str) -> list[str]:
    """Return where an f-string writes a count before a plural by itself, which is wrong for one thing.

    What follows ``of`` is no subject of a sentence, and names in capitals are constants above one.
    """
    wrong: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.IfExp) and isinstance(node.body, ast.Constant) and node.body.value == "s":
            wrong.append(f"line {node.lineno}: {ast.unparse(node)}")
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, value, after in zip([None, *node.values], node.values, node.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            count, text = ast.unparse(value.value), str(after.value)
            form = ast.unparse(value.format_spec) if value.format_spec else ""
            noun = re.match(r" ([a-z]+s)\b", text)
            counts = re.match(r"(len|sum)\(", count) or form == "f','"
            behind_of = isinstance(before, ast.Constant) and str(before.value).endswith(" of ")
            if noun and counts and noun[1] not in SIZES and not behind_of and count != count.upper():
                wrong.append(f"line {node.lineno}: {{{count}}} {noun[1]}")
    return wrong


def test_messages_count_with_one_function():
    """``1 backbones`` in one room has relatives in all others."""
    seen = plurals('f"{len(rows)} rows, {len(a)} of {len(b)} rows, {n:,} images, {len(text):,} bytes, {MOST:,} cells"')
    assert seen == ["line 1: {len(rows)} rows", "line 1: {n} images"]
    assert len(plurals("f\"{n} row{'s' if n > 1 else ''}\"")) == 1
    files = [file for folder in COUNTING for file in sorted(folder.rglob("*.py")) if "templates" not in file.parts]
    assert len(files) > 200
    wrong = {str(file.relative_to(CORE.parent)): plurals(file.read_text(encoding="utf-8")) for file in files}
    assert {name: lines for name, lines in wrong.items() if lines} == {}
