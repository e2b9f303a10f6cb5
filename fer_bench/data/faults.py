"""Faults of data on disk: collected while reading, reported together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fer_bench.errors import DataError, bullet_list
from fer_bench.sizes import number_of

SHOWN = 1000
"""How many lines one message has: all faults of a normal folder, but not 300,000 when a disk is unplugged."""
ALIKE, NAMED = 4, 100
"""From how many equal faults on they share a line with their count, and how many files that line names."""


@dataclass
class Faults:
    """What is wrong with a data set, in the order in which it was found.

    Example:
        >>> faults = Faults()
        >>> faults.add("a.png", "is empty (0 bytes)")
        >>> list(faults)
        ["'a.png': is empty (0 bytes)"]
    """

    _entries: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, where: str, what: str) -> None:
        """Record that the file, row or column ``where`` has the fault ``what``.

        ``where`` is shown quoted and escaped, so that a name with a line break stays on one line.
        """
        self._entries.append((where, what))

    def extend(self, faults: Faults) -> None:
        """Record what ``faults`` holds as well."""
        self._entries += faults._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return (_line(where, what) for where, what in self._entries)

    def error(self, headline: str) -> DataError:
        """Return one error that lists every fault under ``headline``; equal ones share a line with their count."""
        places: dict[str, list[str]] = {}
        for where, what in self._entries:
            places.setdefault(what, []).append(where)
        lines: list[str] = []
        for what, several in places.items():
            if len(several) < ALIKE:
                lines += [_line(where, what) for where in several]
            else:
                more = f" and {len(several) - NAMED:,} more" if len(several) > NAMED else ""
                lines.append(
                    f"{number_of(len(several), 'time')}: {what}: {', '.join(map(repr, several[:NAMED]))}{more}"
                )
        return DataError(f"{headline}\n{bullet_list(lines, most=SHOWN)}")


def _line(where: str, what: str) -> str:
    return f"{where!r}: {what}" if where else what
