"""FER+ (Barsoum et al. 2016, arXiv:1608.01041): ten votes for each face of FER2013, joined by row.

Two protocols, named apart since their test sets differ:

- ``majority``: single votes are dropped as outliers; a face is kept if one expression has more than half of the rest.
- ``argmax``: the expression with the most votes, of equals the first in the order of the columns; a face is left out
  only if "no face" (NF) has the most votes.

Under both, a face's soft label is its votes for the eight expressions, single votes included; those for "unknown" and
"no face" are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from fer_bench.data.builder import Faults
from fer_bench.sizes import number_of
from fer_bench.specs import Sample

from .facts import FER2013_LABELS, FERPLUS_LABELS, FERPLUS_VARIANTS
from .layout import Layout, LayoutBuilder, LayoutSource
from .params import FerPlusParams
from .pixel_table import read_pixel_rows
from .tables import read_rows

VOTES = "fer2013new.csv"
FACES = ("fer2013.csv", "icml_face_data.csv")
COLUMNS = (*FERPLUS_LABELS, "unknown", "NF")


def read_join(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces that the protocol gives a label, in the order of the rows."""
    table, faces = source.need(faults, VOTES), source.need(faults, *FACES)
    if table is None or faces is None:
        return
    decide = decide_majority if source.params.protocol == "majority" else decide_argmax
    votes = _read_votes(table.name, source, faults)
    left_out = 0
    for row, voted in zip_longest(read_pixel_rows(source.folder, faces, FER2013_LABELS, faults), votes):
        if faults:  # Rows no longer meet their votes; what else is wrong is still found.
            continue
        if row is None or voted is None:
            faults.add(
                VOTES, f"has {number_of(len(votes), 'row')}, {faces.name!r} another number: they are joined by row"
            )
            continue
        usage, counts = voted
        if usage != row.usage:
            faults.add(
                f"{VOTES}, row {row.number + 1}",
                f"has the Usage {usage!r}, but {faces.name!r} has {row.usage!r} there: one of the files is in another "
                "order or cut; get both as published",
            )
            continue
        label = decide(counts)
        if label is None:
            left_out += 1
        else:
            yield Sample(
                id=str(row.number),
                image=row.image,
                label=label,
                split=row.usage,
                soft_label=dict(zip(FERPLUS_LABELS, counts, strict=False)),
            )
    source.notices.append(
        f"left out: {number_of(left_out, 'face')} without a label by the protocol {source.params.protocol!r}"
    )


def decide_majority(votes: Sequence[int]) -> str | None:
    """Return the expression with more than half of the votes that are not single, or None."""
    kept = [number if number > 1 else 0 for number in votes]
    first = kept.index(max(kept))
    return FERPLUS_LABELS[first] if 2 * kept[first] > sum(kept) and first < len(FERPLUS_LABELS) else None


def decide_argmax(votes: Sequence[int]) -> str | None:
    """Return the expression with the most votes, the first of equals; None if no face has more."""
    expressions = votes[: len(FERPLUS_LABELS)]
    if votes.index(max(votes)) == COLUMNS.index("NF") or not any(expressions):
        return None
    return FERPLUS_LABELS[expressions.index(max(expressions))]


def _read_votes(name: str, source: LayoutSource, faults: Faults) -> list[tuple[str, tuple[int, ...]]]:
    """Return usage, in lower case, and votes of every row."""
    rows: list[tuple[str, tuple[int, ...]]] = []
    for row in read_rows(source.folder, source.base / name, ("Usage", *COLUMNS), faults):
        try:
            votes = tuple(int(row.values[column]) for column in COLUMNS)
            if min(votes) < 0:
                raise ValueError
        except ValueError:
            wrong = ", ".join(repr(row.values[column]) for column in COLUMNS)
            faults.add(f"{name}, {row.at}", f"has the votes {wrong}, expected ten numbers from 0 on")
            continue
        rows.append((row.values["Usage"].strip().lower(), votes))
    return rows


class FerPlus(LayoutBuilder):
    """Joins ``fer2013new.csv`` with ``fer2013.csv`` by row."""

    layouts = (Layout("csv", "'fer2013new.csv' and 'fer2013.csv'", (VOTES,), read_join),)

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the numbers that the protocol gives on the published table."""
        assert isinstance(self.params, FerPlusParams)
        return FERPLUS_VARIANTS[f"protocol={self.params.protocol}"]
