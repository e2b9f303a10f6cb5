"""From a configuration to cells: what is to be done, with no knowledge of how it is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_bench.config import RunConfig
from fer_bench.data import protocols
from fer_bench.data.prepare import prepare
from fer_bench.data.protocols import Fold
from fer_bench.data.task import Task
from fer_bench.data.view import select
from fer_bench.registry import Component, Registry
from fer_bench.results.cell import Cell
from fer_bench.specs import BackboneSpec, DatasetSpec, Plan, StrategySpec
from fer_bench.training.backbone import BACKBONE_SEED, code_digest, identity, resolve_precision
from fer_bench.training.engine import make_plan


@dataclass(frozen=True, eq=False)
class Job:
    """One cell and what it tests.

    Attributes:
        cell: its identity.
        fold: the samples that train and that are tested.
        config: settings of a `RunConfig` that make this cell again, as plain JSON; see `config_of`.
    """

    cell: Cell
    fold: Fold
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> dict[str, int]:
        """Every seed that this cell's result depends on."""
        return {"folds": self.cell.seed, "training": self.cell.seed, "random_backbone_weights": BACKBONE_SEED}


@dataclass(frozen=True, eq=False)
class Block:
    """All folds and seeds of one data set x backbone x strategy: they share features and are trained together."""

    task: Task
    backbone: Component[BackboneSpec]
    backbone_identity: dict[str, Any]
    strategy: Component[StrategySpec]
    plan: Plan
    jobs: tuple[Job, ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """What a run consists of.

    Attributes:
        blocks: in the order of execution.
        notes: one line a data set: which protocol was chosen and why, and what its preparation warned of.
    """

    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    @property
    def jobs(self) -> list[Job]:
        """All cells, in the order of execution."""
        return [job for block in self.blocks for job in block.jobs]


def expand(
    config: RunConfig, registry: Registry, data_dir: Path, progress: Callable[[Component[DatasetSpec]], None]
) -> Grid:
    """Resolve every name, prepare the data and enumerate the cells.

    Args:
        config: the run's settings.
        registry: of the installed plugins.
        data_dir: where data sets lie.
        progress: called before a data set is prepared.

    Raises:
        FerBenchError: anything about the settings or the data that a user can mend; nothing has been trained by then.
    """
    # Cheap faults come before slow work: names first, then data.
    datasets = [registry.dataset(text) for text in config.datasets]
    backbones = [registry.backbone(text) for text in config.backbones]
    strategies = [(strategy, make_plan(strategy)) for strategy in map(registry.strategy, config.strategies)]
    precision = resolve_precision(config.precision)
    identities = [{"text": str(backbone), **identity(backbone, precision)} for backbone in backbones]
    blocks: list[Block] = []
    notes: list[str] = []
    for typed, dataset in zip(config.datasets, datasets, strict=True):
        progress(dataset)
        task = Task((select(dataset, prepare(dataset, data_dir), config.limit),))
        protocol, why = protocols.choose(config.protocol, task)
        splits = [protocols.split(protocol, task, config.folds, seed) for seed in config.seeds]
        notes.append(f"{dataset}: {len(task)} images, {protocol} with {config.folds} folds ({why}).")
        notes.extend(f"{dataset}: {warning}" for view in task.parts for warning in view.prepared.warnings)
        data_identity = task.identity()
        for typed_backbone, backbone, backbone_identity in zip(config.backbones, backbones, identities, strict=True):
            for typed_strategy, (strategy, plan) in zip(config.strategies, strategies, strict=True):
                texts = {"datasets": typed, "backbones": typed_backbone, "strategies": typed_strategy}
                strategy_identity = {
                    "text": str(strategy),
                    **strategy.identity(),
                    "code_sha256": code_digest(strategy.spec.plan),
                }
                jobs = [
                    Job(
                        Cell(
                            dataset=data_identity,
                            protocol=split.identity(),
                            backbone=backbone_identity,
                            strategy=strategy_identity,
                            fold=fold.number,
                            seed=split.seed,
                        ),
                        fold,
                        config_of(config, texts, split.seed, precision),
                    )
                    for split in splits
                    for fold in split.folds
                ]
                blocks.append(Block(task, backbone, backbone_identity, strategy, plan, tuple(jobs)))
    return Grid(tuple(blocks), tuple(notes))


def config_of(config: RunConfig, texts: Mapping[str, str], seed: int, precision: str) -> dict[str, Any]:
    """Return the settings that make one cell of ``config`` again, on any machine: no folders, and nothing automatic.

    Args:
        config: of the whole run.
        texts: field of `RunConfig` -> the one component that the cell uses, as the user typed it.
        seed: of the cell.
        precision: ``float32`` or ``bfloat16``, what ``auto`` came to.
    """
    settings = config.model_dump(mode="json", exclude={"runs_dir", "data_dir", "cache_dir"})
    return {**settings, **{name: [text] for name, text in texts.items()}, "seeds": [seed], "precision": precision}
