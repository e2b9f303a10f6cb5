"""What TensorBoard would show of a run, read back from its event files."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from tensorboardX.proto.event_pb2 import Event
from tiny_run import BASE, invoke

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import uar
from fer_bench.results.store import Store

STEPS = ["run", "--dataset", "squares", "--backbone", "net", "--strategy", "steps", "--folds", "2", "--limit", "45"]


def scalars(folder) -> dict[tuple[str, int], float]:
    """Return (tag, step) -> value in the event file of a folder: records of length, check, data, check."""
    (file,) = folder.glob("events.out.tfevents.*")
    content, at, found = file.read_bytes(), 0, {}
    while at < len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                assert (value.tag, event.step) not in found
                found[value.tag, event.step] = value.simple_value
        at += length + 16
    return found


def test_curves_and_scores_of_every_cell_are_written(tiny):
    result = invoke(*STEPS, "--tensorboard", "board")
    assert result.exit_code == 0, result.output
    cells, _ = Store(tiny / "runs").cells()
    assert len(cells) == 2
    for cell in cells:
        name = f"seed-0-fold-{cell.record.fold}-{cell.id[:8]}"
        found = scalars(tiny / "board" / "squares" / "net" / "steps" / name)
        history = pd.read_csv(cell.folder / "history.csv").fillna({"epoch": 0})
        for row in history.itertuples():
            assert found[f"{row.phase}/loss", int(row.epoch)] == pytest.approx(row.loss)
        assert found["head/iterations", 0] == history["iterations"][0]
        assert ("first/iterations", 1) not in found
        table = cell.table().to_pandas()
        labels, probabilities = table["label"].to_numpy(), table[["p0", "p1", "p2"]].to_numpy()
        assert found["test/uar", len(history)] == pytest.approx(uar(labels, probabilities.argmax(1)))


def test_cells_that_fail_say_why_and_a_second_run_replaces_what_it_repeats(tiny):
    broken = ["--backbone", "net[fault=nan]", "--folds", "2", "--tensorboard", "board"]
    for _ in range(2):
        assert invoke("run", *BASE[2:], *broken).exit_code == 1
    files = list((tiny / "board").rglob("events.out.tfevents.*"))
    assert len(files) == 2
    assert all(b"failed" in file.read_bytes() and b"not finite" in file.read_bytes() for file in files)


def test_a_board_that_cannot_be_written_does_not_end_the_run(tiny):
    (tiny / "board").mkdir()
    (tiny / "board" / "squares").write_text("in the way")
    result = invoke("run", *BASE, "--folds", "2", "--tensorboard", "board")
    assert result.exit_code == 0
    assert result.stderr.count("plugin '--tensorboard' failed in fer_bench_cell_done") == 2
    with pytest.raises(FerBenchError, match="Cannot write to 'board/squares'"):
        invoke("run", *BASE, "--folds", "2", "--tensorboard", "board/squares")


def test_without_tensorboardx_the_extra_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(FerBenchError, match=r"pip install 'fer-bench\[tensorboard\]'"):
        invoke("run", *BASE, "--tensorboard", "board")
