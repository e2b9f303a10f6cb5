"""Train one model on all that a protocol may train on: what one takes home after a comparison."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fer_bench.arrays import Array
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.executors.cells import Frozen, demand_of, material_of
from fer_bench.executors.grid import Block, expand, nest
from fer_bench.executors.kept import describe_model
from fer_bench.executors.leases import Leases
from fer_bench.executors.reporting import Reporter
from fer_bench.executors.trainings import searched, trainings_of
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.programs import keep_compiled_programs
from fer_bench.models import files
from fer_bench.models.files import ModelRecord, ModelScore
from fer_bench.networks.prefix import cache_of
from fer_bench.networks.source import BackboneSource
from fer_bench.registry import Registry
from fer_bench.reports.leaderboard import find_row_of
from fer_bench.results.outcomes import Calibration
from fer_bench.results.store import Store
from fer_bench.sizes import number_of
from fer_bench.specs import AnswerPhase
from fer_bench.tasks import protocols
from fer_bench.tasks.folds import Fold, Split, cut_validation
from fer_bench.tasks.splitting import noun


def fit_model(config: RunConfig, registry: Registry, reporter: Reporter, output: Path) -> ModelRecord:
    """Train one model and write it.

    It is trained on every sample that some fold of the protocol trains on: under k-fold protocols on all of them, under
    ``official`` on the training split. Its score is that of the method's cells in ``config.runs_dir``, which were
    tested on people that they were not trained on; the model itself can be tested on none of these.

    Args:
        config: one data set, backbone, strategy and seed.
        registry: of the installed plugins.
        reporter: is told how it goes.
        output: the file to write.

    Raises:
        FerBenchError: the settings name several methods, the strategy trains nothing, or as of `expand`.
    """
    for name in ("datasets", "backbones", "strategies", "seeds"):
        if len(values := getattr(config, name)) > 1:
            raise FerBenchError(f"A model has one of each: name one of {', '.join(map(str, values))}.")
    if len(methods := [*config.strategies, *(space.strategy for space in config.search)]) > 1:
        raise FerBenchError(f"A model has one strategy, with settings that are searched or not; name one of {methods}.")
    alone = config.model_copy(update={"jackknife": False})
    grid = expand(alone, registry, config.data_folder, config.cache_folder, reporter)
    (block,) = grid.blocks
    if block.plan.calibrate == "none":  # Nobody sees what it predicts.
        block = replace(block, plan=replace(block.plan, views="image"))
    if isinstance(block.plan.phases[0], AnswerPhase) and block.plan.calibrate == "none":
        raise FerBenchError(f"{str(block.strategy)!r} trains nothing: {str(block.backbone)!r} is a model already.")
    for note in grid.notes:
        reporter.say(note)
    keep_compiled_programs(config.cache_folder, reporter.warn)
    seed, split = config.seeds[0], _everything(block, config, registry)
    (fold,) = split.folds
    nested = nest(fold, split, block.task, block.search, config.cache_folder)
    block = replace(block, jobs=(replace(block.jobs[0], fold=fold, nested=nested),))
    source = BackboneSource(block.backbone, block.backbone_identity, config.cache_folder, reporter.warn)
    cache = cache_of(config.cache_folder, config.cache_limit, reporter.warn)
    frozen = Frozen(cache, source, {block: demand_of(block)}, Leases(config.runs_dir), reporter)
    (train,) = trainings_of(block, material_of(block, frozen))
    outcome = train(Checkpoint(None))
    learned, score = outcome.learned(), _score(block, Store(config.runs_dir))
    calibration = outcome.scaling and Calibration(**asdict(outcome.scaling))
    search = searched(block, outcome)
    record = describe_model(block, source, learned, fold.train, seed, score, calibration, search)
    files.write(output, record, learned.table)
    return record


def _everything(block: Block, config: RunConfig, registry: Registry) -> Split:
    """Return one fold, which trains on all that any fold of the protocol trains on.

    Some samples are tested as well, since the engine ends in a prediction; nobody sees it.
    """
    task, folds = block.task, [job.fold for job in block.jobs]
    train: Array = np.logical_or.reduce([fold.train for fold in folds])
    protocol, _ = protocols.choose(config, task, registry)
    if protocol.spec.groups == "published":
        return Split(protocol, False, (), config.seeds[0], (Fold(0, train, _first(train), folds[0].valid),))
    train |= np.logical_or.reduce([fold.valid for fold in folds])
    whole = Fold(0, train, _first(train))
    split = Split(protocol, False, (), config.seeds[0], (whole,))
    if block.search or not block.plan.validation:
        return split
    return cut_validation(split, task, block.plan.validation, config.cache_folder)


def _first(mask: Array) -> Array:
    """Return a mask of the first sample of another."""
    first = np.zeros_like(mask)
    first[np.flatnonzero(mask)[0]] = True
    return first


def _score(block: Block, store: Store) -> ModelScore | None:
    """Return the score of the method's stored cells; None without any."""
    row = find_row_of(block.jobs[0].cell.experiment, store)
    if row is None or row.pooled is None:
        return None
    interval = row.interval
    tested = len(row.pooled.labels) // max(1, row.seeds)
    return ModelScore(
        metric=row.metric.title,
        value=row.score,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        images=tested,
        units=tested if interval is None else interval.units,
        unit=noun(block.task.unit),
        how=f"{number_of(row.experiment.protocol.folds, 'fold')} of {row.experiment.protocol.text}",
    )
