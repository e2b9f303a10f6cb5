"""The gate: every row of a baseline against the same row of a runs folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.evaluation.metrics import Metric, score_seeds
from fer_bench.evaluation.noninferiority import NonInferiority, noninferiority_test
from fer_bench.results.baseline import FrozenRow, load, round_predictions
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import to_json
from fer_bench.results.rows import MethodRow, read_rows

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]
EXIT_CODES: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "UNDERPOWERED": 3}


@dataclass(frozen=True, kw_only=True)
class CheckedRow:
    """A row of the baseline and what became of it.

    Attributes:
        name: of the row.
        verdict: of the test; ``FAIL`` also where cells failed.
        baseline: the metric then, and ``current``, now; None where cells failed.
        test: what the test found; None where cells failed.
        unit: what was compared: ``subjects`` or ``samples``.
        samples: distinct samples that were tested.
        error: why cells failed; else empty.
    """

    name: str
    verdict: Verdict
    baseline: float
    current: float | None
    test: NonInferiority | None
    unit: str
    samples: int
    error: str

    def message(self) -> str:
        """Return the finding in words."""
        if self.test is None:
            return f"cells failed: {self.error}"
        test = self.test
        change = f"{100 * test.difference:+.2f} points [{100 * test.low:+.2f}, {100 * test.high:+.2f}]"
        if self.verdict == "PASS":
            if test.identical:
                return "the same predictions"
            return f"{change}; a drop of {100 * test.margin:g} or more is excluded{self._scope()}"
        if self.verdict == "FAIL":
            return f"{change}; it dropped, and {100 * test.margin:g} points or more cannot be excluded{self._scope()}"
        least, most = test.units_needed
        return (
            f"{change}; these {test.units:,} {self.unit} can show a drop of {100 * test.detectable_drop:.1f} points at "
            f"least; {least:,} to {most:,} {self.unit} would settle a margin of {100 * test.margin:g}{self._scope()}"
        )

    def _scope(self) -> str:
        """Return what the finding speaks of."""
        assert self.test is not None
        return " (these trained models only: one seed)" if self.test.seeds == 1 else ""


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """What the gate found.

    Attributes:
        rows: of the baseline, sorted by name.
        new: names of rows that the baseline does not have; they are not tested.
        damaged: messages of cells that were left out.
        metric: that was tested; likewise ``margin`` and ``alpha``.
    """

    rows: tuple[CheckedRow, ...]
    new: tuple[str, ...]
    damaged: tuple[str, ...]
    metric: Metric
    margin: float
    alpha: float

    @property
    def verdict(self) -> Verdict:
        """The worst of the rows: FAIL, else UNDERPOWERED, else PASS."""
        verdicts = {row.verdict for row in self.rows}
        return next(verdict for verdict in ("FAIL", "UNDERPOWERED", "PASS") if verdict in verdicts)


def check(baseline: Path, runs_dir: Path, metric: Metric, margin: float, alpha: float) -> GateReport:
    """Test every row of ``baseline`` against the same row in ``runs_dir``.

    Raises:
        FerBenchError: margin or alpha are not valid, a folder cannot be read, a row is not there or not complete, or is
            of other data, splits or labels; all faults at once.
    """
    if not (0 < margin < float("inf") and 0 < alpha < 0.5):
        raise FerBenchError(
            f"--margin {margin:g} and --alpha {alpha:g}: expected a margin above 0, such as 0.02 (2 points), "
            "and alpha between 0 and 0.5, such as 0.05."
        )
    frozen = load(baseline)
    rows, damaged = read_rows(runs_dir)
    damaged += [
        f"older results of {row.name} by other code ({row.older}); those of {row.finished[:10]} are tested"
        for row in rows.values()
        if row.older
    ]
    faults = [fault for name, row in frozen.items() for fault in _faults(row, rows.get(name), rows)]
    if faults:
        left_out = f"\nLeft out:\n{bullet_list(damaged)}" if damaged else ""
        raise FerBenchError(
            f"The runs in {str(runs_dir)!r} cannot be compared with the baseline {str(baseline)!r}:\n"
            f"{bullet_list(faults)}{left_out}\n"
            "Run the same grid again, or freeze a new baseline if the change is meant."
        )
    checked = tuple(_check_row(row, rows[name], metric, margin, alpha) for name, row in sorted(frozen.items()))
    new = tuple(name for name in rows if name not in frozen)
    return GateReport(rows=checked, new=new, damaged=tuple(damaged), metric=metric, margin=margin, alpha=alpha)


def _check_row(frozen: FrozenRow, row: MethodRow, metric: Metric, margin: float, alpha: float) -> CheckedRow:
    then = frozen.predictions
    true, before, unit = then.labels, then.probabilities, then.unit_word
    score, samples = float(score_seeds(metric, true, before, then.seed).mean()), then.n_samples
    if row.failed or row.predictions is None:
        error = "; ".join(sorted({cell.error for cell in row.failed}))
        return CheckedRow(
            name=frozen.name, verdict="FAIL", baseline=score, current=None, test=None, unit=unit, samples=samples,
            error=error,
        )  # fmt: skip
    after = round_predictions(row.predictions).probabilities
    try:
        test = noninferiority_test(metric, true, before, after, then.units, then.seed, margin=margin, alpha=alpha)
    except ValueError as error:
        raise FerBenchError(f"{frozen.name} cannot be tested: {error}.") from None
    current = float(score_seeds(metric, true, after, then.seed).mean())
    return CheckedRow(
        name=frozen.name, verdict=test.verdict, baseline=score, current=current, test=test, unit=unit,
        samples=samples, error="",
    )  # fmt: skip


def _faults(frozen: FrozenRow, row: MethodRow | None, rows: dict[str, MethodRow]) -> list[str]:
    """Return why a row cannot be compared; what is said of code, versions and precision may differ."""
    if row is None:
        return [f"{frozen.name}: there is no such row. {did_you_mean(frozen.name, rows)}"]
    then, now = to_json(frozen.record.dataset), to_json(row.experiment.dataset)
    names = [
        ("data", "fingerprint"),
        ("samples", "samples_sha256"),
        ("number of samples", "n"),
        ("labels", "classes"),
        ("mapping of labels", "labels"),
        ("faces", "faces"),
        ("data that only train", "trained_with"),
    ]
    faults = [
        f"{frozen.name}: other {what}: {_short(then.get(key))} then, {_short(now.get(key))} now"
        for what, key in names
        if then.get(key) != now.get(key)
    ]
    if set(frozen.splits) != set(row.splits):
        return [*faults, f"{frozen.name}: other seeds: {sorted(frozen.splits)} then, {sorted(row.splits)} now"]
    other = [seed for seed, digest in frozen.splits.items() if row.splits[seed] != digest]
    faults += [f"{frozen.name}: other splits for seed {seed}" for seed in other]
    faults += [f"{frozen.name}: seed {seed}, fold {fold} is missing" for seed, fold in row.missing]
    faults += [f"{frozen.name}: {message}" for message in row.damaged]
    if not faults and not row.failed and row.predictions is not None:
        faults += _sample_faults(frozen, row.predictions)
    return faults


def _sample_faults(frozen: FrozenRow, now: Predictions) -> list[str]:
    then = frozen.predictions
    for what in ("seed", "fold"):
        if not np.array_equal(getattr(then, what), getattr(now, what)):
            return [f"{frozen.name}: other tested samples, by {what}"]
    every = np.arange(len(then))
    if then.sample_ids(every) != now.sample_ids(every):
        return [f"{frozen.name}: other tested samples, by id"]
    changed = np.flatnonzero(then.labels != now.labels)
    if len(changed):
        return [f"{frozen.name}: other labels of {len(changed)} samples, first {then.sample_ids(changed[:1])[0]!r}"]
    return []


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
