"""Groups against all: by hand, simulated, and as the command of docs/groups.md."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from messages import says
from scipy import stats
from test_results import make_cell, make_measures
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.certificate import compare_groups_to_all
from fer_bench.evaluation.extremes import compare_gaps, compare_worst
from fer_bench.evaluation.group_scores import measure_group_scores
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.opportunity import measure_group_gap
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Result, Store


def test_differences_by_hand():
    # Four people with two images of each of two classes; of the first two people one image of four is wrong.
    true, person = np.tile([0, 0, 1, 1], 4), np.repeat(np.arange(4), 4)
    answer = np.where((np.arange(16) % 4 == 0) & (person < 2), 1, true)
    members = [("first", person < 2), ("second", person > 1)]
    seeds = np.zeros(16, np.int64)
    first, second = compare_groups_to_all(STANDARD["uar"], true, np.eye(2)[answer], seeds, person, members, margin=0.5)
    assert (first.value, second.value) == (0.75, 1.0)
    assert (first.difference, second.difference) == pytest.approx((-0.125, 0.125))
    assert (first.units, first.samples) == (2, 8)
    # All people of a group are alike, so that only how many of each group were drawn varies: not at all here.
    assert first.high - first.low == pytest.approx(second.high - second.low)


def test_the_gap_of_two_groups_by_hand():
    """Ten images of each person: two means over people, so that Student's interval is known."""
    rng = np.random.default_rng(2)
    right = np.concatenate([rng.integers(5, 10, size=20), rng.integers(2, 8, size=16)])
    person = np.repeat(np.arange(36), 10)
    answer = (np.tile(np.arange(10), 36) >= right[person]).astype(int)
    members = [("first", person < 20), ("second", person >= 20)]
    columns = np.zeros(360, np.int64), np.eye(2)[answer], np.zeros(360, np.int64), person
    gap = measure_group_gap(STANDARD["accuracy"], *columns, members)
    parts = right[:20] / 10, right[20:] / 10
    means, variances = [part.mean() for part in parts], [part.var(ddof=1) / len(part) for part in parts]
    assert (gap.lowest, gap.highest) == ("second", "first")
    assert gap.value == pytest.approx(means[0] - means[1])
    reach = stats.t.ppf(0.975, 15) * np.sqrt(sum(variances))
    assert (gap.low, gap.high) == pytest.approx((gap.value - reach, gap.value + reach), abs=0.01)
    with pytest.raises(ValueError, match="'second' has one subject"):
        measure_group_gap(STANDARD["accuracy"], *columns, [members[0], ("second", person == 20)])


def test_the_worst_group_and_the_gap_of_two_methods_by_hand():
    rng = np.random.default_rng(3)
    person, true = np.repeat(np.arange(20), 10), np.zeros(200, np.int64)
    members = [("few", person < 8), ("many", person >= 8)]
    chances = {"a": (0.9, 0.6), "b": (0.7, 0.65)}
    right = {name: rng.random(200) < np.where(person < 8, *both) for name, both in chances.items()}
    scores = {
        name: measure_group_scores(
            STANDARD["accuracy"], true, np.eye(2)[1 - one], np.zeros(200, np.int64), person, np.zeros(200), members
        )
        for name, one in right.items()
    }
    means = {name: [one[member].reshape(-1, 10).mean(axis=1) for _, member in members] for name, one in right.items()}
    for name, (few, many) in means.items():
        known = scores[name]
        assert (known.lowest, known.groups["many"].value) == ("many", pytest.approx(many.mean()))
        variances = [few.var(ddof=1) / 8, many.var(ddof=1) / 12]
        assert [one.unit_variance for one in known.over_all.estimates] == pytest.approx(variances)
        low, high = known.worst_interval()
        reach = stats.t.ppf(1 - 0.05 / 4, 11) * many.std(ddof=1) / np.sqrt(12)
        assert (low, high) == pytest.approx((many.mean() - reach, many.mean() + reach))
    worst = compare_worst(scores["a"].over_all, scores["b"].over_all)
    assert worst.value == pytest.approx(means["b"][1].mean() - means["a"][1].mean())
    # Bounds of b's score in group j minus a's in group i: of the same people where i is j.
    ends = np.zeros((2, 2, 2))
    for i, j in np.ndindex(2, 2):
        one, other = means["a"][i], means["b"][j]
        variance = (other - one).var(ddof=1) / len(one) if i == j else sum(x.var(ddof=1) / len(x) for x in (one, other))
        reach = stats.t.ppf(1 - 0.05 / 4, min(len(one), len(other)) - 1) * np.sqrt(variance)
        ends[:, i, j] = other.mean() - one.mean() + reach * np.array([-1, 1])
    assert worst.low == pytest.approx(min(max(ends[0, :, 0]), max(ends[0, :, 1])))
    assert worst.high == pytest.approx(max(min(ends[1, 0]), min(ends[1, 1])))
    # The gaps are between the same groups for both, in the same order.
    gap = compare_gaps(scores["a"].over_all, scores["b"].over_all)
    gaps = [few.mean() - many.mean() for few, many in means.values()]
    assert gap.value == pytest.approx(gaps[1] - gaps[0])
    few, many = (means["b"][place] - means["a"][place] for place in range(2))
    reach = stats.t.ppf(1 - 0.05 / 4, 7) * np.sqrt(few.var(ddof=1) / 8 + many.var(ddof=1) / 12)
    assert gap.low == pytest.approx(gap.value - reach)
    assert gap.high >= gap.value + reach, "which group is truly the better one for b is not shown"
    assert 0 < gap.p_value < 0.05
    at_p = compare_gaps(scores["a"].over_all, scores["b"].over_all, level=1 - gap.p_value)
    assert at_p.low < at_p.high == pytest.approx(0, abs=1e-9)
    alone = [members[0], ("one", person == 19)]
    columns = np.eye(2)[1 - right["a"]], np.zeros(200, np.int64), person, np.zeros(200)
    assert measure_group_scores(STANDARD["accuracy"], true, *columns, alone) is None


