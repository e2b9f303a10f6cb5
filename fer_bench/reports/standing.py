"""Where the rows of a board stand, as columns, records and notes: what its tests show, and what they cannot."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.evaluation.equivalence import ENOUGH_UNITS
from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports.comparison import ROPE
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Field, Shown, number

INTERVAL = "95 % interval"
PERCENT = ("accuracy", "uar", "macro_f1")
"""Metrics that tables show in percent."""


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of variance: what the metric that orders the rows varies by, in points where it is a share."""
    same_folds = any(row.sources and row.sources.trainings is not None for row in board)

    def field(title: str, source: str) -> Field[Row]:
        def cell(row: Row) -> Cell:
            value = getattr(row.sources, source) if row.sources else None
            return None if value is None else Shown(write_number(row.metric, value, 2), value)

        return Column(title, "number"), cell

    columns = [field(f"SE {name_units(board)}", "subjects"), field("SD folds", "folds"), field("SD seeds", "seeds")]
    return [*columns, field("SD seeds, same folds", "trainings")] if same_folds else columns


def explain(rows: Sequence[Row], score: str) -> tuple[tuple[str, str], ...]:
    """Return the titles of columns and how they are to be read; ``score`` is that of the metric that orders rows."""
    by = rows[0].metric.title if rows else "UAR"
    rope = next((row.standing.rope for row in rows if row.standing), ROPE)
    return (
        ("", f"Rows: best {by} first."),
        (
            score,
            "Score: the folds of a seed pooled, averaged over seeds; ±: standard deviation of single folds, no "
            "standard error.",
        ),
        (
            INTERVAL,
            f"Interval: of the {by} for other people (images where no subject is known) and, as far as seeds show it, "
            "other trainings; in cross-validation also for other people to train on.",
        ),
        ("tier", "Rows that share a tier letter cannot be told apart (paired tests of all pairs together, 5 %)."),
        ("ranks", "Ranks: those a row may have."),
        ("best?", "Best?: whether no row is shown to be better."),
        ("behind %", f"Behind: probability of being worse than the first by more than {rope:g}."),
        ("", "Chance: of guessing each class as often as it occurs in training."),
    )


def say_too_few(board: Sequence[Row]) -> str:
    """Return that no pair of rows of a board can be told apart, where there are too few units; else nothing."""
    units = {row.interval.units: row for row in board if row.interval and not row.baseline}
    if len([row for row in board if not row.baseline]) < 2 or not 0 < min(units, default=0) < FEWEST_UNITS:
        return ""
    word = name_units([units[min(units)]])
    return f"; {min(units)} {word} can tell no two rows apart at 5 %, {FEWEST_UNITS} are the least"


def name_units(rows: Sequence[Row]) -> str:
    """Return what the units of rows are, such as ``subjects``; of several kinds, each."""
    return " or ".join(sorted({row.pooled.unit_word for row in rows if row.pooled is not None}))


def find_limits(boards: Sequence[tuple[str, Sequence[Row]]]) -> list[str]:
    """Return what boards, (title, rows), do not show, and what they cannot; what holds for several is said once."""
    titles: dict[str, list[str]] = {}
    for title, board in boards:
        for limit in _limits_of(board):
            titles.setdefault(limit, []).append(title.partition(":")[0])
    all_boards = len(boards) if len(boards) > 1 else None
    return [
        f"{'Every board' if len(limited) == all_boards else '; '.join(dict.fromkeys(limited))}: {limit}"
        for limit, limited in titles.items()
    ]


def _limits_of(board: Sequence[Row]) -> list[str]:
    methods = [row for row in board if not row.baseline and row.ok]
    limits: list[str] = []
    if methods and all(row.seeds == 1 for row in methods):
        limits.append("of one seed, so for these trained models only, not for another training.")
    if methods and all(row.split_seeds == 1 < row.seeds for row in methods):
        limits.append("all trained on one division into folds: how another one would move scores is not shown.")
    if random := [row.method for row in methods if row.stochastic]:
        limits.append(
            f"{'; '.join(random)}: trained at random, and one seed does not show how much that matters: no tier and no "
            "rank. Run more seeds, such as --seeds 0,1,2,3,4."
        )
    if few := [row for row in methods if row.standing and row.standing.behind is None]:
        limits.append(
            f"fewer than {ENOUGH_UNITS} {name_units(few)}: no probability of being behind is given; with ten, 95 % "
            "would be true in some 91 %."
        )
    measured = [row.method for row in methods if row.interval and row.interval.jackknife]
    if measured:
        whose = "all rows" if len(measured) == len(methods) else "; ".join(measured)
        limits.append(f"a jackknife of folds measured what other training data change: intervals of {whose}.")
    limits += [
        f"{row.method}: {row.no_jackknife}, so its interval does without." for row in methods if row.no_jackknife
    ]
    if weak := [row.method for row in methods if row.standing and row.standing.above_baseline is False]:
        limits.append(f"not shown to be better than the majority class: {'; '.join(weak)}.")
    if lacking := max((row.lacking for row in board), default=0):
        cells = max(row.ok for row in board)
        limits.append(f"{lacking} of {cells} test folds lack a class that others have; ± is over the rest.")
    return limits


def scale_of(metric: Metric) -> float:
    """Return what a score is multiplied by where it is shown: 100 in percent, else 1."""
    return 100 if metric.name in PERCENT else 1


def title_of(metric: Metric) -> str:
    """Return the name of a metric with its unit."""
    return f"{metric.title} %" if metric.name in PERCENT else metric.title


def write_number(metric: Metric, value: float, digits: int) -> str:
    """Return a number in points where the metric is shown in percent, else with two digits more."""
    return f"{100 * value:z.{digits}f}" if metric.name in PERCENT else f"{value:z.{digits + 2}f}"


def _interval(row: Row) -> Cell:
    if row.interval is None:
        return None
    ends = (write_number(row.metric, end, 1) for end in (row.interval.low, row.interval.high))
    return Shown(" to ".join(ends), row.interval.low)


def _ranks(row: Row) -> Cell:
    if row.standing is None:
        return None
    low, high = row.standing.ranks
    return Shown(str(low) if low == high else f"{low} to {high}", low)


def _best(row: Row) -> Cell:
    if row.standing is None:
        return None
    return "may be" if row.standing.may_be_best else "no"


def _behind(row: Row) -> Cell:
    chance = row.standing and row.standing.behind
    return number(chance, ".0f", 100)


STANDING: tuple[Field[Row], ...] = (
    (Column(INTERVAL, "number"), _interval),
    (Column("tier"), lambda row: row.tier or "-"),
    (Column("ranks", "number", "lower", optional=True), _ranks),
    (Column("best?", optional=True), _best),
    (Column("behind %", "number", "lower", optional=True), _behind),
)
"""What stands beside the metric that orders the rows."""
