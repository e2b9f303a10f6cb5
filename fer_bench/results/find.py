"""One cell by the start of its id; one cell or row by id or by name."""

from __future__ import annotations

from collections import defaultdict

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean, suggest
from fer_bench.results.rows import MethodRow, group, newest
from fer_bench.results.store import Store, StoredCell


def find_cell(store: Store, prefix: str) -> StoredCell:
    """Return the intact cell of ``store`` whose id starts with ``prefix``.

    Args:
        store: where to look.
        prefix: the first letters of an id, or the name of a cell's folder.

    Raises:
        FerBenchError: no cell or more than one starts so, it is damaged, or the store is empty.
    """
    cells, damaged = store.cells()
    if not cells and not damaged:
        raise FerBenchError(
            f"The runs folder {str(store.runs_dir)!r} holds no cells yet. "
            f"Run 'fer-bench run --runs-dir {store.runs_dir}' first."
        )
    text = prefix.strip().lower()
    matches = [cell for cell in cells if text and cell.id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        lines = [f"{cell.id[:16]}  {cell.record}" for cell in matches]
        raise FerBenchError(
            f"{len(matches)} cells start with {prefix!r}; write more of the id:\n{bullet_list(lines, 20)}"
        )
    for message in damaged:
        if text and message.startswith(text):
            raise FerBenchError(f"Cell {message}. Delete its folder and repeat the run to make it again.")
    hint = did_you_mean(text, [cell.id[: max(len(text), 8)] for cell in cells])
    if not hint.startswith("Did"):
        hint = f"Cells are named in {str(store.runs_dir / 'cells')!r}, such as {cells[0].id[:8]}." if cells else ""
    raise FerBenchError(f"No cell in {str(store.runs_dir)!r} starts with {prefix!r}. {hint}".rstrip())


def find_row(store: Store, text: str) -> MethodRow:
    """Return the row of ``store`` that ``text`` means, or a cell as a row of its own.

    Args:
        store: where to look.
        text: a row's name; or the start of the id of a row (its variant in the leaderboard) or a cell; or words that
            one row alone has in its name. Of rows that differ in code alone a name means the newest.

    Raises:
        FerBenchError: nothing or more than one thing is meant, or the store is empty.
    """
    return _one(text, _match(store, text))


def find_rows(store: Store, text: str) -> list[MethodRow]:
    """Return the rows that ``text`` means, as in `find_row`, one of each data set.

    Raises:
        FerBenchError: nothing, or more than one thing of a data set is meant, or the store is empty.
    """
    by_data: dict[str, list[MethodRow]] = defaultdict(list)
    for row in _match(store, text):
        by_data[row.experiment.dataset.fingerprint].append(row)
    return [_one(text, matches) for matches in by_data.values()]


def _one(text: str, matches: list[MethodRow]) -> MethodRow:
    if len(matches) == 1:
        return matches[0]
    lines = [f"{row.id[:8]}  {row.name}" for row in matches]
    raise FerBenchError(f"{text!r} may mean {len(matches)} things; write an id:\n{bullet_list(lines, 20)}")


def _match(store: Store, text: str) -> list[MethodRow]:
    """Return all rows and cells that ``text`` may mean; at least one."""
    cells, _ = store.cells()
    rows = group(cells)
    if not rows:
        raise FerBenchError(
            f"The runs folder {str(store.runs_dir)!r} holds no intact cells. Run 'fer-bench run' first."
        )
    wanted = text.strip().lower()
    current = newest(rows)
    named = [row for row in rows if row.name.lower() == wanted and row.id in current]
    by_id = [row for row in rows if wanted and row.id.startswith(wanted)]
    by_id += [_alone(cell) for cell in cells if wanted and cell.id.startswith(wanted)]
    words = wanted.split()
    by_words = [row for row in rows if words and row.id in current and all(word in row.name.lower() for word in words)]
    if matches := named or by_id or by_words:
        return matches
    lines = [f"{row.id[:8]}  {row.name}" for row in rows]
    near = suggest(wanted, {part for row in rows for part in row.name.lower().split(" / ")})
    raise FerBenchError(
        f"Nothing in {str(store.runs_dir)!r} is called {text!r}. {near}{' ' if near else ''}There are:\n"
        f"{bullet_list(lines, 20)}"
    )


def _alone(cell: StoredCell) -> MethodRow:
    return MethodRow(cell.id, str(cell.record), cell.record.experiment, (cell,))
