"""The labels of AffectNet, and what is left out for them."""

from __future__ import annotations

from collections import Counter

from fer_bench.data.builder import Faults

from .facts import AFFECTNET_LABELS, AFFECTNET_OTHERS
from .layout import LayoutSource


def read_label(code: int, classes: int, where: str, left_out: Counter[str], faults: Faults) -> str | None:
    """Return the label that ``code`` means; None if it is left out, which is counted, or unknown, which is a fault.

    Args:
        code: 0 to 10.
        classes: 7 or 8.
        where: of the code, for messages.
        left_out: counts the samples that are left out.
        faults: collects what is wrong.
    """
    names = (*AFFECTNET_LABELS, *AFFECTNET_OTHERS)
    if not 0 <= code < len(names):
        faults.add(where, f"has the expression {code}, expected 0 to {len(names) - 1}")
        return None
    if code >= classes:
        left_out[f"faces with the label {names[code]!r}"] += 1
        return None
    return names[code]


def announce_left_out(source: LayoutSource, left_out: Counter[str]) -> None:
    """Append a notice for each reason."""
    source.notices.extend(f"left out: {number:,} {what}" for what, number in sorted(left_out.items()))
