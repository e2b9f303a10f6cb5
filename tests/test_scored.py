"""What is remembered of rows changes no board: it is lost, damaged or of other cells without a trace."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
from test_index import edit
from test_results import failed, make_cell, make_result

from fer_bench import memos
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import board_records, boards, leaderboard, scored, scoring
from fer_bench.reports.leaderboard import build
from fer_bench.results import index
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store, StoredCell

METRICS = tuple(STANDARD.values())


def make_grouped():
    """Return a result with two groups of people, which are compared."""
    result = make_result(labels=(0, 1) * 12, predicted=(0, 1, 1) * 8)
    result.predictions["group:half"] = pd.Categorical(np.repeat(["first", "second"], 12))
    return result


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a store of two methods with two folds each, whose rows are remembered."""
    monkeypatch.setattr(leaderboard, "FEWEST", 1)
    made = Store(tmp_path / "runs")
    for fold in range(2):
        for backbone in ("one", "other"):
            made.write(make_cell(fold, backbone=backbone), make_grouped(), Provenance())
    made.write(make_cell(0, seed=1, backbone="other"), failed(), Provenance())
    return made


def board(store, **settings):
    """Return the records of a board and what its tables say."""
    rows = build(store.cells()[0], cache_dir=store.runs_dir.parent / "cache", left_out=lambda message: None, **settings)
    return board_records.record(rows, []), [table.rows for table in boards.to_tables(rows, [], "groups")]


def opened(store, monkeypatch, **settings):
    """Return the backbones whose predictions a board reads, with what it says."""
    read: set[str] = set()
    real = StoredCell.table
    with monkeypatch.context() as patch:
        patch.setattr(StoredCell, "table", lambda cell: (read.add(cell.record.backbone.text), real(cell))[1])
        said = board(store, **settings)
    return sorted(read), said


def test_a_remembered_board_is_the_same_and_reads_only_what_the_baseline_needs(store, monkeypatch):
    read, first = opened(store, monkeypatch)
    assert read == ["one", "other"]
    assert [[*row["group_intervals"]] for row in first[0]["rows"] if not row["baseline"]] == [["half"], ["half"]]
    assert opened(store, monkeypatch) == (["one"], first)
    assert opened(store, monkeypatch, by=STANDARD["macro_f1"])[0] == ["one", "other"]
    rows = [build(store.cells()[0], cache_dir=cache) for cache in (store.runs_dir.parent / "cache", None)]
    for remembered, computed in zip(*rows, strict=True):
        assert vars(remembered) | {"pooled": 0, "cells": 0} == vars(computed) | {"pooled": 0, "cells": 0}
        for name in ("labels", "probabilities", "soft", "unit", "cell"):
            assert np.array_equal(getattr(remembered.pooled, name), getattr(computed.pooled, name))
        with pytest.raises(AttributeError):
            _ = remembered.pooled.nothing


def test_several_processes_compute_the_same_board(store, monkeypatch):
    first = board(store)
    shutil.rmtree(store.runs_dir.parent / "cache")
    for module, name in ((index, "AT_ONCE"), (scoring, "AT_ONCE"), (scored, "MANY")):
        monkeypatch.setattr(module, name, 1)
    assert opened(store, monkeypatch, details=True) == (["one"], first), "this process reads what the baseline needs"


def hashed(content):
    """Return what a memo holds of some content."""
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize(
    "damage",
    [
        lambda known: b"",
        lambda known: known[:-9],
        lambda known: known[:-1] + bytes([known[-1] ^ 1]),
        lambda known: bytes(len(known)),
        *(lambda known, content=content: hashed(content) for content in (b"", b"{}", bytes(8) + b"{}", b"\xff" * 100)),
    ],
)
def test_a_damaged_memory_is_computed_again(store, monkeypatch, damage):
    first = board(store)
    files = [*(store.runs_dir.parent / "cache" / scored.KIND).iterdir()]
    assert files
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert opened(store, monkeypatch) == (["one", "other"], first)


def other_code(store, patch):
    patch.setattr(scored, "_code", lambda: {"code": "other"})


def other_predictions(store, patch):
    result = make_grouped()
    result.predictions.loc[:, ["p0", "p1"]] = result.predictions[["p1", "p0"]].to_numpy()
    store.write(make_cell(0, backbone="other"), result, Provenance())


def other_result(store, patch):
    result = make_grouped()
    counts = dataclasses.replace(result.measures, train_counts=tuple(reversed(result.measures.train_counts)))
    store.write(make_cell(0, backbone="other"), dataclasses.replace(result, measures=counts), Provenance())


@pytest.mark.parametrize("change", [other_code, other_predictions, other_result])
def test_what_decides_a_row_is_part_of_what_it_is_known_by(store, monkeypatch, change):
    board(store)
    change(store, monkeypatch)
    read, said = opened(store, monkeypatch)
    assert "other" in read
    monkeypatch.setattr(memos, "recall", lambda *asked: None)
    assert said == board(store)


@pytest.mark.parametrize("metrics", [METRICS, (*METRICS, dataclasses.replace(METRICS[0], name="own", origin="mine"))])
def test_few_cells_and_metrics_of_plugins_are_not_remembered(store, monkeypatch, metrics):
    if metrics == METRICS:
        monkeypatch.setattr(leaderboard, "FEWEST", 6)
    board(store, metrics=metrics)
    assert not (store.runs_dir.parent / "cache").exists()


def test_a_row_with_unsound_predictions_is_not_remembered(store):
    cell = store.cells()[0][0]
    edit("predictions.feather", b"ARROW1", b"ARROW2")(cell.folder)
    told: list[str] = []
    for _ in range(2):
        build([cell], cache_dir=store.runs_dir.parent / "cache", left_out=told.append)
    assert len(told) == 2


def test_predictions_that_change_after_they_were_remembered_are_one_message(store):
    board(store)
    cells = store.cells()[0]
    for cell in cells:
        if cell.ok and cell.record.backbone.text == "other":
            edit("predictions.feather", b"ARROW1", b"ARROW2")(cell.folder)
    rows = build(cells, cache_dir=store.runs_dir.parent / "cache")
    row = next(row for row in rows if row.backbone == "other")
    with pytest.raises(FerBenchError):
        _ = row.pooled.labels
