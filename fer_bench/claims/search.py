"""Which other settings explain a score below its claim: searched on one half of the images, confirmed on the other.

A search over many settings finds the one that suits its images best by chance, too. So only one candidate leaves it,
and only what that reaches on images that the search did not see counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.claims.changes import KINDS, SettingChange, resize
from fer_bench.claims.classifier import Classifier
from fer_bench.claims.judging import ClaimTerms, Measured, closes, cut_in_halves, explains, score
from fer_bench.claims.orders import Order, fit_order, read_outputs
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import evaluate
from fer_bench.faces.parameters import Crop
from fer_bench.tasks.view import View

SCREENED = 400
"""Images on which all changes are tried; those that do best there go on to the whole half."""
KEPT = 4
"""Changes that go on."""
DEEPEST = 2
"""Changes beside the order of labels that are tried together."""
FITTED = 0.01
"""By how much a fitted order must do better than that of a known data set, which is the likelier one."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Settings that may explain a claim.

    Attributes:
        changes: in the order in which they happen to an image; at most one of a kind.
        order: what the outputs mean; None as declared.
    """

    changes: tuple[SettingChange, ...] = ()
    order: Order | None = None

    @property
    def what(self) -> str:
        """All that differs, so that "with …" can be said."""
        return " and ".join([*([self.order.what] if self.order else []), *(change.what for change in self.changes)])

    @property
    def so(self) -> str:
        """What follows from it."""
        wrong = ["the card's order is wrong"] if self.order else []
        return " and ".join([*wrong, *(change.so for change in self.changes)])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what differs."""
        return (*(["order"] if self.order else []), *(change.kind for change in self.changes))


@dataclass(frozen=True, eq=False)
class Bench:
    """What a model is tried on.

    Attributes:
        model: the classifier.
        view: the images.
        units: (n,) codes, see `Measured`.
        terms: of the claim.
        cut: gives a view of some rows with their faces cut out, or None where no face is found.
    """

    model: Classifier
    view: View
    units: Array | None
    terms: ClaimTerms
    cut: Callable[[View, Crop], View | None]
    _known: dict[tuple[tuple[SettingChange, ...], bytes], Array | None] = field(default_factory=dict[Any, Any])

    def answer(self, changes: tuple[SettingChange, ...], rows: Array) -> Array | None:
        """Return (n, k) probabilities of the outputs under some changes; None where they cannot be made."""
        key = changes, rows.tobytes()
        if key not in self._known:
            self._known[key] = self._answer(changes, rows)
        return self._known[key]

    def measure(self, trial: Trial, rows: Array) -> Measured | None:
        """Return how well the model does under a trial on some rows."""
        raw = self.answer(trial.changes, rows)
        if raw is None:
            return None
        order = trial.order.labels if trial.order else self.model.outputs
        units = None if self.units is None else self.units[rows]
        return score(self.terms, self.view.labels[rows], read_outputs(raw, order, self.view.classes), units)

    def closes(self, trial: Trial, before: float, rows: Array) -> bool:
        """Return whether a trial closes half of the shortfall, which needs no interval."""
        raw = self.answer(trial.changes, rows)
        order = trial.order.labels if trial.order else self.model.outputs
        return raw is not None and closes(self.terms, before, self.value(raw, order, rows))

    def value(self, raw: Array, order: Sequence[str], rows: Array) -> float:
        """Return the score of some answers under an order of labels."""
        metric, probabilities = self.terms.metric, read_outputs(raw, order, self.view.classes)
        return evaluate(self.view.labels[rows], probabilities, [metric])[metric.name]

    def _answer(self, changes: tuple[SettingChange, ...], rows: Array) -> Array | None:
        by_kind = {change.kind: change for change in changes}
        view: View | None = self.view
        positions = rows
        if (aligned := by_kind.get("alignment")) is not None:
            view, positions = self._cut(aligned, rows)
        if view is None:
            return None
        images = view.images(positions)
        pictures = [change.picture for change in changes if change.picture is not None]
        for picture in pictures:
            images = [picture(image) for image in images]
        taken = self.model.own
        for change in changes:
            taken = change.network_input(taken) if change.network_input and taken else taken
        if pictures:  # always by the host's kernel, also if the model has another
            side = taken.side if taken else self.model.side
            images = [resize(side, "bilinear", image) for image in images]
        try:
            raw = self.model.predict(images, None if taken == self.model.own else taken)
        except FerBenchError:
            return None  # a model need not take what it was not made for
        for change in changes:
            raw = raw if change.answers is None else change.answers(raw)
        return raw if np.isfinite(raw).all() else None

    def _cut(self, change: SettingChange, rows: Array) -> tuple[View | None, Array]:
        """Return a view with faces cut out in another way, and where the rows are in it."""
        part = dataclasses.replace(self.view, rows=self.view.rows[rows], faces=None)
        return (part if change.crop is None else self.cut(part, change.crop)), np.arange(len(rows))


