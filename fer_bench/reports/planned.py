"""A frozen plan beside the board: whether its rows are those that were planned, and what their comparisons show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.installed import find_metric
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports import comparison
from fer_bench.reports.leaderboard import build
from fer_bench.reports.pairwise import name_shortly
from fer_bench.reports.row import Row
from fer_bench.reports.standing import PERCENT, write_number
from fer_bench.reports.table import Column, Field, Shown, Table, tabulate, write_p
from fer_bench.results.canonical import Record, Share
from fer_bench.results.frozen_plan import FrozenPlan, PlannedTrainings, read_plan
from fer_bench.results.store import Store
from fer_bench.results.versions import explain
from fer_bench.sizes import number_of


@dataclass(frozen=True, kw_only=True)
class PlannedAnswer:
    """What a planned comparison shows.

    Attributes:
        first: a row; likewise ``second``.
        names: of both, as short as the board allows.
        difference: first minus second; its interval holds for all comparisons of the plan together (Bonferroni).
        p_value: two-sided, likewise for all of them together: by `adjust_steps` within a board, weighted Bonferroni
            over boards.
        margin: the smallest difference that matters.
    """

    first: Row
    second: Row
    names: tuple[str, str]
    difference: Difference
    p_value: float
    margin: float

    @property
    def answer(self) -> str:
        """Which row is better, if that is shown, and what the interval says of the margin."""
        low, high = self.difference.low, self.difference.high
        inside = -self.margin < low and high < self.margin
        beyond = low >= self.margin or high <= -self.margin
        margin = "within the margin" if inside else "beyond the margin" if beyond else ""
        higher = (self.difference.value > 0) == self.first.metric.higher_is_better
        better = f"{'A' if higher else 'B'} better" if self.p_value <= comparison.ALPHA else ""
        return ", ".join(filter(None, (better, margin))) or "open"


@dataclass(frozen=True, kw_only=True)
class AnswerRecord(Record):
    """An answer: names of both rows, the difference first minus second with bounds, both in the metric's unit."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    level: Share
    p_value: Share
    answer: str


@dataclass(frozen=True, kw_only=True)
class PlanRecord(Record):
    """A frozen plan and its answers."""

    frozen: str
    digest: str
    metric: str
    margin: float
    earlier: tuple[str, ...]
    answers: tuple[AnswerRecord, ...]


