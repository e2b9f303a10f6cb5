"""The hooks that a plugin may implement, in the order in which the host calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from fer_bench.about import PROJECT
from fer_bench.specs import BackboneSpec, DatasetSpec, ExecutorSpec, MetricSpec, ProtocolSpec, StrategySpec

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def fer_bench_datasets() -> Iterable[DatasetSpec]:
    """Return the data sets that this plugin brings. Called once, when the plugin is loaded."""
    ...


@hookspec
def fer_bench_protocols() -> Iterable[ProtocolSpec]:
    """Return the protocols that this plugin brings. Called once, when the plugin is loaded."""
    ...


@hookspec
def fer_bench_backbones() -> Iterable[BackboneSpec]:
    """Return the backbones that this plugin brings. Called once, when the plugin is loaded."""
    ...


@hookspec
def fer_bench_strategies() -> Iterable[StrategySpec]:
    """Return the fine-tuning strategies that this plugin brings. Called once, when the plugin is loaded."""
    ...


@hookspec
def fer_bench_metrics() -> Iterable[MetricSpec]:
    """Return the metrics that this plugin brings. Called once, when the plugin is loaded."""
    ...


@hookspec
def fer_bench_executors() -> Iterable[ExecutorSpec]:  # pyright: ignore[reportReturnType]
    """Return the executors that this plugin brings. Called once, when the plugin is loaded."""


@hookspec
def fer_bench_card_draft(file: Path) -> str | None:
    """Return a first card of a model file as YAML, or None of a file that this plugin does not know.

    The first card that a plugin returns is taken. A field that the file cannot tell has no value and a comment that
    says what is wanted: ``labels: # what the outputs mean, in order``. ``fer-bench card make`` asks for it.
    """


@hookspec
def fer_bench_run_start(cells: int, done: int, runs_dir: Path) -> None:
    """A run begins: ``cells`` in the grid, of which ``done`` are stored already."""


@hookspec
def fer_bench_cell_done(cell: Mapping[str, Any]) -> None:
    """A cell was stored: its ``cell.json`` record, ``ok`` or ``failed``, with its ``id``."""


@hookspec
def fer_bench_run_end(ok: int, failed: int, runs_dir: Path) -> None:
    """A run ended: how many cells of its grid are ``ok`` and how many ``failed``."""
