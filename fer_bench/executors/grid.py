"""From a configuration to cells: what is to be done, with no knowledge of how it is executed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fer_bench.config import PLACED, RunConfig
from fer_bench.corruption import parse
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.executors.methods import Methods, PlannedStrategy, find_methods
from fer_bench.executors.notes import (
    notes_on_backbone,
    notes_on_corruptions,
    notes_on_folds,
    notes_on_jackknife,
    notes_on_search,
    notes_on_splits,
    notes_on_task,
)
from fer_bench.executors.reporting import Reporter
from fer_bench.executors.run_data import make_task
from fer_bench.learning import augment
from fer_bench.learning.trials import Search, rounds
from fer_bench.networks.devices import check_backend
from fer_bench.networks.identity import BACKBONE_SEED, notes_on_precision
from fer_bench.networks.shapes import Shapes
from fer_bench.numerics import NUMERICS
from fer_bench.registry import Component, Registry
from fer_bench.results import canonical, records
from fer_bench.results.records import Cell
from fer_bench.specs import BackboneSpec, GradientPhase, Plan, StrategySpec
from fer_bench.tasks import protocols
from fer_bench.tasks.folds import Fold, Split, cut_validation, leave_out_of_training
from fer_bench.tasks.fractions import shrink_training
from fer_bench.tasks.inner import Nested, divide_training
from fer_bench.tasks.pairs import leave_two_out
from fer_bench.tasks.task import Task
from fer_bench.tasks.training_size import notes_on_prediction, shortfalls
from fer_bench.tasks.view import View

COMPONENTS = ("datasets", "backbones", "strategies", "train_on", "train_with")
"""Fields of `RunConfig` that name components."""


@dataclass(frozen=True, eq=False)
class Job:
    """One cell and what it tests.

    Attributes:
        cell: its identity.
        fold: the samples that train and that are tested.
        config: settings of a `RunConfig` that make this cell again, as plain JSON; see `config_of`.
        nested: the inner folds of a search; None where nothing is searched.
    """

    cell: Cell
    fold: Fold
    config: Mapping[str, Any] = field(default_factory=dict)
    nested: Nested | None = None

    @property
    def seeds(self) -> dict[str, int]:
        """Every seed that this cell's result depends on."""
        return {"folds": self.cell.dealt_by, "training": self.cell.seed, "random_backbone_weights": BACKBONE_SEED}


@dataclass(frozen=True, eq=False)
class Block:
    """All folds and trainings of one data set x backbone x strategy: they share features and are trained together.

    Where settings are searched, ``strategy`` and ``plan`` are what all trials have.
    """

    task: Task
    backbone: Component[BackboneSpec]
    backbone_identity: dict[str, Any]
    strategy: Component[StrategySpec]
    plan: Plan
    jobs: tuple[Job, ...]
    shapes: Callable[[], Shapes]
    search: Search | None = None

    @functools.cached_property
    def plans(self) -> dict[str, Plan]:
        """Each plan that is trained, by the name of its strategy."""
        if self.search is None:
            return {str(self.strategy): self.plan}
        return self.search.plans(job.cell.seed for job in self.jobs)


@dataclass(frozen=True, eq=False)
class Grid:
    """What a run consists of.

    Attributes:
        blocks: in the order of execution.
        folds: of each data set, which protocol was chosen and why.
        notes: what else a user should know, as what a preparation warned of.
    """

    blocks: tuple[Block, ...]
    folds: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def jobs(self) -> list[Job]:
        """All cells, in the order of execution."""
        return [job for block in self.blocks for job in block.jobs]


