"""The samples of a run on a tested data set: prepared, selected, cut down to faces, with the copies among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_bench.arrays import Array
from fer_bench.audit.clusters import duplicate_clusters
from fer_bench.config import RunConfig
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.executors.reporting import Reporter, preparing
from fer_bench.faces.parameters import Crop, Detection
from fer_bench.registry import Registry
from fer_bench.several import collector
from fer_bench.tasks.cropping import with_faces
from fer_bench.tasks.task import Task, check_classes
from fer_bench.tasks.view import View, select


@collector(True)  # data may be prepared
def make_task(
    config: RunConfig,
    typed: str,
    registry: Registry,
    data_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    views: dict[tuple[Any, ...], View],
) -> Task:
    """Return the task of one tested data set; ``views`` keeps what is open already."""
    parts: list[View] = []
    for text in (typed, *config.train_on, *config.train_with):
        key = (text, config.limit, config.labels, _crop(config), config.missed)
        if key not in views:
            dataset = registry.dataset(text)
            reporter.say(f"data: {dataset}")
            with preparing(str(dataset), reporter) as tell:
                prepared = prepare(dataset, data_dir, tell)
            view = select(dataset, prepared, config.limit, config.labels)
            views[key] = _find_faces(view, config, cache_dir, reporter)
        parts.append(views[key])
    check_classes(parts)
    return Task(tuple(parts), _clusters(parts, config))


def _clusters(parts: Sequence[View], config: RunConfig) -> tuple[Array | None, ...]:
    """Return the clusters of copies of each part that is audited, (n,) int64; nothing if copies may be torn apart.

    Raises:
        FerBenchError: that is asked for, and nothing is known of the tested data set.
    """
    if config.leak_free is False:
        return ()
    keys_of_parts = duplicate_clusters([view.prepared for view in parts])
    clusters = tuple(None if keys is None else keys[view.rows] for keys, view in zip(keys_of_parts, parts, strict=True))
    if config.leak_free and not Task(tuple(parts), clusters).known:
        raise FerBenchError(
            f"--leak-free: nothing says which images of {parts[0]} belong together. "
            f"Run 'fer-bench data audit {parts[0].dataset}' first, which finds copies."
        )
    return clusters


def _find_faces(view: View, config: RunConfig, cache_dir: Path, reporter: Reporter) -> View:
    """Return the view with its images cut down to their faces, if that is wanted."""
    crop = _crop(config)
    if crop is None:
        return view

    def begin(images: int) -> None:
        reporter.step(f"faces: {view.dataset}", images)

    return with_faces(view, crop, config.missed, cache_dir, begin, reporter.advance)


def _crop(config: RunConfig) -> Crop | None:
    """Return how faces are cut out; None for whole images."""
    if config.faces == "none":
        return None
    detection = Detection(smallest=config.face_smallest, thresholds=config.face_thresholds)
    return Crop(method=config.faces, size=config.face_size, margin=config.face_margin, detection=detection)
