"""What folds that share training data add to the variance of a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, find_distinct
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.influence import measure_influence
from fer_bench.evaluation.metrics import Metric

SHARE = 0.25
"""Share of the term of Nadeau and Bengio that is added for any number of people. This and the next were chosen so
that intervals of ridge regression and linear discriminants on drawn features cover; `tests/simulated_cross.py` also
measures other learners."""
SHARE_OF_FEW = 7.0
"""Further share of the term, over the number of people that the metric speaks of."""


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The folds of a score.

    Attributes:
        folds: how many a seed has.
        tested_per_trained: samples that all folds test, each counted once, over those in one training part.
        variance: of the score, from how much the folds of a seed differ, in the squared unit of the metric.
        training: what training adds to the variance of the score, as a jackknife of folds measured it, see
            `measure_training`; None where none did.
    """

    folds: int
    tested_per_trained: float
    variance: float = 0.0
    training: float | None = None

    def count_training(self, units: float) -> float:
        """Return by what the variance over units is multiplied, since other people would train other models.

        C. Nadeau and Y. Bengio, "Inference for the generalization error" (Machine Learning 52, 2003), section 3, add
        n_test / n_train to the 1 / J of J random splits: the factor 1 + J n_test / n_train, 2.25 for five folds. Over
        pooled, stratified folds the true factor was smaller in simulations, and fell with the number of people, as it
        does for stable learners (P. Bayle, A. Bayle, L. Janson and L. Mackey, "Cross-validation confidence intervals
        for test error", NeurIPS 2020): of 20 people 1.4 to 2.5, of 60 1.0 to 1.8, and of 200 1.1 to 1.5. It was larger
        for the UAR than for accuracy, since few people decide the recall of a rare class, in training as in testing:
        so ``units`` are those that the metric speaks of. One cross-validation does not show its own factor (Y. Bengio
        and Y. Grandvalet, "No unbiased estimator of the variance of K-fold cross-validation", JMLR 5, 2004). Nested
        cross-validation of one split (S. Bates, T. Hastie and R. Tibshirani, "Cross-validation: what does it estimate
        and how well does it do it?", Journal of the American Statistical Association 119, 2024) takes three times the
        fits and covered no better in simulations: docs/statistics.md. So ``SHARE`` + ``SHARE_OF_FEW`` / units of the
        term is taken for every learner, at most all of it.

        Args:
            units: ``Estimate.effective_units``.
        """
        return 1 + min(1.0, SHARE + SHARE_OF_FEW / units) * self.tested_per_trained

    def measure_noise(self, by_units: float) -> float:
        """Return the variance that the noise of training adds: by how much folds differ more than their units explain.

        Each fold has a training of its own. So its noise is in the variance from folds and not in that over units.
        """
        return max(0.0, self.variance - by_units)


def measure_folds(
    metric: Metric,
    true: Array,
    probabilities: Array,
    seeds: Array,
    folds: Array,
    tested_per_trained: float,
    extra: Extra = NOTHING,
) -> CrossValidation:
    """Return the folds of a score, with its variance clustered by fold, on average over seeds.

    Args:
        metric: any.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        seeds: (r,) int, the seed of each row, of the training.
        folds: (r,) int, the fold of each row.
        tested_per_trained: as in ``CrossValidation``.
        extra: what is known of the rows beside.
    """
    true, probabilities = check_predictions(true, probabilities)
    seed, (names, _, fold) = find_distinct(seeds)[2], find_distinct(folds)
    rows = np.bincount(seed * len(names) + fold, minlength=(int(seed.max()) + 1) * len(names))
    counts = np.count_nonzero(rows.reshape(-1, len(names)), axis=1)
    several = np.flatnonzero(counts > 1)
    variance = 0.0
    if len(several):
        parts = measure_influence(metric, true, probabilities, fold, seed, extra)[several]
        scale = counts[several] / (counts[several] - 1)
        variance = float(((parts**2).sum(axis=1) * scale).sum()) / len(counts)
    return CrossValidation(folds=int(counts.max()), tested_per_trained=tested_per_trained, variance=variance)
