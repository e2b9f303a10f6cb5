"""The text that a baseline keeps of predictions: names and probabilities come back from it."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pyarrow as pa
from test_gate import gate, invoke
from test_results import UNKNOWN, make_cell, make_result

from fer_bench.results.baseline import load, round_predictions
from fer_bench.results.predictions import from_table
from fer_bench.results.store import Store


def test_names_of_any_kind_are_read_back_and_are_no_formulas(tmp_path):
    names = [
        "a\r\nb",
        "a\nb",
        "a\rb",
        "=cmd|' /C calc'!A0",
        "-1",
        "'quoted",
        'say "x", y',
        "José",
        "\x1b[2J",
        "back\\n",
    ]
    store = Store(tmp_path / "runs")
    for fold in (0, 1):
        result = make_result([0, 1] * 5, [0, 1] * 5, ids=[f"{name}{fold}" for name in names])
        result.predictions["group"] = [f"{fold}{name}" if place % 2 else name for place, name in enumerate(names)]
        store.write(make_cell(fold), result, UNKNOWN)
    assert invoke("baseline", "freeze", "--runs-dir", store.runs_dir, "--output", tmp_path / "base").exit_code == 0
    (row,) = load(tmp_path / "base").values()
    ids = row.predictions.sample_ids(np.arange(len(row.predictions)))
    assert set(ids) == {f"{name}{fold}" for name in names for fold in (0, 1)}
    assert set(names[::2]) < set(row.predictions.unit_names.to_pylist())
    (file,) = (tmp_path / "base" / "rows").iterdir()
    text = file.read_bytes().decode()
    assert len(text.split("\n")) == 1 + 20 + 1
    fields = [field for line in csv.reader(io.StringIO(text, newline="")) for field in line[2:4]]
    assert not [field for field in fields if field[:1] in "=+-@" or not field.isprintable()]
    assert gate(tmp_path, runs="runs").exit_code == 0  # the same predictions, few as they are


def test_rounding_turns_no_answer():
    exact = np.array(
        [
            *([0.333333, 0.333334, 0.333333], [0.45671, 0.45674, 0.08655], [1e-9, 0.5, 0.499999999]),
            *([0.45674, 0.45671, 0.08655], [0.4, 0.4, 0.2]),  # the first wins by a little; two share the answer
        ]
    )
    table = pd.DataFrame(exact, columns=["p0", "p1", "p2"]).assign(id=list("abcde"), group="", label=0)
    zeros = np.zeros(5, int)
    predictions = from_table(pa.Table.from_pandas(table, preserve_index=False), zeros, zeros, {0: ""}, zeros, zeros)
    rounded = round_predictions(predictions).probabilities
    assert (rounded == rounded.max(axis=1, keepdims=True)).tolist() == (
        exact == exact.max(axis=1, keepdims=True)
    ).tolist()
    np.testing.assert_allclose(rounded, exact, rtol=3e-4)
