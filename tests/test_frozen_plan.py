"""Plans that are frozen before a run (docs/protocols.md): written once, matched with rows, corrected for themselves."""

from __future__ import annotations

import json

import pytest
from messages import says
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import BASE, invoke
from written import write

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import board_records, boards, comparison
from fer_bench.reports.leaderboard import build
from fer_bench.reports.planned import read_judged
from fer_bench.results.frozen_plan import FrozenPlan, PlannedTrainings, read_plan, write_plan
from fer_bench.results.store import Store

WRONG = {"probe": 24, "tune": 12, "guess": 30, "other": 13}
IDS = [f"i{n:02d}" for n in range(60)]
LABELS = [n % 2 for n in range(60)]


@pytest.fixture
def store(tmp_path):
    """Four methods of one seed; each answers its first images wrong."""
    return write_rows(Store(tmp_path / "runs"))


def write_rows(store, **dataset):
    for strategy, wrong in WRONG.items():
        answers = [label ^ (n < wrong) for n, label in enumerate(LABELS)]
        for fold in (0, 1):
            half = slice(30 * fold, 30 * fold + 30)
            result = make_result(LABELS[half], answers[half], ids=IDS[half])
            store.write(make_cell(fold, strategy=strategy, n=60, **dataset), result, UNKNOWN)
    return store


def freeze(file, questions, frozen="2000-01-01T00:00:00.000+00:00", seeds=(0,), splits="0", **dataset):
    """Freeze questions; a name with ``@`` is that of a row of another data set."""

    def make(name):
        strategy, _, text = name.partition("@")
        return make_cell(0, strategy=strategy, **{"n": 60, **dataset, **({"text": text} if text else {})})

    cells = {name: make(name) for name in {*sum(questions, ())}}
    ids = {name: cell.experiment.id for name, cell in cells.items()}
    rows = {
        ids[name]: PlannedTrainings(
            name=cell.experiment.question,
            common=cell.experiment,
            numerics=cell.experiment.numerics,
            trainings=tuple((seed, seed) for seed in seeds),
            splits=dict.fromkeys(map(str, seeds), splits),
        )
        for name, cell in cells.items()
    }
    asked = tuple((ids[one], ids[other]) for one, other in questions)
    write_plan(FrozenPlan(schema=1, frozen=frozen, metric="uar", margin=0.05, rows=rows, questions=asked), file)
    return file


def test_only_the_planned_comparisons_are_corrected_for(store, tmp_path):
    judged = read_judged(freeze(tmp_path / "plan.json", [("tune", "probe"), ("other", "tune")]), store.runs_dir)
    ((_, (first, second)),) = judged.boards
    rows = {row.strategy: row for row in build(store.cells()[0])}
    names = ("tune", "probe", "other")
    tune, probe, other = (comparison.estimate(STANDARD["uar"], rows[name].pooled) for name in names)
    assert first.difference.value == pytest.approx(12 / 60)
    assert second.difference.value == pytest.approx(-1 / 60)
    assert [first.p_value, second.p_value] == adjust_steps([tune, probe, other], [(0, 1), (2, 0)]).tolist()
    by_itself = compare_estimates(probe, tune, level=1 - 0.05 / 2)
    assert (first.difference.low, first.difference.high) == (by_itself.low, by_itself.high)
    assert says(first.answer, "A", "beyond")
    assert says(second.answer, "within")
    assert judged.find(rows["probe"].id, rows["tune"].id) is first
    assert judged.find(rows["probe"].id, rows["guess"].id) is None
    marks = {row.strategy: row.planned for row in judged.mark(list(rows.values()))}
    assert marks == {"tune": True, "probe": True, "other": True, "guess": False, "majority-class": None}


def test_a_plan_about_several_data_sets_is_one_family_and_a_site_shows_it(store, tmp_path):
    write_rows(store, text="letters")
    alone = read_judged(freeze(tmp_path / "alone.json", [("tune", "guess")]), store.runs_dir)
    asked = [("tune", "guess"), ("tune@letters", "guess@letters"), ("probe@letters", "other@letters")]
    file = freeze(tmp_path / "plan.json", asked)
    judged = read_judged(file, store.runs_dir)
    ((_, (first,)),) = alone.boards
    (_, (faces,)), (_, letters) = judged.boards
    # One of three questions has a third of the error; two of three have two thirds, with the steps of two.
    assert 0 < first.p_value < 0.05
    assert faces.p_value == pytest.approx(3 * first.p_value)
    estimates = [
        comparison.estimate(STANDARD["uar"], row.pooled) for answer in letters for row in (answer.first, answer.second)
    ]
    assert [one.p_value for one in letters] == pytest.approx(1.5 * adjust_steps(estimates, [(0, 1), (2, 3)]))
    assert [one.difference.level for one in (faces, *letters)] == pytest.approx([1 - 0.05 / 3] * 3)
    site = tmp_path / "site"
    told = invoke("publish", "--runs-dir", str(store.runs_dir), "--output", str(site), "--plan", str(file))
    assert told.exit_code == 0, told.stderr
    assert (site / "plan.json").read_bytes() == file.read_bytes()
    page = (site / "index.html").read_text()
    assert says(page, "Planned", "letters", judged.plan.digest[:12], 'href="plan.json"')
    assert len(json.loads((site / "leaderboard.json").read_text())["plan"]["answers"]) == 3
    again = invoke("publish", "--runs-dir", str(store.runs_dir), "--output", str(site))
    assert (again.exit_code, (site / "plan.json").exists()) == (0, False)


