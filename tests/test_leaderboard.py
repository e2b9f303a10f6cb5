"""The leaderboard against numbers worked out by hand."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import shutil
import subprocess
import sys

import latex_reader
import numpy as np
import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_result
from typer.testing import CliRunner
from written import FORMATS, write

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import boards
from fer_bench.reports.leaderboard import build
from fer_bench.reports.table import words
from fer_bench.results.store import Store


@pytest.fixture
def store(tmp_path):
    """Two folds of one method, worked out in the comments, and one fold of a method that failed once."""
    store = Store(tmp_path / "runs")
    # Both folds: accuracy 5/8; recalls 3/5 and 2/3 -> UAR 19/30; F1 6/9 and 4/7 -> macro-F1 13/21.
    # Fold 0: accuracy 3/4; recalls 2/3 and 1 -> UAR 5/6; F1 0.8 and 2/3 -> macro-F1 11/15.
    store.write(
        make_cell(0), make_result((0, 0, 0, 1), (0, 0, 1, 1), (2, 3), ids=["a", "b", "c", "d"], seconds=1), UNKNOWN
    )
    # Fold 1: accuracy 1/2; recalls 1/2 and 1/2 -> UAR 1/2; F1 1/2 and 1/2.
    store.write(
        make_cell(1), make_result((0, 0, 1, 1), (0, 1, 0, 1), (3, 1), ids=["e", "f", "g", "h"], seconds=2), UNKNOWN
    )
    store.write(
        make_cell(0, strategy="other|<b>"),
        make_result((0, 0, 0, 1), (1, 1, 1, 1), (2, 3), ids=["a", "b", "c", "d"]),
        UNKNOWN,
    )
    store.write(make_cell(1, strategy="other|<b>"), failed("MemoryError: a|b"), UNKNOWN)
    return store


def test_scores_are_recomputed_from_predictions(store):
    rows = {row.strategy: row for row in build(store.cells()[0])}
    probe = rows["probe"]
    assert probe.scores["accuracy"].mean == pytest.approx(5 / 8)
    assert probe.scores["uar"].mean == pytest.approx(19 / 30)
    assert probe.scores["macro_f1"].mean == pytest.approx(13 / 21)
    assert probe.scores["uar"].std == pytest.approx((5 / 6 - 1 / 2) / 2**0.5)
    assert (probe.n, probe.ok, probe.failed, probe.seconds) == (8, 2, 0, 5 + 1 + 2)
    other = rows["other|<b>"]
    assert (other.n, other.ok, other.failed, other.errors) == (4, 1, 1, ("MemoryError: a|b",))
    assert other.scores["uar"].std is None


def test_the_majority_baseline_names_the_commonest_class_of_training(store):
    (baseline,) = [row for row in build(store.cells()[0]) if row.baseline]
    # Fold 0 trains on 2 and 3 samples: class 1, right once in four. Fold 1 trains on 3 and 1: class 0, right in half.
    assert baseline.scores["accuracy"].mean == pytest.approx((1 / 4 + 1 / 2) / 2)
    # Recalls over both folds: 2 of 5 and 1 of 3.
    assert baseline.scores["uar"].mean == pytest.approx((2 / 5 + 1 / 3) / 2)
    assert baseline.strategy == "majority-class"


def test_the_majority_is_that_of_all_cells_though_no_method_has_all_of_them(store):
    shutil.rmtree(store.folder(make_cell(0).id))
    (baseline,) = [row for row in build(store.cells()[0]) if row.baseline]
    # Fold 0 is of the one method and fold 1 of the other.
    assert baseline.scores["accuracy"].mean == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert (baseline.n, baseline.ok) == (8, 2)


def test_chance_and_majority_stand_in_every_format(store):
    """Worked out by hand, over two folds.

    Guessing as often as in training: fold 0 trains on 2 and 3 and tests 3 and 1, (3 * 2/5 + 1 * 3/5) / 4 = 9/20; fold 1
    trains on 3 and 1 and tests 2 and 2, 1/2; of both 19/40 = 47.5 %. Recalls (3 * 2/5 + 2 * 3/4) / 5 and
    (1 * 3/5 + 2 * 1/4) / 3: UAR 45.3 %. Limits of 8 images: P(at most 6 of 8) is 1 - 9/256 = 0.965 at 1/2; P(at most 5)
    0.855, or 0.886 at 19/40, so 6/8 for both.
    The majority: accuracy (1/4 + 1/2) / 2 = 37.5 %, spread 17.7; UAR (2/5 + 1/3) / 2 = 36.7 %.
    """
    rows = build(store.cells()[0])
    for form in ("terminal", "md", "latex", "html"):
        text = write(form, rows)
        text = text.replace("\\%", "%").replace("$\\pm$", "±").replace("\\_", "_")
        assert "(chance UAR 45.3 %, accuracy 47.5 %)" in " ".join(text.split()), form
        start = text.index("majority-class")
        places = [text.index(number, start) for number in ("37.5 ± 17.7", "36.7 ± 0.0")]
        assert (places == sorted(places)) == (form != "html"), "on the page, what orders the rows comes first"
    chance = {"uniform": 0.5, "prior": 0.475, "uar": 34 / 75, "uniform_limit": 0.75, "prior_limit": 0.75, "level": 0.95}
    for row in json.loads(write("json", rows))["rows"]:
        # The row with one failed cell speaks of fold 0 alone: P(at most 3 of 4) is 0.938 at 1/2 and 0.959 at 9/20.
        partial = {**chance, "prior": 0.45, "uar": 0.5, "uniform_limit": 1.0, "prior_limit": 0.75}
        assert row["chance"] == pytest.approx(partial if row["strategy"] == "other|<b>" else chance)
        if row["baseline"]:
            assert row["scores"]["accuracy"] == pytest.approx({"mean": 0.375, "std": 0.125 * 2**0.5})
            assert row["scores"]["uar"] == pytest.approx({"mean": 11 / 30, "std": 0.0})
    table = {line["strategy"]: line for line in csv.DictReader(io.StringIO(write("csv", rows)))}
    assert not {"scores", "chance", "soft", "interval", "ranks", "cost", "groups", "cells"} & {*table["majority-class"]}
    assert {name: float(table["majority-class"][f"chance_{name}"]) for name in chance if name != "level"} == (
        pytest.approx({name: value for name, value in chance.items() if name != "level"})
    )
    assert float(table["majority-class"]["accuracy_mean"]) == 0.375


def test_best_uar_comes_first_within_a_board(store):
    assert [row.strategy for row in build(store.cells()[0])] == ["probe", "other|<b>", "majority-class"]


def test_only_failed_cells_still_make_a_row(tmp_path):
    store = Store(tmp_path)
    store.write(make_cell(), failed(), UNKNOWN)
    (row,) = build(store.cells()[0])
    assert (row.ok, row.failed, row.scores) == (0, 1, {})
    for form in FORMATS:
        assert "ValueError: no" in write(form, [row])


def test_rows_of_other_code_are_told_apart(tmp_path):
    store = Store(tmp_path)
    store.write(make_cell(fingerprint="1"), make_result(), UNKNOWN)
    store.write(make_cell(fingerprint="2"), make_result(), UNKNOWN)
    rows = [row for row in build(store.cells()[0]) if not row.baseline]
    assert len({row.variant for row in rows}) == 2
    assert "variant" in write("terminal", rows)


def test_json_has_the_documented_form(store):
    document = json.loads(write("json", build(store.cells()[0]), ["x: broken"]))
    assert document["schema"] == 3
    assert document["damaged"] == ["x: broken"]
    row = document["rows"][0]
    assert row["scores"]["accuracy"] == {"mean": 0.625, "std": pytest.approx(0.1767767)}
    assert row["cells"] == {"ok": 2, "failed": 0}
    wanted = {
        "dataset",
        "protocol",
        "backbone",
        "strategy",
        "n",
        "scores",
        "metric",
        "interval",
        "ranks",
        "may_be_best",
        "behind",
        "sources",
        "cells",
        "parameters",
        "seconds",
    }
    assert wanted <= set(row)


def test_csv_and_markdown_survive_hostile_names(store):
    rows = build(store.cells()[0])
    table = list(csv.DictReader(io.StringIO(write("csv", rows))))
    assert [row["strategy"] for row in table] == ["probe", "other|<b>", "majority-class"]
    assert float(table[0]["uar_mean"]) == pytest.approx(19 / 30)
    markdown = write("md", rows)
    assert r"other\|\<b\>" in markdown
    assert "| net | probe | 62.5 ± 17.7 | 63.3 ± 23.6 | " in markdown
    assert re.search(r"to \d+\.\d \| .* \| 61\.9 ± 16\.5 \| 8 \| 2/2 \| 1\.00 M \| 10 \| 8\.0 \|", markdown)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_terminal_table_never_cuts_a_number_and_explains_what_it_shows(store, width):
    text = write("terminal", rows := build(store.cells()[0]), width=width)
    assert "…" not in text
    assert all(f"{100 * row.scores['uar'].mean:.1f} ± " in text for row in rows if row.ok > 1)
    assert width < 80 or max(map(len, text.splitlines())) <= width
    said = " ".join(text.split())
    hidden = said.partition("Left out at this width: ")[2].partition(". ")[0].split(", ")
    explained = [title for title, meaning in boards.legend(rows) if title and meaning in said]
    assert explained == [title for title, _ in boards.legend(rows) if title and title not in hidden]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_runs_give_the_same_bytes(store, tmp_path, form):
    copy = tmp_path / "elsewhere"
    shutil.copytree(store.runs_dir, copy)
    outputs = []
    for number, folder in enumerate((store.runs_dir, store.runs_dir, copy)):
        file = tmp_path / "out" / f"{number}.txt"
        result = CliRunner().invoke(
            app, ["leaderboard", "--runs-dir", str(folder), "--format", form, "--output", str(file)]
        )
        assert result.exit_code == 0, result.output
        outputs.append(file.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]
    assert b"probe" in outputs[0]


def test_the_command_leaves_the_collector_of_garbage_as_it_was(store):
    assert gc.isenabled()
    done = CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(store.runs_dir), "--format", "csv"])
    assert (done.exit_code, gc.isenabled()) == (0, True)
    failed = CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(store.runs_dir / "nowhere")])
    assert (failed.exit_code, gc.isenabled()) == (1, True)


def _many(store, strategy, right, *, seed=0, groups=None, n=200):
    """Store one cell of ``n`` samples, of which those in ``right`` are labelled right."""
    labels = np.arange(n) % 2
    predicted = np.where(np.isin(np.arange(n), right), labels, 1 - labels)
    result = make_result(labels, predicted, (n, n), seconds=1)
    if groups is not None:
        result.predictions["group"] = groups
    store.write(make_cell(seed=seed, strategy=strategy), result, UNKNOWN)


def test_rows_that_differ_by_chance_share_a_tier_and_better_ones_do_not(tmp_path):
    store = Store(tmp_path)
    _many(store, "good", range(190))
    _many(store, "good too", range(2, 191))
    _many(store, "poor", range(130))
    rows = {row.strategy: row for row in build(store.cells()[0])}
    assert rows["good"].tier == rows["good too"].tier == "a"
    assert rows["poor"].tier == "b"
    assert rows["majority-class"].tier == ""
    assert all(rows[name].standing.above_baseline for name in ("good", "good too", "poor"))
    assert rows["good"].interval.low < 0.95 < rows["good"].interval.high
    # 130 of 200 right: a binomial interval reaches from 0.58 to 0.72.
    assert rows["poor"].interval.low == pytest.approx(0.58, abs=0.02)
    assert rows["poor"].interval.high == pytest.approx(0.72, abs=0.02)


def test_subjects_and_not_images_are_resampled(tmp_path):
    one, other = Store(tmp_path / "images"), Store(tmp_path / "subjects")
    _many(one, "probe", range(130))
    _many(other, "probe", range(130), groups=[f"s{i // 10}" for i in range(200)])
    (images, _), (subjects, _) = (build(store.cells()[0]) for store in (one, other))
    assert (images.interval.units, subjects.interval.units) == (200, 20)
    width = subjects.interval.high - subjects.interval.low
    assert width > 2 * (images.interval.high - images.interval.low)  # a subject is right or wrong as a whole


def test_seeds_of_the_same_images_are_not_counted_as_more_images(tmp_path):
    store = Store(tmp_path)
    for seed in range(3):
        _many(store, "probe", range(130), seed=seed)
    (row, _) = build(store.cells()[0])
    assert (row.n, row.interval.units) == (200, 200)


def test_a_row_with_missing_cells_has_no_tier(tmp_path):
    store = Store(tmp_path)
    for seed in (0, 1):
        _many(store, "whole", range(130), seed=seed)
    _many(store, "part", range(120))
    rows = {row.strategy: row for row in build(store.cells()[0])}
    assert rows["part"].tier == ""
    assert rows["whole"].tier == "a"


def test_standings_hold_ranks_and_which_rows_may_be_best(tmp_path):
    store = Store(tmp_path)
    _many(store, "good", range(190))
    _many(store, "good too", range(2, 191))
    _many(store, "poor", range(130))
    rows = {row.strategy: row for row in build(store.cells()[0])}
    assert rows["good"].standing.ranks == rows["good too"].standing.ranks == (1, 2)
    assert rows["poor"].standing.ranks == (3, 3)
    assert [name for name, row in rows.items() if row.standing and row.standing.may_be_best] == ["good", "good too"]
    assert rows["good"].standing.behind == 0
    assert rows["good too"].standing.behind < 0.5 < 0.999 < rows["poor"].standing.behind
    assert rows["majority-class"].standing is None


@pytest.mark.parametrize("metric", [name for name, metric in STANDARD.items() if not metric.biased])
def test_every_metric_orders_the_rows_by_its_direction(store, metric):
    rows = build(store.cells()[0], by=STANDARD[metric])
    means = [row.scores[metric].mean for row in rows]
    assert means == sorted(means, reverse=STANDARD[metric].higher_is_better)
    result = CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(store.runs_dir), "--metric", metric])
    assert result.exit_code == 0, result.output
    assert f"best {STANDARD[metric].title} first" in " ".join(result.output.split())


def test_an_unknown_metric_is_named_with_what_was_meant(store):
    with pytest.raises(FerBenchError, match=r"Unknown metric 'macro-f1'.*macro_f1"):
        CliRunner().invoke(
            app, ["leaderboard", "--runs-dir", str(store.runs_dir), "--metric", "macro-f1"], catch_exceptions=False
        )


HOSTILE = [
    r"50%_$x$ \input{a} [b] #&~^<|>",
    r"\end{tabular}\end{table} & \\ [2em] %",
    "*starred",
    "[optional]",
    "a--b---c ``quoted'' \"double\"",
    "\\",
    "}{",
    "two\nlines % and a comment",
    "$",
    "größer ± 5",
]


def test_latex_prints_every_name_as_it_is(tmp_path):
    """Against a reader of its own, since few machines have LaTeX."""
    store = Store(tmp_path)
    for name in HOSTILE:
        store.write(make_cell(strategy=name, backbone=name, text=HOSTILE[0]), make_result(), UNKNOWN)
        store.write(
            make_cell(strategy=name, backbone=name, text=HOSTILE[0], seed=1),
            failed(f"ValueError: {name}"),
            UNKNOWN,
        )
    for show in ("scores", "cost", "groups", "soft"):
        rows = build(store.cells()[0])
        (table,) = latex_reader.read(write("latex", rows, [f"x: {HOSTILE[0]}"], show))
        (board, _) = boards.to_tables(rows, [], show)
        assert table.caption == " ".join(board.title.split())
        assert table.rows[0] == [column.title for column in board.columns]
        assert table.rows[1:] == [[" ".join(words(cell).split()) for cell in row] for row in board.rows]
        names = {" ".join(name.split()) for name in HOSTILE}
        assert {row[1] for row in table.rows[1:]} == {*names, "majority-class"}


@pytest.mark.skipif(
    not shutil.which("kpsewhich") or not subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).stdout,
    reason="needs LaTeX with booktabs (Debian: texlive-latex-recommended)",
)
@pytest.mark.parametrize("kind", ["long", "hostile"])
def test_latex_compiles_the_tables_and_a_column_of_a_paper_holds_them(tmp_path, kind):
    store = Store(tmp_path / "runs")
    names = {
        "long": ["finetune[from_stage=block13,learning_rate=0.0001,augment=[affine,colour]]", "linear-probe"],
        "hostile": HOSTILE,
    }[kind]
    text, net = ("fer2013[split=training]", "xception[input_size=149]") if kind == "long" else HOSTILE[:2]
    for name in names:
        store.write(make_cell(strategy=name, backbone=net, text=text), make_result(), UNKNOWN)
    tex = write("latex", build(store.cells()[0]), [], "paper")
    (packages,) = re.findall(r"^% Load: (.*)$", tex, re.MULTILINE)
    head = "\\documentclass[twocolumn]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{textcomp}\n"
    (tmp_path / "a.tex").write_text(f"{head}{packages}\n\\begin{{document}}\n{tex}\\end{{document}}\n", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert kind == "hostile" or "Overfull" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (r"\&", "&", "has 2 columns"),
        (r"\%", "%", "last row"),
        (r"\_", "_", "'_' in"),
        ("{*}", "*", r"followed by '\*'"),
        (r"\end{table}", "", "not a table"),
        (r"\textbackslash{}input", r"\input", "input"),
        (r"a-{}-b", "a--b", "another sign"),
    ],
)
def test_the_reader_of_latex_refuses_what_latex_reads_otherwise(before, after, message):
    text = (
        "\\begin{table}\n\\centering\n\\caption{A}\n\\label{tab:a}\n\\begin{tabular}{ll}\n"
        "\\toprule\na & b \\\\\n\\midrule\n"
        "x & y \\\\\n"
        r"{*}\%\_\& & \textbackslash{}input a-{}-b \\" + "\n\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )
    assert latex_reader.read(text)[0].rows == [["a", "b"], ["x", "y"], ["*%_&", r"\input a--b"]]
    with pytest.raises(ValueError, match=message):
        latex_reader.read(text.replace(before, after, 1))


@pytest.mark.parametrize("form", ["csv", "md", "terminal"])
def test_a_table_needs_no_pandas_which_takes_long_to_import(store, form):
    program = "import sys; sys.modules['pandas'] = None; from fer_bench.cli import main; main()"
    arguments = ["leaderboard", "--runs-dir", str(store.runs_dir), "--format", form]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "probe" in done.stdout


def test_a_board_of_too_few_units_says_so_before_its_letters(tmp_path):
    store, labels = Store(tmp_path), [n % 2 for n in range(20)]
    for strategy, wrong in (("probe", 9), ("tune", 0)):
        result = make_result(labels, [label ^ (n < wrong) for n, label in enumerate(labels)])
        result.predictions["group"] = [f"sequence:{n // 4}" for n in range(20)]
        store.write(make_cell(0, strategy=strategy), result, UNKNOWN)
    rows = build(store.cells()[0])
    assert {row.tier for row in rows if not row.baseline} == {"a"}
    text = write("terminal", rows, width=300)
    assert says(text, "5 sequences", "5 %", "6", "tier", "20 sequences")
    assert "SE sequences" in write("terminal", rows, show="variance")
