"""Which rows and cells a user means: by a name that tables print, by an id, and by options that choose rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from fer_bench.errors import FerBenchError, bullet_list, suggest
from fer_bench.results.filters import Filters
from fer_bench.results.rows import MethodRow, group, newest
from fer_bench.results.store import Store, StoredCell
from fer_bench.sizes import number_of

_BETWEEN = re.compile(r"\s*[,/]?\s+")
"""Between the words of a name, as ``a / b``, ``a, b`` or ``a b``."""


def find_row(store: Store, text: str, filters: Filters | None = None) -> MethodRow:
    """Return the row of ``store`` that ``text`` means, or a cell as a row of its own.

    Args:
        store: where to look.
        text: a row's name; or the start of the id of a row (its variant in the leaderboard) or a cell; or words that
            only one row has in its name, see `match_names`. Of rows that differ only in code a name means the newest.
        filters: which rows are looked at.

    Raises:
        FerBenchError: nothing or more than one thing is meant, or the store is empty.
    """
    return _one(text, _match(store, store.cells(), text, filters))


def find_rows(store: Store, text: str, filters: Filters | None = None) -> list[MethodRow]:
    """Return the rows that ``text`` means, as in `find_row`, one of each data set.

    Raises:
        FerBenchError: nothing, or more than one thing of a data set is meant, or the store is empty.
    """
    by_data: dict[str, list[MethodRow]] = defaultdict(list)
    for row in _match(store, store.cells(), text, filters):
        by_data[row.experiment.dataset.fingerprint].append(row)
    return [_one(text, matches) for matches in by_data.values()]


def find_current_rows(store: Store, texts: Sequence[str], filters: Filters) -> list[MethodRow]:
    """Return all rows that ``texts`` mean, as in `find_cells`; of those that differ only in code the newest."""
    rows = group(find_cells(store, texts, filters))
    current = newest(rows)
    return [row for row in rows if row.id in current]


def find_cells(store: Store, texts: Sequence[str], filters: Filters | None = None) -> list[StoredCell]:
    """Return the cells of all rows that any of ``texts`` means, as in `find_row`; without texts, of all rows.

    Raises:
        FerBenchError: a text means nothing, or the store is empty.
    """
    stored = store.cells()
    if not texts:
        return _choose(store, stored, filters)
    rows = [row for text in texts for row in _match(store, stored, text, filters)]
    return list({cell.id: cell for row in rows for cell in (*row.cells, *row.pairs)}.values())


def _one(text: str, matches: list[MethodRow]) -> MethodRow:
    if len(matches) == 1:
        return matches[0]
    lines = [f"{row.id[:8]}  {row.name}" for row in matches]
    raise FerBenchError(
        f"{text!r} may mean {number_of(len(matches), 'thing')}; write an id, or add words of its name or an "
        f"option, as --dataset:\n{bullet_list(lines, 20)}"
    )


def _choose(
    store: Store, stored: tuple[list[StoredCell], list[str]], filters: Filters | None, text: str = ""
) -> list[StoredCell]:
    """Return the stored cells, of `Store.cells`, that options choose; raise if ``text`` means a damaged one."""
    cells, damaged = stored
    for message in damaged:
        if text and message.startswith(text):
            raise FerBenchError(f"Cell {message}. Delete its folder and repeat the run to make it again.")
    if not cells:
        raise FerBenchError(
            f"The runs folder {str(store.runs_dir)!r} holds no {'intact ' if damaged else ''}cells. "
            f"Run 'fer-bench run --runs-dir {store.runs_dir}' first."
        )
    return filters.keep(cells, lambda cell: cell.record.experiment) if filters else cells


def _match(
    store: Store, stored: tuple[list[StoredCell], list[str]], text: str, filters: Filters | None
) -> list[MethodRow]:
    """Return all rows and cells that ``text`` may mean; at least one."""
    query = text.strip().lower()
    cells = _choose(store, stored, filters, query)
    rows = group(cells)
    current = newest(rows)
    by_name = [row for row in rows if row.name.lower() == query and row.id in current]
    by_id = [row for row in rows if query and row.id.startswith(query)]
    by_id += [_alone(cell) for cell in cells if query and cell.id.startswith(query)]
    meant = set(match_names(text, [row.name for row in rows if row.id in current]))
    by_words = [row for row in rows if row.id in current and row.name in meant]
    if matches := by_name or by_id or by_words:
        return matches
    words = {word for row in rows for word in _words(row.name)}
    words |= {item.id[: max(8, len(query))] for item in (*rows, *cells)}
    hints = [suggest(word, words) for word in sorted(_split(query)) if word not in words]
    near = "".join(f" {hint}" for hint in hints if hint)
    lines = [f"{row.id[:8]}  {row.name}" for row in rows]
    raise FerBenchError(
        f"Nothing in {str(store.runs_dir)!r} is called {text!r}.{near} There are:\n{bullet_list(lines, 20)}"
    )


def match_names(text: str, names: Sequence[str]) -> list[str]:
    """Return the names of rows that have all words of ``text`` as they are.

    Where there is none, names of components also stand for those with parameters, and then for each name in which they
    occur.
    """
    words = _split(text.strip().lower())
    exact = [name for name in names if words and words <= _split(name.lower())]
    whole = [name for name in names if words and words <= _words(name)]
    return exact or whole or [name for name in names if words and all(word in name.lower() for word in words)]


def _split(text: str) -> set[str]:
    return set(filter(None, _BETWEEN.split(text)))


def _words(name: str) -> set[str]:
    """Return the words of a row's name, components with and without their parameters."""
    words = set(_BETWEEN.split(name.lower()))
    return words | {word.partition("[")[0] for word in words}


def _alone(cell: StoredCell) -> MethodRow:
    return MethodRow(cell.id, str(cell.record), cell.record.experiment, (cell,))
