"""The card of a trained model, in Markdown with a head that Hugging Face reads: written from records, not typed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from fer_bench import processors
from fer_bench.arrays import Array
from fer_bench.evaluation.intervals import Interval, bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.models.files import ModelRecord
from fer_bench.models.model import TrainedModel
from fer_bench.networks.meter import forward_flops
from fer_bench.registry import Registry
from fer_bench.reports.formats.markdown import escape
from fer_bench.reports.parts import FEWEST
from fer_bench.reports.row import Row
from fer_bench.specs import BackboneSpec, DatasetSpec

REPEATS = 60
"""Times that one image is predicted, of which the first `WARM` compile and fill caches."""
WARM = 5
MOST_SECONDS = 20.0
"""After so long fewer repeats will do, as on a busy machine or with a large network."""
LICENCE = "other"
"""For Hugging Face: what a model may be used for follows from its data and its weights, which the card lists."""


@dataclass(frozen=True)
class ScoredPart:
    """A score of a part of the tested images: its name, the interval of the score or None, and predictions."""

    name: str
    interval: Interval | None
    n: int

    def __str__(self) -> str:
        """Return the score in points with its interval."""
        if (one := self.interval) is None:
            return "not known"
        return f"{100 * one.estimate:.1f} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def write_card(model: TrainedModel, file: str, row: Row | None, registry: Registry) -> str:
    """Return the card of a model.

    Args:
        model: a trained model.
        file: its name.
        row: of the leaderboard, of the model's method; None where nothing of it is stored.
        registry: of the installed plugins, which know licences.
    """
    environment = Environment(
        loader=PackageLoader("fer_bench.reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    record = model.record
    scores = _scores(row)
    return environment.get_template("model_card.md").render(
        plain=escape,
        head=yaml.safe_dump(make_head(model, scores), sort_keys=False, allow_unicode=True),
        record=record,
        file=file,
        data=_data(record, registry),
        weights=_weights(record, registry),
        scores=scores,
        titles={name: metric.title for name, metric in STANDARD.items()},
        classes=_classes(row),
        groups=_groups(row),
        ece=None if row is None or not row.scores else row.scores["ece"].mean,
        calibration=record.calibration,
        row=row,
        cost=_cost(model, row),
        command=_command(model, file),
    )


def make_head(model: TrainedModel, scores: list[ScoredPart]) -> dict[str, Any]:
    """Return the head for Hugging Face: the fields of ``ModelCardData`` and ``EvalResult`` of huggingface_hub."""
    experiment = model.record.experiment
    metrics = [
        {
            "type": part.name,
            "name": STANDARD[part.name].title,
            "value": round(part.interval.estimate, 6),
            "args": {"low": round(part.interval.low, 6), "high": round(part.interval.high, 6), "level": 0.95},
        }
        for part in scores
        if part.interval is not None
    ]
    dataset = {"name": experiment.dataset.text, "type": experiment.dataset.name, "config": experiment.protocol.text}
    task = {"type": "image-classification", "name": "facial expression recognition"}
    results = [{"task": task, "dataset": dataset, "metrics": metrics}] if metrics else []
    head: dict[str, Any] = {
        "library_name": "fer-bench",
        "pipeline_tag": "image-classification",
        "license": LICENCE,
        "tags": ["fer-bench", "facial-expression-recognition"],
        "metrics": [part.name for part in scores],
    }
    return {**head, "model-index": [{"name": model.record.title, "results": results}]} if results else head


def _interval(metric: Metric, row: Row, rows: Array | None = None) -> Interval | None:
    """Return the interval of a metric over the units of some predictions; None where these are too few."""
    pooled = row.pooled
    assert pooled is not None, "a row with cells has predictions"
    part = pooled if rows is None else pooled.take(rows)
    try:
        return bootstrap_interval(metric, part.labels, part.probabilities, part.units, part.training)
    except ValueError:
        return None  # one unit, or only one class


def _scores(row: Row | None) -> list[ScoredPart]:
    """Return accuracy, UAR, macro-F1 and NLL of the method; the UAR's interval is that of the board."""
    if row is None or row.pooled is None:
        return []
    parts = [
        ScoredPart(name, _interval(STANDARD[name], row), len(row.pooled))
        for name in ("accuracy", "uar", "macro_f1", "nll")
    ]
    interval = row.interval if row.metric.name == "uar" else None
    return [ScoredPart(part.name, interval, part.n) if part.name == "uar" and interval else part for part in parts]


