"""What other training data would change of a cross-validated score: a jackknife of its folds."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.influence import measure_influence
from fer_bench.evaluation.metrics import Metric

FEWEST_FOLDS = 3
"""Models that are trained without two folds need a third."""


def measure_training(
    metric: Metric,
    true: Array,
    whole: Array,
    seeds: Array,
    folds: Array,
    rows: Array,
    without: Array,
    fewer: Array,
    extra: Extra = NOTHING,
) -> float:
    """Return what training adds to the variance of a cross-validated score over people, on average over seeds.

    A person counts twice: as one who is tested, and as one whom the models of the other folds learn from. Let t_j be
    the influence of fold j as it is tested, and u_j what it teaches more than the others. The variance of a sum of
    K (t_j + u_j) is that of the t_j, which is measured over single people elsewhere, plus that of the u_j, plus twice
    their covariance (the jackknife of groups: B. Efron, "The jackknife, the bootstrap and other resampling plans",
    1982, chapters 2 and 3). The covariance is not small: people who are hard to read teach little. S. Bates, T. Hastie
    and R. Tibshirani, "Cross-validation: what does it estimate and how well does it do it?" (Journal of the American
    Statistical Association 119, 2024), find that intervals fail since they leave it out.

    Models that are trained without two folds show the u_j. Let c_ij be K times what the score changes by if the
    predictions of fold i come from a model without fold j, too. It is an effect of fold i, one of fold j and a rest, as
    in a two-way table, which least squares take apart. A training part is a mean of K - 1 folds, so that a model loses
    1 / (K - 2) of what fold j teaches more than the others, and u_j is -(K - 2) / K of its effect. The rest makes
    effects differ, too; its part of their variance is taken off, as S. Wager, T. Hastie and B. Efron do in "Confidence
    intervals for random forests: the jackknife and the infinitesimal jackknife" (JMLR 15, 2014).

    Args:
        metric: any.
        true: (n,) int labels of the predictions of all seeds.
        whole: (n, c) float, probabilities by models that were trained without the fold that they test.
        seeds: (n,) int, the seed of each prediction.
        folds: (n,) int, its fold, from 0 to K - 1 with K of ``FEWEST_FOLDS`` or more.
        rows: (m,) int, for which of the n each further prediction stands.
        without: (m,) int, the other fold that its model was trained without. Of each seed, every fold is left out so
            and is tested so, and the same number of times.
        fewer: (m, c) float, the further predictions.
        extra: what is known of the n beside.

    Returns:
        A variance in the squared unit of the metric; below 0 where the covariance is.
    """
    variances: list[float] = []
    for seed in np.unique(seeds):
        own, part = np.flatnonzero(seeds == seed), np.flatnonzero(seeds[rows] == seed)
        place, own_extra = np.searchsorted(own, rows[part]), extra.take(own) if metric.wants else NOTHING
        columns = true[own], whole[own], folds[own]
        changes = _measure_changes(metric, *columns, place, without[part], fewer[part], own_extra)
        tested = measure_influence(metric, *columns, np.zeros(len(own), np.int64), own_extra)[0]
        variances.append(_add_up(changes, tested))
    return float(np.mean(variances))


def _measure_changes(
    metric: Metric, true: Array, whole: Array, folds: Array, rows: Array, without: Array, fewer: Array, extra: Extra
) -> Array:
    """Return c_ij of one seed, (K, K) float, NaN where no model was trained; arguments as of `measure_training`."""
    k, score = int(folds.max()) + 1, metric.score(true, whole, extra)
    changes = np.full(k * k, np.nan)
    pairs, pair = np.unique(folds[rows] * k + without, return_inverse=True)
    for number, place in enumerate(pairs):
        part = pair == number
        swapped = whole.copy()
        swapped[rows[part]] = fewer[part]
        changes[place] = k * (metric.score(true, swapped, extra) - score)
    return changes.reshape(k, k)


def _add_up(changes: Array, tested: Array) -> float:
    """Return the variance of what folds teach and twice its covariance with how they do.

    Args:
        changes: (K, K) float, c_ij; NaN where it is not known.
        tested: (K,) float, influence of each fold on the score.
    """
    k, (i, j) = len(changes), np.nonzero(~np.isnan(changes))
    design = np.zeros((len(i), 2 * k))
    design[np.arange(len(i)), i] = design[np.arange(len(i)), k + j] = 1
    inverse = np.linalg.pinv(design.T @ design)
    fitted = inverse @ design.T @ changes[i, j]
    rest = float(((changes[i, j] - design @ fitted) ** 2).sum()) / (len(i) - (2 * k - 1))
    effects = fitted[k:] - fitted[k:].mean()
    of_rest = rest * float(np.trace(inverse[k:, k:]) - inverse[k:, k:].sum() / k)
    taught = ((k - 2) / k) ** 2 * max(0.0, float((effects**2).sum()) - of_rest)
    return k / (k - 1) * (taught - 2 * (k - 2) / k * float((tested * effects).sum()))
