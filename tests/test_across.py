"""Methods across data sets: what one data set is, and mean differences by hand. Error rates: simulation.py."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import says
from scipy import stats
from test_results import UNKNOWN, make_cell, make_result
from typer.testing import CliRunner
from written import write

from fer_bench.cli import app
from fer_bench.evaluation.across import BlockDifference, compare_across, make_block
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.across import Across, rank_across, say_unnamed, to_table
from fer_bench.reports.boards import notes
from fer_bench.reports.leaderboard import build
from fer_bench.results.store import Store

LABELS = [n % 2 for n in range(40)]


def block(value: float, parts: tuple[float, ...] = (0.0, 0.0), seeds: tuple[float, ...] = ()) -> BlockDifference:
    return BlockDifference(value=value, parts=np.array(parts), seeds=(np.array(seeds),) if seeds else ())


def test_without_noise_within_data_sets_it_is_the_t_test_over_them():
    values = [0.03, 0.01, 0.06, 0.02, -0.01]
    found = compare_across([block(value) for value in values], resamples=40_000)
    peer = stats.ttest_1samp(values, 0)
    low, high = peer.confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
    assert found.p_value == pytest.approx(peer.pvalue, abs=0.01)


def test_where_data_sets_agree_subjects_and_seeds_make_the_error():
    parts = np.array([0.02, -0.01, 0.03, 0.0, 0.01])  # five people; var of the sum: 5 var(parts)
    seeds = np.array([0.04, 0.06])
    variance = 5 * parts.var(ddof=1) + seeds.var(ddof=1) / 2
    blocks = [block(0.05, tuple(parts), tuple(seeds)) for _ in range(3)]
    assert blocks[0].variance == pytest.approx(variance)
    found = compare_across(blocks, resamples=40_000)
    reach = stats.t.ppf(0.975, 2) * np.sqrt(variance / 3)
    assert found.high - found.value == pytest.approx(reach, rel=0.03)
    assert (found.p_value <= 0.05) == (found.low > 0)


def test_two_data_sets_say_little_and_one_says_nothing():
    found = compare_across([block(0.10), block(0.12)])
    assert found.high - found.low > 0.2, "Student's distribution with one degree of freedom"
    with pytest.raises(ValueError, match="1 data sets"):
        compare_across([block(0.1)])
    with pytest.raises(ValueError, match="level is 2"):
        compare_across([block(0.1), block(0.2)], level=2)
    assert compare_across([block(0.0), block(0.0)]).p_value == 1


def test_boards_of_one_data_set_are_averaged_and_vary_as_the_widest():
    rng, true = np.random.default_rng(0), np.arange(60) % 2

    def draw(share: float):
        return measure(STANDARD["accuracy"], true, np.eye(2)[np.where(rng.uniform(size=60) < share, true, 1 - true)])

    boards = [(draw(0.6), draw(0.8)), (draw(0.9), draw(0.95))]
    found = make_block(boards)
    assert found.value == pytest.approx(np.mean([second.value - first.value for first, second in boards]))
    assert found.variance == pytest.approx(max(make_block([board]).variance for board in boards))


def board(store: Store, text: str, fingerprint: str, wrong: dict[str, int], **dataset) -> None:
    """Store a board of a data set on which each strategy has its first answers wrong."""
    for strategy, count in wrong.items():
        answers = [label ^ (n < count) for n, label in enumerate(LABELS)]
        cell = make_cell(0, strategy=strategy, text=text, fingerprint=fingerprint * 64, **dataset)
        store.write(cell, make_result(LABELS, answers, ids=[f"{fingerprint}{n}" for n in range(40)]), UNKNOWN)


def across(store: Store) -> Across | None:
    return rank_across(build(store.cells()[0]))


def test_a_data_set_is_one_however_its_name_is_spelled(tmp_path):
    store, wrong = Store(tmp_path), {"probe": 12, "tune": 4}
    for limit, folder in ((None, "a"), (30, "b")):
        board(store, f"faces[{folder}]", "f", wrong, limit=limit)  # the same images under two names
    assert across(store) is None
    board(store, "faces[2]", "e", wrong)  # another preparation of what the same reader reads
    assert across(store) is None
    board(store, "other", "d", {"probe": 10, "tune": 8}, name="other")
    found = across(store)
    assert found.datasets == 2
    assert [(place.name, place.rank) for place in found.places] == [("net / tune", 1.0), ("net / probe", 2.0)]
    # (8 / 40 of the first data set + 2 / 40 of the second) / 2, the majority class is no method.
    assert found.places[1].behind.value == pytest.approx(-(8 + 2) / 80)
    assert (found.test.p_value, found.test.exact, found.test.critical_difference) == (0.5, True, None)


def test_what_users_bring_under_two_names_is_two_data_sets(tmp_path):
    store = Store(tmp_path)
    for name, fingerprint in (("mine", "a"), ("yours", "b")):
        named = {"name": "manifest", "params": {"name": name}}
        board(store, f"manifest[name={name}]", fingerprint, {"probe": 9, "tune": 3}, **named)
    assert across(store).datasets == 2


def test_what_users_bring_without_a_name_is_one_data_set_and_is_said(tmp_path):
    store = Store(tmp_path)
    for path, fingerprint in (("a", "d"), ("b", "e")):
        unnamed = {"name": "manifest", "params": {"name": "", "path": path}}
        board(store, f"manifest[path={path}]", fingerprint, {"probe": 9, "tune": 3}, **unnamed)
    rows = build(store.cells()[0])
    assert rank_across(rows) is None
    (said,) = [line for line in notes(rows) if "[name=" in line]
    assert says(said, "manifest[path=a]", "manifest[name=")
    records = [row.experiment.dataset for row in rows if row.dataset == "manifest[path=a]"]
    assert say_unnamed(records) == [], "one board needs no name"
    shown = CliRunner().invoke(app, ["power", "probe", "tune", "--runs-dir", str(tmp_path), "--format", "json"])
    assert not shown.exception, shown.exception
    assert json.loads(shown.stdout)["datasets"] == 1


def test_every_format_for_people_shows_ranks_and_mean_differences(tmp_path):
    store = Store(tmp_path)
    for index in range(5):
        board(store, f"s{index}", "abcde"[index], {"probe": 10 + index, "tune": 4}, name=f"s{index}")
    rows = build(store.cells()[0])
    found = rank_across(rows)
    assert found.test.critical_difference is not None, "of five data sets"
    (_, best, *_), (worse, *_, interval) = to_table(found).rows
    assert best.text == "1.00"
    assert worse == "net / probe"
    for form in ("terminal", "md", "html"):
        page = write(form, rows)
        assert "Across 5 data sets" in page
        assert interval.text in page
