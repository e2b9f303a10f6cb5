"""Which of two methods is right more often on the same samples: McNemar's test, and its size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from fer_bench.arrays import Array

EXACT_DISCORDANT = 25
"""McNemar's test is the exact binomial one below this number of discordant pairs."""
SAME = 1e-9
"""Samples on which methods differ by less are labelled right equally often."""


@dataclass(frozen=True, kw_only=True)
class McNemarTest:
    """What McNemar's test found.

    Attributes:
        only_first: samples that the first labelled right more often; of one training without ties, those that only it
            labelled right. Likewise ``only_second``.
        p_value: two-sided.
        method: ``exact`` or ``mid-p``.
        cohens_g: share of discordant samples that the first won, less one half; -0.5 to 0.5, NaN if there are none.
            0.05, 0.15 and 0.25 are called small, medium and large (J. Cohen, "Statistical power analysis", 1988).
        odds_ratio: only_first / only_second; infinite if the second won none, NaN if there are no discordant samples.
    """

    only_first: int
    only_second: int
    p_value: float
    method: Literal["exact", "mid-p"]
    cohens_g: float
    odds_ratio: float


def mcnemar_test(first: Array, second: Array) -> McNemarTest:
    """Test whether two methods are right equally often, from the samples on which one of them is more often.

    Of hits that are 0 or 1 it is McNemar's test. Where answers are shared between classes, or several trainings are
    averaged, hits lie between, and it is the sign test.

    The exact binomial test below ``EXACT_DISCORDANT`` discordant pairs, else its mid-p version, which is not
    conservative (M. W. Fagerland, S. Lydersen and P. Laake, BMC Medical Research Methodology 13:91, 2013): its type-I
    error at 0.05 was 0.055 of 1,000 simulations, that of the exact one 0.025. Samples must be independent:
    where subjects are known, use ``compare_estimates`` over them.

    Args:
        first: (n,) float from 0 to 1, how often one method labelled each sample right, see ``measure_hits``.
        second: (n,) float, likewise the other.
    """
    ahead = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    b, c = int((ahead > SAME).sum()), int((ahead < -SAME).sum())
    n = b + c
    tail = scipy.stats.binom.cdf(min(b, c), n, 0.5)
    method: Literal["exact", "mid-p"] = "exact"
    if n >= EXACT_DISCORDANT:
        method, tail = "mid-p", tail - scipy.stats.binom.pmf(min(b, c), n, 0.5) / 2
    return McNemarTest(
        only_first=b,
        only_second=c,
        p_value=float(min(1.0, 2 * tail)),
        method=method,
        cohens_g=b / n - 0.5 if n else math.nan,
        odds_ratio=b / c if c else (math.inf if b else math.nan),
    )
