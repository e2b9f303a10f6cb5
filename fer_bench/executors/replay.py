"""Repeat a stored cell from its own record, and say how near the repetition comes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fer_bench import paths
from fer_bench.corruption import Corruption
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import find_largest
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.noninferiority import NonInferiority, show_equivalence
from fer_bench.executors import local, recorded, trust
from fer_bench.executors.grid import Grid, Job, expand
from fer_bench.executors.reporting import Reporter
from fer_bench.executors.work import Work
from fer_bench.keeping.named_files import Places
from fer_bench.registry import Registry
from fer_bench.results import corrupted
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import read_predictions
from fer_bench.results.records import name_training
from fer_bench.results.store import Store, StoredCell
from fer_bench.results.versions import differences, explain_by_provenance
from fer_bench.sizes import number_of
from fer_bench.specs import Params
from fer_bench.tasks.view import View

Answer = Literal["bit-identical", "numerically equal", "statistically equivalent", "different"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
"""From the best to the worst."""

MOST_SEEDS = 100
"""Whose cells a replay trains together, since the origin of a record may be unknown."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """When two cells count as alike.

    Attributes:
        tolerance: largest difference of a probability that is ``numerically equal``.
        metric: whose equivalence is tested.
        margin: of that test, in the metric's unit.
        alpha: of each of its two sides.
    """

    tolerance: float
    metric: Metric
    margin: float
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The result of repeating a cell.

    Attributes:
        answer: how near the repetition came.
        why: the finding in words.
        largest: largest difference of two probabilities; None where the two did not test the same samples.
        test: of equivalence; None where it was not needed or not possible.
        differences: (dotted name, then, now) of every field of cell and provenance that differs.
    """

    answer: Answer
    why: str
    largest: float | None
    test: NonInferiority | None
    differences: tuple[tuple[str, object, object], ...]

    def record(self) -> dict[str, Any]:
        """Return what JSON shows of it."""
        return {
            "answer": self.answer,
            "why": self.why,
            "largest_difference": self.largest,
            "differences": [{"field": name, "then": then, "now": now} for name, then, now in self.differences],
        }


def replay(
    cell: StoredCell,
    registry: Registry,
    data_dir: Path,
    cache_dir: Path | None,
    terms: Terms,
    reporter: Reporter,
    precision: str | None = None,
    *,
    trusted: bool = False,
    files_in: Sequence[Path] = (),
    views: dict[tuple[Any, ...], View] | None = None,
) -> Replay:
    """Rebuild ``cell`` from the settings in its provenance, repeat it in a temporary place and compare.

    Args:
        cell: a stored cell that is ``ok``.
        registry: of the installed plugins.
        data_dir: where data sets lie.
        cache_dir: whose stage outputs may be used; None computes them again, which is the question itself.
        terms: when two cells count as alike.
        reporter: is told how it goes.
        precision: instead of the cell's own.
        trusted: whether the cell may open the files that it names and get weights from elsewhere.
        files_in: folders that may hold these files; see `fer_bench.keeping.named_files`.
        views: keeps the data that are open already, for a caller that repeats several cells.

    Raises:
        FerBenchError: the cell failed, or does not say how to make it again, or something that it needs is not here, or
            it reaches outside of the data folder and is not trusted.
    """
    if not cell.ok:
        raise FerBenchError(
            f"Cell {cell.id[:8]} failed ({cell.error}), so it has nothing to compare with. Repeat the run instead."
        )
    together = _together(cell)
    config = recorded.config_of(cell, registry, together, precision)
    if not trusted:
        trust.ask(cell.id, config, registry)
    places = Places(registry, files_in, paths.cache_dir(), f"Cell {cell.id[:8]}")
    config = recorded.with_files(config, cell, places)
    with tempfile.TemporaryDirectory(prefix="fer-bench-replay-") as folder:
        place = Path(folder)
        cache = cache_dir or place / "cache"
        grid, job = _narrow(expand(config, registry, data_dir, cache, reporter, views), cell, together)
        store, corruptions = Store(place / "runs"), corrupted.find(cell)
        work = Work(grid, store, cache, registry.plugins, reporter, only=job, corruptions=corruptions)
        work.begin()
        local.execute(Params(), work)
        (now,), _ = store.cells()
        return compare_all(cell, now, corruptions if now.ok else (), terms)


def _together(cell: StoredCell) -> list[tuple[int, ...]]:
    """Return the places of the cells that were trained at once with this one, in their order.

    Heads of all folds and seeds are fitted in one array, and sums of a wider array come in another order.
    """
    own = cell.record.place
    together: list[tuple[int, ...]] = list(cell.provenance.together) or [own]
    seeds = len({(seed, *rest) for seed, _, *rest in together})
    if own not in together or len(set(together)) < len(together) or seeds > MOST_SEEDS:
        raise FerBenchError(
            f"Cell {cell.id[:8]} says that it was trained with {number_of(len(together), 'cell')} of "
            f"{seeds} seeds ('together' in "
            f"provenance.json); expected distinct ones, itself among them, of {MOST_SEEDS} seeds at most. Repeat the "
            "run into a fresh folder and use 'fer-bench compare'."
        )
    return together


