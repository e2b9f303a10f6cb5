"""Names of samples, people, labels and groups: one form for each, and a warning where two differ by a hair."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from fer_bench.specs import Sample

SHOWN = 3
"""Pairs of nearly equal names that one warning lists."""


def normalise(text: str) -> str:
    """Return ``text`` in Unicode's composed form (NFC).

    Two systems may store one name as ``é`` or as ``e`` and an accent: without one form they are two people.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normalise_sample(sample: Sample) -> Sample:
    """Return the sample with all of its names normalised; its path stays as it is, to be found on disk."""
    texts = (sample.id, sample.label, sample.split, sample.subject, sample.sequence)
    if all(text.isascii() for text in (*texts, *sample.groups, *sample.groups.values(), *sample.soft_label)):
        return sample
    return replace(
        sample,
        id=normalise(sample.id),
        label=normalise(sample.label),
        split=normalise(sample.split),
        subject=normalise(sample.subject),
        sequence=normalise(sample.sequence),
        groups={normalise(name): normalise(value) for name, value in sample.groups.items()},
        soft_label={normalise(name): weight for name, weight in sample.soft_label.items()},
    )


def nearly_equal(columns: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a warning for each column in which names differ only in case, width, spaces or invisible characters.

    Args:
        columns: what a column holds, in the plural -> its names, such as ``{"subjects": ["anna", "Anna"]}``.
    """
    warnings: list[str] = []
    for what, names in columns.items():
        alike: dict[str, list[str]] = defaultdict(list)
        for name in sorted({name for name in names if name}):
            alike[_visible(name)].append(name)
        pairs = [several for several in alike.values() if len(several) > 1]
        if pairs:
            examples = "; ".join(" and ".join(map(ascii, several)) for several in pairs[:SHOWN])
            more = f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
            warnings.append(
                f"{what} that look alike count as different: {examples}{more}. Rename them if they mean the same"
            )
    return warnings


def _visible(name: str) -> str:
    """Return what remains of a name without case, width, spaces and invisible characters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(sign for sign in folded if unicodedata.category(sign) not in ("Cf", "Zs", "Cc"))
