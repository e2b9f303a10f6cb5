"""Faults of data on disk: collected while reading, reported together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fer_bench.errors import DataError, bullet_list

SHOWN = 1000
"""How many faults one message lists: all of a normal folder's, but not 300,000 lines when a disk is unplugged."""


@dataclass
class Faults:
    """What is wrong with a data set, in the order in which it was found.

    Example:
        >>> faults = Faults()
        >>> faults.add("a.png", "is empty (0 bytes)")
        >>> list(faults)
        ["'a.png': is empty (0 bytes)"]
    """

    _lines: list[str] = field(default_factory=list[str])

    def add(self, where: str, what: str) -> None:
        """Record that the file, row or column ``where`` has the fault ``what``.

        ``where`` is shown quoted and escaped, so that a name with a line break stays on one line.
        """
        self._lines.append(f"{where!r}: {what}" if where else what)

    def extend(self, faults: Faults) -> None:
        """Record what ``faults`` holds as well."""
        self._lines += faults

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def error(self, headline: str) -> DataError:
        """Return one error that lists every fault under ``headline``."""
        return DataError(f"{headline}\n{bullet_list(self._lines, most=SHOWN)}")
