"""The jackknife of a row, from what is stored: predictions by models that were trained without two of its folds."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.data.texts import find_places
from fer_bench.evaluation.extra import Extra
from fer_bench.evaluation.jackknife import measure_training
from fer_bench.evaluation.metrics import Metric
from fer_bench.results.predictions import Predictions


def measure_stored(metric: Metric, pooled: Predictions, further: Predictions, extra: Extra) -> float | None:
    """Return what `measure_training` does of a row; None where its jackknife is of other folds.

    Args:
        metric: any.
        pooled: the predictions of the row, a sample once in a training.
        further: those of its jackknife.
        extra: what is known of the predictions of the row beside.
    """
    lined = line_up(pooled, further)
    if lined is None:
        return None
    columns = pooled.labels, pooled.probabilities, pooled.training, pooled.fold
    return measure_training(metric, *columns, *lined, further.probabilities, extra)


def line_up(pooled: Predictions, further: Predictions) -> tuple[Array, Array] | None:
    """Return for which prediction of a row each further one stands, (m,) int, and the other fold that its model was
    trained without, (m,) int; None where not every further cell tests two folds.
    """
    trainings = np.unique(pooled.training)
    keys = np.searchsorted(trainings, pooled.training) * len(pooled.ids) + pooled.sample
    place = find_places(further.ids, pooled.ids)[further.sample]
    wanted = np.searchsorted(trainings, further.training) * len(pooled.ids) + place
    order = np.argsort(keys, kind="stable")
    rows = order[np.searchsorted(keys, wanted, sorter=order) % len(order)]
    if (place < 0).any() or (keys[rows] != wanted).any() or len(np.unique(keys)) < len(keys):
        return None
    fold, cells = pooled.fold[rows].astype(np.int64), int(further.cell.max()) + 1
    low, high = np.full(cells, fold.max()), np.zeros(cells, np.int64)
    np.minimum.at(low, further.cell, fold)
    np.maximum.at(high, further.cell, fold)
    low, high = low[further.cell], high[further.cell]
    if (low == high).any() or ((fold != low) & (fold != high)).any():
        return None
    return rows, low + high - fold
