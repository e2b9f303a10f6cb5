"""What plugins return of a protocol, which deals samples to training and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fer_bench.specs.params import Params

MOST_FOLDS = 100_000
"""Of one protocol, repetitions counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolSpec:
    """A way of dealing the samples of a data set to training and test.

    ``splitter`` is a reference to ``(params, samples, seed) -> splitter``. ``samples`` is a
    `fer_bench.tasks.splitting.Samples`; ``seed``, 0 to 4294967295, decides every random choice. The splitter has the
    interface of scikit-learn's: ``split(X, y, groups)`` yields, fold by fold, the positions of the samples that train
    and of those that are tested. The host calls it with the labels as X and y, and with the groups where they stay
    apart. A `FerBenchError` says in words why samples cannot be dealt.

    A parameter whose ``json_schema_extra`` is ``{"setting": "folds"}`` takes the run's setting of that name where the
    brackets do not say it; likewise ``repeats`` and ``test_split``.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        splitter: reference to the function above; empty where ``settle`` always names another one.
        settle: reference to ``(params, samples) -> (name, values, why)``, of a protocol that depends on the data: the
            name of the one that is taken, values for its parameters, and the reason in words. Empty for all others.
        groups: what becomes of samples that belong together: ``apart`` keeps them in one part, ``ignored`` does not
            look at them, ``published`` takes the parts of the data set as they are; ``--leak-free`` removes
            leaks from them.
        tests: how often a sample is tested: ``once`` each; ``repeatedly``, each equally often; ``some`` at most once.
        seeded: whether other seeds give other folds.
        trains_on_others: no sample of the tested data set trains; the data sets of ``--train-on`` do.
        params: parameters with defaults.
    """

    name: str
    summary: str
    splitter: str = ""
    settle: str = ""
    groups: Literal["apart", "ignored", "published"] = "apart"
    tests: Literal["once", "repeatedly", "some"] = "once"
    seeded: bool = True
    trains_on_others: bool = False
    params: type[Params] = Params
