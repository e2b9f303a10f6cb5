"""Numbers with a unit, as people write and read them: things, bytes, points of a score, and durations."""

from __future__ import annotations

import re

from fer_bench.errors import FerBenchError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_TIMES = ((60, 1, "s"), (3600, 60, "min"))
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_size(text: str) -> int:
    """Return the number of bytes in ``"20 GB"``, ``"1.5TiB"`` or ``"1000000"``.

    Raises:
        FerBenchError: it is something else, or 2**63 bytes or more.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?b|b?)", text.strip().lower())
    if match is None:
        raise FerBenchError(f"{text[:40]!r} is not a size; write a number with kB, MB, GB or TB, as in 20GB.")
    size = float(match[1]) * _UNITS[match[2]]
    if size >= 2**63:
        raise FerBenchError(f"{text[:40]!r} is more bytes than a disk can hold; write a size below {2**63} bytes.")
    return int(size)


def parse_points(text: str, option: str) -> float:
    """Return the score in ``"0.02"`` or, in points, ``"2pt"``.

    Args:
        text: as written.
        option: that it is the value of, for the message.

    Raises:
        FerBenchError: it is something else.
    """
    match = re.fullmatch(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(pt)?", text.strip().lower())
    if match is None:
        raise FerBenchError(f"{option} {text[:40]!r} is not a number; write a fraction or points, as in 0.02 or 2pt.")
    return float(match[1]) / (100 if match[2] else 1)


def number_of(n: int, one: str, several: str = "") -> str:
    """Return a count for people; ``several`` is the plural where that is not ``one`` with an s.

    Example:
        >>> number_of(1, "row"), number_of(35887, "image"), number_of(2, "class", "classes")
        ('1 row', '35,887 images', '2 classes')
        >>> number_of(1, "cell is", "cells are")
        '1 cell is'
    """
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def format_size(size: int) -> str:
    """Return ``size`` bytes in the largest unit that it fills, as in ``"1.5 GB"``."""
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size} bytes"


def format_time(seconds: float) -> str:
    """Return a duration for people: two digits that count, as in ``45 s``, ``3.2 min``, ``27 h``.

    Example:
        >>> format_time(0.4), format_time(75), format_time(7200)
        ('0.4 s', '1.2 min', '2.0 h')
    """
    size, unit = next(((size, unit) for limit, size, unit in _TIMES if seconds < limit), (3600, "h"))
    return f"{seconds / size:.{0 if seconds / size >= 10 else 1}f} {unit}"
