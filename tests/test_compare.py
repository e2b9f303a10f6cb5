"""Two rows side by side: numbers worked out by hand, what is paired, what differs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.reports import pair_formats
from fer_bench.reports.pair import compare
from fer_bench.results.find import find_row
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store

IDS = [f"i{n:02d}" for n in range(40)]
LABELS = [n % 2 for n in range(40)]


def answers(wrong: int) -> list[int]:
    """Answers of which the first ``wrong`` are wrong."""
    return [label ^ (n < wrong) for n, label in enumerate(LABELS)]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    for name, wrong in (("probe", 12), ("tune", 2)):
        for seed in (0, 1):
            result = make_result(LABELS, answers(wrong), ids=IDS)
            store.write(
                make_cell(0, seed, strategy=name), result, Provenance(python=f"3 for {name}", memory_bytes=seed)
            )
    return store


def invoke(*arguments: object):
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_differences_are_paired_and_tested(store):
    document = json.loads(invoke("probe", "tune", "--runs-dir", store.runs_dir, "--format", "json").stdout)
    accuracy = document["metrics"]["accuracy"]
    assert (accuracy["first"], accuracy["second"]) == (28 / 40, 38 / 40)
    assert accuracy["difference"] == pytest.approx(0.25)
    # Ten samples that only the second gets right, under both seeds: p = 2 / 2^10, within four errors of 4,000 flips.
    assert accuracy["p_value"] == pytest.approx(2 / 2**10, abs=0.003)
    assert (accuracy["test"], accuracy["seed_error"], accuracy["seeds"]) == ("sign flips", 0, 2)
    assert accuracy["equivalence"]["more"] > 0.95
    assert accuracy["low"] > 0.1
    assert document["metrics"]["nll"]["difference"] < 0 < document["metrics"]["nll"]["p_value"] < 0.01
    assert (document["paired"], document["units"], document["unit"]) == (80, 40, "images")
    ece = document["metrics"]["ece"]
    assert (ece["first"], ece["difference"], ece["p_value"], ece["low"]) == (
        pytest.approx(ece["first"]),
        None,
        None,
        None,
    )
    assert document["right"] == {"only_first": 0, "only_second": 10}  # samples, not trainings
    assert document["spec"] == [{"field": "strategy.text", "first": "probe", "second": "tune"}]
    assert document["provenance"] == [{"field": "python", "first": "3 for probe", "second": "3 for tune"}]


@pytest.mark.parametrize("words", [("leaderboard",), ("check", "--baseline", "none"), ("power", "probe", "tune")])
@pytest.mark.parametrize("name", ["ece", "adaptive_ece"])
def test_a_calibration_error_orders_and_tests_nothing(store, words, name):
    """Noise in its bins makes it larger, the more the fewer images there are."""
    done = CliRunner().invoke(app, [*words, "--metric", name, "--runs-dir", str(store.runs_dir)])
    assert says(str(done.exception), "ECE", "brier", "--columns calibration")
    words = ["leaderboard", "--columns", "calibration", "--format", "md", "--runs-dir", str(store.runs_dir)]
    assert "| NLL (nats) | Brier | ECE | ECE (equal mass) |" in CliRunner().invoke(app, words).stdout


def test_the_terminal_and_markdown_say_which_is_better(store):
    told = invoke("probe", "tune", "--runs-dir", store.runs_dir).stdout
    accuracy = next(line for line in told.splitlines() if "Accuracy" in line)
    assert accuracy.split()[:4] == ["Accuracy", "0.7000", "0.9500", "+0.2500"]
    assert accuracy.split()[-3:] == ["B", "1", "97"]
    loss = next(
        line for line in invoke("tune", "probe", "--runs-dir", store.runs_dir).stdout.splitlines() if "NLL" in line
    )
    assert loss.split()[-3:-1] == ["A", "97"]
    for name, params in (("linear", {"c": 1}), ("knn", {"k": 5})):
        cell = make_cell(strategy=name)
        named = replace(cell.strategy, name=name, params=params, plan_sha256=name, code_sha256=name)
        store.write(replace(cell, strategy=named), make_result(LABELS, answers(3), ids=IDS), UNKNOWN)
    settings = next(
        table
        for table in pair_formats.to_tables(compare(find_row(store, "linear"), find_row(store, "knn")))
        if "settings" in table.title
    )
    assert [row[0] for row in settings.rows] == ["strategy", "strategy c", "strategy k"], "its code goes without saying"
    page = invoke("probe", "tune", "--runs-dir", store.runs_dir, "--format", "md").stdout
    assert "| strategy | probe | tune |" in page


def test_a_cell_with_itself_differs_in_nothing(store):
    cell = store.cells()[0][0]
    document = json.loads(invoke(cell.id[:9], cell.id, "--runs-dir", store.runs_dir, "--format", "json").stdout)
    tested = [line for name, line in document["metrics"].items() if "ece" not in name]
    assert {(line["difference"], line["p_value"]) for line in tested} == {(0, 1)}
    assert (document["spec"], document["provenance"]) == ([], [])


def test_of_two_ways_to_deal_a_seed_the_last_counts(store):
    cell = make_cell(0, 1, strategy="probe")
    dealt = replace(cell, protocol=replace(cell.protocol, splits_sha256="other"))
    store.write(dealt, make_result(LABELS, answers(3), ids=IDS), UNKNOWN)
    row = find_row(store, "probe")
    assert [cell.id for cell in row.cells] == [make_cell(0, 0, strategy="probe").id, dealt.id]
    assert row.splits == {0: "0", 1: "other"}


def test_two_states_of_the_code_are_told_by_id_and_folders_can_differ(store, tmp_path):
    older, cell = find_row(store, "probe"), make_cell(strategy="probe", code="2a" * 32)
    other = Store(tmp_path / "other")
    for target in (store, other):
        target.write(cell, make_result(LABELS, answers(3), ids=IDS), UNKNOWN)
    assert find_row(store, "probe").experiment.backbone.code_sha256 == "2a" * 32
    assert find_row(store, older.id).experiment == older.experiment
    found = compare(find_row(store, "tune"), find_row(other, "probe"))
    assert found.samples == 40  # of the seed that both have
    assert found.only == (40, 0)
    assert ("backbone.code_sha256", None, "2a" * 32) in found.spec
    settings = next(table for table in pair_formats.to_tables(found) if "settings" in table.title)
    assert ("backbone code", "nothing", "2a" * 6) in settings.rows


def test_other_trainings_on_the_same_folds_are_paired_by_sample(store):
    """Tunings of the seeds 5, 6 and 7 on the folds of seed 0; the probe has one training on them."""
    for seed, wrong in ((5, 2), (6, 3), (7, 4)):
        for fold in (0, 1):
            cell = make_cell(fold, seed, strategy="retuned", split_seed=0)
            rows = slice(20 * fold, 20 * fold + 20)
            store.write(cell, make_result(LABELS[rows], answers(wrong)[rows], ids=IDS[rows]), UNKNOWN)
    found = compare(find_row(store, "probe"), find_row(store, "retuned"))
    assert (found.trainings, found.matched, found.units, found.only) == ((1, 3), False, 40, (40, 0))
    difference = found.metrics[0].difference
    assert found.metrics[0].second == pytest.approx(37 / 40)
    # One training of the probe is taken to vary as the three do: 38, 37 and 36 of 40.
    assert difference.seed_error**2 == pytest.approx((1 / 40) ** 2 * (1 + 1 / 3))
    other = compare(find_row(store, "retuned"), find_row(store, "probe"))
    assert other.metrics[0].difference.value == pytest.approx(-difference.value)
    assert says(invoke("probe", "retuned", "--runs-dir", store.runs_dir).stdout, "by image", "1 and 3 trainings")


@pytest.mark.parametrize(
    ("dataset", "labels", "why"),
    [
        ({"fingerprint": "other"}, LABELS, ("other data",)),
        ({"classes": ["a", "c"]}, LABELS, ("classes", "a, b", "a, c")),
        ({}, [1 - LABELS[0], *LABELS[1:]], ("1 image has", "another label")),
    ],
)
def test_what_cannot_be_paired_is_told_and_scored_alone(store, dataset, labels, why):
    store.write(make_cell(strategy="else", **dataset), make_result(labels, answers(2), ids=IDS), UNKNOWN)
    found = compare(find_row(store, "probe"), find_row(store, "else"))
    assert says(found.unpaired, *why)
    assert found.samples == 0
    assert found.metrics[0].first == 28 / 40
    assert found.metrics[0].difference is None


def test_failed_rows_and_unknown_names_are_told(store):
    store.write(make_cell(strategy="broken"), failed(), UNKNOWN)
    assert "has no predictions: ValueError: no" in compare(find_row(store, "broken"), find_row(store, "tune")).unpaired
    with pytest.raises(FerBenchError, match=r"is called 'nothing'. There are:\n  - \w{8}  faces"):
        find_row(store, "nothing")
