"""Foreign names in every format, read by a parser of the format: each is the same text, and none does anything."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import pytest
from campaign import names
from campaign.names import NAMES
from written import FORMATS

import fer_bench
from fer_bench.foreign import unpack_field, visible


@pytest.mark.parametrize("encoding", ["utf-8", "cp437", "ascii"])
@pytest.mark.parametrize("width", [80, 1000])
def test_a_terminal_shows_every_name_and_obeys_none(width, encoding):
    shown = names.check_terminal(NAMES, width, encoding)
    for name in ("[/b]", "[sad]", "[link=http://x.org]a[/link]", ":smile:"):
        assert name in shown
    if width == 1000:
        plain = shown.replace("\\::", "::").replace("#\\#", "##")
        words = [word for name in NAMES for word in visible(name).split()]
        assert [word for word in words if word.isascii() and word not in plain] == []


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex"])
def test_a_table_shows_every_name_and_has_no_markup_of_theirs(form):
    getattr(names, f"check_{form}")(NAMES)


@pytest.mark.parametrize("name", [*NAMES, "''=1", "'", "''", "'\\n", "a\\n\n", "'é", "日本", "'\\101\0"])
def test_a_packed_field_can_be_read_again(name):
    names.check_packing(name)


@pytest.mark.parametrize("text", ["\\#", "\\N{DASH}", "\\x1", "\\101", "\\U00110000", "\\", "é\\'"])
def test_escapes_in_a_strangers_field_that_no_field_of_ours_has_are_plain_text(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unpack_field(f"'{text}") == text


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return names.make_rows(tmp_path_factory.mktemp("runs"), NAMES)


@pytest.mark.parametrize("form", FORMATS)
def test_a_board_of_foreign_names_keeps_them_text(rows, form):
    names.check_board(rows, NAMES, form)


def test_only_the_console_writes_to_stdout_and_stderr():
    """A print, an echo or a stream that is written elsewhere would miss what `fer_bench.console` does."""
    strays = []
    for file in Path(fer_bench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and file.name != "console.py":
                called = ast.unparse(node.func)
                if called in (
                    "print",
                    "typer.echo",
                    "typer.secho",
                    "click.echo",
                    "sys.stdout.write",
                    "sys.stderr.write",
                ):
                    strays.append(f"{file.name}:{node.lineno} {called}")
    assert strays == []


def test_rich_never_parses_markup_of_ours():
    """Every text that reaches rich is a `Text` or said with ``markup=False``; a bare one would be markup."""
    strays = []
    for file in Path(fer_bench.__file__).parent.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        if "from rich" not in source and "import rich" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                first = ast.unparse(node.args[0]) if node.args else ""
                if (
                    called.endswith((".add_column", "console.print", "_console.print"))
                    and first
                    and not first.startswith(("Text(", "text(", "head", "form"))
                ):
                    strays.append(f"{file.name}:{node.lineno} {ast.unparse(node)}")
                if called == "TextColumn" and "markup=False" not in ast.unparse(node):
                    strays.append(f"{file.name}:{node.lineno} {called}")
    assert strays == []