@pytest.fixture
def runs_dir(tmp_path):
    """Two folds of 40 people of two groups; the second is right in 6 of 10 images, the first in 9 of 10."""
    for fold in range(2):
        person = np.repeat(np.arange(40), 10)
        label = np.tile([0, 1], 200)
        right = np.tile(np.arange(10), 40) < np.where(person % 2 == 0, 9, 6)
        table = pd.DataFrame({"id": [f"{fold}-{i:03}" for i in range(400)]})
        table = table.assign(group=[f"subject:{fold}-{one}" for one in person], label=label)
        table["group:sex"] = pd.Categorical(np.where(person % 2 == 0, "woman", "man"))
        table["group:age"] = pd.Categorical(np.where(person < 36, "old", "young"))
        table = table.assign(soft0=np.float32(0.7 if fold else 1), soft1=np.float32(0.3 if fold else 0))
        table["p0"] = np.where(right == (label == 0), 0.75, 0.25).astype("float32")
        table["p1"] = 1 - table["p0"]
        result = Result("ok", "", make_measures((1, 2)), table, pd.DataFrame({"phase": ["p"]}))
        Store(tmp_path / "runs").write(make_cell(fold, n=800), result, Provenance(command=("x",)))
    return tmp_path / "runs"


def test_the_command_says_which_group_is_worse(runs_dir):
    done = CliRunner().invoke(app, ["groups", "probe", "--runs-dir", str(runs_dir), "--json"])
    record = json.loads(done.stdout)
    assert (done.exit_code, record["verdict"]) == (1, "FAIL")
    by_name = {attribute["attribute"]: attribute for attribute in record["attributes"]}
    groups = {group["name"]: group for group in by_name["sex"]["groups"]}
    assert groups["man"]["difference"] == pytest.approx(-0.15)
    assert (groups["man"]["verdict"], groups["woman"]["verdict"]) == ("FAIL", "PASS")
    assert "age" not in by_name, "8 young people are too few"
    recalls = {name: by_name["sex"]["classes"][name]["gap"] for name in ("a", "b")}
    assert {gap["lowest"] for gap in recalls.values()} == {"man"}
    # Of label 0 the images 0, 2, 4, 6, 8 of a person: all right of a woman, 3 of 5 of a man; of label 1 4 and 3.
    assert [gap["value"] for gap in recalls.values()] == pytest.approx([2 / 5, 1 / 5])
    assert all(gap["low"] > 0 for gap in recalls.values())
    doubt = by_name["annotators' doubt"]
    assert (doubt["verdict"], [group["samples"] for group in doubt["groups"]]) == (None, [400, 400])
    told = CliRunner().invoke(app, ["groups", "probe", "--runs-dir", str(runs_dir), "--margin", "30pt"])
    assert (told.exit_code, says(told.stdout, "sex", "woman", "PASS")) == (0, True)


def test_groups_that_are_too_small_are_refused(runs_dir):
    with pytest.raises(FerBenchError) as caught:
        CliRunner().invoke(
            app, ["groups", "probe", "--runs-dir", str(runs_dir), "--fewest", "50"], catch_exceptions=False
        )
    assert says(str(caught.value), "50", "sex", "age", "--fewest")


def test_the_gate_tests_groups_beside_a_baseline_and_without_one(runs_dir, tmp_path):
    words = ["check", "--groups", "--runs-dir", str(runs_dir), "--junit", str(tmp_path / "gate.xml")]

    def gate(*more: str):
        done = CliRunner().invoke(app, [*words, *more])
        cases = ElementTree.parse(words[-1]).getroot().iter("testcase")
        return done, {case.get("name"): [part.tag for part in case] for case in cases}

    done, cases = gate()
    assert (done.exit_code, list(cases.values())) == (1, [["failure"]] * 2)
    assert says(done.stdout, "FAIL", "sex", "man", "-15.0", "FAIL")
    assert gate("--group-margin", "30pt")[0].exit_code == 0
    unclear, cases = gate("--group-margin", "15pt")
    assert (unclear.exit_code, list(cases.values())) == (3, [["failure"]] * 2)
    assert says(unclear.stdout, "UNDERPOWERED", "man", "subjects")
    warned, cases = gate("--group-margin", "15pt", "--underpowered", "warn")
    assert (warned.exit_code, list(cases.values())) == (0, [["skipped"]] * 2)
    CliRunner().invoke(app, ["baseline", "freeze", "--runs-dir", str(runs_dir), "--output", str(tmp_path / "base")])
    beside = ["--baseline", str(tmp_path / "base"), "--markdown", str(tmp_path / "g.md")]
    both, cases = gate(*beside, "--group-margin", "30pt")
    assert (both.exit_code, list(cases.values())) == (0, [["system-out"]] * 3)
    assert (tmp_path / "g.md").read_text().count("## ") == 2
    for more, named in (
        (["--fewest", "50"], ["1 of 1 rows", "50", "--dataset"]),
        (["--group-margin", "2"], ["--group-margin 2"]),
    ):
        assert says(str(CliRunner().invoke(app, [*words, *more]).exception), *named)
    assert says(str(CliRunner().invoke(app, ["check"]).exception), "--baseline", "--groups")
