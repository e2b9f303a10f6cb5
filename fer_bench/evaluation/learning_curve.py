"""How an error falls with the size of the training part: a power law with its uncertainty.

J. Hestness et al., "Deep learning scaling is predictable, empirically" (arXiv:1712.00409), section 2: the error of a
method falls as a power of the number of training samples, until it comes near what the labels allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.metrics import Metric

SMALLEST = 1e-4
"""Errors below count as this in logarithms."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve:
    """A power law ``error = exp(offset) * samples ** slope``.

    Attributes:
        metric: whose error it is: its best value minus the score, or the score where lower is better.
        sizes: (k,) float, training samples of each point; ``scores``: (k,) float.
        fit: (2,) float, offset and slope; the slope is below 0 where more data help.
        covariance: (2, 2) float, of the fit.
        misfit: variance of a point's logarithm about the line; 0 with two points, which show none.
        df: degrees of freedom.
    """

    metric: Metric
    sizes: Array
    scores: Array
    fit: Array
    covariance: Array
    misfit: float
    df: float

    def slope_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the slope."""
        reach = float(special.stdtrit(self.df, (1 + level) / 2) * np.sqrt(self.covariance[1, 1]))
        return float(self.fit[1]) - reach, float(self.fit[1]) + reach

    def predict(self, size: float, level: float = 0.95) -> tuple[float, float, float]:
        """Return the score at a training size and its interval, for these people's like and trainings like these."""
        point = np.array([1.0, np.log(size)])
        reach = special.stdtrit(self.df, (1 + level) / 2) * np.sqrt(point @ self.covariance @ point + self.misfit)
        middle = point @ self.fit
        scores = [self._score(float(np.exp(value))) for value in (middle, middle - reach, middle + reach)]
        return scores[0], min(scores[1:]), max(scores[1:])

    def gain(self, size: float, times: float = 2.0, level: float = 0.95) -> tuple[float, float, float]:
        """Return by how much the error falls from ``size`` to ``times`` as many samples, with its interval.

        The interval is that of the linear terms of a Taylor series in offset and slope.
        """
        now = float(np.exp(self.fit @ [1.0, np.log(size)]))
        then = now * times ** float(self.fit[1])
        slope = np.array([now - then, now * np.log(size) - then * np.log(size * times)])
        reach = float(special.stdtrit(self.df, (1 + level) / 2) * np.sqrt(slope @ self.covariance @ slope))
        return now - then, now - then - reach, now - then + reach

    def _score(self, error: float) -> float:
        if self.metric.higher_is_better:
            return max(self.metric.highest - error, self.metric.lowest)
        return min(error, self.metric.highest)


def fit_learning_curve(sizes: Sequence[float], estimates: Sequence[Estimate]) -> LearningCurve:
    """Return the power law through the scores of one method, trained on parts of several sizes.

    The points share the people that they test, so their errors move together: the covariance comes from what each
    person adds to each score, and from the seeds, see `fer_bench.evaluation.estimate`. Points count by their
    precision. What the line misses with three points or more counts as further variance of each point.

    Args:
        sizes: training samples of each point, all different.
        estimates: of one metric; all have the same units in the same order.

    Raises:
        ValueError: there are fewer than two sizes, or the units differ.
    """
    if len(set(sizes)) < 2 or len(sizes) != len(estimates):
        raise ValueError(f"a curve needs two training sizes or more, one a score; got {list(sizes)}")
    if len({one.n for one in estimates}) > 1:
        raise ValueError("the scores are of other units; expected the same people for each size")
    metric, n = estimates[0].metric, estimates[0].n
    scores = np.array([one.value for one in estimates])
    errors = np.maximum(metric.highest - scores if metric.higher_is_better else scores, SMALLEST)
    influence = np.stack([one.influence for one in estimates])
    people = influence @ influence.T * n / max(n - 1, 1)
    seeds = np.array([(one.seed_variance or 0.0) / len(one.series) for one in estimates])
    spread = (people + np.diag(seeds)) / np.outer(errors, errors)
    points = np.stack([np.ones(len(sizes)), np.log(np.asarray(sizes, float))], axis=1)
    weights = 1 / np.maximum(np.diag(spread), SMALLEST**2)
    hat = np.linalg.solve(points.T @ (weights[:, None] * points), points.T * weights)
    fit = hat @ np.log(errors)
    residuals = np.log(errors) - points @ fit
    misfit = float(residuals @ residuals) / (len(sizes) - 2) if len(sizes) > 2 else 0.0
    return LearningCurve(
        metric=metric,
        sizes=np.asarray(sizes, float),
        scores=scores,
        fit=fit,
        covariance=hat @ (spread + misfit * np.eye(len(sizes))) @ hat.T,
        misfit=misfit,
        df=min(one.unit_freedom for one in estimates),
    )
