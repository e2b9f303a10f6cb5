"""Foreign names through every output format, each read back by a parser of the format."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import latex_reader
import pyte
from written import FORMATS, write

import fer_bench
from campaign.stock import Stock
from fer_bench.foreign import one_line, pack_field, unpack_field
from fer_bench.reports.formats import csv as csv_format
from fer_bench.reports.formats import json as json_format
from fer_bench.reports.formats import latex, markdown, terminal
from fer_bench.reports.leaderboard import Row, build
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
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
MARKDOWN = {"h1", "h2", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
"""The elements of our own Markdown."""
SAVED = re.compile(r"data:(text/csv|application/json);base64,[A-Za-z0-9+/=]*")
"""The board itself, which the page offers as a file."""
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
            if tag == "li":
                self.items.append("".join(self._cell))
            elif self.rows:  # a template may have cells whose row comes from elsewhere
                self.rows[-1].append("".join(self._cell))
            self._cell = None


def make_table(names: Sequence[str]) -> Table:
    """Return a table in which names stand in the title, the heads, the cells and the notes."""
    return Table(
        f"Title [/b] \x1b[31m ::error:: {names[0]}",
        (*texts("name", "<b>group</b> [/i] \u202e"), *numbers("::error::score")),
        tuple((name, name, Shown(f"{place}.5", place + 0.5)) for place, name in enumerate(names)),
        tuple(names),
    )


def check_terminal(names: Sequence[str], width: int, encoding: str) -> str:
    """Return what a terminal shows of a table of names; none of them does anything to it."""
    text = terminal.write([make_table(names)], width, encoding)
    text.encode(encoding)
    assert not CONTROL.search(text)
    assert commands(text) == []
    screen = pyte.Screen(width, text.count("\n") + 1)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    assert {(cell.fg, cell.bold) for line in screen.buffer.values() for cell in line.values()} == {("default", False)}
    return "".join(screen.display)


def check_markdown(names: Sequence[str]) -> None:
    """GitHub shows every name as it is, and none of them as markup."""
    table = make_table(names)
    text = markdown.write([table], "Heading <b> ~~x~~")
    assert commands(text) == []
    assert not CONTROL.search(text)
    page = Page(cmarkgfm.github_flavored_markdown_to_html(text))
    assert page.elements == MARKDOWN
    assert page.links == []
    expected = [[one_line(column.title).strip() for column in table.columns]]
    expected += [[one_line(name), one_line(name), f"{place}.5"] for place, name in enumerate(names)]
    assert page.rows == expected
    assert page.items == [one_line(name) for name in names]


def check_csv(names: Sequence[str]) -> None:
    """One line a record, no formula, and the names can be read again."""
    table = make_table(names)
    text = csv_format.write(table)
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert len(lines) == len(text.splitlines()) == 1 + len(names)
    assert {len(line) for line in lines} == {3}
    assert commands(text) == []
    assert not [field for line in lines for field in line if field.startswith(tuple("=+-@\t\r＝＋－＠"))]
    assert [float(line[2]) for line in lines[1:]] == [row[2].value for row in table.rows]
    same = [name for name in names if not COMMAND.search(name)]
    assert {unpack_field(line[0]) for line in lines} >= set(same)


def check_json(names: Sequence[str]) -> None:
    """ASCII, and every name as it is."""
    text = json_format.write({"names": names, "nan": float("nan"), "part": [float("inf"), 0.5]})
    assert text.isascii()
    assert commands(text) == []
    assert json.loads(text) == {"names": list(names), "nan": None, "part": [None, 0.5]}


def check_latex(names: Sequence[str]) -> None:
    """LaTeX prints every name."""
    text = latex.write([make_table(names)])
    assert commands(text) == []
    (table,) = latex_reader.read(text)
    assert [row[0] for row in table.rows[1:]] == [one_line(name) for name in names]


def check_packing(name: str) -> None:
    """A field of a baseline's rows can be read again."""
    assert pack_field(name).isprintable() or name.isprintable()
    assert unpack_field(pack_field(name)) == name


def make_rows(folder: Path, names: Sequence[str]) -> list[Row]:
    """Return rows whose data set, backbone, strategy, classes, column of groups, groups and error have such names."""
    from test_results import UNKNOWN, failed, make_cell, make_result

    store = Store(folder)
    for place in range(0, len(names) - 4, 5):
        five = [name.encode(errors="ignore").decode() for name in names[place : place + 5]]
        known = {"text": five[0], "strategy": five[1], "backbone": five[2], "classes": [five[0], "b"]}
        result = make_result([0, 1] * 8, [0, 1] * 8, ids=[f"{five[0]}{number}" for number in range(16)])
        result.predictions[f"group:{five[3]}"] = five[4] or "x"
        store.write(make_cell(0, **known), result, Provenance(command=("fer-bench", *five)))
        store.write(make_cell(1, **known), failed(f"ValueError: {five}"), UNKNOWN)
    return build(store.cells()[0])


def check_board(rows: Sequence[Row], names: Sequence[str], form: str) -> None:
    """A board of such rows keeps every name a text."""
    text = write(form, rows, [f"{name}: broken" for name in names], "groups")
    assert commands(text) == []
    if form != "json":
        assert not CONTROL.search(text.replace("\n", ""))
    if form == "md":
        assert Page(cmarkgfm.github_flavored_markdown_to_html(text)).elements == MARKDOWN
    if form == "html":
        templates = Path(fer_bench.__file__).parent / "reports" / "templates"
        ours = "".join(file.read_text() for file in templates.glob("*.html"))
        page, template = Page(to_html(rows, names, "groups")), Page(ours)
        assert page.elements <= template.elements
        others = set(page.links) - set(template.links)
        assert all(SAVED.fullmatch(link) for link in others), "a link that is not ours"


def draw_name(draw: random.Random) -> str:
    """Return some hostile names and characters in a row; no half of a pair of surrogates that makes a pair."""
    parts = draw.choices([*NAMES, *"\n\r\t|<>&*_`~[](){}#$%^\\'\"=@+-:;,. ", ""], k=draw.randrange(1, 5))
    parts += [chr(draw.choice((draw.randrange(0x20), draw.randrange(0x80, 0x3000), draw.randrange(0xE000, 0x11000))))]
    draw.shuffle(parts)
    return "".join(parts)[:300]


def tables(draw: random.Random, stock: Stock) -> None:
    """Drawn names in a table of every format."""
    del stock
    names = list(dict.fromkeys(draw_name(draw) for _ in range(draw.randrange(2, 12))))
    check_terminal(names, draw.choice((40, 80, 1000)), draw.choice(("utf-8", "cp437", "cp1252", "latin-1", "ascii")))
    for check in (check_markdown, check_csv, check_json, check_latex):
        check(names)
    for name in names:
        check_packing(name)


def boards(draw: random.Random, stock: Stock) -> None:
    """Drawn names in all that a board shows, in every format."""
    with stock.copy() as place:
        names = [draw_name(draw) for _ in range(10)]
        rows = make_rows(place / "runs", names)
        for form in FORMATS:
            check_board(rows, names, form)
