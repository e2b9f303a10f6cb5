"""What cells of older versions may hold and nobody else should read: found before results leave the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from fer_bench.privacy import anonymise
from fer_bench.results.canonical import to_json
from fer_bench.results.store import StoredCell


def find_private(cell: StoredCell) -> Iterator[str]:
    """Yield texts of a cell's record, result and provenance that `anonymise` would change.

    Raises:
        FerBenchError: the provenance cannot be read.
    """
    for text in _texts([cell.record.record(), to_json(cell.result), to_json(cell.provenance)]):
        if anonymise(text) != text:
            yield text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list | tuple):
        for part in cast("Sequence[Any]", value):
            yield from _texts(part)
