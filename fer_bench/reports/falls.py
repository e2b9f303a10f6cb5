"""Which classes and which subjects lost right answers, for the message of a gate that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.data.texts import listed
from fer_bench.evaluation.classification import measure_hits
from fer_bench.results.predictions import Predictions
from fer_bench.sizes import number_of

MOST_UNITS = 5
"""Subjects that a message names."""


@dataclass(frozen=True, kw_only=True)
class Fall:
    """A class or a subject with fewer right answers than before.

    Attributes:
        name: of the class, subject, sequence or image.
        before: share of right answers then, 0 to 1, averaged over trainings.
        after: likewise now.
        samples: how many images it has.
    """

    name: str
    before: float
    after: float
    samples: int

    def __str__(self) -> str:
        if (self.samples, self.before, self.after) == (1, 1, 0):
            return self.name
        images = number_of(self.samples, "image")
        return f"{self.name} {100 * self.before:.1f} % to {100 * self.after:.1f} % ({images})"


def find_fallen_classes(before: Predictions, after: Predictions, names: Sequence[str]) -> tuple[Fall, ...]:
    """Return the classes whose recall fell, the largest drop first.

    Args:
        before: of the baseline.
        after: of now, with the same samples and units.
        names: of the classes.
    """
    falls = _find(before, after, [one.labels for one in (before, after)], names)
    return tuple(sorted(falls, key=lambda fall: (fall.after - fall.before, fall.name)))


def find_fallen_units(before: Predictions, after: Predictions) -> tuple[Fall, ...]:
    """Return the subjects that lost right answers, or the sequences or images, the most lost answers first."""
    units = [name.partition(":")[2] or name for name in listed(before.unit_names)]
    codes = [np.where(one.unit < 0, len(units) + one.sample, one.unit) for one in (before, after)]
    falls = _find(before, after, codes, [*units, *listed(before.ids)])
    return tuple(sorted(falls, key=lambda fall: ((fall.after - fall.before) * fall.samples, fall.name)))


def describe(classes: Sequence[Fall], units: Sequence[Fall], word: str) -> list[str]:
    """Return both in words, a line each; nothing where nothing fell.

    Args:
        classes: that fell.
        units: that fell.
        word: what the units are, such as ``subjects``.
    """
    texts = [f"classes that fell: {', '.join(map(str, classes))}"] if classes else []
    if units:
        more = f" and {len(units) - MOST_UNITS:,} more" if len(units) > MOST_UNITS else ""
        texts.append(f"{word} that fell: {', '.join(map(str, units[:MOST_UNITS]))}{more}")
    return texts


def _find(before: Predictions, after: Predictions, codes: Sequence[Array], names: Sequence[str]) -> list[Fall]:
    """Return what fell of the things that (n,) ``codes`` number, for each of the two."""
    shares: list[Array] = []
    for one, code in zip((before, after), codes, strict=True):
        hits = measure_hits(one.labels, one.probabilities)
        counts = np.bincount(code, minlength=len(names))
        shares.append(np.bincount(code, weights=hits, minlength=len(names)) / np.maximum(counts, 1))
    first = before.training == before.training[0]
    samples = np.bincount(codes[0][first], minlength=len(names))
    return [
        Fall(
            name=names[place],
            before=float(shares[0][place]),
            after=float(shares[1][place]),
            samples=int(samples[place]),
        )
        for place in np.flatnonzero(shares[1] < shares[0]).tolist()
    ]
