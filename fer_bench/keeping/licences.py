"""Which weights a user may take: licences by name, and those that allow commercial use."""

from __future__ import annotations

from collections.abc import Collection

from fer_bench.errors import FerBenchError, did_you_mean

COMMERCIAL = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "Unlicense"}
"""SPDX identifiers. Of other licences, or where none is stated, nothing is known."""


def chosen(choice: str, stated: Collection[str]) -> set[str]:
    """Return those of the stated licences that a user wants.

    Args:
        choice: ``commercial``, a licence, or empty for all.
        stated: licences of the weights that there are.

    Raises:
        FerBenchError: no weights have that licence; near names are offered.
    """
    if not choice:
        return set(stated)
    if choice == "commercial":
        return COMMERCIAL & set(stated)
    matching = {licence for licence in stated if licence.casefold() == choice.casefold()}
    if not matching:
        raise FerBenchError(f"No weights have the licence {choice!r}. {did_you_mean(choice, ['commercial', *stated])}")
    return matching
