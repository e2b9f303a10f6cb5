"""What tables compute of a row's predictions beside its scores, remembered with the row: only what a table shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from fer_bench.results import canonical
from fer_bench.results.predictions import Predictions

T = TypeVar("T")


@dataclass(frozen=True)
class _Notes:
    """Where notes of some predictions are: found by their name, kept under it."""

    find: Callable[[str], bytes | None]
    keep: Callable[[str, bytes], None]


_NOTES: WeakKeyDictionary[Predictions, _Notes] = WeakKeyDictionary()
_COMPUTED: WeakKeyDictionary[Predictions, dict[object, Any]] = WeakKeyDictionary()


def once(pooled: Predictions, key: object, compute: Callable[[], T]) -> T:
    """Return what is computed of some predictions, once for as long as this process holds them.

    Args:
        pooled: the predictions of a row.
        key: tells it from all else that is computed of them.
        compute: computes it.
    """
    computed = _COMPUTED.setdefault(pooled, {})
    if key not in computed:
        computed[key] = compute()
    return computed[key]


def attach(pooled: Predictions, find: Callable[[str], bytes | None], keep: Callable[[str, bytes], None]) -> None:
    """Say where notes of some predictions are kept.

    Args:
        pooled: the predictions of a row.
        find: returns what is kept under a name, or None.
        keep: keeps something under a name.
    """
    _NOTES[pooled] = _Notes(find, keep)


def find(pooled: Predictions, name: str) -> bytes | None:
    """Return the note of a name; None where there is none."""
    return _NOTES[pooled].find(name) if pooled in _NOTES else None


def keep(pooled: Predictions, name: str, content: bytes) -> None:
    """Keep a note, where something is remembered of these predictions."""
    if pooled in _NOTES:
        _NOTES[pooled].keep(name, content)


def recorded(pooled: Predictions, name: str, kind: Any, compute: Callable[[Predictions], T]) -> T:
    """Return what is computed of some predictions, remembered as JSON: of ``kind``, a record or a type of records."""

    def recall_or_compute() -> T:
        content = find(pooled, name)
        if content is not None:
            try:
                return canonical.from_json(kind, json.loads(content)["value"])
            except (ValueError, KeyError, TypeError):
                pass
        value = compute(pooled)
        keep(pooled, name, json.dumps({"value": canonical.to_json(value)}).encode())
        return value

    return once(pooled, name, recall_or_compute)
