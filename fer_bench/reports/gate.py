"""The gate: every row of a baseline against the same row of a runs folder."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.evaluation.guards import METRIC_POWER, SHARE, find_unguarded, join_verdicts, judge_classes
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.noninferiority import POWER, NonInferiority, judge_estimates
from fer_bench.reports.comparison import answers_of, measure_row
from fer_bench.reports.falls import Fall, describe, find_fallen_classes, find_fallen_units
from fer_bench.results.baseline import FrozenRow, load, round_predictions
from fer_bench.results.canonical import to_json
from fer_bench.results.filters import Filters
from fer_bench.results.predictions import Predictions, pair_trainings
from fer_bench.results.rows import MethodRow, read_rows
from fer_bench.results.versions import write_value
from fer_bench.sizes import number_of

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]
Underpowered = Literal["warn", "fail"]
EXIT_CODES: dict[Verdict, int] = {"PASS": 0, "FAIL": 1, "UNDERPOWERED": 3}
HALF = 0.5
"""A margin from here on is taken for points that were written as a fraction."""


@dataclass(frozen=True, kw_only=True)
class GateTerms:
    """What the gate asks.

    Attributes:
        metric: that is tested.
        margin: smallest drop that matters, above 0, in the metric's unit.
        alpha: share of cases in which a PASS, and a FAIL, may be wrong, above 0 and below 0.5.
        class_margin: likewise of the recall of each class; None: as much as moves the UAR by the margin if only this
            class loses it; 1: no guard.
        underpowered: whether UNDERPOWERED is a failure or a warning, in the exit code and in every report.
    """

    metric: Metric
    margin: float
    alpha: float
    class_margin: float | None = None
    underpowered: Underpowered = "fail"

    def __post_init__(self) -> None:
        """Raise FerBenchError where a value is out of its range; all faults at once."""
        faults = check_margin(self.metric, self.margin, self.alpha)
        if self.class_margin is not None and not (0 < self.class_margin < HALF or self.class_margin == 1):
            expected = _expect_drop(self.class_margin, HALF, "0.1")
            faults.append(f"--class-margin {self.class_margin:g}: {expected}; 1 turns the guard off")
        if self.underpowered not in get_args(Underpowered):
            faults.append(f"--underpowered {self.underpowered}: expected 'warn' or 'fail'")
        if faults:
            raise FerBenchError(f"The gate cannot test by these options:\n{bullet_list(faults)}")

    def limit_classes(self, classes: int) -> float | None:
        """Return the margin of a recall; None for no guard."""
        if self.class_margin is None and self.metric.from_confusion is None:
            return None
        limit = self.margin * classes if self.class_margin is None else self.class_margin
        return limit if limit < 1 else None

    def fails(self, verdict: Verdict) -> bool:
        """Return whether a verdict is a failure."""
        return verdict == "FAIL" or (verdict == "UNDERPOWERED" and self.underpowered == "fail")


def check_margin(metric: Metric, margin: float, alpha: float, option: str = "--margin") -> list[str]:
    """Return what is wrong with the options ``--margin``, or another one, and ``--alpha`` of a test."""
    faults: list[str] = []
    most = HALF if math.isfinite(metric.highest) else math.inf
    if not 0 < margin < most:
        faults.append(f"{option} {margin:g}: {_expect_drop(margin, most, '0.02')}")
    if not 0 < alpha < 0.5:
        faults.append(f"--alpha {alpha:g}: expected a share above 0 and below 0.5, such as 0.05")
    return faults


def _expect_drop(value: float, most: float, example: str) -> str:
    """Return what is expected of a margin, with how to write ``value`` points."""
    below = f" and below {most:g}" if math.isfinite(most) else ""
    points = f"; for {value:g} points write {value:g}pt or {value / 100:g}" if value >= most else ""
    return f"expected a number above 0{below}, such as {example}{points}"


@dataclass(frozen=True, kw_only=True)
class CheckedRow:
    """A row of the baseline and what became of it.

    Attributes:
        name: of the row.
        verdict: of the test and its guards; ``FAIL`` also where cells failed.
        baseline: the metric then, and ``current``, now; None where cells failed.
        test: what the test found; None where cells failed.
        classes: name of a class -> what the test of its recall found; empty without a guard.
        unguarded: classes whose predictions changed and that one unit has, so that no test of them is possible.
        drift: what the test against the oldest baseline found; None where none is kept.
        unit: what was compared, such as ``subjects``.
        samples: distinct samples that were tested.
        trainings: how many of the baseline and of now were compared.
        error: why cells failed; else empty.
        fallen_classes: of a row that failed its test, the classes that lost right answers.
        fallen_units: likewise the subjects, sequences or images.
    """

    name: str
    verdict: Verdict
    baseline: float
    current: float | None
    test: NonInferiority | None
    classes: dict[str, NonInferiority] = field(default_factory=dict[str, NonInferiority])
    unguarded: tuple[str, ...] = ()
    drift: NonInferiority | None = None
    unit: str
    samples: int
    trainings: tuple[int, int]
    error: str
    fallen_classes: tuple[Fall, ...] = ()
    fallen_units: tuple[Fall, ...] = ()

    def message(self) -> str:
        """Return the finding in words: of the metric, and of each guard that did not pass."""
        if self.test is None:
            return f"cells failed: {self.error}"
        guards = [(f"recall of {name}", test) for name, test in self.classes.items()]
        guards += [("since the oldest baseline", self.drift)] if self.drift else []
        texts = [f"{name}: {_describe(test, self.unit)}" for name, test in guards if test.verdict != "PASS"]
        if self.unguarded:
            texts.append(
                f"recall of {', '.join(self.unguarded)}: only one of the {self.unit} has it; "
                "test two or more that have it, or turn this guard off by --class-margin 1"
            )
        return "; ".join([_describe(self.test, self.unit) + self._scope(), *texts])

    def fallen(self) -> list[str]:
        """Return which classes and units fell, a line each; nothing unless a test failed."""
        return describe(self.fallen_classes, self.fallen_units, self.unit)

    def _scope(self) -> str:
        """Return what the finding speaks of."""
        if max(self.trainings) == 1:
            return "" if self.test and self.test.identical else " (these trained models only: one seed)"
        then, now = self.trainings
        return (
            ""
            if then == now
            else f" ({number_of(now, 'training')} against {then}, with the noise of training that these show)"
        )


def _describe(test: NonInferiority, unit: str) -> str:
    """Return what a test found."""
    if test.identical:
        return "the same predictions"
    change = f"{100 * test.difference:+z.2f} points [{100 * test.low:+z.2f}, {100 * test.high:+z.2f}]"
    if test.verdict == "PASS":
        return f"{change}; a drop of {100 * test.margin:g} or more is excluded"
    if test.verdict == "FAIL":
        return f"{change}; it dropped, and {100 * test.margin:g} points or more cannot be excluded"
    least, most = test.units_needed
    drop = f"a drop of {100 * test.detectable_drop:.1f} points at least"
    provable = drop if math.isfinite(test.detectable_drop) else "no drop"
    settled = f"{least:,} to {most:,} {unit} would settle a margin of {100 * test.margin:g}"
    return f"{change}; these {test.units:,} {unit} can show {provable}; {settled}"


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """What the gate found.

    Attributes:
        rows: of the baseline, sorted by name.
        new: names of rows that the baseline does not have; they are not tested.
        damaged: messages of cells that were left out.
        terms: what was asked.
        baseline: its folder; ``runs_dir`` that of the runs.
    """

    rows: tuple[CheckedRow, ...]
    new: tuple[str, ...]
    damaged: tuple[str, ...]
    terms: GateTerms
    baseline: Path
    runs_dir: Path

    @property
    def verdict(self) -> Verdict:
        """The worst of the rows: FAIL, else UNDERPOWERED, else PASS."""
        verdicts = {row.verdict for row in self.rows}
        return next(verdict for verdict in ("FAIL", "UNDERPOWERED", "PASS") if verdict in verdicts)

    @property
    def acceptance(self) -> str:
        """The command that accepts a drop as the new baseline; empty where no test shows one."""
        if not any(row.verdict == "FAIL" and row.test for row in self.rows):
            return ""
        folders = ["--runs-dir", str(self.runs_dir), "--output", str(self.baseline)]
        return shlex.join(["fer-bench", "baseline", "freeze", *folders, "--forget-oldest"])


def check(baseline: Path, runs_dir: Path, terms: GateTerms, filters: Filters | None = None) -> GateReport:
    """Test every row of ``baseline``, or those that ``filters`` name, against the same row in ``runs_dir``.

    Raises:
        FerBenchError: margin or alpha are not valid, a folder cannot be read, a row is not there or not complete, or is
            of other data, splits or labels; all faults at once.
    """
    frozen = load(baseline)
    rows, damaged = read_rows(runs_dir)
    if filters:
        frozen = {row.name: row for row in filters.keep(frozen.values(), lambda row: row.record)}
        rows = {name: row for name, row in rows.items() if filters.names(row.experiment)}
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
    checked = tuple(_check_row(row, rows[name], terms) for name, row in sorted(frozen.items()))
    new = tuple(name for name in rows if name not in frozen)
    return GateReport(rows=checked, new=new, damaged=tuple(damaged), terms=terms, baseline=baseline, runs_dir=runs_dir)


def _check_row(frozen: FrozenRow, row: MethodRow, terms: GateTerms) -> CheckedRow:
    then, names = frozen.predictions, frozen.record.dataset.classes
    make = partial(CheckedRow, name=frozen.name, unit=then.unit_word, samples=then.n_samples)
    if row.failed or row.predictions is None:
        error = "; ".join(sorted({cell.error for cell in row.failed}))
        score, trainings = measure_row(terms.metric, then).value, (len(np.unique(then.training)), 0)
        return make(verdict="FAIL", baseline=score, current=None, test=None, trainings=trainings, error=error)
    now, limit = round_predictions(row.predictions), terms.limit_classes(len(names))
    oldest = frozen.oldest if frozen.oldest and not _faults(frozen.oldest, row, {}) else None
    guards = (limit is not None) + (oldest is not None)
    before, after = _pair(then, now)[0]
    try:
        test = _test(then, now, terms, 1 - SHARE * guards, METRIC_POWER if guards else POWER)
    except ValueError as error:
        raise FerBenchError(f"{frozen.name} cannot be tested: {error}.") from None
    classes: dict[str, NonInferiority] = {}
    unguarded: list[int] = []
    if limit is not None:
        answers = answers_of(before), answers_of(after)
        unguarded = find_unguarded(*answers)
        classes = {names[label]: one for label, one in judge_classes(*answers, margin=limit, alpha=terms.alpha).items()}
    drift = _test(oldest.predictions, now, terms, SHARE, METRIC_POWER) if oldest else None
    verdict = join_verdicts([test, *classes.values(), *([drift] if drift else [])], unguarded)
    return make(
        verdict=verdict,
        baseline=measure_row(terms.metric, before).value,
        current=measure_row(terms.metric, after).value,
        test=test,
        classes=classes,
        unguarded=tuple(names[label] for label in unguarded),
        drift=drift,
        trainings=(len(np.unique(before.training)), len(np.unique(after.training))),
        error="",
        fallen_classes=find_fallen_classes(before, after, names) if verdict == "FAIL" else (),
        fallen_units=find_fallen_units(before, after) if verdict == "FAIL" else (),
    )


def _test(then: Predictions, now: Predictions, terms: GateTerms, share: float, power: float) -> NonInferiority:
    """Return the test of the metric, with a share of alpha for FAIL."""
    (left, right), identical = _pair(then, now)
    before, after = (measure_row(terms.metric, one) for one in (left, right))
    return judge_estimates(
        before,
        after,
        left.n_units,
        identical=identical,
        margin=terms.margin,
        alpha=terms.alpha,
        fail_alpha=share * terms.alpha,
        power=power,
    )


def _pair(then: Predictions, now: Predictions) -> tuple[tuple[Predictions, Predictions], bool]:
    """Return what is compared of the two, and whether that is the same: all of both, or, where one of them repeats
    some trainings of the other to the last digit, these.
    """
    common = np.intersect1d(then.training, now.training)
    # By sorting: numpy 2.0 overflows in its table of codes beyond int64.
    repeated = tuple(one.take(np.flatnonzero(np.isin(one.training, common, kind="sort"))) for one in (then, now))
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
        f"{frozen.name}: other {what}: {write_value(then.get(key))} then, {write_value(now.get(key))} now"
        for what, key in names
        if then.get(key) != now.get(key)
    ]
    other = [seed for seed, digest in frozen.splits.items() if row.splits.get(seed, digest) != digest]
    faults += [f"{frozen.name}: other splits for seed {seed}" for seed in other]
    if not other and {*frozen.splits.values()} != {*row.splits.values()}:
        seeds = f"of the seeds {sorted(frozen.splits)} then, {sorted(row.splits)} now"
        faults.append(f"{frozen.name}: other splits: {seeds}; make the same folds with --split-seeds")
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
        positions = np.arange(len(before))
        if not np.array_equal(before.fold, after.fold):
            faults[f"{frozen.name}: other tested samples, by fold"] = None
        elif before.sample_ids(positions) != after.sample_ids(positions):
            faults[f"{frozen.name}: other tested images, by id"] = None
        elif len(changed := np.flatnonzero(before.labels != after.labels)):
            first = before.sample_ids(changed[:1])[0]
            faults[f"{frozen.name}: other labels of {number_of(len(changed), 'image')}, first {first!r}"] = None
    return list(faults)


def _split_trainings(predictions: Predictions) -> list[Predictions]:
    trainings = np.unique(predictions.training)
    return [predictions.take(np.flatnonzero(predictions.training == training)) for training in trainings]
