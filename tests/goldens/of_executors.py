"""A golden of a whole run: from the names that a user types to the predictions of stored cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from goldens.materials import PLUGIN, SIZE, drawn, net, write_pictures
from goldens.record import golden, rounded

from fer_bench.config import RunConfig
from fer_bench.executors.grid import Grid, expand
from fer_bench.executors.local import execute
from fer_bench.executors.work import Work
from fer_bench.faces.parameters import Crop
from fer_bench.faces.store import Detections
from fer_bench.registry import Registry
from fer_bench.results.store import Store
from fer_bench.specs import ConvexPhase, GradientPhase, Params, Plan, Rule, StrategySpec
from fer_bench.tasks.crops import Faces
from fer_bench.tasks.task import Task

UNSEEN = (2, 7)
"""The images in which no face is found."""
_NAMES = ("probe", "steps")


def plan_probe(params: Params) -> Plan:
    """A convex head on the features."""
    del params
    return Plan(phases=(ConvexPhase(c=1.0, standardize=False, max_iterations=50, tolerance=1e-4),))


def plan_steps(params: Params) -> Plan:
    """Steps in the last stage that begin at random weights, the best epoch on a validation part."""
    del params
    rules = (Rule(rate=0, stop="high"), Rule(start="high"), Rule(head=True))
    phase = GradientPhase(name="steps", rules=rules, epochs=2, batch=2, learning_rate=0.05, flip=True, patience=2)
    return Plan(phases=(phase,), validation=0.5, pretrained=False)


class _Nobody:
    """Is told how the run goes, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def _with_faces(grid: Grid) -> Grid:
    """Return the grid with faces in all images but `UNSEEN`, as if a detector had looked for them."""
    (task,) = {block.task for block in grid.blocks}
    (view,) = task.parts
    n = len(view.rows)
    detections = Detections(~np.isin(np.arange(n), UNSEEN), np.tile([0.0, 0.0, 4.0, 5.0], (n, 1)), np.zeros((n, 5, 2)))
    faces = Faces(Crop(method="box", size=SIZE), "error", detections, n, 0.0)
    seen = Task((replace(view, faces=faces),), task.clusters)
    return replace(grid, blocks=tuple(replace(block, task=seen) for block in grid.blocks))


@golden(1e-3)
def whole_run(folder: Path) -> dict[str, Any]:
    """Two strategies on three folds; of two images without a face, each test is an error."""
    write_pictures(folder / "manual" / "drawn")
    strategies = [StrategySpec(name=name, summary="", plan=f"goldens.of_executors:plan_{name}") for name in _NAMES]
    items = (("dataset", drawn().spec), ("backbone", net().spec), *(("strategy", spec) for spec in strategies))
    installed = Registry.load().plugins
    registry = Registry(replace(installed, all=(*installed, replace(PLUGIN, items=items))))
    config = RunConfig(
        datasets=("drawn",), backbones=("net",), strategies=_NAMES, protocol="kfold", folds=3, seeds=(4,),
        precision="float32", data_dir=folder, cache_dir=folder / "cache", cache_limit=1 << 30,
    )  # fmt: skip
    nobody: Any = _Nobody()
    grid = _with_faces(expand(config, registry, folder, folder / "cache", nobody))
    store = Store(folder / "runs")
    work = Work(grid, store, folder / "cache", registry.plugins, nobody, (config,))
    execute(Params(), work)
    values: dict[str, Any] = {}
    for job in grid.jobs:
        cell = store.find(job.cell)
        assert cell is not None
        assert cell.result.measures is not None, cell.error
        name = f"{job.cell.strategy.name}, fold {job.cell.fold}"
        columns = cell.table().to_pandas()
        values[f"{name}, tested"] = [f"{row.id} {row.label} {row.found}" for row in columns.itertuples()]
        values[f"{name}, validated"] = np.flatnonzero(job.fold.valid).tolist()
        values[f"{name}, probabilities"] = rounded(columns[["p0", "p1", "p2"]])
        measures = cell.result.measures
        values[f"{name}, numbers"] = [measures.parameters, measures.trained_parameters, *measures.train_counts]
    return values
