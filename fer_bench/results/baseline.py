"""A frozen baseline: the predictions of a runs folder as text for git, small, sorted and the same bytes every time."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from fer_bench import atomic
from fer_bench.data.texts import listed, plain
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.classification import find_largest
from fer_bench.foreign import pack_field, unpack_field
from fer_bench.foreign_files import pieces
from fer_bench.results import canonical
from fer_bench.results.baseline_index import BASELINE_SCHEMA, BaselineIndex, BaselineRow, Origin
from fer_bench.results.predictions import Predictions, from_table, probability_columns
from fer_bench.results.reading import check_columns
from fer_bench.results.records import Experiment
from fer_bench.results.rows import MethodRow, read_rows

INDEX = "baseline.json"
ROWS = "rows"
DIGITS = 4
"""Significant digits of a probability."""
LARGEST = 1 << 28
"""Bytes of a file of a baseline."""


@dataclass(frozen=True, eq=False)
class FrozenRow:
    """A row of a baseline.

    Attributes:
        record: of the index.
        predictions: with rounded probabilities.
        oldest: the row as it was frozen first, from which drift is measured; None where it has not changed since.
    """

    record: BaselineRow
    predictions: Predictions
    oldest: FrozenRow | None = None

    @property
    def name(self) -> str:
        """As in `fer_bench.results.rows.MethodRow`."""
        return self.record.name

    @property
    def splits(self) -> dict[int, str]:
        """As in `fer_bench.results.rows.MethodRow`."""
        return self.record.splits_by_seed


def freeze(runs_dir: Path, output: Path, forget_oldest: bool = False) -> tuple[list[str], list[str]]:
    """Write the rows of a runs folder to ``output``, replacing a baseline that is there.

    Of each row the predictions that were frozen first are kept, as long as its data and splits are the same, unless
    ``forget_oldest``.

    Returns:
        The names of all rows, and of those whose training is random and of one seed.

    Raises:
        FerBenchError: a row is not complete, a folder cannot be read or written, or ``output`` holds something else.
    """
    rows, damaged = read_rows(runs_dir)
    faults = [f"left out: {message}" for message in damaged]
    for row in rows.values():
        faults += [f"left out: {message}" for message in row.damaged]
        faults += [f"{row.name}: cell {cell.id[:8]} failed: {cell.error}" for cell in row.failed]
        faults += [f"{row.name}: {place} is missing" for place in row.missing]
    if faults:
        raise FerBenchError(
            f"A baseline holds only complete rows, and {str(runs_dir)!r} is not complete:\n{bullet_list(faults)}\n"
            "Repeat the run to complete it, or delete the cells that do not belong."
        )
    files: dict[str, str] = {}
    entries: list[BaselineRow] = []
    for row in rows.values():
        assert row.predictions is not None, "a complete row has predictions"
        text = _to_csv(round_predictions(row.predictions))
        entries.append(_entry(row, text))
        files[entries[-1].file] = text
    oldest = [] if forget_oldest else _find_oldest(output, entries)
    files |= {entry.file: _read_text(output, entry) for entry in oldest}
    index = {"schema": BASELINE_SCHEMA, **canonical.to_json(BaselineIndex(rows=tuple(entries), oldest=tuple(oldest)))}
    _replace(output, files, json.dumps(index, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return list(rows), [name for name, row in rows.items() if row.one_random_training]


def load(folder: Path) -> dict[str, FrozenRow]:
    """Return name -> row of a baseline.

    Raises:
        FerBenchError: it is not there, of a newer schema, or a file of it is missing or changed; all faults at once.
    """
    index_file = folder / INDEX
    hint = "Make one with 'fer-bench baseline freeze --runs-dir runs --output DIR'."
    if not index_file.exists() and not index_file.is_symlink():
        raise FerBenchError(f"{str(folder)!r} holds no baseline: {INDEX} is missing. {hint}")
    try:
        content = _read(index_file)
        schema = canonical.read(canonical.Json, content).get("schema")
        if isinstance(schema, int) and schema > BASELINE_SCHEMA:
            raise FerBenchError(
                f"The baseline {str(folder)!r} was written by a newer fer-bench (schema {schema}, this one reads up to "
                f"{BASELINE_SCHEMA}): update fer-bench, or freeze it again."
            )
        index = canonical.read(BaselineIndex, content)
    except OSError as error:
        raise FerBenchError(f"{str(index_file)!r} cannot be read: {error}. {hint}") from None
    except ValueError as error:
        raise FerBenchError(
            f"{str(index_file)!r} cannot be read as a baseline of schema {BASELINE_SCHEMA} or older: {error}. {hint}"
        ) from None
    if not index.rows:
        raise FerBenchError(f"The baseline {str(folder)!r} has no rows. {hint}")
    rows: dict[str, FrozenRow] = {}
    counts = Counter(row.name for row in index.rows)
    faults = [f"{INDEX} names the row {name!r} {count} times" for name, count in counts.items() if count > 1]
    oldest: dict[str, FrozenRow] = {}
    for entries, made in ((index.oldest, oldest), (index.rows, rows)):
        for entry in entries:
            try:
                made[entry.name] = FrozenRow(entry, _read_row(folder, entry), oldest.get(entry.name))
            except pa.ArrowException as error:
                faults.append(f"{entry.file} holds no predictions: {error}")
            except ValueError as error:
                faults.append(f"{entry.file} {error}")
    if faults:
        raise FerBenchError(
            f"The baseline {str(folder)!r} is damaged:\n{bullet_list(faults)}\nRestore it from git, or freeze it again."
        )
    return rows


def round_predictions(predictions: Predictions) -> Predictions:
    """Return predictions with probabilities of four significant digits, and every answer kept as it was.

    Two probabilities that rounding makes equal would share an answer; the largest is then raised by its last digit.
    """
    exact = predictions.probabilities.astype(np.float64)
    answers = find_largest(exact)
    rounded = np.array([float(f"{value:.{DIGITS}g}") for value in exact.ravel()]).reshape(exact.shape)
    for row in np.flatnonzero((find_largest(rounded) != answers).any(axis=1)):
        top = rounded[row].max()
        rounded[row, answers[row]] = float(f"{top + 10 ** (np.floor(np.log10(top)) - DIGITS + 1):.{DIGITS}g}")
    return replace(predictions, probabilities=rounded)


def _entry(row: MethodRow, text: str) -> BaselineRow:
    """Return what the index says of a row, with a few lines on where it comes from; all of it is in the cells."""
    provenance = row.cells[0].provenance
    return BaselineRow(
        **{part.name: getattr(row.experiment, part.name) for part in fields(Experiment)},
        name=row.name,
        file=f"{ROWS}/{_file_name(row, text)}",
        sha256=_digest(text),
        splits={str(seed): digest for seed, digest in row.splits.items()},
        origin=Origin(
            cells=tuple(cell.id[:16] for cell in row.cells),
            python=provenance.python,
            commits={name: origin.commit for name, origin in provenance.code.items()},
        ),
    )


def _find_oldest(output: Path, entries: Sequence[BaselineRow]) -> list[BaselineRow]:
    """Return the first rows of the baseline in ``output`` that are of the same question and of other predictions.

    One whose file is missing or changed is left out.
    """
    try:
        index = canonical.read(BaselineIndex, _read(output / INDEX))
    except (OSError, ValueError):
        return []
    first = {row.name: row for row in (*index.rows, *index.oldest)}
    oldest: list[BaselineRow] = []
    for entry in entries:
        row = first.get(entry.name)
        if row is None or row.sha256 == entry.sha256 or row.dataset != entry.dataset:
            continue
        if {*row.splits.values()} == {*entry.splits.values()}:
            with contextlib.suppress(ValueError):
                _read_text(output, row)
                oldest.append(row)
    return oldest


def _read_row(folder: Path, entry: BaselineRow) -> Predictions:
    """Read the predictions of a row.

    Raises:
        ValueError: the file is missing or changed, or holds no predictions.
    """
    text = _read_text(folder, entry)
    texts, wholes = ("id", "group"), ("seed", "split_seed", "fold", "label")
    columns = next(csv.reader(io.StringIO(text, newline="")), ())
    types: dict[str, pa.DataType] = {name: pa.float64() for name in probability_columns(columns)}
    types |= {name: pa.large_string() for name in texts} | {name: pa.int64() for name in wholes}
    table = pyarrow.csv.read_csv(
        io.BytesIO(text.encode()),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )
    check_columns(table.schema, len(entry.dataset.classes))
    for name in texts:
        packed = listed(plain(table[name]))
        if any(field.startswith("'") for field in packed):
            unpacked = pa.array(map(unpack_field, packed), pa.large_string())
            table = table.set_column(table.column_names.index(name), name, unpacked)
    seed, fold = (table[name].to_numpy() for name in ("seed", "fold"))
    dealt_by = table["split_seed"].to_numpy() if "split_seed" in table.column_names else seed
    if strange := sorted({*dealt_by.tolist()} - {*entry.splits_by_seed}):
        raise ValueError(f"has predictions on folds of the seeds {strange}, which {INDEX} does not name")
    return from_table(table, seed, dealt_by, entry.splits_by_seed, fold, fold)


def _read_text(folder: Path, entry: BaselineRow) -> str:
    """Return the file of a row.

    Raises:
        ValueError: the file is missing or changed.
    """
    try:
        text = _read(folder / entry.file).decode()
    except OSError as error:
        raise ValueError(f"is missing or cannot be read ({error.strerror})") from None
    if _digest(text) != entry.sha256:
        raise ValueError(f"was changed: it does not match its hash in {INDEX}")
    return text


def _to_csv(predictions: Predictions) -> str:
    """Return predictions as text, by seed, seed of the folds, fold and id.

    The seed of the folds has a column where it is not that of the training.
    """
    rows = np.lexsort((predictions.sample, predictions.fold, predictions.dealt_by, predictions.seed))
    ordered = predictions.take(rows)
    seeds = {"seed": ordered.seed}
    if not np.array_equal(ordered.dealt_by, ordered.seed):
        seeds["split_seed"] = ordered.dealt_by
    positions = np.arange(len(ordered))
    names = [*listed(ordered.unit_names), ""]
    units: list[str] = [names[unit] for unit in ordered.unit.tolist()]
    numbers = [[f"{value:.{DIGITS}g}" for value in row] for row in ordered.probabilities.tolist()]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*seeds, "fold", "id", "group", "label", *(f"p{index}" for index in range(len(numbers[0])))])
    ids, groups = (map(pack_field, texts) for texts in (ordered.sample_ids(positions), units))
    columns = (*(seed.tolist() for seed in seeds.values()), ordered.fold.tolist(), ids, groups, ordered.labels.tolist())
    writer.writerows([*fields, *row] for *fields, row in zip(*columns, numbers, strict=True))
    return text.getvalue()


def _file_name(row: MethodRow, text: str) -> str:
    """Return a name that changes with the content: a kill in between leaves the old index with its own files."""
    words = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-")
    digest = hashlib.sha256("\0".join((row.name, text)).encode()).hexdigest()
    return f"{words[:80]}-{digest[:8]}.csv"


def _digest(text: str) -> str:
    """Return the sha256 of a text with Unix line ends: git may check it out with others."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _replace(output: Path, files: dict[str, str], index: str) -> None:
    """Write a baseline; the index comes last, so that at each instant it is the old one or the new one, whole."""
    if output.exists() and (not output.is_dir() or any(not _is_ours(entry) for entry in output.iterdir())):
        raise FerBenchError(f"{str(output)!r} holds something else than a baseline; name a new folder.")
    try:
        for name, text in files.items():
            atomic.write_file(output / name, text, "the baseline")
        atomic.write_file(output / INDEX, index, "the baseline")
    finally:
        _prune(output)


def _read(file: Path) -> bytes:
    """Return what a file of a baseline holds, which may be of unknown origin.

    Raises:
        OSError: it cannot be read, is a link or no regular file, or is larger than any that fer-bench writes.
    """
    return b"".join(pieces(str(file), LARGEST))


def _is_ours(entry: Path) -> bool:
    if entry.name == ROWS and entry.is_dir() and not entry.is_symlink():
        return all(_is_file(file) for file in entry.iterdir())
    return (entry.name == INDEX and _is_file(entry)) or atomic.is_scratch(entry.name)


def _is_file(entry: Path) -> bool:
    return stat.S_ISREG(entry.lstat().st_mode)


def _prune(output: Path) -> None:
    """Remove the files of rows that the index does not name; without an index, all of them."""
    with contextlib.suppress(OSError, ValueError):
        index = output / INDEX
        baseline = canonical.read(BaselineIndex, _read(index)) if index.exists() else BaselineIndex(rows=())
        files = {row.file for row in (*baseline.rows, *baseline.oldest)}
        for file in (output / ROWS).glob("*.csv"):
            if f"{ROWS}/{file.name}" not in files:
                file.unlink()