@dataclass(frozen=True, kw_only=True)
class JudgedPlan:
    """A plan whose rows are those of a board.

    Attributes:
        plan: as it was frozen.
        metric: of its questions.
        boards: for each board with a question, its rows and the answers.
    """

    plan: FrozenPlan
    metric: Metric
    boards: tuple[tuple[tuple[Row, ...], tuple[PlannedAnswer, ...]], ...]

    @property
    def asked(self) -> set[str]:
        """Ids of the rows that a question is about."""
        return {one for question in self.plan.questions for one in question}

    def find(self, first: str, second: str) -> PlannedAnswer | None:
        """Return the answer of the question about two rows, by their ids; None where it was not planned."""
        answers = [answer for _, several in self.boards for answer in several]
        return next((one for one in answers if {one.first.id, one.second.id} == {first, second}), None)

    def mark(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows that say whether a question is about them."""
        return [row if row.baseline else replace(row, planned=row.id in self.asked) for row in rows]


def read_judged(file: Path, runs_dir: Path) -> JudgedPlan:
    """Return the plan in a file with what the rows of a runs folder answer, all of them.

    Raises:
        FerBenchError: the file is no plan, or was changed, or the rows are not those that were planned.
    """
    plan = read_plan(file)
    metric = find_metric(plan.metric)
    cells = Store(runs_dir).cells()[0] if runs_dir.is_dir() else ()
    return judge(plan, file, build(cells, (metric,), metric, left_out=lambda message: None), metric)


def judge(plan: FrozenPlan, file: Path, rows: Sequence[Row], metric: Metric) -> JudgedPlan:
    """Return the answers of a plan, corrected over all of its comparisons: a plan is one family.

    Args:
        plan: as it was read; ``file``: its name, for messages.
        file: likewise.
        rows: of the whole runs folder.
        metric: that the plan names.

    Raises:
        FerBenchError: rows of the plan are missing, other ones, incomplete, or older than the plan; all at once.
    """
    methods = {row.id: row for row in rows if not row.baseline}
    faults = [fault for key, planned in plan.rows.items() for fault in _find_faults(plan, key, planned, methods)]
    if not faults:
        tested = [(methods[one], methods[other]) for one, other in plan.questions]
        faults = [
            f"{one.method} and {other.method} did not test the same images with the same seeds"
            for one, other in tested
            if one.pooled is None or other.pooled is None or one.pooled.key != other.pooled.key
        ]
    if faults:
        raise FerBenchError(
            f"The plan {str(file)!r}, frozen {plan.frozen[:16].replace('T', ' ')}, is not of these results:\n"
            f"{bullet_list(list(dict.fromkeys(faults)))}\nRun what was planned, or name the runs folder of this plan."
        )
    questions = [(methods[one], methods[other]) for one, other in plan.questions]
    boards = [
        (tuple(row for row in rows if row.subject == subject), list(pairs))
        for subject, pairs in groupby(sorted(questions, key=lambda pair: pair[0].subject), lambda pair: pair[0].subject)
    ]
    return JudgedPlan(
        plan=plan,
        metric=metric,
        boards=tuple((board, tuple(_answer(board, pairs, metric, plan))) for board, pairs in boards),
    )


def _find_faults(plan: FrozenPlan, key: str, planned: PlannedTrainings, methods: dict[str, Row]) -> list[str]:
    """Return what of a planned row is not as it was planned."""
    row = methods.get(key)
    if row is None:
        others = [row for row in methods.values() if row.experiment.question == planned.name]
        why = "; ".join(explain(planned.experiment, others[0].experiment)) if others else "it is not there"
        return [f"{planned.name}: {why}"]
    faults: list[str] = []
    splits = {str(cell.record.dealt_by): cell.record.protocol.splits_sha256 for cell in row.cells}
    if other := [seed for seed, value in splits.items() if planned.splits.get(seed, value) != value]:
        faults.append(f"other folds of seed {', '.join(other)}")
    trained = {cell.record.training for cell in row.cells}
    if trained != set(planned.trainings):
        faults.append(
            f"{number_of(len(planned.trainings), 'training was', 'trainings were')} planned, "
            f"{_count(trained, planned.trainings)}"
        )
    elif lacking := len(trained) * row.folds - len(row.cells):
        faults.append(f"{lacking} of {len(trained) * row.folds} cells are not there")
    if row.failed:
        faults.append(f"{number_of(row.failed, 'cell')} failed: {row.errors[0]}")
    begun = datetime.fromisoformat(plan.frozen)
    if before := sum(datetime.fromisoformat(cell.finished) < begun for cell in row.cells):
        faults.append(f"{number_of(before, 'cell was', 'cells were')} stored before the plan was frozen")
    return [f"{planned.name}: {fault}" for fault in faults]


def _count(trained: set[tuple[int, int]], planned: Sequence[tuple[int, int]]) -> str:
    missing, more = len(set(planned) - trained), len(trained - set(planned))
    return f"{missing} are missing and {more} are there that were not planned"


def _answer(
    board: Sequence[Row], questions: Sequence[tuple[Row, Row]], metric: Metric, plan: FrozenPlan
) -> list[PlannedAnswer]:
    """Return the answers of the questions of a plan about one board.

    A board with q of n questions gets the share q / n of the error of the plan, so its p-values are multiplied by
    n / q.
    """
    members = list({row.id: row for pair in questions for row in pair}.values())
    place = {row.id: index for index, row in enumerate(members)}
    estimates = [comparison.estimate(metric, row.pooled) for row in members if row.pooled is not None]
    pairs = [(place[one.id], place[other.id]) for one, other in questions]
    count = len(plan.questions)
    adjusted = np.minimum(1, adjust_steps(estimates, pairs) * (count / len(questions)))
    methods = [row for row in board if not row.baseline]
    names = dict(zip((row.id for row in methods), name_shortly(methods), strict=True))
    return [
        PlannedAnswer(
            first=first,
            second=second,
            names=(names[first.id], names[second.id]),
            difference=compare_estimates(estimates[j], estimates[i], level=1 - comparison.ALPHA / count),
            p_value=p,
            margin=plan.margin,
        )
        for (first, second), (i, j), p in zip(questions, pairs, adjusted.tolist(), strict=True)
    ]


def to_tables(judged: JudgedPlan) -> list[Table]:
    """Return a table of answers for each board that a question is about."""
    plan, metric = judged.plan, judged.metric
    unit = " points" if metric.name in PERCENT else ""
    tables: list[Table] = []
    for board, answers in judged.boards:
        title = f"Planned comparisons, {board[0].dataset}: {board[0].protocol}, by {metric.title}"
        tables.append(tabulate(answers, _fields(metric), title))
    margin = f"{write_number(metric, plan.margin, 1)}{unit}"
    note = (
        f"Frozen {plan.frozen[:16].replace('T', ' ')} UTC, digest {plan.digest[:12]}, margin {margin}. Intervals and p "
        f"hold for all comparisons of the plan together ({len(plan.questions)}), 5 %. All other comparisons are "
        "exploratory: those of rows with 'no' in the column 'plan'; also tiers, ranks, best? and behind, which are of "
        "all pairs of a board. Open: no answer is shown."
    )
    earlier = [f"Stored when it was frozen: {line}" for line in plan.earlier]
    return [*tables[:-1], replace(tables[-1], notes=(note, *earlier))]


def record(judged: JudgedPlan) -> PlanRecord:
    """Return a plan with its answers for JSON."""
    plan = judged.plan
    return PlanRecord(
        frozen=plan.frozen,
        digest=plan.digest,
        metric=plan.metric,
        margin=plan.margin,
        earlier=plan.earlier,
        answers=tuple(record_answer(answer) for _, answers in judged.boards for answer in answers),
    )


def record_answer(answer: PlannedAnswer) -> AnswerRecord:
    """Return an answer for JSON; without bounds where there are too few units for any."""
    gap = answer.difference
    low, high = (end if math.isfinite(end) else None for end in (gap.low, gap.high))
    return AnswerRecord(
        first=answer.first.experiment.question,
        second=answer.second.experiment.question,
        difference=gap.value,
        low=low,
        high=high,
        level=gap.level,
        p_value=answer.p_value,
        answer=answer.answer,
    )


def _fields(metric: Metric) -> list[Field[PlannedAnswer]]:
    def interval(answer: PlannedAnswer) -> Shown:
        gap = answer.difference
        value, low, high = (write_number(metric, number, 1) for number in (gap.value, gap.low, gap.high))
        return Shown(f"{value} ({low} to {high})" if math.isfinite(gap.high - gap.low) else value, gap.value)

    return [
        (Column("A"), lambda answer: answer.names[0]),
        (Column("B"), lambda answer: answer.names[1]),
        (Column("A - B", "number"), interval),
        (Column("p", "number"), lambda answer: write_p(answer.p_value)),
        (Column("answer"), lambda answer: answer.answer),
    ]
