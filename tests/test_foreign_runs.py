"""What lies in a runs folder may be a stranger's: a bad cell is named and left out, and the others make the board."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_results import DATASET, UNKNOWN, make_cell, make_measures, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.executors.replay import MOST_SEEDS, _together
from fer_bench.reports.leaderboard import build
from fer_bench.results import canonical, parsing, records
from fer_bench.results.canonical import digest
from fer_bench.results.store import Store, StoredCell

GOOD, BAD = 0, 1
"""Folds of the two cells of a runs folder."""


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "runs")
    for fold in (GOOD, BAD):
        result = make_result(ids=[f"{fold}-{i}" for i in range(3)])
        store.write(make_cell(fold), replace(result, measures=replace(make_measures(), tested=3)), UNKNOWN)
    return store


def invoke(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit | FerBenchError):
        raise result.exception
    return result


def seal(folder: Path) -> Path:
    """Make the checksums and the name of a cell's folder fit what is in it, as a forger would; return it."""
    (folder / "checksums.json").unlink()
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}
    (folder / "checksums.json").write_text(json.dumps(sums))
    record = json.loads((folder / "cell.json").read_text())
    try:
        name = digest(record)[:16]
    except (TypeError, ValueError):
        name = folder.name
    return folder.rename(folder.with_name(name))


def bad_folder(store: Store) -> Path:
    return next(cell.folder for cell in store.cells()[0] if cell.record.fold == BAD)


def assert_named(store: Store, folder: Path, *words: str) -> None:
    """Both commands that read all cells name the bad one; the board stands, and a baseline is refused."""
    board = invoke("leaderboard", "--runs-dir", store.runs_dir, "--format", "json")
    assert board.exit_code == 0, board.output
    document = json.loads(board.stdout)
    (message,) = document["damaged"]
    assert message.startswith(folder.name)
    assert all(word in message for word in words), message
    assert {row["cells"]["ok"] for row in document["rows"]} == {1}
    frozen = invoke("baseline", "freeze", "--runs-dir", store.runs_dir, "--output", store.runs_dir / "base")
    assert folder.name in str(frozen.exception)
    assert not (store.runs_dir / "base").exists()


def _set(column: str, value: object):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object}) if isinstance(value, str | None) else table
        table.loc[1, column] = value
        return table

    return change


PREDICTIONS = {
    "NaN": (_set("p0", np.nan), "not finite"),
    "infinite": (_set("p0", np.inf), "not finite"),
    "negative": (lambda table: table.assign(p0=-0.5, p1=1.5), "below 0"),
    "sum": (_set("p0", 0.5), "sum to 1"),
    "label": (_set("label", 2), "labels outside 0 to 1"),
    "large label": (_set("label", 2**40), "labels outside"),
    "half": (lambda table: table.iloc[:1], "1 row of 3"),
    "twice": (lambda table: pd.concat([table, table]), "6 rows of 3"),
    "equal ids": (_set("id", "1-0"), "twice"),
    "no id": (_set("id", None), "without id"),
    "numbers for ids": (lambda table: table.assign(id=[1, 2, 3]), "column id"),
    "texts for numbers": (lambda table: table.assign(p0="much"), "column p0"),
    "a class too many": (lambda table: table.assign(p2=0.0), "more probabilities"),
    "a class too few": (lambda table: table.drop(columns="p1"), "p1"),
    "nothing": (lambda table: table.iloc[:0].astype({"id": "string", "group": "string"}), "0 rows of 3"),
}


@pytest.mark.parametrize("fault", PREDICTIONS)
def test_predictions_that_cannot_be_right_are_named_and_left_out(store, fault):
    change, words = PREDICTIONS[fault]
    folder, content = bad_folder(store), io.BytesIO()
    change(pd.read_feather(folder / "predictions.feather")).reset_index(drop=True).to_feather(content)
    (folder / "predictions.feather").write_bytes(content.getvalue())
    assert_named(store, seal(folder), words)


