"""What plugins return of a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fer_bench.specs.params import Params


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSpec:
    """A number for the predictions of a cell, row or resample.

    ``metric`` is a reference to ``(params) -> (true, predictions) -> float``: ``true`` are labels from 0, (n,) int64;
    ``predictions`` probabilities, (n, c) float64 whose rows sum to 1, or with ``needs="labels"`` predicted labels,
    (n,) int64. Intervals call it on resamples, in which a class may be missing.

    A metric that asks for more gets it by keyword: ``soft_labels``, (n, c) float64, the shares of annotators who named
    each class; ``groups``, a dict from the name of an attribute, such as ``sex``, to the (n,) names of the samples'
    groups, str objects that are empty where one is not known. It is left out where the data have no such thing, and
    cannot be gated, since a frozen baseline holds none.

    Attributes:
        name: an identifier in lower case, such as ``top2_accuracy``, that the core does not use.
        title: how tables print it.
        metric: reference to the function above.
        higher_is_better: its direction.
        lowest: the least it can be; likewise ``highest``. Either may be infinite; what lies outside is an error.
        needs: what it is given.
        soft_labels: whether it is also given soft labels; likewise ``groups``.
        params: parameters with defaults.
    """

    name: str
    title: str
    metric: str
    higher_is_better: bool
    lowest: float = 0.0
    highest: float = 1.0
    needs: Literal["labels", "probabilities"] = "probabilities"
    params: type[Params] = Params
    soft_labels: bool = False
    groups: bool = False
