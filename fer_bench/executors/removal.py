"""Remove stored cells: each goes as a whole, and none that a process works at."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

from fer_bench import atomic
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import held
from fer_bench.results import corrupted
from fer_bench.results.store import Store, StoredCell


@dataclass
class Removed:
    """How a removal ended.

    Attributes:
        cells: those that are gone.
        kept: why each of the others is still there.
    """

    cells: list[StoredCell] = field(default_factory=list[StoredCell])
    kept: list[str] = field(default_factory=list[str])


def remove(store: Store, cells: Sequence[StoredCell]) -> Removed:
    """Remove cells from a store.

    A folder is renamed and then deleted, so that no process sees a part of it; a link in the place of a folder, or in
    it, is deleted, and not what it points to. What stays because this process is killed is removed by the next run.
    """
    removed = Removed()
    with Leases(store.runs_dir) as leases:
        for cell in cells:
            with held(cell.record, leases) as holder:
                if holder:
                    removed.kept.append(f"{cell.id[:8]} {cell.record}: {holder} works at it")
                    continue
                try:
                    aside = cell.folder.rename(atomic.scratch(cell.folder))
                    if aside.is_symlink():
                        aside.unlink()
                    else:
                        shutil.rmtree(aside)
                    corrupted.remove(cell)
                    removed.cells.append(cell)
                except OSError as error:
                    removed.kept.append(f"{cell.id[:8]} {cell.record}: {atomic.reason(error)}")
    return removed
