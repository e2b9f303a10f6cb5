"""Groups against all: by hand, simulated, and as the command of docs/groups.md."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import says
from test_results import make_cell, make_measures
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.certificate import compare_groups_to_all
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Result, Store


def draw(seed: int, sizes: tuple[int, ...], shortfall: float):
    """Return 14 images of 7 classes of each person, of whom the first group is worse than all by ``shortfall``."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    right = 0.7 - shortfall / (1 - sizes[0] / sum(sizes)) * (group == 0)
    person = np.repeat(np.arange(len(group)), 14)
    true = np.tile(np.arange(7), 2 * len(group))
    skill = np.clip(right + 0.15 * rng.uniform(-1, 1, len(group)), 0, 1)[person]
    answer = np.where(rng.random(len(true)) < skill, true, (true + rng.integers(1, 7, size=len(true))) % 7)
    members = [(f"g{code}", group[person] == code) for code in range(len(sizes))]
    return true, np.eye(7)[answer], np.zeros(len(true), np.int64), person, members


def compare(seed: int, sizes: tuple[int, ...], shortfall: float, margin: float):
    return compare_groups_to_all(STANDARD["uar"], *draw(seed, sizes, shortfall), margin=margin)


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


def test_bounds_hold_for_all_groups_and_numbers_that_are_needed_suffice():
    at_the_border = [compare(seed, (30, 40, 50), 0.05, 0.05) for seed in range(100)]
    passed = np.mean([all(group.verdict == "PASS" for group in groups) for groups in at_the_border])
    failed = np.mean([any(group.verdict == "FAIL" for group in groups) for groups in at_the_border])
    assert passed <= 0.05
    assert failed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)
    needed = [group.needed for seed in range(20) for group in compare(seed, (30, 30, 30), 0.0, 0.03) if group.needed]
    size = int(np.median(needed))
    enough = [[group.verdict == "PASS" for group in compare(seed, (size,) * 3, 0.0, 0.03)] for seed in range(50)]
    assert np.mean(enough) == pytest.approx(0.8, abs=0.12)


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
    told = CliRunner().invoke(app, ["groups", "probe", "--runs-dir", str(runs_dir), "--margin", "30pt"])
    assert (told.exit_code, says(told.stdout, "sex", "woman", "PASS")) == (0, True)


def test_groups_that_are_too_small_are_refused(runs_dir):
    with pytest.raises(FerBenchError) as caught:
        CliRunner().invoke(
            app, ["groups", "probe", "--runs-dir", str(runs_dir), "--fewest", "50"], catch_exceptions=False
        )
    assert says(str(caught.value), "50", "sex", "age", "--fewest")
