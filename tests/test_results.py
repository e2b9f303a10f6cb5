"""Cells survive anything: replaced whole or not at all, and never read when damaged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from messages import says

from fer_bench.errors import FerBenchError
from fer_bench.results import canonical, records
from fer_bench.results.canonical import digest
from fer_bench.results.outcomes import Measures, Provenance, Seconds
from fer_bench.results.records import Cell
from fer_bench.results.store import Result, Store, StoredCell

UNKNOWN = Provenance()
BROUGHT: dict[str, Any] = {"name": "it", "package": "tests", "version": "1", "params": {}}
"""What a record says of a component beside its text."""
DATASET: dict[str, Any] = {
    **BROUGHT,
    "text": "faces",
    "fingerprint": "f" * 64,
    "classes": ["a", "b"],
    "labels": {"set": "native", "map": {}},
    "limit": None,
    "n": 3,
    "samples_sha256": "a" * 64,
    "synthetic": False,
}


def make_cell(
    fold: int = 0,
    seed: int = 0,
    backbone: str = "net",
    strategy: str = "probe",
    code: str = "",
    split_seed: int | None = None,
    **dataset: Any,
) -> Cell:
    dealt_by = seed if split_seed is None else split_seed
    protocol = {"name": "kfold", "text": "kfold", "ignores": [], "folds": 2, "splits_sha256": f"{dealt_by}"}
    return Cell(
        dataset=canonical.from_json(records.DatasetRecord, {**DATASET, **dataset}),
        protocol=canonical.from_json(records.ProtocolRecord, protocol),
        backbone=records.BackboneRecord(
            **{**BROUGHT, "text": backbone}, code_sha256=code, weights_sha256=None, precision="float32"
        ),
        strategy=records.StrategyRecord(**{**BROUGHT, "text": strategy}, code_sha256=""),
        fold=fold,
        seed=seed,
        split_seed=split_seed,
    )


def make_measures(train_counts=(3, 1), seconds: float = 1.0) -> Measures:
    return Measures(
        parameters=1_000_000,
        trained_parameters=10,
        converged=True,
        train_counts=tuple(train_counts),
        seconds=Seconds(features=5.0, fit=seconds),
    )


def make_result(labels=(0, 0, 1), predicted=(0, 1, 1), train_counts=(3, 1), ids=None, seconds=1.0) -> Result:
    table = pd.DataFrame({"id": ids or [f"s{i}" for i in range(len(labels))], "group": "", "label": labels})
    table["p0"] = np.where(np.array(predicted) == 0, 0.9, 0.2)
    table["p1"] = 1 - table["p0"]
    measures = make_measures(train_counts, seconds)
    return Result("ok", "", measures, table, pd.DataFrame({"phase": ["head"]}))


def failed(error: str = "ValueError: no") -> Result:
    return Result("failed", error, None, None, pd.DataFrame({"phase": []}))


def test_a_cell_comes_back_as_it_was_written(tmp_path):
    store, cell, result = Store(tmp_path), make_cell(), make_result()
    assert store.find(cell) is None
    stored = store.write(cell, result, Provenance(python="3"))
    assert store.find(cell).ok
    assert (stored.record, stored.id) == (cell, cell.id)
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(stored.finished) < timedelta(minutes=1)
    pd.testing.assert_frame_equal(stored.table().to_pandas(), result.predictions)
    assert store.cells()[0][0].id == cell.id
    assert sorted(file.name for file in stored.folder.iterdir()) == [
        *("cell.json", "checksums.json", "history.csv", "predictions.feather", "provenance.json", "result.json")
    ]


def test_the_id_is_the_hash_of_everything_that_decides_the_result():
    ids = {
        make_cell().id,
        make_cell(fold=1).id,
        make_cell(seed=1).id,
        make_cell(backbone="x").id,
        make_cell(limit=7).id,
        make_cell(seed=1, split_seed=0).id,
    }
    assert len(ids) == 6
    assert make_cell().id == make_cell().id
    assert len(make_cell().id) == 64


def test_the_seed_of_the_folds_is_written_where_it_is_another_one(tmp_path):
    assert "split_seed" not in make_cell().record(), "ids of cells with one seed for both stay"
    store, cell = Store(tmp_path), make_cell(seed=3, split_seed=1)
    store.write(cell, make_result(), UNKNOWN)
    (stored,), _ = store.cells()
    assert (stored.record, stored.id) == (cell, cell.id)
    assert (cell.training, make_cell(seed=3).training) == ((1, 3), (3, 3))


def test_a_failed_cell_is_kept_and_replaced_when_it_succeeds(tmp_path):
    store, cell = Store(tmp_path), make_cell()
    store.write(cell, failed("ValueError: “ß”, 'quoted'"), Provenance())
    (stored,), _ = store.cells()
    assert (stored.status, stored.error) == ("failed", "ValueError: “ß”, 'quoted'")
    store.write(cell, make_result(), Provenance())
    (stored,), damaged = store.cells()
    assert (stored.status, damaged) == ("ok", [])
    assert [folder.name for folder in (tmp_path / "cells").iterdir()] == [cell.id[:16]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "predictions.feather").write_bytes((f / "predictions.feather").read_bytes()[:-9]),
            "predictions.feather",
        ),
        (lambda f: (f / "predictions.feather").unlink(), "predictions.feather is missing"),
        (lambda f: (f / "checksums.json").unlink(), "checksums.json is missing"),
        (lambda f: (f / "checksums.json").write_text("{"), "Invalid JSON"),
        (lambda f: (f / "checksums.json").write_text("[]"), "checksums.json"),
        (lambda f: (f / "result.json").write_text('{"status": "ok"}'), "result.json does not match"),
        (lambda f: f.rename(f.with_name("0" * 16)), "not the hash"),
    ],
)
def test_a_damaged_cell_is_left_out_and_named(tmp_path, damage, message):
    store = Store(tmp_path)
    store.write(make_cell(0), make_result(), Provenance())
    stored = store.write(make_cell(1), make_result(), Provenance())
    damage(stored.folder)
    cells, (complaint,) = store.cells()
    assert [cell.record.fold for cell in cells] == [0]
    assert message in complaint
    assert store.find(make_cell(1)) is None


def make_older(folder: Path, *, parquet: bool = False) -> StoredCell | str:
    """Rewrite a stored cell as fer-bench 0.1.0 wrote it (schema 1), or as before that; return it as it is read."""
    record, result = (json.loads((folder / name).read_text()) for name in ("cell.json", "result.json"))
    del record["numerics"], result["finished"]
    record = {**record, "schema": 1, "strategy": {**record["strategy"], "engine_sha256": "0" * 64}}
    for name, value in (("cell.json", record), ("result.json", result)):
        (folder / name).write_text(json.dumps(value))
    if parquet:
        pd.read_feather(folder / "predictions.feather").to_parquet(folder / "predictions.parquet")
        (folder / "predictions.feather").unlink()
    (folder / "checksums.json").unlink()
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    (folder / "checksums.json").write_text(json.dumps(sums))
    os.utime(folder / "result.json", (1e9, 1e9))
    folder = folder.rename(folder.with_name(digest(record)[:16]))
    cells, messages = Store(folder.parents[1]).cells()
    return next((cell for cell in cells if cell.folder == folder), "".join(messages))


def test_cells_of_older_formats_are_read_or_said_to_be_of_one(tmp_path):
    store, cell = Store(tmp_path), make_cell()
    older = make_older(store.write(cell, make_result(), Provenance()).folder)
    assert (older.record.schema, older.finished) == (1, "2001-09-09T01:46:40.000+00:00")
    pd.testing.assert_frame_equal(older.table().to_pandas(), make_result().predictions)
    assert store.find(cell) is None
    message = make_older(store.write(make_cell(1), make_result(), Provenance()).folder, parquet=True)
    assert "older format" in message
    assert "damaged" not in message


def test_a_newer_schema_is_refused_by_version(tmp_path):
    Store(tmp_path).write(replace(make_cell(), schema=99), make_result(), Provenance())
    _, (complaint,) = Store(tmp_path).cells()
    assert says(complaint, "newer fer-bench", "schema 99")


def test_a_run_killed_while_writing_leaves_no_half_cell(tmp_path):
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from pathlib import Path
from test_results import make_cell, make_result
from fer_bench.results import store
from fer_bench.results.outcomes import Provenance
def die(made, target):
    os.kill(os.getpid(), signal.SIGKILL)
target = store.Store(Path({str(tmp_path)!r}))
target.write(make_cell(0), make_result(), Provenance())
store._move = die
target.write(make_cell(1), make_result(), Provenance())
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    store = Store(tmp_path)
    cells, damaged = store.cells()
    assert ([cell.record.fold for cell in cells], damaged) == ([0], [])
    store.write(make_cell(1), make_result(), Provenance())
    assert len(store.cells()[0]) == 2


def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path):
    """A real write error: the process may write files of 4 kB at most, the predictions need more."""
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from pathlib import Path
from test_results import make_cell, make_result
from fer_bench.errors import FerBenchError
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store
store = Store(Path({str(tmp_path)!r}))
store.write(make_cell(0), make_result(), Provenance())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
import numpy as np
labels = np.arange(9000) % 2
try:
    store.write(make_cell(1), make_result(labels, labels), Provenance())
except FerBenchError as error:
    print(error)
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert says(out, "runs folder", f"'{tmp_path}'", "Cells stored before")
    assert [folder.name for folder in (tmp_path / "cells").iterdir()] == [make_cell(0).id[:16]]


def test_a_runs_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match=r"Cannot write .*file/runs"):
        Store(tmp_path / "file" / "runs").ensure_writable()
    with pytest.raises(FerBenchError, match=r"no runs folder .*none"):
        Store(tmp_path / "none").cells()
    with pytest.raises(FerBenchError, match=r"file' .*unpack .*file --into"):
        Store(tmp_path / "file").cells()


def test_cell_json_is_readable_and_complete(tmp_path):
    stored = Store(tmp_path).write(make_cell(text="naïve"), make_result(), Provenance())
    record = json.loads((stored.folder / "cell.json").read_text(encoding="utf-8"))
    assert record["schema"] == 2
    assert record["dataset"]["text"] == "naïve"


@pytest.mark.skipif(os.name != "posix", reason="a file without a name needs POSIX")
def test_trying_whether_the_folder_can_be_written_leaves_nothing_behind_a_kill(tmp_path, monkeypatch):
    seen: list[list[Path]] = []

    def try_it(dir: Path):
        file = real(dir=dir)
        seen.append(list(dir.iterdir()))
        return file

    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", try_it)
    Store(tmp_path).ensure_writable()
    assert seen == [[]]
