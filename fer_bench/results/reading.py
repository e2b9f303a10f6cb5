"""Read the predictions of cells into arrays; a cell whose predictions are not sound is named and left out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.checks import SUM_TOLERANCE, check_predictions
from fer_bench.results.folders import PREDICTIONS
from fer_bench.results.predictions import GROUP, Predictions, from_table, probability_columns
from fer_bench.results.store import StoredCell
from fer_bench.sizes import number_of

LACKING = "has rows without id, group or label"


def read_predictions(cells: Sequence[StoredCell]) -> tuple[Predictions | None, list[StoredCell], list[str]]:
    """Read the predictions of cells that are ok.

    Returns:
        The predictions, None if no cell has sound ones; the cells that have, of which `Predictions.cell` is the place;
        and a message for each that has not.
    """
    tables: list[pa.Table] = []
    pooled: list[StoredCell] = []
    faults: list[str] = []
    sound: tuple[pa.Schema, int] | None = None
    for cell in cells:
        try:
            table, classes = cell.table(), len(cell.record.dataset.classes)
            if sound is None or sound[1] != classes or not sound[0].equals(table.schema):
                check_columns(table.schema, classes)
                sound = table.schema, classes
            _check_length(table, cell.measures.tested)
        except (OSError, ValueError, pa.ArrowException) as error:
            faults.append(_message(cell, str(error)))
            continue
        tables.append(table)
        pooled.append(cell)
    if not tables:
        return None, [], faults
    try:
        predictions = _pool(tables, pooled)
    except (ValueError, pa.ArrowException):  # Arrow does not say which of them: each is read by itself
        wrong = {number: fault for number, cell in enumerate(pooled) if (fault := _unreadable(tables[number], cell))}
    else:
        wrong = _row_faults(predictions, len(pooled))
        if not wrong:
            return predictions, pooled, faults
    faults += [_message(pooled[number], fault) for number, fault in sorted(wrong.items())]
    assert wrong, "each of them can be read by itself"
    whole = [cell for number, cell in enumerate(pooled) if number not in wrong]
    predictions, pooled, more = read_predictions(whole)
    return predictions, pooled, faults + more


def reread(cells: Sequence[StoredCell]) -> Predictions:
    """Return the predictions of cells that had sound ones when they were read before.

    Raises:
        FerBenchError: they changed since.
    """
    predictions, _, faults = read_predictions(cells)
    if predictions is None or faults:
        raise FerBenchError(f"Cells changed while they were read; repeat the command:\n{bullet_list(faults)}")
    return predictions


def _message(cell: StoredCell, fault: str) -> str:
    return f"{cell.folder.name}: {PREDICTIONS}: {fault}"


def _unreadable(table: pa.Table, cell: StoredCell) -> str:
    if _lacks_values(table):
        return LACKING
    try:
        _pool([table], [cell])
    except (ValueError, pa.ArrowException) as error:
        return f"cannot be read ({error})"
    return ""


def _pool(tables: Sequence[pa.Table], cells: Sequence[StoredCell]) -> Predictions:
    schemas = [table.schema for table in tables]
    if any(not schema.equals(schemas[0]) for schema in schemas):
        tables = _unified(tables)
    whole = pa.concat_tables(tables)
    if _lacks_values(whole):
        raise ValueError(LACKING)
    whole.validate(full=True)
    cell = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    seed = np.array([cell.record.seed for cell in cells], np.int64)
    fold = np.array([cell.record.fold for cell in cells], np.int32)
    dealt_by = np.array([cell.record.dealt_by for cell in cells], np.int64)
    splits = {cell.record.dealt_by: cell.record.protocol.splits_sha256 for cell in cells}
    return from_table(whole, seed[cell], dealt_by[cell], splits, fold[cell], cell)


def _unified(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the columns that all tables have, in one type each.

    The type of a category in a file depends on how many there are.
    """
    types, columns = pa.types, [_types(table.schema) for table in tables]
    fields: list[tuple[str, pa.DataType]] = []
    for name in columns[0]:
        kinds = [kind_of[name] for kind_of in columns if name in kind_of]
        if len(kinds) < len(columns) or all(types.is_boolean(kind) for kind in kinds):
            continue
        if name == "label":
            fields.append((name, pa.int64()))
        elif all(types.is_floating(kind) for kind in kinds):
            fields.append((name, pa.float64() if pa.float64() in kinds else pa.float32()))
        else:
            fields.append((name, pa.large_string()))
    return [table.select([name for name, _ in fields]).cast(pa.schema(fields)) for table in tables]