def test_a_file_of_predictions_that_arrow_cannot_read_is_named_and_left_out(store):
    folder = bad_folder(store)
    content = (folder / "predictions.feather").read_bytes()
    (folder / "predictions.feather").write_bytes(content[: len(content) // 2])
    assert_named(store, seal(folder), "predictions.feather")
    for other in store.cells()[0]:
        if other.record.fold == GOOD:
            (other.folder / "history.csv").write_text("x")
    board = invoke("leaderboard", "--runs-dir", store.runs_dir)
    assert isinstance(board.exception, FerBenchError), "there is no board without an intact cell"
    assert (board.stdout, board.stderr) == ("", "")
    assert all(str(board.exception).count(f"{one.name}:") == 1 for one in (store.runs_dir / "cells").iterdir())


RECORDS = {
    "status: weird": ("result.json", ("status",), "weird"),
    "fold: -1": ("cell.json", ("fold",), -1),
    "fold: 7": ("cell.json", ("fold",), 7),
    "fold: 1.5": ("cell.json", ("fold",), 1.5),
    "fold: true": ("cell.json", ("fold",), True),
    "seed: 2**32": ("cell.json", ("seed",), 2**32),
    "folds: 10**9": ("cell.json", ("protocol", "folds"), 10**9),
    "classes: none": ("cell.json", ("dataset", "classes"), []),
    "classes: text": ("cell.json", ("dataset", "classes"), "ab"),
    "dataset: list": ("cell.json", ("dataset",), [1]),
    "schema: text": ("cell.json", ("schema",), "2"),
    "unknown field": ("cell.json", ("dataset", "more"), 1),
    "counts of other classes": ("result.json", ("measures", "train_counts"), [1, 2, 3]),
    "negative counts": ("result.json", ("measures", "train_counts"), [-1, 2]),
    "no measures": ("result.json", ("measures",), {}),
    "seconds: text": ("result.json", ("measures", "seconds", "fit"), "long"),
    "seconds: infinite": ("result.json", ("measures", "seconds", "fit"), float("inf")),
}


@pytest.mark.parametrize("fault", RECORDS)
def test_records_that_do_not_keep_their_schema_are_named_and_left_out(store, fault):
    name, path, value = RECORDS[fault]
    folder = bad_folder(store)
    record = part = json.loads((folder / name).read_text())
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (folder / name).write_text(json.dumps(record))
    assert_named(store, seal(folder), name)


@pytest.mark.skipif(os.name != "posix", reason="FIFOs and devices are POSIX's")
@pytest.mark.parametrize(
    "name", ["cell.json", "result.json", "predictions.feather", "provenance.json", "checksums.json"]
)
@pytest.mark.parametrize("kind", ["fifo", "device", "link", "loop", "huge", "folder", "deep"])
def test_only_regular_files_of_a_bounded_size_are_read(store, tmp_path, name, kind):
    folder = bad_folder(store)
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "huge":
        with file.open("wb") as sparse:
            sparse.truncate(2**33)
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("[" * 100_000)
    cells, (message,) = store.cells()
    assert [cell.record.fold for cell in cells] == [GOOD]
    assert message.startswith(f"{folder.name}: {name} ")


def test_a_folder_behind_a_link_is_named_and_left_out(store, tmp_path):
    folder = bad_folder(store)
    folder.rename(tmp_path / folder.name)
    folder.symlink_to(tmp_path / folder.name)
    (store.runs_dir / "cells" / "loop").symlink_to("loop")
    cells, messages = store.cells()
    assert [cell.record.fold for cell in cells] == [GOOD]
    assert [message.partition(":")[0] for message in messages] == sorted([folder.name, "loop"])
    assert store.find(make_cell(BAD)) is None


def with_provenance(store: Store, **changes: object) -> StoredCell:
    folder = bad_folder(store)
    known = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**known, **changes}))
    seal(folder)
    return next(cell for cell in store.cells()[0] if cell.record.fold == BAD)


