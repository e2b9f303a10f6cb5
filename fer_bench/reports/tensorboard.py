"""Stored cells as runs of TensorBoard: the curves of each cell's history, and the scores of its test part.

A listener to the events of a run, as a plugin may be: it is told of each cell, and reads what was stored.
"""

from __future__ import annotations

import importlib
import io
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import evaluate
from fer_bench.hookspecs import hookimpl
from fer_bench.results.reading import read_predictions
from fer_bench.results.records import name_training
from fer_bench.results.store import Store


class TensorBoard:
    """Writes every cell that a run stores below a folder.

    A cell's folder is named ``<data set>/<backbone>/<strategy>/seed-<seed>-fold-<fold>-<id>``; one that is there is
    replaced. Tags are ``<phase>/<column of history.csv>`` by epoch (0 where a phase has none) and ``test/<metric>``.

    Args:
        folder: for ``tensorboard --logdir``.

    Raises:
        FerBenchError: tensorboardX is not installed, or the folder cannot be written.
    """

    def __init__(self, folder: Path):
        try:
            tensorboard: Any = importlib.import_module("tensorboardX")
        except ImportError:
            raise FerBenchError("--tensorboard needs tensorboardX: pip install 'fer-bench[tensorboard]'.") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerBenchError(f"Cannot write to {str(folder)!r}: {error.strerror}.") from None
        self._folder, self._writer = folder, tensorboard.SummaryWriter
        self._store: Store | None = None

    @hookimpl
    def fer_bench_run_start(self, runs_dir: Path) -> None:
        """Remember where cells are stored."""
        self._store = Store(runs_dir)

    @hookimpl
    def fer_bench_cell_done(self, cell: Mapping[str, Any]) -> None:
        """Write one cell."""
        assert self._store is not None, "a run starts before its cells are done"
        stored = self._store.read(cell["id"])
        record = stored.record
        method = [_safe(part.text) for part in (record.dataset, record.backbone, record.strategy)]
        training = name_training(record.training).replace(", ", "-").replace(" ", "-")
        folder = self._folder.joinpath(*method, f"{training}-fold-{record.fold}-{stored.id[:8]}")
        shutil.rmtree(folder, ignore_errors=True)
        history = pd.read_csv(io.BytesIO(stored.history()))
        with self._writer(str(folder), write_to_disk=True) as writer:
            writer.add_text("cell", f"{stored.id}: {stored.result.status} {stored.error}".rstrip())
            for row in history.to_dict("records"):
                phase, epoch = row.pop("phase"), row.pop("epoch", 0)
                for name, value in row.items():
                    if pd.notna(value):
                        writer.add_scalar(f"{phase}/{name}", value, int(epoch) if pd.notna(epoch) else 0)
            predictions, _, _ = read_predictions([stored] if stored.ok else [])
            if predictions is not None:
                for name, value in evaluate(predictions.labels, predictions.probabilities).items():
                    writer.add_scalar(f"test/{name}", value, len(history))


def _safe(text: str) -> str:
    """Return a name as one folder of it, on any system."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", text).strip(" .") or "_"
