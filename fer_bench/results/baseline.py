"""A frozen baseline: the predictions of a runs folder as text for git, small, sorted and the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.results.rows import MethodRow, read_rows

SCHEMA = 1
"""Version of the files of a baseline."""

INDEX = "baseline.json"
ROWS = "rows"
DIGITS = 4
"""Significant digits of a probability."""


@dataclass(frozen=True, eq=False)
class FrozenRow:
    """A row of a baseline.

    Attributes:
        name: as in `fer_bench.results.rows.MethodRow`; likewise ``shared`` and ``splits``.
        predictions: as there, with rounded probabilities.
    """

    name: str
    shared: dict[str, Any]
    splits: dict[int, str]
    predictions: pd.DataFrame


def freeze(runs_dir: Path, output: Path) -> list[str]:
    """Write the rows of a runs folder to ``output``, replacing a baseline that is there; return their names.

    Raises:
        FerBenchError: a row is not complete, a folder cannot be read or written, or ``output`` holds something else.
    """
    rows, damaged = read_rows(runs_dir)
    faults = [f"left out: {message}" for message in damaged]
    for row in rows.values():
        faults += [f"{row.name}: cell {cell.id[:8]} failed: {cell.error}" for cell in row.failed]
        faults += [f"{row.name}: seed {seed}, fold {fold} is missing" for seed, fold in row.missing]
    if faults:
        raise FerBenchError(
            f"A baseline holds whole rows alone, and {str(runs_dir)!r} is not whole:\n{bullet_list(faults)}\n"
            "Repeat the run to complete it, or delete the cells that do not belong."
        )
    index: dict[str, Any] = {"schema": SCHEMA, "rows": []}
    files: dict[str, str] = {}
    for row in rows.values():
        text = _to_csv(round_predictions(row.predictions))
        file = f"{ROWS}/{_file_name(row)}"
        files[file] = text
        splits = {str(seed): digest for seed, digest in row.splits.items()}
        entry = {"name": row.name, "file": file, "sha256": _digest(text), **row.shared, "splits": splits}
        index["rows"].append(entry | {"from": _origin(row)})
    _replace(output, files | {INDEX: json.dumps(index, indent=1, sort_keys=True, ensure_ascii=False) + "\n"})
    return list(rows)


def load(folder: Path) -> dict[str, FrozenRow]:
    """Return name -> row of a baseline.

    Raises:
        FerBenchError: it is not there, of a newer schema, or a file of it is missing or changed; all faults at once.
    """
    index_file = folder / INDEX
    hint = "Make one with 'fer-bench baseline freeze --runs-dir runs --output DIR'."
    if not index_file.is_file():
        raise FerBenchError(f"{str(folder)!r} holds no baseline: {INDEX} is missing. {hint}")
    try:
        index = json.loads(index_file.read_text(encoding="utf-8"))
        schema, entries = index["schema"], index["rows"]
        if schema > SCHEMA:
            raise FerBenchError(
                f"The baseline {str(folder)!r} was written by a newer fer-bench (schema {schema}, this one reads up to "
                f"{SCHEMA}): update fer-bench, or freeze it again."
            )
        if not entries:
            raise FerBenchError(f"The baseline {str(folder)!r} has no rows. {hint}")
        rows, faults = {}, []
        for entry in entries:
            try:
                rows[entry["name"]] = _read_row(folder, entry)
            except ValueError as error:
                faults.append(str(error))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerBenchError(f"{str(index_file)!r} cannot be read: {type(error).__name__} {error}. {hint}") from None
    if faults:
        raise FerBenchError(
            f"The baseline {str(folder)!r} is damaged:\n{bullet_list(faults)}\nRestore it from git, or freeze it again."
        )
    return rows


def round_predictions(table: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with probabilities of four significant digits, and every answer kept as it was.

    Two probabilities that rounding makes equal could turn an answer; the largest is then raised by its last digit.
    """
    columns = [name for name in table.columns if name.startswith("p") and name[1:].isdigit()]
    exact = table[columns].to_numpy(np.float64)
    rounded = np.array([float(f"{value:.{DIGITS}g}") for value in exact.ravel()]).reshape(exact.shape)
    answers = exact.argmax(axis=1)
    turned = np.flatnonzero(rounded.argmax(axis=1) != answers)
    for row in turned:
        top = rounded[row].max()
        rounded[row, answers[row]] = float(f"{top + 10 ** (np.floor(np.log10(top)) - DIGITS + 1):.{DIGITS}g}")
    kept = table.drop(columns=columns)
    return pd.concat([kept, pd.DataFrame(rounded, columns=columns, index=table.index)], axis=1)


def _read_row(folder: Path, entry: dict[str, Any]) -> FrozenRow:
    """Read a row.

    Raises:
        ValueError: its file is missing or changed, or lies outside the baseline.
    """
    name = str(entry["file"])
    if not re.fullmatch(rf"{ROWS}/[\w.-]+\.csv", name):
        raise ValueError(f"{name!r} is not a file of a baseline")
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{name} is missing or cannot be read ({error.strerror})") from None
    if _digest(text) != entry["sha256"]:
        raise ValueError(f"{name} was changed: it does not match its hash in {INDEX}")
    table = pd.read_csv(io.StringIO(text), dtype={"id": str, "group": str}, keep_default_na=False)
    shared = {key: entry[key] for key in ("dataset", "protocol", "backbone", "strategy")}
    return FrozenRow(entry["name"], shared, {int(seed): digest for seed, digest in entry["splits"].items()}, table)


def _to_csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")


def _origin(row: MethodRow) -> dict[str, Any]:
    """Return a few lines on where a row comes from; all of it is in the cells."""
    provenance = row.cells[0].provenance()
    code = {name: known.get("commit") for name, known in provenance.get("code", {}).items()}
    return {"cells": [cell.id[:16] for cell in row.cells], "python": provenance.get("python", ""), "commits": code}


def _file_name(row: MethodRow) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-")
    return f"{words[:80]}-{hashlib.sha256(row.name.encode()).hexdigest()[:8]}.csv"


def _digest(text: str) -> str:
    """Return the sha256 of a text with Unix line ends: git may check it out with others."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _replace(output: Path, files: dict[str, str]) -> None:
    """Write ``files`` as the whole content of ``output``."""
    try:
        if output.exists():
            if not output.is_dir() or (any(output.iterdir()) and not (output / INDEX).is_file()):
                raise FerBenchError(f"{str(output)!r} holds something else than a baseline; name a new folder.")
            shutil.rmtree(output / ROWS, ignore_errors=True)
        (output / ROWS).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise FerBenchError(f"Cannot write the baseline to {str(output)!r}: {error.strerror}.") from None
