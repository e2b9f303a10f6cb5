"""What the page says and draws of a board, against its JSON."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_result

from fer_bench.reports import board_records
from fer_bench.reports.charts import confusion_of, draw_costs, draw_intervals, draw_pairs, draw_recalls
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.reports.pairwise import compare_all, find_ranked, name_shortly, sum_up
from fer_bench.reports.row import Row
from fer_bench.results.store import Store

SIZE = "parameters, millions"


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> list[Row]:
    """Four seeds of three methods and the majority class, which differ widely."""
    folder = tmp_path_factory.mktemp("charts")
    return build(write_runs(folder, datasets=1, methods=3, seeds=4, failed=0).cells()[0])


def test_a_board_says_in_a_sentence_which_method_is_best_and_by_how_much(board):
    methods = find_ranked(board)
    pair = compare_all(methods)[0, 1]
    assert len({row.tier for row in methods}) == 3
    said = sum_up(board)
    first, second = name_shortly(methods)[:2]
    assert re.search(rf"^{re.escape(first)} .* UAR: .* {re.escape(second)}, p [<=]", said)
    shown = [f"{100 * value:.1f}" for value in (pair.difference.value, pair.difference.low, pair.difference.high)]
    assert re.findall(r"\d+\.\d(?!\d)", said)[:3] == shown
    assert pair.difference.value == pytest.approx(methods[0].scores["uar"].mean - methods[1].scores["uar"].mean)


def test_a_board_without_a_winner_names_none(tmp_path):
    store = Store(tmp_path)
    for name in ("a", "b"):
        store.write(make_cell(strategy=name), make_result((0, 0, 1, 1), (0, 1, 1, 0), ids=list("wxyz")), UNKNOWN)
    board = build(store.cells()[0])
    said = sum_up(board)
    assert re.search(r"\ba or b\b", said)
    assert "best by" not in said
    alone = sum_up([row for row in board if row.strategy != "b"])
    assert "net" in alone.split()
    assert "or" not in alone.split()


def test_names_leave_out_what_all_rows_share(board):
    first, second, third = (row for row in board if not row.baseline)
    assert name_shortly([first, second, third]) == [
        f"{row.backbone} / {row.strategy}" for row in (first, second, third)
    ]
    same = [row for row in (first, second, third) if row.backbone == "net-0"]
    assert sorted(name_shortly(same)) == ["fine-tune", "linear-probe"]


def test_intervals_lie_on_the_axis_in_the_order_of_the_scores(board):
    drawn = draw_intervals(board)
    places = [line["at"] for line in drawn["lines"]]
    assert places == sorted(places, reverse=True)
    for line, row in zip(drawn["lines"], board, strict=True):
        assert 0 <= line["from"] <= line["at"] <= line["to"] <= drawn["width"] or row.baseline
        assert line["text"] == f"{100 * row.scores['uar'].mean:.1f}"
    assert drawn["floor"] == places[-1]


def test_the_plot_of_costs_puts_dear_rows_right_and_good_ones_up(board):
    drawn = draw_costs(board)
    methods = [row for row in board if not row.baseline]
    points = drawn["points"]
    assert np.argsort([point["y"] for point in points]).tolist() == list(range(len(points)))
    across = sorted(zip([row.seconds for row in methods], [point["x"] for point in points], strict=True))
    assert [x for _, x in across] == sorted(x for _, x in across)
    assert (points[0]["x"], points[0]["y"]) == drawn["front"][-1]
    assert draw_costs(board[:1]) is None
    by_size = draw_costs([replace(row, parameters=place * 1_000_000) for place, row in enumerate(methods)], SIZE)
    assert [point["cost"] for point in by_size["points"]] == ["1", "2"], "the first has none"
    assert by_size["front"] == [(by_size["points"][0]["x"], by_size["points"][0]["y"])], "smaller and better"


def test_the_matrix_of_pairs_is_antisymmetric_and_marks_those_apart(board):
    drawn = draw_pairs(board)
    cells = [[cell and float(cell["text"]) for cell in line["cells"]] for line in drawn["lines"]]
    for i in range(3):
        assert cells[i][i] is None
        for j in range(i):
            assert cells[i][j] == -cells[j][i]
            assert drawn["lines"][i]["cells"][j]["apart"]
            assert drawn["lines"][i]["cells"][j]["tint"].startswith("c")
            assert drawn["lines"][j]["cells"][i]["tint"].startswith("h")
    assert draw_pairs(board[:1]) is None


def test_confusion_and_recalls_are_those_of_scikit_learn(board):
    drawn = draw_recalls(board)
    for row, line in zip([row for row in board if not row.baseline], drawn["lines"], strict=True):
        expected = confusion_matrix(row.pooled.labels, row.pooled.probabilities.argmax(axis=1), labels=range(7))
        assert (confusion_of(row) == expected).all()
        recalls = np.diag(expected) / expected.sum(axis=1)
        assert [cell["text"] for cell in line["cells"]] == [f"{100 * recall:.0f}" for recall in recalls]


def test_the_page_holds_its_numbers_as_files_and_its_title(board):
    text = to_html(board, [], title="Our <b>faces</b>")
    assert "<h1>Our &lt;b&gt;faces&lt;/b&gt;</h1>" in text
    files = {
        name: base64.b64decode(content).decode()
        for name, content in re.findall(r'download="leaderboard\.(\w+)" href="data:[\w/]+;base64,([^"]+)"', text)
    }
    assert json.loads(files["json"]) == json.loads(json.dumps(board_records.record(board, [])))
    assert [row["strategy"] for row in csv.DictReader(io.StringIO(files["csv"]))] == [row.strategy for row in board]
    assert sum_up(board) in text
