"""Scores on corrupted images on the leaderboard, its page and its JSON (docs/damage.md), against numbers by hand."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from messages import says
from test_results import UNKNOWN, make_cell, make_result
from written import write

from fer_bench.cli.rows import ALL_ROWS
from fer_bench.corruption import KINDS, Corruption, parse
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.damage import to_tables
from fer_bench.reports.damaged import find_rows
from fer_bench.reports.formats import terminal
from fer_bench.reports.leaderboard import build
from fer_bench.reports.packing import pack
from fer_bench.results import corrupted
from fer_bench.results.find import find_current_rows
from fer_bench.results.merging import merge
from fer_bench.results.store import Store
from fer_bench.results.unpacking import unpacked

IDS = [f"i{n:02d}" for n in range(60)]
LABELS = np.arange(60) % 2
MILD, STRONG, DARK = Corruption("jpeg", 1), Corruption("jpeg", 2), Corruption("low-light", 1)
WRONG = {
    "probe": {MILD: 6, STRONG: 12, DARK: 20},
    "tune": {MILD: 0, STRONG: 0, DARK: 30},
    "other": {MILD: 4},
    "clean": {},
}
"""Of each method and corruption, how many of the first images are answered wrong; clean ones are all right."""


def write_runs(folder, wrong=WRONG):
    store = Store(folder)
    for place, (strategy, counts) in enumerate(wrong.items()):
        for fold, half in enumerate((slice(0, 30), slice(30, 60))):
            clean = LABELS ^ (np.arange(60) >= 60 - 2 * place)
            cell = make_cell(fold, strategy=strategy, n=60)
            stored = store.write(cell, make_result(LABELS[half], clean[half], ids=IDS[half]), UNKNOWN)
            for corruption, count in counts.items():
                answers = (LABELS ^ (np.arange(60) < count) ^ (np.arange(60) >= 60 - 2 * place))[half]
                corrupted.write(stored, corruption, np.eye(2, dtype=np.float32)[answers] * 0.8 + 0.1)
    return store


def test_every_format_has_the_scores_with_intervals_and_paired_differences(tmp_path):
    rows = build(write_runs(tmp_path).cells()[0])
    known = {row["strategy"]: row["damage"] for row in json.loads(write("json", rows))["rows"]}
    probe, tune = known["probe"], known["tune"]
    assert (known["clean"], known["majority-class"]) == (None, None)
    # Of 60 images 6 and 12 are wrong under JPEG, on average 9, and 20 in the dark; half of each class.
    assert probe["corrupted"] == pytest.approx((51 / 60 + 40 / 60) / 2)
    assert (probe["worst_kind"], probe["worst"]) == ("low-light", pytest.approx(40 / 60))
    # 12 images change their answer once along the severities of JPEG, 20 once in the dark.
    assert probe["flips"] == pytest.approx((12 + 20) / 2 / 60)
    assert probe["corruptions"] == ["jpeg[severity=1]", "jpeg[severity=2]", "low-light[severity=1]"]
    for one in ("corrupted", "worst", "flips"):
        assert probe[f"{one}_low"] < probe[one] < probe[f"{one}_high"]
        assert tune["to_first"][f"{one}_low"] < tune["to_first"][one] < tune["to_first"][f"{one}_high"]
    # The last 2 images are wrong under tune, always.
    assert tune["to_first"]["corrupted"] == pytest.approx((58 / 60 + 28 / 60) / 2 - probe["corrupted"])
    assert tune["to_first"]["worst"] == pytest.approx(28 / 60 - 40 / 60)
    assert tune["to_first"]["flips"] == pytest.approx((0 + 30) / 2 / 60 - probe["flips"])
    assert (probe["to_first"], known["other"]["to_first"]) == (None, None)
    assert "damage_to_first_flips_low" in write("csv", rows).partition("\n")[0]
    table = write("terminal", rows, show="damage")
    assert says(table, "corrupted", "75.8", "66.7", "low-light", "0.27", "2 kinds", "1 to 2", "-4.2", "-20.0", "-0.02")
    assert says(table, "other", "corruptions", "fer-bench damage", "clean", "--corrupt")
    page = write("html", rows)
    assert says(page, "On corrupted images", "jpeg", "low-light", "-20.0", "worst kind")


def test_without_predictions_of_corrupted_images_the_board_says_how_to_get_them(tmp_path):
    rows = build(write_runs(tmp_path, {"probe": {}}).cells()[0])
    assert says(write("terminal", rows, show="damage"), "run", "--corrupt all")
    assert "corrupted" not in write("html", rows)


def test_the_report_fits_a_terminal_and_names_what_a_stopped_run_left_out(tmp_path):
    rows = find_rows(find_current_rows(write_runs(tmp_path), (), ALL_ROWS), STANDARD["uar"])
    lines = terminal.write(to_tables(rows), 80).splitlines()
    heads = [line.split() for line in lines if line.startswith(" ") and "worst" in line]
    assert all({"corrupted", "worst"} <= {*head} for head in heads)
    assert [head[:2] for head in heads] == [["backbone", "strategy"], ["row", "1"], ["backbone", "strategy"]]
    gaps = " ".join(lines).split("Not tested at every severity: ")[1:]
    assert all({*KINDS} <= {*re.findall(r"[\w-]+", text)} for text in gaps)
    whole = replace(rows[0], scores=dict.fromkeys(parse(["all"]), rows[0].robustness.clean))
    assert not whole.gaps


def test_too_few_people_for_an_interval_are_null_and_no_row_of_the_table_is_lost(tmp_path):
    store = Store(tmp_path)
    for strategy, wrong in (("probe", 0), ("tune", 1)):
        for fold in (0, 1):
            answers = np.array([0, 1]) ^ (np.arange(2) < wrong)
            result = make_result((0, 1), (0, 1), ids=[f"{fold}a", f"{fold}b"])
            stored = store.write(make_cell(fold, strategy=strategy, n=4), result, UNKNOWN)
            corrupted.write(stored, MILD, np.eye(2, dtype=np.float32)[answers])
    rows = build(store.cells()[0])
    known = {row["strategy"]: row["damage"] for row in json.loads(write("json", rows))["rows"]}
    assert known["tune"]["to_first"] | {"p_value": 0} == {
        **{"corrupted": -0.5, "corrupted_low": None, "corrupted_high": None, "p_value": 0},
        **{"worst": -0.5, "worst_low": None, "worst_high": None, "flips": 0.5, "flips_low": None, "flips_high": None},
    }
    assert says(write("terminal", rows, show="damage"), "-50.0", "too few", "+0.50")


@pytest.mark.parametrize("key", [None, b"5f0c3b1e9a7d48266f0c3b1e9a7d4826"])
def test_a_pack_takes_them_along_also_where_names_are_hidden_and_samples_stand_in_another_order(tmp_path, key):
    store = write_runs(tmp_path / "runs")
    pack(store.runs_dir, (), tmp_path / "pack.zip", key)
    with unpacked(tmp_path / "pack.zip", tmp_path / "into", key) as folder:
        merge([folder], tmp_path / "into")
    before, after = (build(one.cells()[0]) for one in (store, Store(tmp_path / "into")))
    before, after = ([row["damage"] for row in json.loads(write("json", rows))["rows"]] for rows in (before, after))
    assert [one is None for one in after] == [one is None for one in before]
    for one, other in zip(filter(None, before), filter(None, after), strict=True):
        assert one["corruptions"] == other["corruptions"]
        numbers = [name for name, value in one.items() if isinstance(value, float)]
        assert [other[name] for name in numbers] == pytest.approx([one[name] for name in numbers], abs=1e-9)


@pytest.mark.parametrize(
    "name", ["corrupted/0123456789abcdef/jpeg-9.feather", "corrupted/x/jpeg-1.feather", "corrupted/jpeg-1.feather"]
)
def test_a_pack_with_files_that_are_no_such_predictions_is_refused(tmp_path, name):
    pack(write_runs(tmp_path / "runs").runs_dir, (), tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip", "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(FerBenchError) as error, unpacked(tmp_path / "pack.zip", tmp_path / "into"):
        pass
    assert says(str(error.value), name)


def test_the_largest_seed_comes_back(tmp_path):
    store = write_runs(tmp_path, {"probe": {}})
    cell, seeded = store.cells()[0][0], Corruption("rotation", 5, 2**32 - 1)
    corrupted.write(cell, seeded, np.full((30, 2), 0.5, np.float32))
    assert corrupted.find(cell) == [seeded]
