"""The page in a real browser, where there is one, and as text where there is none."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from browser import CONTRAST, OPEN_ALL, open_page, start_browser
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import invoke

from fer_bench.registry import Registry
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.results.provenance import collect


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
    with start_browser() as started:
        yield started


@pytest.fixture(params=["light", "dark"])
def page(request, browser, page_file):
    with open_page(browser, page_file, request.param) as opened:
        yield opened


SVG = "{http://www.w3.org/2000/svg}"


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
    known = collect(Registry.load().plugins)
    rows = build(write_runs(tmp_path, datasets=10, methods=9, folds=2, n=120, provenance=known).cells()[0])
    assert len(rows) == 100
    assert len(to_html(rows, []).encode()) < 3_000_000


def test_it_sorts_by_keyboard(page):
    board = page.locator("table.board").nth(1)
    head = board.locator("th[data-name=accuracy]")
    column = head.evaluate("(cell) => cell.cellIndex")
    cells = board.locator(f"tr.row > td:nth-child({column + 1})")
    for direction in ("descending", "ascending"):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = [float(text.split()[0]) for text in cells.all_inner_texts()]
        assert values == sorted(values, reverse=direction == "descending")
        assert len(values) > 3


def test_it_filters_rows_and_what_is_open_in_them(page):
    page.evaluate("document.querySelectorAll('button.open').forEach((button) => button.click())")
    page.locator("#filter").fill("faces-1 / fine-tune")
    assert page.locator("tr.row:visible").count() == 2
    assert page.locator("tr.inside:visible").count() == 2
    assert page.locator("#count").inner_text() == "2 rows shown"


def test_a_row_opens_in_place_by_keyboard(page):
    button = page.locator("button.open").first
    inside = page.locator(f"id={button.get_attribute('aria-controls')}")
    for expanded in ("true", "false"):
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == expanded
        assert inside.is_visible() == (expanded == "true")
    row = page.locator("tr.row").first
    assert row.evaluate("(row) => row.nextElementSibling.id") == inside.get_attribute("id")


def test_the_address_brings_back_what_was_chosen(page):
    board = page.locator("section.board").nth(1)
    page.locator("#board").select_option(index=2)
    page.locator("#filter").fill("faces-0 net")
    page.locator("#columns summary").click()
    for key in ("macro-f1", "nll-nats"):
        page.locator(f"#columns input[value='{key}']").click()
    board.locator("thead button").filter(has_text="method").click()
    board.locator("button.open").nth(1).click()
    for place in (0, 1):
        board.locator(".pick").nth(place).check()
    seen = board.locator("tr.row:visible").all_inner_texts()
    page.wait_for_url("**/*compare=*", timeout=5000)
    address = page.url
    page = page.context.new_page()
    page.goto(address)
    board = page.locator("section.board").nth(1)
    assert page.locator("section.board:visible").count() == 1
    assert board.locator("tr.row:visible").all_inner_texts() == seen
    assert board.locator("th[data-name=nll-nats]").is_visible()
    assert not board.locator("th[data-name=macro-f1]").is_visible()
    assert board.locator("th[data-name=method]").get_attribute("aria-sort")
    assert board.locator("button.open").nth(1).get_attribute("aria-expanded") == "true"
    assert board.locator(".beside h3").is_visible()


def test_rows_are_compared_side_by_side(page):
    board = page.locator("section.board").nth(1)
    rows = board.locator("tr.row").filter(has_not_text="failed")
    for place in (0, 1):
        rows.nth(place).locator(".pick").check()
    board.locator("button.see").focus()
    page.keyboard.press("Enter")
    beside = board.locator(".beside")
    assert page.evaluate("document.activeElement.closest('.beside') !== null")
    listed = [line.locator("th,td").all_inner_texts() for line in beside.locator("table").first.locator("tr").all()]
    lines = {title: texts for title, *texts in listed}
    assert lines["UAR %"] == [rows.nth(place).locator("td").first.inner_text() for place in (0, 1)]
    first, second = (float(text.split()[0]) for text in lines["UAR %"])
    (difference,) = (texts for title, texts in lines.items() if title.startswith("difference to"))
    assert float(difference[1].split()[0].rstrip("*")) == pytest.approx(second - first, abs=0.11)
    for kind in ("confusion", "classes", "reliability", "loss"):
        assert beside.locator(f"figure[data-file={kind}]").count() == 2
    board.locator("button.clear").click()
    assert not beside.is_visible()


def test_figures_are_saved_as_svg(page, tmp_path):
    board = page.locator("section.board").nth(1)
    board.locator("button.open").nth(1).click()
    for kind, shown in (("intervals", "14.3"), ("cost-seconds", "1"), ("confusion", "happiness"), ("loss", "12")):
        with page.expect_download() as download:
            board.locator(f"figure[data-file={kind}] button.save >> visible=true").first.click()
        assert download.value.suggested_filename == f"{kind}.svg"
        download.value.save_as(tmp_path / f"{kind}.svg")
        figure = ElementTree.parse(tmp_path / f"{kind}.svg").getroot()
        assert figure.tag == f"{SVG}svg"
        assert shown in {text.text for text in figure.iter(f"{SVG}text")}
        assert not [part for part in figure.iter() if part.get("class") or part.tag == f"{SVG}script"]
    assert {part.get("fill") for part in figure.iter(f"{SVG}polyline")} == {"none"}
    cells = ElementTree.parse(tmp_path / "confusion.svg").getroot().findall(f"{SVG}rect")
    shown = page.locator("figure[data-file=confusion] td:visible")
    darkest = max(int(cell.get_attribute("class").split("h")[1]) for cell in shown.all())
    assert max(float(cell.get("fill-opacity", 0)) for cell in cells[1:]) == pytest.approx(0.05 * darkest, abs=0.01)


def test_a_phone_shows_it_without_sideways_scrolling(page):
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    board = page.locator(".scroll:has(> table.board)").nth(1)
    board.evaluate("(part) => { part.scrollLeft = 200 }")
    left, right = (board.evaluate(f"(part) => part.getBoundingClientRect().{side}") for side in ("left", "right"))
    head, name = board.locator("th[data-main]"), board.locator("tr.row th").first
    assert name.evaluate("(cell) => cell.getBoundingClientRect().left") == pytest.approx(left, abs=1)
    board.evaluate("(part) => { part.scrollLeft = 0 }")
    assert head.evaluate("(cell) => cell.getBoundingClientRect().right") <= right, "what orders the rows is cut"


def test_schemes_differ_and_the_skip_link_comes_first(page):
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(21, 23, 26)" if dark else "rgb(253, 253, 252)")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_failures_charts_and_commands_are_there(page):
    row = page.locator("tr.row").filter(has_text="failed").filter(has_text="net-1").first
    row.locator("button.open").click()
    opened = page.locator(f"id={row.locator('button.open').get_attribute('aria-controls')}")
    assert not opened.get_by_text("MemoryError").is_visible()
    opened.locator("summary").filter(has_text="1 failed cell").click()
    assert "MemoryError: out of memory <b>here</b>" in opened.locator(".failures li").inner_text()
    assert opened.locator("pre").inner_text() == "fer-bench run --dataset faces-0"
    assert opened.locator("svg[aria-label='Reliability diagram'] circle").count() >= 3
    assert opened.locator("svg[aria-label=loss] polyline").count() == 14
    page.locator("main").locator("xpath=..").locator("> details.failures summary").click()
    assert page.locator("body > details.failures li").count() == 3, "two rows and a cell that is left out"


def test_every_kind_of_text_can_be_read(page):
    page.evaluate(OPEN_ALL)
    page.locator(".pick").nth(1).check()
    kinds = ["td.h10", "td.c10", "td.h10 small", "p.soft", ".warn", "button.open", "tr.base button.open", "tr.base td"]
    kinds += [".facts td", "button.save", ".see", "th button", "a[download]", "summary", "caption", "#count"]
    for selector in kinds:
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector


def test_all_controls_have_a_name_and_show_the_focus(page):
    controls = page.locator("button:visible, input:visible, select:visible, summary:visible, [tabindex='0']:visible")
    assert controls.count() > 20
    named = "(control) => control.ariaLabel || control.labels?.length || control.textContent.trim()"
    unnamed = controls.evaluate_all(f"(all) => all.filter((one) => !({named})(one)).map((one) => one.outerHTML)")
    assert unnamed == []
    page.locator("#filter").focus()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_twice_as_large_it_is_whole(page):
    page.set_viewport_size({"width": 640, "height": 450})  # 1280 x 900 at 200 %
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 640


def test_each_board_begins_with_a_sentence_and_a_picture(page):
    section = page.locator("main > section").nth(1)
    assert section.locator("p.verdict").inner_text().endswith(".")
    rows = section.locator("tr.row").count()
    assert section.locator("table.plain circle").count() == rows
    section.locator("summary").filter(has_text="Every two rows").click()
    assert section.locator("details[open] td b").count() > 0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_runs(folder / "runs", datasets=1, methods=2, folds=2, n=60)
    invoke("publish", "--runs-dir", str(folder / "runs"), "--output", str(folder / "site"))
    return folder / "site"


def test_a_published_row_has_a_page_that_loads_nothing(browser, site):
    page, faults, requests = browser.new_page(), [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((site / "index.html").as_uri())
    row = page.locator("tr.row").filter(has_text="fine-tune")
    row.locator("button.open").click()
    page.locator("tr.inside:visible a").click()
    assert page.locator("h1").inner_text() == "net-0 / fine-tune"
    assert page.evaluate("getComputedStyle(document.querySelector('.badge text')).fill") == "rgb(255, 255, 255)"
    with page.expect_download():
        page.locator("figure[data-file=confusion] button.save").click()
    assert faults == []
    assert len(requests) == 2, "the two pages and nothing else"
    page.close()


def test_without_scripts_all_rows_are_open(browser, page_file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("tr.inside").first.is_visible()
    assert not page.locator("#filter").is_visible()
    context.close()


def test_it_prints_within_a_page(page):
    page.set_viewport_size({"width": 1030, "height": 700})
    page.emulate_media(media="print")
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1030
    cut = "(all) => all.filter((part) => part.clientWidth && part.scrollWidth > part.clientWidth + 1)"
    parts = page.locator(".scroll, pre, td, th")
    assert parts.evaluate_all(f"(all) => ({cut})(all).map((part) => part.outerHTML.slice(0, 200))") == []
    assert not page.locator("#filter").is_visible()