def _classes(row: Row | None) -> Iterator[ScoredPart]:
    """Yield the recall of each class."""
    if row is None or row.pooled is None:
        return
    for place, name in enumerate(row.class_names):

        def recall(tables: Array, place: int = place) -> Array:
            true = tables[..., place, :].sum(-1)
            return np.where(true > 0, tables[..., place, place] / np.maximum(true, 1e-12), 0.0)

        def compute(true: Array, probabilities: Array, place: int = place) -> float:
            rows = true == place
            return float((probabilities[rows].argmax(1) == place).mean()) if rows.any() else 0.0

        metric = Metric(
            name="recall",
            title="recall",
            compute=compute,
            higher_is_better=True,
            lowest=0.0,
            highest=1.0,
            from_confusion=recall,
        )
        yield ScoredPart(name, _interval(metric, row), int((row.pooled.labels == place).sum()))


def _groups(row: Row | None) -> Iterator[tuple[str, ScoredPart]]:
    """Yield the UAR of each group with predictions enough, with the name of its column."""
    if row is None or row.pooled is None:
        return
    for column, (names, codes) in sorted(row.pooled.groups.items()):
        for code, name in enumerate(names):
            rows = np.flatnonzero(codes == code)
            if len(rows) >= FEWEST:
                yield column, ScoredPart(str(name), _interval(STANDARD["uar"], row, rows), len(rows))


def _data(record: ModelRecord, registry: Registry) -> list[tuple[str, str, str]]:
    """Return each data set that trained, its licence and its citation."""
    dataset = record.experiment.dataset
    specs = {spec.name: spec for _, _, spec in registry.specs("dataset") if isinstance(spec, DatasetSpec)}
    lines: list[tuple[str, str, str]] = []
    for one in (dataset, *dataset.trained_with):
        spec = specs.get(one.name)
        licence = spec.licence if spec else "not known: its plugin is not installed"
        lines.append((one.text, licence, spec.citation if spec else ""))
    return lines


def _weights(record: ModelRecord, registry: Registry) -> str:
    """Return whose weights the backbone begins with, and their licence; empty where it has none of a plugin."""
    backbone = record.experiment.backbone
    specs = [spec for _, _, spec in registry.specs("backbone") if isinstance(spec, BackboneSpec)]
    chosen = dict[str, Any](backbone.params or {}).get("weights")
    weights = [one for spec in specs if spec.name == backbone.name for one in spec.weights if one.name == chosen]
    return "; ".join(f"{one.name}: {one.source}, {one.licence}" for one in weights)


def _cost(model: TrainedModel, row: Row | None) -> dict[str, Any]:
    """Return parameters, operations of one image, and the milliseconds that one image takes on this machine."""
    height, width = model.record.shape or (model.backbone.input_size,) * 2
    shape = (height, width, model.record.channels)
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    seconds: list[float] = []
    while len(seconds) < REPEATS and (len(seconds) < 2 * WARM or sum(seconds) < MOST_SECONDS):
        start = time.perf_counter()
        model.predict([image])
        seconds.append(time.perf_counter() - start)
    p50, p95 = (1000 * np.quantile(seconds[WARM:], [0.5, 0.95])).tolist()
    return {
        "parameters": row.parameters if row and row.parameters else model.backbone.parameters,
        "trained": row.trained_parameters if row else None,
        "flops": forward_flops(model.backbone, shape),
        "p50": p50,
        "p95": p95,
        "machine": processors.model(),
        "repeats": len(seconds) - WARM,
    }


def _command(model: TrainedModel, file: str) -> str:
    """Return the command that trains the model again, where its data lie."""
    record = model.record
    trained = record.experiment
    words = [
        "fer-bench",
        "fit" if record.fold is None else "run",
        "--dataset",
        trained.dataset.text,
        "--backbone",
        trained.backbone.text,
    ]
    words += ["--strategy", trained.strategy.text, "--protocol", trained.protocol.name, "--seeds", str(record.seed)]
    words += ["--folds", str(trained.protocol.folds)] if "kfold" in trained.protocol.name else []
    words += ["--labels", trained.dataset.labels.set] if trained.dataset.labels.set != "native" else []
    words += ["--limit", str(trained.dataset.limit)] if trained.dataset.limit else []
    for other in trained.dataset.trained_with:
        words += ["--train-on" if trained.protocol.name == "cross" else "--train-with", other.text]
    words += ["--precision", trained.backbone.precision]
    return shlex.join([*words, *(["--output", file] if record.fold is None else ["--keep", "all"])])
