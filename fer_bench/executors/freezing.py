"""From a grid that has not run to a frozen plan: which comparisons are asked of which rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.metrics import Metric
from fer_bench.executors.estimate import Forecast
from fer_bench.executors.grid import Grid, Job
from fer_bench.executors.stored import describe
from fer_bench.results.find import match_names
from fer_bench.results.folders import iso_time
from fer_bench.results.frozen_plan import FrozenPlan, PlannedTrainings, Question
from fer_bench.results.records import Board, Experiment
from fer_bench.sizes import number_of

Rows = Mapping[Experiment, Sequence[Job]]


def freeze(
    grid: Grid, forecast: Forecast, pairs: Sequence[tuple[str, str]], metric: Metric, margin: float
) -> FrozenPlan:
    """Return the plan of a grid of which nothing has run.

    Args:
        grid: of the run.
        forecast: what of it is stored.
        pairs: pairs of names of rows, each compared on every board that has both; none asks all pairs of each board.
        metric: of the questions.
        margin: the smallest difference that matters, in the metric's unit.

    Raises:
        FerBenchError: cells are done, a name means no row or several of a board, or there is nothing to compare.
    """
    if done := sum(row.done for row in forecast.rows):
        raise FerBenchError(
            f"--freeze: {done} of {len(forecast.jobs)} cells are done, so their results may be known. Freeze a plan "
            "before its first cell runs, or plan rows or seeds that have not run."
        )
    rows: dict[Experiment, list[Job]] = defaultdict(list)
    for job in grid.jobs:
        if not job.cell.protocol.pairs_of:
            rows[job.cell.experiment].append(job)
    return FrozenPlan(
        schema=1,
        frozen=iso_time(datetime.now(UTC)),
        metric=metric.name,
        margin=margin,
        rows={experiment.id: _describe_row(experiment, jobs) for experiment, jobs in rows.items()},
        questions=tuple(_find_questions(rows, pairs)),
        earlier=tuple(describe(forecast.rows)),
    )


def _describe_row(experiment: Experiment, jobs: Sequence[Job]) -> PlannedTrainings:
    return PlannedTrainings(
        name=experiment.question,
        common=experiment,
        numerics=experiment.numerics,
        trainings=tuple(sorted({job.cell.training for job in jobs})),
        splits={str(job.cell.dealt_by): job.cell.protocol.splits_sha256 for job in jobs},
    )


def _find_questions(rows: Rows, named_pairs: Sequence[tuple[str, str]]) -> list[Question]:
    """Return the ids of the rows of each question, without repetition."""
    boards: dict[Board, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for experiment in rows:
        boards[experiment.board][experiment.question].append(experiment.id)
    row_ids = [[one for ids in names.values() for one in ids] for names in boards.values()]
    if not named_pairs:
        questions = [pair for ids in row_ids for pair in combinations(ids, 2)]
    else:
        matched = [_match(names, list(boards.values())) for names in named_pairs]
        questions = [pair for pairs, _ in matched for pair in pairs]
        if faults := [fault for _, several in matched for fault in several]:
            row_names = sorted({name for names in boards.values() for name in names})
            raise FerBenchError(
                f"The plan cannot ask these questions:\n{bullet_list(faults)}\n"
                f"The rows are:\n{bullet_list(row_names, 20)}"
            )
    if not questions:
        raise FerBenchError("--freeze: no board has two rows, so there is nothing to compare; plan two methods.")
    return list({frozenset(pair): pair for pair in questions}.values())


def _match(names: tuple[str, str], boards: Sequence[Mapping[str, Sequence[str]]]) -> tuple[list[Question], list[str]]:
    """Return the ids that a question means on each board that has both rows, and why it cannot be asked."""
    pairs: list[Question] = []
    faults: dict[str, None] = {}
    for board in boards:
        first, second = ([one for name in match_names(text, list(board)) for one in board[name]] for text in names)
        if not first or not second:
            continue
        meant = zip(names, (first, second), strict=True)
        several = [f"{text!r} may mean {number_of(len(ids), 'row')}" for text, ids in meant if len(ids) > 1]
        if several:
            faults |= dict.fromkeys(several)
        elif first == second:
            faults[f"{names[0]!r} and {names[1]!r} are one row"] = None
        else:
            pairs.append((first[0], second[0]))
    if not pairs and not faults:
        faults[f"no board has both {names[0]!r} and {names[1]!r}"] = None
    return pairs, list(faults)