def test_every_format_shows_what_was_planned(store, tmp_path):
    file = freeze(tmp_path / "plan.json", [("tune", "probe")])
    judged = read_judged(file, store.runs_dir)
    rows = judged.mark(build(store.cells()[0]))
    plan = board_records.record(rows, (), judged)["plan"]
    (answer,) = plan["answers"]
    assert (plan["digest"], plan["margin"]) == (read_plan(file).digest, 0.05)
    assert answer["p_value"] == judged.boards[0][1][0].p_value
    board, planned, _ = boards.to_tables(rows, (), judged=judged)
    marks = {row[1]: row[2] for row in board.rows}
    assert (marks["guess"], marks["tune"]) == ("no", "yes")
    assert [row[:2] for row in planned.rows] == [("tune", "probe")]
    assert says(write("html", rows), "guess", "no")
    told = invoke("leaderboard", "--runs-dir", str(store.runs_dir), "--plan", str(file), "--format", "html").stdout
    assert says(told, "Planned", "tune", "probe", plan["digest"][:12])
    base = ["compare", "probe", "tune", "--runs-dir", str(store.runs_dir), "--plan", str(file)]
    assert says(invoke(*base).stdout, "planned", plan["digest"][:12], "B better")
    base[2] = "guess"
    assert json.loads(invoke(*base, "--format", "json").stdout)["plan"]["planned"] is False


@pytest.mark.parametrize(
    ("planned", "named"),
    [
        ({"fingerprint": "e" * 64}, ["other data"]),
        ({"text": "letters"}, ["letters / kfold x 2", "not there"]),
        ({"splits": "7"}, ["seed 0"]),
        ({"seeds": (0, 1)}, ["2 trainings", "1 are missing"]),
        ({"frozen": "2999-01-01T00:00:00.000+00:00"}, ["2 cells", "before"]),
    ],
)
def test_a_plan_of_other_rows_is_refused_in_one_message(store, tmp_path, planned, named):
    file = freeze(tmp_path / "plan.json", [("tune", "probe")], **planned)
    with pytest.raises(FerBenchError) as caught:
        read_judged(file, store.runs_dir)
    assert says(str(caught.value), "plan.json", *named)
    assert str(caught.value).count("  - ") == 2, "both rows"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (lambda text: text.replace('"margin": 0.05', '"margin": 0.5'), ["changed", "digest"]),
        (lambda text: "{}", ["digest", "--freeze"]),
        (lambda text: "[" * 100_000, ["plan.json", "--freeze"]),
        (lambda text: "[1]", ["plan.json", "--freeze"]),
    ],
)
def test_a_plan_that_was_changed_is_refused(tmp_path, text, named):
    file = freeze(tmp_path / "plan.json", [("tune", "probe")])
    file.write_text(text(file.read_text()))
    with pytest.raises(FerBenchError) as caught:
        read_plan(file)
    assert says(str(caught.value), *named)


def test_a_grid_is_frozen_before_it_runs_and_once(tiny):
    grid = ["plan", "--no-probe", *BASE, "--strategy", "steps", "--folds", "3"]
    told = invoke(*grid, "--freeze", "plan.json", "--question", "steps vs probe", "--margin", "3pt")
    assert says(told.stderr, "leaderboard --plan plan.json")
    plan = read_plan(tiny / "plan.json")
    assert says(told.stderr, "plan.json", "UAR", plan.digest, "steps", " vs ", "probe")
    (pair,) = [[plan.rows[one].experiment.strategy.text for one in question] for question in plan.questions]
    assert (pair, plan.metric, plan.margin) == (["steps", "probe"], "uar", 0.03)
    for words, named in (
        (["--freeze", "plan.json"], ["plan.json"]),
        (["--question", "steps vs probe"], ["--freeze"]),
        (["--freeze", "b.json", "--question", "steps"], ["'steps'", " vs "]),
        (
            ["--freeze", "b.json", "--question", "steps vs net", "--question", "steps vs knn"],
            ["'net'", "2 rows", "'steps'", "'knn'", "net / probe"],
        ),
    ):
        with pytest.raises(FerBenchError) as caught:
            invoke(*grid, *words)
        assert says(str(caught.value), *named)
    assert not (tiny / "b.json").exists()
    invoke("run", *BASE, "--folds", "3", "--json")
    with pytest.raises(FerBenchError) as caught:
        invoke(*grid, "--freeze", "c.json")
    assert says(str(caught.value), "3 of 6 cells")
