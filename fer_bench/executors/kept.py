"""Trained models beside the cells of a runs folder: ``<runs>/models/<id of the cell>.safetensors``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_bench.about import __version__
from fer_bench.arrays import Array
from fer_bench.evaluation.metrics import STANDARD, evaluate
from fer_bench.executors.grid import Block, Job
from fer_bench.models import files
from fer_bench.models.files import ModelRecord, ModelScore
from fer_bench.results.outcomes import Calibration, Searched
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Result, StoredCell
from fer_bench.specs import GradientPhase
from fer_bench.tasks.splitting import noun
from fer_bench.tasks.task import Task

if TYPE_CHECKING:
    from fer_bench.learning.material import Learned
    from fer_bench.networks.source import BackboneSource

FOLDER = "models"


def file_of(runs_dir: Path, cell_id: str) -> Path:
    """Return where the model of a cell lies, whether it is kept or not."""
    return runs_dir / FOLDER / f"{cell_id}.safetensors"


def is_kept(runs_dir: Path, block: Block, cell: StoredCell | None) -> bool:
    """Return whether a kept model of a cell predicts other images, so that nothing is trained again.

    A model that is a head on features is fitted again, in seconds.
    """
    trained = isinstance(block.plan.phases[-1], GradientPhase)
    return cell is not None and cell.ok and trained and file_of(runs_dir, cell.id).is_file()


def keep_model(
    runs_dir: Path, block: Block, source: BackboneSource, job: Job, learned: Learned, result: Result
) -> None:
    """Write what a cell learned; it comes before the cell, so that a cell without its model is one of another run.

    Raises:
        FerBenchError: the file cannot be written.
    """
    assert result.predictions is not None, "only what succeeded has learned something"
    cell, task = job.cell, block.task
    tested = np.flatnonzero(job.fold.test)
    chances = result.predictions[[f"p{index}" for index in range(len(task.classes))]].to_numpy()
    score = ModelScore(
        metric=STANDARD["uar"].title,
        value=evaluate(task.labels[tested], chances, [STANDARD["uar"]])["uar"],
        images=len(tested),
        units=_count_units(task, tested),
        unit=noun(task.unit),
        how=f"fold {cell.fold} of {cell.protocol.folds} of {cell.protocol.text}",
    )
    assert result.measures is not None, "likewise"
    measures = result.measures
    record = describe_model(
        block, source, learned, job.fold.train, cell.seed, score, measures.calibration, measures.search
    )
    folded = ModelRecord(**{**vars(record), "fold": cell.fold, "cell": cell.id})
    files.write(file_of(runs_dir, cell.id), folded, learned.table)


def describe_model(
    block: Block,
    source: BackboneSource,
    learned: Learned,
    train: Array,
    seed: int,
    score: ModelScore | None,
    calibration: Calibration | None,
    search: Searched | None,
) -> ModelRecord:
    """Return the record of a model of a block that was trained on the samples ``train``, (n,) bool.

    A model of settings that a search chose is one of the strategy with these.
    """
    experiment = block.jobs[0].cell.experiment
    shapes = {view.shape for view in block.task.parts}
    return ModelRecord(
        version=__version__,
        experiment=replace(experiment, strategy=search.strategy) if search else experiment,
        seed=seed,
        counts=tuple(np.bincount(block.task.labels[train], minlength=len(block.task.classes)).tolist()),
        stages=source.digests(),
        start=learned.start,
        shape=shapes.pop() if len(shapes) == 1 else None,
        channels=3 if any(view.channels == 3 for view in block.task.parts) else 1,
        score=score,
        calibration=calibration,
    )


def drop_all_but_best(runs_dir: Path, cells: Iterable[StoredCell]) -> None:
    """Remove the models of all cells of a row but the one with the highest UAR; of equals the first stays."""
    rows: dict[str, list[tuple[float, StoredCell]]] = defaultdict(list)
    for cell in cells:
        if cell.ok and file_of(runs_dir, cell.id).is_file():
            predictions, _, _ = read_predictions([cell])
            if predictions is not None:
                values = evaluate(predictions.labels, predictions.probabilities, [STANDARD["uar"]])
                rows[cell.record.experiment.id].append((values["uar"], cell))
    for scored in rows.values():
        _, best = max(scored, key=lambda pair: pair[0])
        for _, cell in scored:
            if cell is not best:
                with suppress(OSError):  # it takes space, and nothing else
                    file_of(runs_dir, cell.id).unlink()


def _count_units(task: Task, rows: Array) -> int:
    return len(rows) if task.groups is None else len(np.unique(task.groups[rows]))
