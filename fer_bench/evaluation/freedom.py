"""How much is known from units that differ in size, and from classes that do."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.influence import measure_slope
from fer_bench.evaluation.metrics import Metric


def count_freedom(metric: Metric, tables: Array | None, shares: Array) -> float:
    """Return the degrees of freedom of the variance of a metric over n units, from 1 to n - 1.

    Where a few units hold most of what decides the score, such as most images of a rare class, the variance is known
    from these few. With weights w_i, each proportional to the variance that unit i adds, the degrees of freedom are
    (sum of w)² / sum of w², as F. E. Satterthwaite, "An approximate distribution of estimates of variance components"
    (Biometrics Bulletin 2, 1946), matches them, and as R. M. Bell and D. F. McCaffrey, "Bias reduction in standard
    errors for linear regression with multi-stage samples" (Survey Methodology 28, 2002), use them for clusters. The
    answers of a unit in one class are taken to be alike, so that w_i is the sum over classes of the square of the
    unit's images times the variance of what an image of the class adds.

    Args:
        metric: any.
        tables: (n, c, c) float, confusion matrices of the units, rows true; None for a metric that needs more.
        shares: (n,) float, share of the predictions that are of each unit: the weights are their squares where there
            are no tables, or where all images of a class have the same answer.
    """
    weights = shares**2
    if tables is not None:
        total = tables.sum(axis=0)
        slope, images = measure_slope(metric, total), np.maximum(total.sum(axis=1), 1e-300)
        mean = (total * slope).sum(axis=1) / images
        by_class = (total * (slope - mean[:, None]) ** 2).sum(axis=1) / images
        counted = (tables.sum(axis=2) ** 2) @ by_class
        weights = counted if counted.any() else weights
    return float(np.clip(weights.sum() ** 2 / (weights**2).sum(), 1, max(1, len(shares) - 1)))


def count_worth(metric: Metric, tables: Array | None) -> float:
    """Return what share of the images would say as much of a metric if each of them counted alike, above 0, at most 1.

    L. Kish, "Weighting for unequal P_i" (Journal of Official Statistics 8, 1992): images with weights w are worth
    (sum of w)² / sum of w². The weight of an image is how far its answer can move the metric. That of accuracy is the
    same for all; of the UAR, that of an image of a rare class is large: FER2013's are worth 46 % of their number.

    Args:
        metric: any.
        tables: (n, c, c) float, confusion matrices of the units, rows true; None for a metric that needs more: each
            image then counts alike.
    """
    if tables is None:
        return 1.0
    total = tables.sum(axis=0)
    slope, images = measure_slope(metric, total), total.sum(axis=1)
    weights = slope.max(axis=1) - slope.min(axis=1)
    spread = images.sum() * (images @ weights**2)
    return float((images @ weights) ** 2 / spread) if spread else 1.0
