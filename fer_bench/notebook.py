"""The same runs from Python, as tables: what `fer_bench.run` is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fer_bench.config import RunConfig
from fer_bench.evaluation.metrics import evaluate
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.run import run_grid
from fer_bench.registry import Registry
from fer_bench.reports.board_records import to_flat_table
from fer_bench.reports.leaderboard import build
from fer_bench.reports.table import Table, value
from fer_bench.results.reading import read_predictions

if TYPE_CHECKING:
    from fer_bench.results.store import StoredCell


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a run.

    Attributes:
        leaderboard: one line a row, as ``fer-bench leaderboard --format csv`` writes it; scores are 0 to 1.
        cells: one line a cell: ``id``, ``dataset``, ``protocol``, ``backbone``, ``strategy``, ``seed``,
            ``split_seed``, ``fold``, ``status``, ``error``, and every metric of a cell that is ok.
        damaged: stored cells that were left out, and why.
    """

    leaderboard: pd.DataFrame
    cells: pd.DataFrame
    damaged: tuple[str, ...]

    def _repr_html_(self) -> str:
        return str(self.leaderboard.to_html(index=False))


def run(config: str | Path | None = None, *, quiet: bool = True, **settings: Any) -> Run:
    """Run a grid of data sets, backbones and strategies; what is stored already is not run again.

    Args:
        config: YAML file of settings, as of ``fer-bench run --config``.
        quiet: show no progress.
        **settings: fields of `fer_bench.config.RunConfig`, laid over the file; one text stands for a list of one.

    Raises:
        FerBenchError: a setting or the data are not right; all faults at once.
    """
    several = ("datasets", "backbones", "strategies", "train_on", "train_with", "seeds", "split_seeds")
    overrides = {
        name: [value] if name in several and isinstance(value, str | int) else value for name, value in settings.items()
    }
    runs = RunConfig.read(None if config is None else Path(config), overrides)
    with TerminalReporter(quiet) as reporter:
        finished = run_grid(runs, Registry.load(), reporter)
    damaged = list(finished.damaged)
    board = _frame(to_flat_table(build(finished.cells, left_out=damaged.append)))
    return Run(board, _cells(finished.cells), tuple(damaged))


def _frame(table: Table) -> pd.DataFrame:
    """Return a table for programs as a data frame."""
    return pd.DataFrame([map(value, row) for row in table.rows], columns=[column.title for column in table.columns])


def _cells(cells: Sequence[StoredCell]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for cell in cells:
        record = cell.record
        row = {
            "id": cell.id,
            "dataset": record.dataset.text,
            "backbone": record.backbone.text,
            "strategy": record.strategy.text,
            "protocol": record.protocol.text if record.protocol.pairs_of else record.protocol.name,
            "seed": record.seed,
            "split_seed": record.dealt_by,
            "fold": record.fold,
            "status": cell.result.status,
            "error": cell.error,
        }
        predictions, _, _ = read_predictions([cell] if cell.ok else [])
        if predictions is not None:
            row |= evaluate(predictions.labels, predictions.probabilities)
        rows.append(row)
    return pd.DataFrame(rows)