@pytest.mark.parametrize(
    "changes",
    [
        {"together": 1},
        {"together": "all"},
        {"together": {"0": 1}},
        {"together": [0, 1]},
        {"together": [[0]]},
        {"together": [[0, -1]]},
        {"together": [[0, 2]]},
        {"together": [["0", "1"]]},
        {"together": [[0, 1, -2]]},
        {"together": [[0, 1, 2, 3]]},
        {"together": [None]},
        {"config": [1]},
        {"command": "fer-bench"},
        {"code": {"fer-bench": None}},
        {"distributions": []},
    ],
)
@pytest.mark.parametrize("command", ["show", "replay"])
def test_provenance_of_another_shape_is_one_message(store, changes, command):
    cell = with_provenance(store, **changes)
    result = invoke(command, cell.id[:8], "--runs-dir", store.runs_dir)
    assert isinstance(result.exception, FerBenchError)
    assert "provenance.json" in str(result.exception)
    assert next(iter(changes)) in str(result.exception)


@pytest.mark.parametrize(
    "together",
    [[[seed, 1] for seed in range(MOST_SEEDS + 1)], [[0, 1], [0, 1]], [[5, 0]]],
    ids=["many", "twice", "others"],
)
def test_a_replay_trains_no_cells_that_a_stranger_makes_up(store, together):
    with pytest.raises(FerBenchError, match="together"):
        _together(with_provenance(store, together=together))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_every_seed_that_is_allowed_makes_a_board(tmp_path, seed):
    store = Store(tmp_path)
    for fold in (0, 1):
        store.write(make_cell(fold, seed), make_result(ids=[f"{fold}-{i}" for i in range(3)]), UNKNOWN)
    row = next(row for row in build(store.cells()[0]) if not row.baseline)
    assert (row.ok, row.pooled.seed.tolist()) == (2, [seed] * 6)
    for form in ("terminal", "md", "csv", "json", "latex", "html"):
        assert invoke("leaderboard", "--runs-dir", tmp_path, "--format", form).exit_code == 0
    assert invoke("baseline", "freeze", "--runs-dir", tmp_path, "--output", tmp_path / "base").exit_code == 0
    checked = invoke("check", "--baseline", tmp_path / "base", "--runs-dir", tmp_path, "--margin", "0.49")
    assert checked.exit_code in (0, 3), checked.output


WRITER = """
import os, sys
from pathlib import Path
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store
from test_results import make_cell, make_result
os.fsync = lambda descriptor: None  # so that the two meet more often
store, cell, result = Store(Path(sys.argv[1])), make_cell(), make_result()
print("ready", flush=True)
input()
for _ in range(150):
    store.write(cell, result, Provenance(python=str(os.getpid())))
"""


@pytest.mark.slow
def test_two_writers_of_one_cell_at_one_instant_both_go_on(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    writers = [subprocess.Popen(command, env=env, **pipes) for _ in range(2)]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    for writer in writers:
        writer.stdin.write("\n")
    for writer in writers:
        writer.communicate(timeout=300)
    assert [writer.returncode for writer in writers] == [0, 0]
    cells, damaged = Store(tmp_path).cells()
    assert ([cell.id for cell in cells], damaged) == ([make_cell().id], [])
    assert [entry.name for entry in (tmp_path / "cells").iterdir()] == [make_cell().id[:16]]


def test_a_record_comes_back_as_it_was_written_and_says_every_fault():
    cell = make_cell(params={"size": 3, "deep": [{"a": None}]}, trained_with=[DATASET], faces={"method": "box"})
    key, back = parsing.join_cell(parsing.split_cell(json.dumps(cell.record()).encode()))
    assert (key, back) == (cell.id, cell)
    with pytest.raises(ValueError, match="limit") as raised:
        canonical.from_json(records.DatasetRecord, {**DATASET, "limit": "7", "n": -1, "fingerprint": None})
    assert all(name in str(raised.value) for name in ("limit", "n ", "fingerprint"))