def expand(
    configs: RunConfig | Sequence[RunConfig],
    registry: Registry,
    data_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    views: dict[tuple[Any, ...], View] | None = None,
) -> Grid:
    """Resolve every name, prepare the data and enumerate the cells; one that several runs ask for is listed once.

    Args:
        configs: the settings of one run or several.
        registry: of the installed plugins.
        data_dir: where data sets lie.
        cache_dir: where it is kept what faces were found.
        reporter: is told before a data set is prepared, and how looking for faces goes.
        views: keeps what is open already, for a caller that expands several.

    Raises:
        FerBenchError: a fault of the settings or the data that a user can correct; nothing has been trained by then.
    """
    runs = [configs] if isinstance(configs, RunConfig) else list(configs)
    _check_names(runs, registry, reporter)
    methods = [find_methods(config, registry, cache_dir, reporter.say) for config in runs]
    views = {} if views is None else views
    blocks, folds, notes, seen = list[Block](), list[str](), list[str](), set[str]()
    for config, resolved in zip(runs, methods, strict=True):
        notes += notes_on_precision(config.precision)
        for typed in config.datasets:
            task = make_task(config, typed, registry, data_dir, cache_dir, reporter, views)
            protocol, why = protocols.choose(config, task, registry)
            splits = [
                leave_out_of_training(protocols.split(protocol, task, config, seed), task, ~task.found)
                for seed in config.split_seeds or config.seeds
            ]
            folds += notes_on_folds(task, splits[0], why)
            notes += [*notes_on_task(task, splits[0]), *notes_on_corruptions(task, parse(config.corrupt))]
            for backbone in resolved.backbones:
                notes += notes_on_backbone(backbone.component, task)
            for strategy in resolved.strategies:
                notes += _check_strategy(strategy, config.seeds, task)
            shares = _shares(config, task, splits)
            planned = [block for part, dealt in shares for block in _blocks(part, typed, task, dealt, resolved)]
            cells = [job.cell for block in planned for job in block.jobs]
            notes += notes_on_splits(task, config.split_seeds, {cell.dealt_by for cell in cells})
            notes += notes_on_jackknife(task, cells)
            for block in planned:
                new = tuple(job for job in block.jobs if job.cell.id not in seen)
                seen.update(job.cell.id for job in new)
                if new:
                    blocks.append(replace(block, jobs=new))
    _check_training_parts(blocks)
    notes += _notes_on_prediction(blocks)
    return Grid(tuple(blocks), tuple(dict.fromkeys(folds)), tuple(dict.fromkeys(notes)))


def _check_names(runs: Sequence[RunConfig], registry: Registry, reporter: Reporter) -> None:
    """Raise FerBenchError if a run names what is not there: cheap faults come before slow work."""
    if not any("datasets" in config.model_fields_set for config in runs):
        reporter.say(
            "No --dataset is given: the faces are drawn by a program, and scores on them say nothing about real ones. "
            "To read yours, add --dataset 'folder[path=FOLDER]'."
        )
    for config in runs:
        protocols.find(config, registry)
        registry.datasets((*config.datasets, *config.train_on, *config.train_with))
    check_backend()


def _check_strategy(strategy: PlannedStrategy, seeds: Sequence[int], task: Task) -> list[str]:
    """Return what a user should know of a strategy before it trains on a task; raise as of `check_labels`."""
    for name, plan in strategy.plans(seeds).items():
        check_labels(plan, name, task)
    changed = [f"{strategy.component}: {text}" for text in augment.notes(strategy.plan)]
    return [*changed, *notes_on_search(strategy.search, seeds)]


def _notes_on_prediction(blocks: Sequence[Block]) -> list[str]:
    """Return what a user should know of how strategies calibrate and aggregate."""
    several = [
        notes_on_prediction(block.plan, str(block.strategy), block.task, [job.fold for job in block.jobs])
        for block in blocks
        if block.search is None
    ]
    return [note for notes in several for note in notes]


def _check_training_parts(blocks: Sequence[Block]) -> None:
    """Raise FerBenchError if a strategy needs more samples than a part of a fold has, or sequences where none are."""
    short = [
        shortfalls(plan, name, block.task, (fold for job in block.jobs for fold in folds_of(job, plan, block.search)))
        for block in blocks
        for name, plan in block.plans.items()
    ]
    if faults := list(dict.fromkeys(fault for several in short for fault in several)):
        raise FerBenchError(
            f"The data do not do for {len(faults)} of what was asked for:\n{bullet_list(faults)}\n"
            "Change the parameters of these strategies, leave them out, or take more images."
        )


def _shares(config: RunConfig, task: Task, splits: Sequence[Split]) -> Iterator[tuple[RunConfig, list[Split]]]:
    """Yield for each share of the training parts the settings that ask only for it, and the splits; and those of its
    jackknife.
    """
    for share in config.train_fraction or (1.0,):
        alone = config.model_copy(update={"train_fraction": () if share == 1 else (share,)})
        shrunk = [shrink_training(split, task, share) for split in splits]
        yield alone, shrunk
        if config.jackknife:
            yield alone, [leave_two_out(split, task) for split in shrunk]


