"""What every metric asks of its arguments; a ValueError says what was wrong with which."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fer_bench.arrays import Array
from fer_bench.sizes import number_of

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a sample may sum from 1; a softmax in float32 stays well within it."""


Said = TypeVar("Said")
_CHECKED: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()
"""Distributions that were checked and may not be written to, by `id`."""


def remember_last(function: Callable[[Array], Said]) -> Callable[[Array], Said]:
    """Decorate a function of an array: what it said of the last one that may not be written to is not asked again.

    The metrics of a row ask the same of the same predictions. What was said is forgotten with the array.
    """
    last: list[tuple[weakref.ref[Array], Said]] = []

    @functools.wraps(function)
    def ask(values: Array) -> Said:
        if values.flags.writeable or values.base is not None:
            return function(values)
        for asked_of, answer in last:
            if asked_of() is values:
                return answer
        answer = function(values)
        last[:] = [(weakref.ref(values, lambda _: last.clear()), answer)]
        return answer

    return ask


def fix(values: Array) -> Array:
    """Return an array that was just made, which nobody may write to from now on, see `remember_last`."""
    values.setflags(write=False)
    return values


def check_labels(true: Array, predicted: Array, classes: int | None = None) -> tuple[Array, Array]:
    """Return both label arrays as (n,) int64.

    Args:
        true: (n,) whole numbers from 0.
        predicted: the same.
        classes: how many there are; None: as many as the labels need.

    Raises:
        ValueError: an array is empty, not one-dimensional, of another length, not whole or out of range.
    """
    true, predicted = _whole("true labels", true), _whole("predicted labels", predicted)
    if len(true) != len(predicted):
        raise ValueError(f"there are {len(true)} true labels and {len(predicted)} predicted ones; expected as many")
    if classes is not None:
        for what, labels in (("true", true), ("predicted", predicted)):
            if labels.max() >= classes:
                raise ValueError(f"{what} label {labels.max()} is out of range; expected 0 to {classes - 1}")
    return true, predicted


def check_predictions(true: Array, probabilities: Array) -> tuple[Array, Array]:
    """Return labels as (n,) int64 and probabilities as (n, c) float64.

    Raises:
        ValueError: shapes do not fit, a label is out of range, or a row is not a distribution: not finite, outside 0 to
            1, or summing to something else than 1 within ``SUM_TOLERANCE``.
    """
    probabilities = check_distributions("probabilities", probabilities)
    true = _whole("true labels", true)
    if len(true) != len(probabilities):
        raise ValueError(
            f"got {number_of(len(true), 'true label')} and {number_of(len(probabilities), 'row')} of probabilities"
        )
    if true.max() >= probabilities.shape[1]:
        raise ValueError(f"true label {true.max()} is out of range; expected 0 to {probabilities.shape[1] - 1}")
    return true, probabilities


def check_distributions(what: str, values: Array) -> Array:
    """Return (n, c) float64 whose rows are distributions over at least two classes.

    Raises:
        ValueError: they are not; names ``what`` and the first row at fault.
    """
    values = _widen(np.asarray(values))
    if _CHECKED.get(id(values)) is values:
        return values
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"{what} have shape {values.shape}; expected (samples, classes) with two classes or more")
    if not len(values):
        raise ValueError(f"{what} are empty; expected one sample or more")
    with np.errstate(all="ignore"):
        sums = values @ np.ones(values.shape[1])
    if values.min() >= 0 and (np.abs(sums - 1) <= SUM_TOLERANCE).all():
        if not values.flags.writeable and values.base is None:
            _CHECKED[id(values)] = values
        return values
    faults = (
        ("is not finite", ~np.isfinite(values).all(axis=1)),
        ("lies outside 0 to 1", ((values < 0) | (values > 1 + SUM_TOLERANCE)).any(axis=1)),
        ("does not sum to 1", np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE),
    )
    for fault, rows in faults:
        if rows.any():
            first = int(rows.argmax())
            raise ValueError(f"{what}: row {first} {fault}: {values[first].tolist()} ({rows.sum()} such rows)")
    return values


@remember_last
def _widen(values: Array) -> Array:
    return values if values.dtype == np.float64 else fix(values.astype(np.float64))


def find_distinct(values: Array) -> tuple[Array, Array, Array]:
    """Return the distinct ones of (n,) values in order, (k,), where each stands first, (k,) int, and the place of each
    value among them, (n,) int64: what `numpy.unique` does, which sorts for it.
    """
    values = np.asarray(values)
    if values.dtype.kind in "iu" and len(values):
        if (values[1:] >= values[:-1]).all():
            codes = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
            first = np.flatnonzero(np.diff(codes, prepend=-1))
            return values[first], first, codes
        if values.min() >= 0 and values.max() < 4 * len(values):
            present = np.bincount(values.astype(np.int64)) > 0
            codes = (np.cumsum(present) - 1)[values]
            first = np.empty(int(codes.max()) + 1, np.int64)
            first[codes[::-1]] = np.arange(len(values))[::-1]
            return np.flatnonzero(present).astype(values.dtype), first, codes
    return np.unique(values, return_index=True, return_inverse=True)


def group_codes(groups: Array | None, n: int) -> tuple[Array, int]:
    """Return the unit of each sample, (n,) int64 from 0, and how many units there are; without groups, each its own.

    Raises:
        ValueError: there is not a group for each sample, or one is missing (None, NaN): give each such sample a
            group of its own, or leave it out.
    """
    if groups is None:
        return np.arange(n), n
    if len(groups) != n:
        raise ValueError(f"got {number_of(len(groups), 'group')} and {number_of(n, 'sample')}; expected as many")
    codes, names = factorize(groups)
    if (codes < 0).any():
        raise ValueError(f"{(codes < 0).sum()} of {n} samples have no group; give each of them a group or leave it out")
    return codes, len(names)


def factorize(names: Array) -> tuple[Array, list[Any]]:
    """Return the place of each name among the distinct ones, (n,) int64, -1 where it is missing, and the distinct ones.

    They stand in the order of their first appearance; None and NaN are missing. What `pandas.factorize` returns too,
    but pandas takes half a second to import.
    """
    values = np.asarray(names)
    if values.dtype.kind in "biu":
        distinct, first, codes = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return place[codes], distinct[order].tolist()
    places: dict[Any, int] = {}
    numbers = [-1 if name is None or name != name else places.setdefault(name, len(places)) for name in values.tolist()]
    return np.array(numbers, np.int64), list(places)


def _whole(what: str, labels: Array) -> Array:
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"{what} have shape {labels.shape}; expected (samples,)")
    if not len(labels):
        raise ValueError(f"{what} are empty; expected one sample or more")
    if not (np.issubdtype(labels.dtype, np.number) or labels.dtype == bool):
        raise ValueError(f"{what} are of type {labels.dtype}; expected whole numbers")
    if labels.dtype.kind in "iu" and labels.min() >= 0:
        return labels.astype(np.int64)
    whole = labels.astype(np.float64)
    bad = ~np.isfinite(whole) | (whole != np.floor(whole)) | (whole < 0)
    if bad.any():
        raise ValueError(f"{what}: {labels[bad.argmax()]!r} at {bad.argmax()} is not a class; expected 0, 1, …")
    return labels.astype(np.int64)