def _narrow(grid: Grid, cell: StoredCell, together: list[tuple[int, ...]]) -> tuple[Grid, Job]:
    """Return the grid with only the jobs that were trained together, and the one that is asked for."""
    pairs_of = cell.record.protocol.pairs_of
    (block,) = (one for one in grid.blocks if one.jobs[0].cell.protocol.pairs_of == pairs_of)
    jobs = {job.cell.place: job for job in block.jobs}
    own = cell.record.place
    if own not in jobs:
        raise FerBenchError(
            f"Cell {cell.id[:8]} is fold {own[1]} of {name_training(cell.record.training)}; the data here make only "
            f"{number_of(len(jobs), 'fold')}. They are not the data of the cell: see 'fer-bench show'."
        )
    kept = tuple(jobs[place] for place in together if place in jobs)
    return replace(grid, blocks=(replace(block, jobs=kept),)), jobs[own]


def compare_all(then: StoredCell, now: StoredCell, corruptions: Sequence[Corruption], terms: Terms) -> Replay:
    """Compare a cell and its predictions of corrupted images with their repetition; the worst answer counts."""
    replayed = compare(then, now, terms)
    if not corruptions:
        return replayed
    tables = then.table(), now.table()
    by_corruption = [
        (one, compare(corrupted.corrupted(then, tables[0], one), corrupted.corrupted(now, tables[1], one), terms))
        for one in corruptions
    ]
    worst, other = max(by_corruption, key=lambda each: ANSWERS.index(each[1].answer))
    if ANSWERS.index(other.answer) > ANSWERS.index(replayed.answer):
        return replace(other, why=f"{worst}: {other.why}")
    return replace(replayed, why=f"{replayed.why}; those of {len(corruptions)} corruptions are as near or nearer")


def compare(then: StoredCell, now: StoredCell, terms: Terms) -> Replay:
    """Compare a cell with its repetition."""
    differing = _differences(then, now)
    if not now.ok:
        return Replay(
            answer="different",
            why=f"the repetition failed: {now.error}",
            largest=None,
            test=None,
            differences=differing,
        )
    first, second = (_predictions(cell) for cell in (then, now))
    if (other := _other_samples(first, second)) is not None:
        return Replay(answer="different", why=other, largest=None, test=None, differences=differing)
    true, p, q = first.labels, first.probabilities, second.probabilities
    largest = float(np.abs(p - q).max())
    test = None
    if then.table().equals(now.table()):
        answer, why = (
            "bit-identical",
            f"all {number_of(p.size, 'probability', 'probabilities')} of {len(p):,} images are the same bits",
        )
    elif largest <= terms.tolerance:
        turned = int((find_largest(p) != find_largest(q)).any(axis=1).sum())
        answer = "numerically equal"
        why = (
            f"probabilities differ by {largest:.2g} at most, tolerance {terms.tolerance:g}; "
            f"{number_of(turned, 'answer')} turned"
        )
    else:
        alike, test = show_equivalence(terms.metric, true, p, q, first.units, margin=terms.margin, alpha=terms.alpha)
        answer = "statistically equivalent" if alike else "different"
        conclusion = "is excluded" if alike else "is not excluded"
        if not alike and test.low < 0 < test.high:
            conclusion += ", and so few data cannot show a difference"
        why = (
            f"probabilities differ by up to {largest:.2g}; {terms.metric.title} {test.difference:+z.4f} "
            f"[{test.low:+z.4f}, {test.high:+z.4f}] over {test.units:,} units: "
            f"a difference of {terms.margin:g} {conclusion}"
        )
    return Replay(answer=answer, why=why, largest=largest, test=test, differences=differing)


def _predictions(cell: StoredCell) -> Predictions:
    predictions, _, faults = read_predictions([cell])
    if predictions is None:
        raise FerBenchError(f"The predictions of cell {cell.id[:8]} cannot be used: {faults[0]}.")
    return predictions


def _other_samples(first: Predictions, second: Predictions) -> str | None:
    """Return how the tested samples of two cells differ, or None."""
    a, b = set(first.ids.to_pylist()), set(second.ids.to_pylist())
    if a != b:
        return f"other samples are tested: {len(a - b)} of {len(a)} are gone, {len(b - a)} are new"
    if first.probabilities.shape != second.probabilities.shape:
        return (
            f"{number_of(second.probabilities.shape[1], 'class', 'classes')} instead of {first.probabilities.shape[1]}"
        )
    if changed := int((first.labels != second.labels).sum()):
        return f"{changed} of {len(a)} samples have another label"
    return None


def _differences(then: StoredCell, now: StoredCell) -> tuple[tuple[str, object, object], ...]:
    """Return what differs between two cells and their provenance."""
    records = ({"cell": cell.record.record()} for cell in (then, now))
    return *differences(*records), *explain_by_provenance(then.provenance, now.provenance)
