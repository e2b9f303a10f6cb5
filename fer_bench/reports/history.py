"""What was published when: a line of JSON a publication, and how rows moved from one to the next."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fer_bench import foreign_files
from fer_bench.about import __version__
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.boards import boards
from fer_bench.reports.row import Row
from fer_bench.reports.standing import PERCENT
from fer_bench.results import canonical
from fer_bench.results.canonical import AtLeastOne, Count, Record

SCHEMA = 1
LARGEST = 1 << 26
"""Bytes that a history may have; one may come from a web server."""
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


@dataclass(frozen=True, kw_only=True)
class PublishedRow(Record):
    """A row as it was published.

    Attributes:
        id: start of the row's id, by which its page is called.
        name: what it asks; rows of one name ask the same, also with other code.
        board: title of its board, ``method`` what tells it from others of it.
        metric: that orders the board, in whose unit ``score``, ``low`` and ``high`` are; None where not known.
        tier: letters; ``ranks`` the best and the worst it may have.
        cells: that are done, and ``failed`` ones.
    """

    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    name: str
    board: str
    method: str
    metric: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    tier: str = ""
    ranks: tuple[AtLeastOne, AtLeastOne] | None = None
    cells: Count = 0
    failed: Count = 0

    def say(self) -> str:
        """Return score, interval and tier in words."""
        unit, factor, digits = ("%", 100, 1) if self.metric in PERCENT else ("", 1, 3)
        if self.score is None:
            return "no score"
        text = f"{factor * self.score:.{digits}f} {unit}".strip()
        if self.low is not None and self.high is not None:
            text += f" ({factor * self.low:.{digits}f} to {factor * self.high:.{digits}f})"
        return text + (f", tier {self.tier}" if self.tier else "")

    def title(self) -> str:
        """Return the name of its metric as people write it."""
        return STANDARD[self.metric].title if self.metric in STANDARD else self.metric


@dataclass(frozen=True, kw_only=True)
class Publication(Record):
    """A line of a history.

    Attributes:
        published: when, in UTC.
        version: of the fer-bench that published.
        rows: in the order of the boards, without majority classes.
    """

    schema: Literal[1]
    published: Annotated[str, Field(pattern=TIME)]
    version: str
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How a row differs between two publications; ``before`` is None for a new one, ``after`` for one that is gone."""

    before: PublishedRow | None
    after: PublishedRow | None

    def say(self) -> str:
        """Return the change in a sentence."""
        before, after = self.before, self.after
        if before is None:
            assert after is not None, "a change has one side at least"
            return f"new: {after.title()} {after.say()}"
        if after is None:
            return f"gone; it had {before.title()} {before.say()}"
        why = "made again by other code or data" if before.id != after.id else "changed"
        return f"{why}: {after.title()} {before.say()} became {after.say()}"

    @property
    def row(self) -> PublishedRow:
        """The newer side that there is."""
        row = self.after or self.before
        assert row is not None, "a change has one side at least"
        return row


def describe(rows: Sequence[Row], time: str) -> Publication:
    """Return what is published of a board.

    Args:
        rows: of the leaderboard.
        time: now, in UTC, as ``2026-11-27T08:30:00Z``.
    """
    published: list[PublishedRow] = []
    for title, board in boards(rows):
        for row in board:
            if not row.baseline:
                score, ends = row.scores.get(row.metric.name), row.interval
                published.append(
                    PublishedRow(
                        id=row.id[:16],
                        name=row.experiment.question,
                        board=title,
                        method=row.method,
                        metric=row.metric.name,
                        score=score and score.mean,
                        low=ends and ends.low,
                        high=ends and ends.high,
                        tier=row.tier,
                        ranks=row.standing and row.standing.ranks,
                        cells=row.ok,
                        failed=row.failed,
                    )
                )
    return Publication(schema=SCHEMA, published=time, version=__version__, rows=tuple(published))


def read(file: Path) -> list[Publication]:
    """Return the publications of a history, the oldest first; none where there is no such file.

    Raises:
        FerBenchError: it cannot be read, or a line is no publication or is older than the one before.
    """
    if not file.exists() and not file.is_symlink():
        return []
    hint = "Repair or delete that line; without the file, a new history begins."
    try:
        lines = foreign_files.read(file, LARGEST).decode().splitlines()
    except (OSError, ValueError) as error:
        raise FerBenchError(f"The history {str(file)!r} cannot be read: {error}. {hint}") from None
    history: list[Publication] = []
    for number, line in enumerate(lines, 1):
        try:
            history.append(canonical.read(Publication, line))
            if len(history) > 1 and history[-1].published < history[-2].published:
                raise ValueError(f"{history[-1].published} is before {history[-2].published} of the line before")
        except ValueError as error:
            raise FerBenchError(f"Line {number} of the history {str(file)!r}: {error}. {hint}") from None
    return history


def write(history: Sequence[Publication]) -> str:
    """Return a history as lines of JSON in ASCII."""
    records = ({"schema": SCHEMA, **canonical.to_json(publication)} for publication in history)
    return "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)


def extend(history: Sequence[Publication], now: Publication) -> list[Publication]:
    """Return a history with a publication at its end, unless nothing has changed since the last one."""
    return [*history] if history and history[-1].rows == now.rows else [*history, now]


def compare(before: Sequence[PublishedRow], after: Sequence[PublishedRow]) -> list[Change]:
    """Return what changed: rows that changed or are new, in their order, then those that are gone.

    A row goes on in the one of its id, else in the one of its name, where only one is left on either side.
    """
    left = {row.id: row for row in before}
    partners: dict[str, PublishedRow] = {row.id: left.pop(row.id) for row in after if row.id in left}
    lost: dict[str, list[PublishedRow]] = defaultdict(list)
    fresh: dict[str, list[PublishedRow]] = defaultdict(list)
    for row in left.values():
        lost[row.name].append(row)
    for row in after:
        if row.id not in partners:
            fresh[row.name].append(row)
    for name, rows in fresh.items():
        if len(rows) == len(lost[name]) == 1:
            partners[rows[0].id] = left.pop(lost[name][0].id)
    changes = [Change(before=partners.get(row.id), after=row) for row in after if partners.get(row.id) != row]
    return [*changes, *(Change(before=row, after=None) for row in left.values())]