def search(
    bench: Bench, changes: Sequence[SettingChange], orders: Sequence[Order], advance: Callable[[int], None]
) -> tuple[Trial, Measured] | None:
    """Return the settings that explain a claim, and how well they do on the half that the search did not see.

    Args:
        bench: the model and the images.
        changes: single ones, which are tried one by one and in pairs.
        orders: of labels, known ones.
        advance: called with the number of settings tried since the last call.

    Returns:
        None if nothing explains it.
    """
    searched, unseen = cut_in_halves(bench.units, len(bench.view.rows))
    screen = np.sort(np.random.default_rng(1).permutation(searched)[:SCREENED])
    beam: list[tuple[SettingChange, ...]] = [()]
    for depth in range(DEEPEST + 1):
        plain = [Trial(combined) for combined in beam if combined]
        ordered = [Trial(combined, order) for combined in beam for order in _orders(bench, combined, orders, searched)]
        for trials in (plain, ordered) if depth else (ordered,):
            if best := _choose(bench, trials, searched):
                before, after = bench.measure(Trial(), unseen), bench.measure(best, unseen)
                confirmed = before is not None and after is not None and explains(bench.terms, before, after)
                return (best, after) if confirmed and after is not None else None
        if depth < DEEPEST:
            beam = _grow(bench, beam, changes, orders, screen, advance)
    return None


def _choose(bench: Bench, trials: Iterable[Trial], rows: Array) -> Trial | None:
    """Return the best trial that explains the claim on some rows; a fitted order only where it is much better."""
    before = bench.measure(Trial(), rows)
    assert before is not None, "the claim's own settings were measured"
    good: list[tuple[float, Trial]] = []
    for trial in trials:
        if not bench.closes(trial, before.value, rows):
            continue
        after = bench.measure(trial, rows)
        if after is not None and explains(bench.terms, before, after):
            fitted = trial.order is not None and not trial.order.origin
            good.append((bench.terms.gain(after.value, 0.0) - FITTED * fitted, trial))
    return max(good, key=lambda pair: pair[0])[1] if good else None


def _grow(
    bench: Bench,
    beam: Iterable[tuple[SettingChange, ...]],
    changes: Sequence[SettingChange],
    orders: Sequence[Order],
    screen: Array,
    advance: Callable[[int], None],
) -> list[tuple[SettingChange, ...]]:
    """Return the sets of one change more that do best on a few images, each under the order that suits it best."""
    scored: list[tuple[float, tuple[SettingChange, ...]]] = []
    seen: set[frozenset[SettingChange]] = set()
    for combined in beam:
        for change in changes:
            together = frozenset((*combined, change))
            if change.kind in {one.kind for one in combined} or together in seen:
                continue
            seen.add(together)
            grown = tuple(sorted(together, key=lambda one: KINDS.index(one.kind)))
            raw = bench.answer(grown, screen)
            advance(1)
            if raw is not None:
                listed = [bench.model.outputs, *(one.labels for one in _orders(bench, grown, orders, screen))]
                best = max(bench.terms.gain(bench.value(raw, labels, screen), 0.0) for labels in listed)
                scored.append((best, grown))
    scored.sort(key=lambda pair: -pair[0])
    return [grown for _, grown in scored[:KEPT]]


def _orders(bench: Bench, changes: tuple[SettingChange, ...], orders: Sequence[Order], rows: Array) -> list[Order]:
    """Return the known orders, and the one that fits the answers under some changes best, if it is another."""
    raw = bench.answer(changes, rows)
    if raw is None:
        return []
    fitted = fit_order(bench.model.outputs, raw, bench.view.labels[rows], bench.view.classes)
    mappings = {bench.model.outputs, *(one.labels for one in orders)}
    return [*orders, *([fitted] if fitted.labels not in mappings else [])]