def _types(schema: pa.Schema) -> dict[str, pa.DataType]:
    return dict(zip(schema.names, schema.types, strict=True))


def check_columns(schema: pa.Schema, classes: int) -> None:
    """Raise ValueError unless a table has the columns of predictions among ``classes`` classes."""
    types = pa.types
    columns = _types(schema)
    texts = [name for name in columns if name in ("id", "group") or name.startswith(GROUP)]
    shares = [f"p{index}" for index in range(classes)]
    missing = [name for name in ("id", "group", "label", *shares) if name not in columns]
    if missing:
        raise ValueError(f"has no column {', '.join(missing)}")
    if len(columns) < len(schema.names):
        raise ValueError("has a column twice")
    if f"p{classes}" in columns:
        raise ValueError(f"has more probabilities than the {number_of(classes, 'class', 'classes')}")
    soft = probability_columns(schema.names, "soft")
    if len(soft) not in (0, classes):
        raise ValueError(f"has not one soft label for each of the {number_of(classes, 'class', 'classes')}")
    for name in texts:
        kind = columns[name]
        kind = kind.value_type if types.is_dictionary(kind) else kind
        blank = name.startswith(GROUP) and (types.is_null(kind) or types.is_floating(kind))  # of no names at all
        if not (types.is_string(kind) or types.is_large_string(kind) or blank):
            raise ValueError(f"has a column {name} of {kind}; expected text")
    if not types.is_integer(columns["label"]):
        raise ValueError(f"has labels of {columns['label']}; expected whole numbers")
    for name in (*shares, *soft):
        if columns[name] not in (pa.float32(), pa.float64()):
            raise ValueError(f"has a column {name} of {columns[name]}; expected float32")


def _check_length(table: pa.Table, tested: int | None) -> None:
    """Raise ValueError unless a table has as many rows as samples were ``tested``."""
    if tested is not None and len(table) != tested:
        raise ValueError(f"has {number_of(len(table), 'row')} of {tested}")
    if not len(table):
        raise ValueError("has no rows")


def _lacks_values(table: pa.Table) -> bool:
    return any(table[name].null_count for name in ("id", "group", "label"))


def _sound(predictions: Predictions) -> bool:
    """Return whether nothing is wrong with the predictions of several cells, by the checks that metrics make anyway."""
    keys = np.sort(predictions.cell.astype(np.int64) * len(predictions.ids) + predictions.sample)
    with suppress(ValueError):
        check_predictions(predictions.labels, predictions.probabilities)
        return bool((np.diff(keys) > 0).all())
    return False


def _row_faults(predictions: Predictions, cells: int) -> dict[int, str]:
    """Return cell -> what is wrong with its predictions.

    Args:
        predictions: of several cells.
        cells: how many.
    """
    if _sound(predictions):
        return {}
    p, classes = predictions.probabilities, predictions.probabilities.shape[1]
    order = np.lexsort((predictions.sample, predictions.cell))
    cell, sample = predictions.cell[order], predictions.sample[order]
    again = np.zeros(len(order), bool)
    again[order[1:]] = (cell[1:] == cell[:-1]) & (sample[1:] == sample[:-1])
    with np.errstate(invalid="ignore"):
        sums = np.abs(p.sum(axis=1) - 1) <= SUM_TOLERANCE
    checks = (
        ("probabilities that are not finite", ~np.isfinite(p).all(axis=1)),
        ("probabilities below 0 or that do not sum to 1", (p < 0).any(axis=1) | ~sums),
        (f"labels outside 0 to {classes - 1}", (predictions.labels < 0) | (predictions.labels >= classes)),
        ("samples that stand in it twice", again),
    )
    faults: dict[int, str] = {}
    for what, wrong in checks:
        counts = np.bincount(predictions.cell[wrong], minlength=cells)
        for number in np.flatnonzero(counts).tolist():
            faults.setdefault(number, f"{number_of(counts[number], 'row')} with {what}")
    return faults
