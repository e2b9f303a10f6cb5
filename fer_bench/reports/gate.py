"""The gate: every row of a baseline against the same row of a runs folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.noninferiority import NonInferiority, judge_estimates
from fer_bench.reports.comparison import measure_row
from fer_bench.results.baseline import FrozenRow, load, round_predictions
from fer_bench.results.canonical import to_json
from fer_bench.results.predictions import Predictions, pair_trainings
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
        trainings: how many of the baseline and of now were compared.
        error: why cells failed; else empty.
    """

    name: str
    verdict: Verdict
    baseline: float
    current: float | None
    test: NonInferiority | None
    unit: str
    samples: int
    trainings: tuple[int, int]
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
        if max(self.trainings) == 1:
            return " (these trained models only: one seed)"
        then, now = self.trainings
        return "" if then == now else f" ({now} trainings against {then}, with the noise of training that these show)"


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
    told: dict[str, Any] = {"name": frozen.name, "unit": then.unit_word, "samples": then.n_samples}
    if row.failed or row.predictions is None:
        error = "; ".join(sorted({cell.error for cell in row.failed}))
        score, trainings = measure_row(metric, then).value, (len(np.unique(then.training)), 0)
        return CheckedRow(
            **told, verdict="FAIL", baseline=score, current=None, test=None, trainings=trainings, error=error
        )
    (left, right), identical = _pair(then, round_predictions(row.predictions))
    before, after = (measure_row(metric, one) for one in (left, right))
    try:
        test = judge_estimates(before, after, left.n_units, identical=identical, margin=margin, alpha=alpha)
    except ValueError as error:
        raise FerBenchError(f"{frozen.name} cannot be tested: {error}.") from None
    return CheckedRow(
        **told,
        verdict=test.verdict,
        baseline=before.value,
        current=after.value,
        test=test,
        trainings=(len(before.seeds), len(after.seeds)),
        error="",
    )


def _pair(then: Predictions, now: Predictions) -> tuple[tuple[Predictions, Predictions], bool]:
    """Return what is compared of the two, and whether that is the same: all of both, or, where one of them repeats
    some trainings of the other to the last digit, these.
    """
    common = np.intersect1d(then.training, now.training)
    repeated = tuple(one.take(np.flatnonzero(np.isin(one.training, common))) for one in (then, now))
    contained = len(common) > 0 and any(len(part) == len(one) for part, one in zip(repeated, (then, now), strict=True))
    if contained and np.array_equal(repeated[0].probabilities, repeated[1].probabilities):
        return (repeated[0], repeated[1]), True
    return pair_trainings(then, now), False


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
    other = [seed for seed, digest in frozen.splits.items() if row.splits.get(seed, digest) != digest]
    faults += [f"{frozen.name}: other splits for seed {seed}" for seed in other]
    if not other and {*frozen.splits.values()} != {*row.splits.values()}:
        seeds = f"of the seeds {sorted(frozen.splits)} then, {sorted(row.splits)} now"
        faults.append(f"{frozen.name}: other splits: {seeds}; deal the same with --split-seeds")
    faults += [f"{frozen.name}: {place} is missing" for place in row.missing]
    faults += [f"{frozen.name}: {message}" for message in row.damaged]
    if not faults and not row.failed and row.predictions is not None:
        faults += _sample_faults(frozen, row.predictions)
    return faults


def _sample_faults(frozen: FrozenRow, now: Predictions) -> list[str]:
    """Return what differs in the samples that were tested then and now on the same folds."""
    faults = dict[str, None]()
    reference = {part.split[0]: part for part in reversed(_split_trainings(frozen.predictions))}
    for after in _split_trainings(now):
        before = reference[after.split[0]]
        every = np.arange(len(before))
        if not np.array_equal(before.fold, after.fold):
            faults[f"{frozen.name}: other tested samples, by fold"] = None
        elif before.sample_ids(every) != after.sample_ids(every):
            faults[f"{frozen.name}: other tested samples, by id"] = None
        elif len(changed := np.flatnonzero(before.labels != after.labels)):
            first = before.sample_ids(changed[:1])[0]
            faults[f"{frozen.name}: other labels of {len(changed)} samples, first {first!r}"] = None
    return list(faults)


def _split_trainings(predictions: Predictions) -> list[Predictions]:
    trainings = np.unique(predictions.training)
    return [predictions.take(np.flatnonzero(predictions.training == training)) for training in trainings]


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
