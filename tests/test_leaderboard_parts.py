"""Groups, soft labels and coverage on the leaderboard, against numbers computed by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from messages import says
from synthetic_runs import write_runs
from test_results import UNKNOWN, make_cell, make_measures, make_result
from typer.testing import CliRunner
from written import write

from fer_bench.cli import app
from fer_bench.data.texts import numbers
from fer_bench.reports import boards
from fer_bench.reports.leaderboard import build
from fer_bench.results.outcomes import Calibration, Provenance
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Result, Store


@pytest.fixture
def store(tmp_path):
    """Two folds of two classes; each has 8 women, all right, and 8 men, of whom 4 of class 0 are taken for class 1.

    Of the first fold one more woman's sex is unknown, of the second three children are too few to count.
    """
    store = Store(tmp_path / "runs")
    for fold, others in enumerate(([None], ["child"] * 3)):
        sex = ["woman"] * 8 + ["man"] * 8 + others
        labels = [0, 0, 0, 0, 1, 1, 1, 1] * 2 + [0] * len(others)
        right = [0.75, 0.75, 0.75, 0.75, 0.25, 0.25, 0.25, 0.25]
        p0 = [*right, *[0.25] * 8, *[0.75] * len(others)]
        table = pd.DataFrame({"id": [f"{fold}-{i:02}" for i in range(len(sex))], "group": "", "label": labels})
        table["group:sex"] = pd.Categorical(sex)
        table["soft0"], table["soft1"] = 0.5, 0.5
        table["p0"] = pd.Series(p0, dtype="float32")
        table["p1"] = 1 - table["p0"]
        cell = make_cell(fold, synthetic=True, n=40)
        store.write(
            cell,
            Result("ok", "", make_measures((1, 2)), table, pd.DataFrame({"phase": ["p"]})),
            Provenance(command=("x",)),
        )
    return store


def test_the_board_holds_groups_votes_and_coverage(store):
    rows = {row["strategy"]: row for row in json.loads(write("json", build(store.cells()[0])))["rows"]}
    # Of 16 men class 0 is never right, class 1 always; of 16 women all is.
    assert rows["probe"]["groups"] == {"sex": {"worst": "man", "uar": 0.5, "n": 16, "gap": 0.5, "compared": 2}}
    known = rows["probe"]["group_intervals"]["sex"]
    assert known["uar_low"] <= 0.5 <= known["uar_high"]
    assert known["gap_low"] <= 0.5 <= known["gap_high"]
    assert {value for name, value in known.items() if "to_first" in name} == {None}
    assert rows["probe"]["coverage"] == 36 / 40
    # KL of halves to (1/4, 3/4), either way round: ln(1/2) - (ln(1/4) + ln(3/4)) / 2.
    assert rows["probe"]["soft"] == pytest.approx({"accuracy": 0.5, "kl": 0.143841}, abs=1e-6)
    # The commonest class is 1, for everybody.
    assert rows["majority-class"]["groups"]["sex"]["gap"] == 0


def test_the_board_shows_them(store):
    def show(*options: str) -> str:
        command = ["leaderboard", "--runs-dir", str(store.runs_dir), *options]
        return CliRunner().invoke(app, command, catch_exceptions=False).stdout

    text = show("--columns", "groups", "--format", "md")
    assert re.search(
        r"\| net \| probe \| 50\.0 \(\d+\.\d to \d+\.\d; man, n 16\) \| 50\.0 \(\d+\.\d to \d+\.\d\) \| 90\.0 \|", text
    )
    assert "worst sex, UAR %" in text
    assert "| net | probe | 50.0 | 0.144 | 90.0 |" in show("--columns", "soft", "--format", "md")
    assert "man, n 16)" in show("--columns", "groups", "--format", "html")
    for cell in store.cells()[0]:  # another method, which is right of everybody
        record = replace(cell.record, strategy=replace(cell.record.strategy, text="sure"))
        table = cell.table().to_pandas()
        table["p0"] = (table["label"] == 0).astype("float32")
        table["p1"] = 1 - table["p0"]
        store.write(record, Result("ok", "", cell.measures, table, pd.DataFrame({"phase": ["p"]})), Provenance())
    rows = {row["strategy"]: row for row in json.loads(show("--format", "json"))["rows"]}
    known = rows["probe"]["group_intervals"]["sex"]
    assert (known["uar_to_first"], known["gap_to_first"]) == (-0.5, 0.5)
    assert known["uar_to_first_low"] <= -0.5 <= known["uar_to_first_high"] < 0 < known["gap_to_first_low"]
    assert rows["sure"]["group_intervals"]["sex"]["uar_to_first"] is None
    assert says(show("--columns", "groups"), "probe", "sex", "-50.0", "+50.0", "first row")
    assert says(show("--format", "html"), "By group", "-50.0", "+50.0")
    for cell in store.cells()[0]:  # all men are one person
        table = cell.table().to_pandas()
        table["group"] = np.where(table["group:sex"] == "man", "subject:a", "subject:" + table["id"])
        store.write(cell.record, Result("ok", "", cell.measures, table, pd.DataFrame({"phase": ["p"]})), Provenance())
    alone = show("--columns", "groups")
    assert says(alone, "No intervals", "sex", "single subject")
    assert not says(alone, "+50.0")


def test_nll_and_ece_before_calibration_by_hand(store):
    cells = []
    for cell, temperature in zip(store.cells()[0], (2.0, 0.05), strict=True):
        known = Calibration(temperature=temperature, images=9, bounded=temperature < 1)
        measures = replace(cell.measures, calibration=known)
        table = (
            cell.table().to_pandas().assign(p0=0.75 if temperature > 1 else 1.0, p1=0.25 if temperature > 1 else 0.0)
        )
        cells.append(store.write(cell.record, Result("ok", "", measures, table, pd.DataFrame()), UNKNOWN))
    rows = build(cells)
    record = {row["strategy"]: row for row in json.loads(write("json", rows))["rows"]}["probe"]["calibration"]
    # Odds of 3 at a temperature of 2 were odds of 9 before; one certain answer stays as it is.
    first, second = (cell.table()["label"].to_numpy() for cell in cells)
    losses = [-np.log(np.where(first == 0, 0.9, 0.1)), np.where(second == 0, 0, -np.log(2.0**-23))]
    assert record["nll_before"] == pytest.approx(np.concatenate(losses).mean(), abs=1e-6)
    gaps = abs((first == 0).sum() - 0.9 * len(first)) + abs((second == 0).sum() - len(second))
    assert record["ece_before"] == pytest.approx(gaps / (len(first) + len(second)), abs=1e-6)
    assert (record["temperature_lowest"], record["temperature_highest"], record["bounded"]) == (0.05, 2.0, 1)
    text = write("md", rows, show="calibration")
    assert f"{record['nll_before']:.3f}" in text
    assert "0.05 to 2.00" in text
    (note,) = [line for line in text.splitlines() if "1 of 2 cells" in line]
    assert says(note, "probe", "0.05")


def test_cells_may_differ_in_how_many_names_they_hold(tmp_path):
    store, cells = Store(tmp_path), []
    for number, names in enumerate((["a"] * 2, [f"s{i}" for i in range(200)], [None] * 2)):
        result = make_result([0] * len(names), [0] * len(names))
        table = result.predictions.assign(**{"group:x": pd.Categorical(names)})
        cells.append(store.write(make_cell(seed=number), replace(result, predictions=table), UNKNOWN))
    predictions, _, _ = read_predictions(cells)
    names, codes = predictions.groups["x"]
    found = [names[code] if code >= 0 else None for code in codes.tolist()]
    assert found[:2] == ["a", "a"]
    assert set(found[2:-2]) == {f"s{i}" for i in range(200)}
    assert found[-2:] == [None, None]


def test_rows_without_groups_or_votes_stay_blank(store, tmp_path):
    cells = [*store.cells()[0], *write_runs(tmp_path / "more", datasets=1, methods=1, failed=5).cells()[0]]
    lines = list(csv.DictReader(io.StringIO(write("csv", build(cells)))))
    found = {(line["dataset"], line["strategy"]): line for line in lines}
    assert found["faces", "probe"]["group_sex_worst"] == "man"
    assert found["faces", "probe"]["soft_kl"].startswith("0.1438")
    blank = found["faces-0", "linear-probe"]
    assert {blank[name] for name in ("group_sex_worst", "soft_kl", "coverage")} == {""}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([3, 1, 2], pa.int64())[1:],
        pa.array([0.5, None], pa.float32()),
        pa.chunked_array([pa.array([0.5, None], pa.float32()), pa.array([0.25], pa.float32())]),
        pa.chunked_array([pa.array([1, 2], pa.int8()), pa.array([3, 4], pa.int8())]).slice(1, 2),
        pa.chunked_array([], pa.int32()),
    ],
)
def test_numbers_are_those_of_arrow(column):
    expected = column.to_pandas().to_numpy()
    found = numbers(column)
    assert found.dtype == column.type.to_pandas_dtype()
    np.testing.assert_array_equal(found, expected)


def test_a_missing_whole_number_is_no_number():
    with pytest.raises(pa.ArrowInvalid):
        numbers(pa.array([1, None], pa.int64()))


def test_what_several_boards_do_not_show_is_said_once_with_their_names(tmp_path):
    store = Store(tmp_path)

    def said_of_one_seed():
        notes = boards.notes(build(store.cells()[0]))
        return [note.partition(":")[0] for note in notes if ": of one seed" in note]

    store.write(make_cell(text="one"), make_result(), UNKNOWN)
    assert said_of_one_seed() == ["one"]
    store.write(make_cell(text="two"), make_result(), UNKNOWN)
    assert said_of_one_seed() == ["Every board"]
    for seed in (0, 1):
        store.write(make_cell(text="three", seed=seed), make_result(), UNKNOWN)
    assert said_of_one_seed() == ["one; two"]
