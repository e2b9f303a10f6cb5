"""Bring cells of several runs folders together: each checked, the same ones once, contradictions named.

Of several copies of a cell the same one is kept for every order of the folders: one that is ok before one that failed,
then the one stored first, then the one whose checksums come first.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.classification import find_largest
from fer_bench.results import corrupted
from fer_bench.results.consistency import Pairing, find_contradictions, pair_boards
from fer_bench.results.folders import CHECKSUMS
from fer_bench.results.predictions import probability_columns, read_matrix
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Store, StoredCell
from fer_bench.results.versions import explain_by_provenance
from fer_bench.sizes import number_of

ASIDE = "contradictions"
"""Folder in a runs folder for copies of a cell that say something else; no board reads it."""
MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What came together.

    Attributes:
        taken: cells that are new in the folder.
        known: cells that were there already.
        contradictions: a line for each copy with other predictions.
        damaged: a line for each folder that is no sound cell and was left out.
        boards: every two boards of one data set, and whether they may be compared.
        empty: folders that hold no cell, not even a damaged one.
    """

    taken: int
    known: int
    contradictions: tuple[str, ...]
    damaged: tuple[str, ...]
    boards: tuple[Pairing, ...]
    empty: tuple[Path, ...]


def merge(folders: Sequence[Path], into: Path, *, keep: bool = False, tolerance: float = 0.0) -> Merged:
    """Copy the cells of runs folders into one.

    Args:
        folders: to be read.
        into: a runs folder, which may have cells.
        keep: keep contradicting copies in `ASIDE`, where else they are refused.
        tolerance: largest difference of a probability between copies that count as the same.

    Raises:
        FerBenchError: a folder is not there or cannot be written, or copies contradict one another and are not to be
            kept; nothing has been copied by then.
    """
    target = Store(into)
    copies, damaged, empty = _read(folders, into)
    first_cells: list[StoredCell] = []
    repeated: list[StoredCell] = []
    lines: list[str] = []
    for _, several in sorted(copies.items()):
        first, *further = sorted(several, key=_rank) if len(several) > 1 else several
        first_cells.append(first)
        for other in further:
            if other.ok and (why := _contradiction(first, other, tolerance)):
                repeated.append(other)
                lines.append(f"{first.id[:16]} ({first.record}): {why}")
    if lines and not keep:
        raise FerBenchError(
            f"{number_of(len(lines), 'copy of a cell contradicts', 'copies of cells contradict')} others, "
            f"and nothing was copied:\n{bullet_list(lines)}\n"
            "Accept rounding with --tolerance, or keep the copies next to the cells with --contradictions keep."
        )
    if wrong := find_contradictions([cell for cell in first_cells if cell.ok]):
        raise FerBenchError(
            f"Cells contradict one another about what they tested, and nothing was copied:\n{bullet_list(wrong)}\n"
            "One of each two was changed after it was made. Merge the folders one by one to see which."
        )
    target.ensure_writable()
    new = 0
    for cell in first_cells:
        folder = target.folder(cell.id)
        if cell.folder != folder:
            new += not folder.is_dir()
            target.put(folder, cell.files())
        for copy in copies[cell.id]:
            corrupted.copy(copy, replace(cell, folder=folder))
    for cell in repeated:
        target.put(into / ASIDE / f"{cell.id[:16]}-{_digest(cell)[:8]}", cell.files())
    return Merged(
        taken=new,
        known=len(first_cells) - new,
        contradictions=tuple(lines),
        damaged=tuple(damaged),
        boards=tuple(pair_boards(first_cells)),
        empty=tuple(empty),
    )


def _read(folders: Sequence[Path], into: Path) -> tuple[dict[str, list[StoredCell]], list[str], list[Path]]:
    """Return id -> copies of each sound cell, a line for each folder that is none, and runs folders without any."""
    copies: dict[str, list[StoredCell]] = defaultdict(list)
    damaged, empty = list[str](), list[Path]()
    sources = dict.fromkeys(folder.resolve() for folder in folders if folder.resolve() != into.resolve())
    for folder in (*([into] if into.is_dir() else []), *sources):
        cells, faults = Store(folder).cells()
        if folder != into and not cells and not faults:
            empty.append(folder)
        faults += read_predictions([cell for cell in cells if cell.ok])[2] if folder != into else []
        damaged += [f"{folder.name}: {fault}" for fault in faults]
        unsound = {fault.partition(":")[0] for fault in faults}
        for cell in cells:
            if cell.folder.name not in unsound:
                copies[cell.id].append(cell)
    return copies, damaged, empty


def _rank(cell: StoredCell) -> tuple[bool, str, str]:
    return not cell.ok, cell.result.finished, _digest(cell)


def _digest(cell: StoredCell) -> str:
    return hashlib.sha256(cell.files()[CHECKSUMS]).hexdigest()


def _contradiction(one: StoredCell, other: StoredCell, tolerance: float) -> str:
    """Return how the predictions of a copy differ and what may explain it; nothing where they do not."""
    a, b = one.table(), other.table()
    if a.equals(b):
        return ""
    columns = probability_columns(a.column_names)
    others = [name for name in a.column_names if name not in columns]
    if a.column_names != b.column_names or not a.select(others).equals(b.select(others)):
        return "another copy has other samples, labels or groups"
    p, q = read_matrix(a), read_matrix(b)
    largest, turned = float(np.abs(p - q).max()), int((find_largest(p) != find_largest(q)).any(axis=1).sum())
    if largest <= tolerance:
        return ""
    reasons = [
        f"{name} {then} and {now}" for name, then, now in explain_by_provenance(one.provenance, other.provenance)
    ]
    by = f"; {'; '.join(reasons[:MOST_REASONS])}" if reasons else ""
    return f"another copy differs by {largest:.2g} at most, {turned} of {len(p)} answers turned{by}"