def _blocks(config: RunConfig, typed: str, task: Task, splits: Sequence[Split], methods: Methods) -> Iterator[Block]:
    """Yield each backbone x strategy of a run on one tested data set, with all of its cells.

    Args:
        config: of the run.
        typed: the data set as the user typed it.
        task: its samples.
        splits: their folds, of each seed.
        methods: of the run.
    """
    dataset = canonical.from_json(records.DatasetRecord, task.identity())
    # A validation part is the strategy's wish, so it is cut for each; the test parts stay the same. Where settings are
    # searched each trial has its own.
    validation = {id(strategy): 0.0 if strategy.search else strategy.plan.validation for strategy in methods.strategies}
    shares = set(validation.values())
    dealt = {share: _cut(splits, task, share, config.cache_folder) for share in shares}
    if config.split_seeds:
        dealt = {share: _drop_equal(several) for share, several in dealt.items()}
    for backbone in methods.backbones:
        backbone_record = canonical.from_json(records.BackboneRecord, backbone.identity)
        for strategy in methods.strategies:
            texts = {"datasets": typed, "backbones": backbone.typed}
            settings = config_of(config, texts, methods, strategy)
            jobs = [
                Job(
                    Cell(
                        dataset=dataset,
                        protocol=protocol,
                        backbone=backbone_record,
                        strategy=strategy.record,
                        fold=fold.number,
                        seed=seed,
                        split_seed=None if split.seed == seed else split.seed,
                        numerics=NUMERICS,
                    ),
                    fold,
                    {**settings, **_seeds_of(config, split.seed, seed)},
                    nest(fold, split, task, strategy.search, config.cache_folder),
                )
                for split, protocol in dealt[validation[id(strategy)]]
                for seed in (config.seeds if config.split_seeds else [split.seed])
                for fold in split.folds
            ]
            method = backbone.component, backbone.identity, strategy.component, strategy.plan
            yield Block(task, *method, tuple(jobs), backbone.shapes, strategy.search)


def nest(fold: Fold, split: Split, task: Task, search: Search | None, cache_dir: Path) -> Nested | None:
    """Return a fold with the inner folds of a search; None where nothing is searched.

    Raises:
        FerBenchError: as of `divide_training`.
    """
    return search and divide_training(fold, split, task, search.inner, cache_dir)


def folds_of(job: Job, plan: Plan, search: Search | None) -> list[Fold]:
    """Return the folds that a plan is trained on in a cell; of a search also the smallest inner ones.

    Raises:
        FerBenchError: a validation part cannot be cut from one.
    """
    if job.nested is None or search is None:
        return [job.fold]
    share = rounds(len(search.draw(job.cell.seed)))[0] if search.space.method == "halving" else 1.0
    return [job.nested.cut(plan.validation), *job.nested.inner(share, plan.validation)]


def _cut(
    splits: Sequence[Split], task: Task, share: float, cache_dir: Path
) -> list[tuple[Split, records.ProtocolRecord]]:
    """Return splits with a ``share`` of each training part for validation, and what a cell records of them."""
    dealt = [cut_validation(split, task, share, cache_dir) if share else split for split in splits]
    return [(split, canonical.from_json(records.ProtocolRecord, split.identity)) for split in dealt]


def _drop_equal(
    dealt: Sequence[tuple[Split, records.ProtocolRecord]],
) -> list[tuple[Split, records.ProtocolRecord]]:
    """Return of splits that deal the same folds the first: a training on them again would be the same cell."""
    first = {record: split.seed for split, record in reversed(dealt)}
    return [(split, record) for split, record in dealt if first[record] == split.seed]


def check_labels(plan: Plan, strategy: str, task: Task) -> None:
    """Raise FerBenchError if a plan trains on soft labels that a task does not have."""
    wants = any(isinstance(phase, GradientPhase) and phase.labels == "soft" for phase in plan.phases)
    if wants and task.soft_labels is None:
        raise FerBenchError(
            f"Strategy {strategy!r} trains on soft labels, and data set {task.name!r} has none; leave out labels=soft, "
            "or name a data set that keeps its annotators' votes, such as 'ferplus'."
        )


def config_of(
    config: RunConfig, texts: Mapping[str, str], methods: Methods, strategy: PlannedStrategy
) -> dict[str, Any]:
    """Return the settings that make the cells of one block of ``config`` again, on any machine, but for their seeds.

    They name no folders, and nothing automatic.

    Args:
        config: of the whole run.
        texts: field of `RunConfig` -> the one component that the block uses, as the user typed it.
        methods: of the whole run.
        strategy: of the block.
    """
    settings = config.model_dump(mode="json", exclude=set(PLACED))
    settings |= {name: [text] for name, text in texts.items()}
    if strategy.search is None:
        settings |= {"strategies": [strategy.typed]}
        for name in ("search", "inner", "trials"):
            del settings[name]
    else:
        space = strategy.search.space.model_dump(mode="json")
        settings |= {"strategies": [], "search": [{**space, "strategy": methods.anonymise(space["strategy"])}]}
    components = {name: [methods.anonymise(text) for text in settings[name] or ()] for name in COMPONENTS}
    protocol = methods.anonymise(config.protocol)
    return {**settings, **components, "protocol": protocol, "precision": methods.precision}


def _seeds_of(config: RunConfig, dealt_by: int, seed: int) -> dict[str, list[int]]:
    """Return the settings that name the seeds of one cell: of its folds, where they have their own, and its own."""
    return {"seeds": [seed], "split_seeds": [dealt_by] if config.split_seeds else []}
