"""The page in a real browser, where there is one, and as text where there is none."""

from __future__ import annotations

import re
import shutil

import pytest
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_result

from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    store = write_runs(folder / "runs", seeds=3)
    store.write(
        make_cell(strategy="<script>alert(1)</script>", classes=["<script>alert(2)</script>", "b"]),
        make_result(),
        UNKNOWN,
    )
    file = folder / "page.html"
    file.write_text(to_html(build(store.cells()[0]), ["x: <i>broken</i>"]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: tox run -e page")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(params=["light", "dark"])
def page(request, browser, page_file):
    """The page at 375 px, which must have loaded without a complaint or a request."""
    context = browser.new_context(viewport={"width": 375, "height": 800}, color_scheme=request.param)
    page, faults, requests = context.new_page(), [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    yield page
    assert faults == []
    assert requests == [page_file.as_uri()]
    context.close()


def test_names_stay_text_and_nothing_is_fetched(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert "&lt;script&gt;alert(2)" in text
    assert "&lt;b&gt;here" in text
    assert "<i>broken" not in text
    assert not re.search(
        r'(src|href)="(?!#|data:(?:text/csv|application/json);base64,)|url\(|@import|style="|\son\w+=', text
    )


@pytest.mark.slow
def test_a_hundred_rows_stay_under_three_megabytes(tmp_path):
    rows = build(write_runs(tmp_path, datasets=10, methods=9, folds=2, n=120).cells()[0])
    assert len(rows) == 100
    assert len(to_html(rows, []).encode()) < 3_000_000


def test_it_sorts_by_keyboard(page):
    board = page.locator("table.board").nth(1)
    column = board.locator("th button").all_inner_texts().index("accuracy %")
    head, cells = board.locator("th").nth(column), board.locator(f"tbody tr td:nth-child({column + 1})")
    for direction in ("descending", "ascending"):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = [float(text.split()[0]) for text in cells.all_inner_texts()]
        assert values == sorted(values, reverse=direction == "descending")
        assert len(values) > 3


def test_it_filters_rows_and_details(page):
    page.locator("#filter").fill("faces-1 fine-tune")
    assert page.locator("table.board tbody tr:visible").count() == 2
    assert page.locator("details[data-text]:visible").count() == 2
    assert page.locator("#count").inner_text() == "2 rows shown"


def test_a_phone_shows_it_without_sideways_scrolling(page):
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_schemes_differ_and_the_skip_link_comes_first(page):
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(21, 23, 26)" if dark else "rgb(253, 253, 252)")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_failures_charts_and_commands_are_there(page):
    page.locator("summary").filter(has_text="failed").first.click()
    opened = page.locator("details[open]").first
    assert "MemoryError: out of memory <b>here</b>" in opened.inner_text()
    assert opened.locator("pre").inner_text() == "fer-bench run --dataset faces-0"
    assert opened.locator("svg[aria-label='Reliability diagram'] circle").count() >= 3
    assert opened.locator("svg[aria-label=loss] polyline").count() == 14


CONTRAST = """(selector) => {
  const cell = document.querySelector(selector);
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const paint = (...colours) => {
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(cell), panel = getComputedStyle(cell.closest("details")).backgroundColor;
  const [low, high] = [paint(style.color), paint(panel, style.backgroundColor)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""
"""The contrast of a cell's text with its colour, as WCAG 2.2 (1.4.3) defines it."""


def test_the_darkest_cells_of_heat_maps_can_be_read(page):
    for selector in ("td.h10", "td.c10"):
        assert page.evaluate(CONTRAST, selector) >= 4.5


def test_each_board_begins_with_a_sentence_and_a_picture(page):
    section = page.locator("main > section").nth(1)
    assert section.locator("p.verdict").inner_text().endswith(".")
    rows = section.locator("table.board tbody tr").count()
    assert section.locator("table.plain circle").count() == rows
    section.locator("summary").filter(has_text="Every two rows").click()
    assert section.locator("details[open] td b").count() > 0


def test_it_prints_within_a_page(page):
    page.set_viewport_size({"width": 1030, "height": 700})
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1030
    assert not page.locator("#filter").is_visible()
