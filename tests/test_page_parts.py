"""The page of a frozen plan, of groups of people and of corrupted images, in a real browser."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from browser import CONTRAST, OPEN_ALL, open_page, start_browser
from synthetic_runs import write_runs

from fer_bench.corruption import KINDS, parse
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.reports.planned import read_judged
from fer_bench.results import corrupted
from fer_bench.results.frozen_plan import FrozenPlan, PlannedTrainings, write_plan
from fer_bench.results.store import Result


@pytest.fixture(scope="module")
def browser():
    with start_browser() as started:
        yield started


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
def page(request, browser, parts_file):
    with open_page(browser, parts_file, request.param) as opened:
        yield opened


def test_a_plan_groups_and_corrupted_images_are_shown_on_a_phone(page, tmp_path):
    planned = page.locator("main > section").first
    assert planned.locator("tbody tr").count() == 2
    assert "faces-0" in planned.locator("h2").inner_text()
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    groups = page.locator("details").filter(has=page.locator("summary", has_text="By group"))
    assert groups.locator("tbody tr").count() == 3
    assert groups.locator("td", has_text="sex").count() == 3
    heat = page.locator("figure[data-file=corrupted]")
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
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
    with page.expect_download() as download:
        heat.locator("button.save").click()
    download.value.save_as(tmp_path / "corrupted.svg")
    figure = ElementTree.parse(tmp_path / "corrupted.svg").getroot()
    assert {"downscaling", f"{lines[0][0]:.0f}"} <= {
        text.text for text in figure.iter("{http://www.w3.org/2000/svg}text")
    }


def test_columns_of_groups_and_corrupted_images_can_be_shown(page):
    page.locator("#columns summary").click()
    for key, digits in (("corrupted-uar", 1), ("flips", 2), ("worst-sex-uar", 1), ("sex-gap", 1)):
        head = page.locator(f"table.board th[data-name='{key}']")
        assert not head.is_visible()
        page.locator(f"#columns input[value='{key}']").check()
        assert head.is_visible()
        column = head.evaluate("(cell) => cell.cellIndex")
        texts = page.locator(f"tr.row > td:nth-child({column + 1})").all_inner_texts()
        numbers = [text for text in texts if re.match(rf"\d+\.\d{{{digits}}} \(\d", text)]
        assert len(numbers) == 4, texts
