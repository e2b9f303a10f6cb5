"""Foreign names in every format, read by a parser of the format: each is the same text, and none does anything."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import latex_reader
import pyte
import pytest
from test_results import UNKNOWN, failed, make_cell, make_result
from written import FORMATS, write

import fer_bench
from fer_bench.foreign import one_line, pack_field, unpack_field, visible
from fer_bench.reports.formats import csv as csv_format
from fer_bench.reports.formats import json as json_format
from fer_bench.reports.formats import latex, markdown, terminal
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.reports.table import Shown, Table, numbers, texts
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store

NAMES = [
    *("[/b]", "[sad]", "[link=http://x.org]a[/link]", ":smile:"),
    *("\x1b[2J\x1b[31mred", "\x9b31m", "a\rb", "bell\x07", "\x1b]0;title\x07", "tab\tin"),
    *("\u202eevil", "\u2066x\u2069", "\ufeffbom", "a\u2028b", "lone\udce9", "\x00"),
    *("::error::no", "  ::set-output name=x::y", "##[error]no", "\n::warning::late", "a ##vso[task.complete]b"),
    *("=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "<!-- x", "'quoted'"),
    *("~~gone~~", "http://x.org/a", "www.x.org", "a@x.org", "https://x.org", "*b* _i_ `c` $x$", "|", "\\", "a|b\\|c"),
    *("# head", "- list", "1. list", "> quote", "![i](x)", "[a](b)", "[^1]", "---", "***"),
    *(r"\input{a} & % # $ ^ ~", "}{", "--", "`` ''", "[2em]", "*star"),
    *("José", "العربية", "日本語", "👨\u200d👩\u200d👧", "10 %", "a" * 200, ""),
]
TABLE = Table(
    "Title [/b] \x1b[31m ::error:: " + NAMES[20],
    (*texts("name", "<b>group</b> [/i] \u202e"), *numbers("::error::score")),
    tuple((name, name, Shown(f"{place}.5", place + 0.5)) for place, name in enumerate(NAMES)),
    tuple(NAMES),
)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
MARKDOWN = {"h1", "h2", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
"""The elements of our own Markdown."""

COMMAND = re.compile(r"^\s*::|##\[|##vso\[")
"""What a runner of GitHub or Azure takes for a workflow command."""


def commands(text: str) -> list[str]:
    """Return the lines that a CI system would obey, wherever it sees a line end."""
    return [line for line in re.split(r"\r\n|\r|\n", text) if COMMAND.search(line)]


class Page(HTMLParser):
    """What HTML shows: names of elements, links, and cells as text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: set[str] = set()
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.items: list[str] = []
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src") or name.startswith("on")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "li"):
            self._cell = []

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag):
        if self._cell is not None and tag in ("td", "th", "li"):
            (self.items if tag == "li" else self.rows[-1]).append("".join(self._cell))
            self._cell = None


@pytest.mark.parametrize("encoding", ["utf-8", "cp437", "ascii"])
@pytest.mark.parametrize("width", [80, 1000])
def test_a_terminal_shows_every_name_and_obeys_none(width, encoding):
    text = terminal.write([TABLE], width, encoding)
    text.encode(encoding)
    assert not CONTROL.search(text)
    assert commands(text) == []
    screen = pyte.Screen(width, text.count("\n") + 1)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    assert {(cell.fg, cell.bold) for line in screen.buffer.values() for cell in line.values()} == {("default", False)}
    shown = "".join(screen.display)
    for name in ("[/b]", "[sad]", "[link=http://x.org]a[/link]", ":smile:"):
        assert name in shown
    if width == 1000:
        plain = shown.replace("\\::", "::").replace("#\\#", "##")
        words = [word for name in NAMES for word in visible(name).split()]
        assert [word for word in words if word.isascii() and word not in plain] == []


