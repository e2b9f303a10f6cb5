"""The page in a real browser, where there is one, and as text where there is none."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import invoke

from fer_bench.corruption import KINDS, parse
from fer_bench.registry import Registry
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.reports.planned import read_judged
from fer_bench.results import corrupted
from fer_bench.results.frozen_plan import FrozenPlan, PlannedTrainings, write_plan
from fer_bench.results.provenance import collect
from fer_bench.results.store import Result

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


@pytest.fixture(scope="module")
def parts_file(browser, tmp_path_factory):
    """A page with a frozen plan, groups of people, and scores on corrupted images."""
    folder = tmp_path_factory.mktemp("parts")
    store = write_runs(folder / "runs", datasets=1, folds=2, failed=0)
    rng, rows = np.random.default_rng(5), {}
    for cell in store.cells()[0]:
        table = cell.table().to_pandas()
        sex = np.array(["woman", "man"])[table["group"].str[1:].astype(int) % 2]
        table["group:sex"] = pd.Categorical(sex)
        result = Result("ok", "", cell.measures, table, pd.DataFrame({"phase": ["p"]}))
        stored = store.write(cell.record, result, cell.provenance)
        clean = table[[f"p{index}" for index in range(7)]].to_numpy()
        for one in parse(["all[severity=2]", "all[severity=4]"]):
            noise = rng.random(clean.shape) * one.severity / 4
            corrupted.write(stored, one, (clean + noise) / (clean + noise).sum(axis=1, keepdims=True))
        experiment = cell.record.experiment
        rows[experiment.id] = PlannedTrainings(
            name=experiment.question, common=experiment, numerics=experiment.numerics, trainings=((0, 0),),
            splits={"0": cell.record.protocol.splits_sha256},
        )  # fmt: skip
    first, second, third, _ = rows
    frozen, questions = "2000-01-01T00:00:00.000+00:00", ((first, second), (first, third))
    plan = FrozenPlan(schema=1, frozen=frozen, metric="uar", margin=0.05, rows=rows, questions=questions)
    write_plan(plan, folder / "plan.json")
    judged = read_judged(folder / "plan.json", store.runs_dir)
    file = folder / "page.html"
    file.write_text(to_html(judged.mark(build(store.cells()[0])), [], judged=judged), encoding="utf-8")
    return file


@pytest.fixture(params=["light", "dark"])
def page(request, browser, page_file):
    """The page at 375 px, which must have loaded without a complaint or a request."""
    yield from open_page(request, browser, page_file)


@pytest.fixture(params=["light", "dark"])
def parts(request, browser, parts_file):
    """The page of a plan, groups and corrupted images, likewise."""
    yield from open_page(request, browser, parts_file)


def open_page(request, browser, page_file):
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


OPEN_ALL = """() => {
  document.querySelectorAll("details").forEach((item) => { item.open = true; });
  document.querySelectorAll("button.open[aria-expanded=false]").forEach((button) => { button.click(); });
}"""
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
  const behind = [];
  for (let part = cell; part; part = part.parentElement) behind.unshift(getComputedStyle(part).backgroundColor);
  const [low, high] = [paint(...behind, getComputedStyle(cell).color), paint(...behind)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""
"""The contrast of a text with what lies behind it, as WCAG 2.2 (1.4.3) defines it."""


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


def test_a_plan_groups_and_corrupted_images_are_shown_on_a_phone(parts, tmp_path):
    planned = parts.locator("main > section").first
    assert planned.locator("tbody tr").count() == 2
    assert "faces-0" in planned.locator("h2").inner_text()
    parts.evaluate(OPEN_ALL)
    assert parts.evaluate("document.documentElement.scrollWidth") <= 375
    groups = parts.locator("details").filter(has=parts.locator("summary", has_text="By group"))
    assert groups.locator("tbody tr").count() == 3
    assert groups.locator("td", has_text="sex").count() == 3
    heat = parts.locator("figure[data-file=corrupted]")
    assert heat.locator("thead th").all_inner_texts() == ["clean", *KINDS]
    lines = [[float(text) for text in line.locator("td").all_inner_texts()] for line in heat.locator("tbody tr").all()]
    assert len(lines) == 4
    assert all(clean >= max(others) - 3 for clean, *others in lines)
    scroll, name = heat.locator(".scroll"), heat.locator("tbody th").first
    scroll.evaluate("(part) => { part.scrollLeft = 300 }")
    left = scroll.evaluate("(part) => part.getBoundingClientRect().left")
    assert name.evaluate("(cell) => cell.getBoundingClientRect().left") == pytest.approx(left, abs=1)
    darkest = max(int(tint[1:]) for tint in re.findall(r"\bh\d+", heat.inner_html()))
    kinds = [
        f"figure[data-file=corrupted] td.h{darkest}",
        "figure[data-file=corrupted] tbody th",
        "main td",
        "main .soft",
    ]
    for selector in kinds:
        assert parts.evaluate(CONTRAST, selector) >= 4.5, selector
    with parts.expect_download() as download:
        heat.locator("button.save").click()
    download.value.save_as(tmp_path / "corrupted.svg")
    figure = ElementTree.parse(tmp_path / "corrupted.svg").getroot()
    assert {"downscaling", f"{lines[0][0]:.0f}"} <= {text.text for text in figure.iter(f"{SVG}text")}


def test_columns_of_groups_and_corrupted_images_can_be_shown(parts):
    parts.locator("#columns summary").click()
    for key, digits in (("corrupted-uar", 1), ("flips", 2), ("worst-sex-uar", 1), ("sex-gap", 1)):
        head = parts.locator(f"table.board th[data-name='{key}']")
        assert not head.is_visible()
        parts.locator(f"#columns input[value='{key}']").check()
        assert head.is_visible()
        column = head.evaluate("(cell) => cell.cellIndex")
        texts = parts.locator(f"tr.row > td:nth-child({column + 1})").all_inner_texts()
        numbers = [text for text in texts if re.match(rf"\d+\.\d{{{digits}}} \(\d", text)]
        assert len(numbers) == 4, texts


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