def test_markdown_shows_every_name_and_has_no_markup_of_theirs():
    text = markdown.write([TABLE], "Heading <b> ~~x~~")
    assert commands(text) == []
    assert not CONTROL.search(text)
    page = Page(cmarkgfm.github_flavored_markdown_to_html(text))
    assert page.elements == MARKDOWN
    assert page.links == []
    expected = [[one_line(column.title).strip() for column in TABLE.columns]]
    expected += [[one_line(name), one_line(name), f"{place}.5"] for place, name in enumerate(NAMES)]
    assert page.rows == expected
    assert page.items == [one_line(name) for name in NAMES]


def test_csv_is_one_line_a_record_and_holds_no_formula():
    text = csv_format.write(TABLE)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert len(lines) == len(text.splitlines()) == 1 + len(NAMES)
    assert {len(line) for line in lines} == {3}
    assert commands(text) == []
    assert not [field for line in lines for field in line if field.startswith(tuple("=+-@\t\r＝＋－＠"))]
    assert [float(line[2]) for line in lines[1:]] == [row[2].value for row in TABLE.rows]
    same = [name for name in NAMES if not COMMAND.search(name)]
    assert {unpack_field(line[0]) for line in lines} >= set(same)


@pytest.mark.parametrize("name", [*NAMES, "''=1", "'", "''", "'\\n", "a\\n\n", "'é", "'日本"])
def test_a_packed_field_can_be_read_again(name):
    assert pack_field(name).isprintable() or name.isprintable()
    assert unpack_field(pack_field(name)) == name


def test_json_is_ascii_and_holds_every_name_as_it_is():
    text = json_format.write({"names": NAMES, "nan": float("nan"), "part": [float("inf"), 0.5]})
    assert text.isascii()
    assert commands(text) == []
    assert json.loads(text) == {"names": NAMES, "nan": None, "part": [None, 0.5]}


def test_latex_prints_every_name():
    text = latex.write([TABLE])
    assert commands(text) == []
    (table,) = latex_reader.read(text)
    assert [row[0] for row in table.rows[1:]] == [one_line(name) for name in NAMES]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows whose data set, backbone, strategy, classes, column of groups, groups and error have foreign names."""
    store = Store(tmp_path_factory.mktemp("runs"))
    for place in range(0, len(NAMES) - 4, 5):
        names = [name.replace("\udce9", "") for name in NAMES[place : place + 5]]
        known = {"text": names[0], "strategy": names[1], "backbone": names[2], "classes": [names[0], "b"]}
        result = make_result([0, 1] * 8, [0, 1] * 8, ids=[f"{names[0]}{number}" for number in range(16)])
        result.predictions[f"group:{names[3]}"] = names[4] or "x"
        store.write(make_cell(0, **known), result, Provenance(command=("fer-bench", *names)))
        store.write(make_cell(1, **known), failed(f"ValueError: {names}"), UNKNOWN)
    return build(store.cells()[0])


@pytest.mark.parametrize("form", FORMATS)
def test_a_board_of_foreign_names_keeps_them_text(rows, form):
    text = write(form, rows, [f"{name}: broken" for name in NAMES], "groups")
    assert commands(text) == []
    if form != "json":
        assert not CONTROL.search(text.replace("\n", ""))
    if form == "md":
        assert Page(cmarkgfm.github_flavored_markdown_to_html(text)).elements == MARKDOWN
    if form == "html":
        templates = Path(fer_bench.__file__).parent / "reports" / "templates"
        page, template = Page(to_html(rows, NAMES, "groups")), Page((templates / "page.html").read_text())
        assert page.elements <= template.elements
        assert set(page.links) <= set(template.links)


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
                    and not first.startswith(("Text(", "text(", "head", "_fit("))
                ):
                    strays.append(f"{file.name}:{node.lineno} {ast.unparse(node)}")
                if called == "TextColumn" and "markup=False" not in ast.unparse(node):
                    strays.append(f"{file.name}:{node.lineno} {called}")
    assert strays == []
