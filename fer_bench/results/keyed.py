"""Results whose names stay at home: ids of samples, subjects and groups as keyed hashes (HMAC-SHA256, RFC 2104).

Labs that share a key get the same hashes of the same names, so that their predictions can be paired; who has no key
learns no name, not even by trying names. The hashes of data and of folds stay in the records, and prove that two
boards tested the same.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.ipc

from fer_bench import atomic, foreign_files
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.results import corrupted
from fer_bench.results.canonical import CANONICAL
from fer_bench.results.encoding import encode_json, encode_records, hash_each, to_feather
from fer_bench.results.folders import CHECKSUMS, HISTORY, PREDICTIONS
from fer_bench.results.predictions import GROUP, UNIT_WORDS
from fer_bench.results.store import Store, StoredCell
from fer_bench.sizes import number_of

SHORTEST, LONGEST = 32, 4096
"""Characters of a key."""
MAKE = "openssl rand -hex 32 > lab.key"
LETTERS = 32
"""Hexadecimal digits of a hash that are kept: 128 bits."""
SEAL = "seal"


def read_key(file: Path) -> bytes:
    """Return the key in a file, without white space around it.

    Raises:
        FerBenchError: it cannot be read, or is too short to be a secret.
    """
    try:
        key = foreign_files.read(file, LONGEST).strip()
    except OSError as error:
        raise FerBenchError(
            f"Cannot read the key file {str(file)!r}: {atomic.reason(error)}. Make one with '{MAKE}', keep it, and "
            "give it only to labs whose predictions are to be paired with yours."
        ) from None
    if len(key) < SHORTEST or len(set(key)) < 8:
        raise FerBenchError(
            f"The key in {str(file)!r} has {number_of(len(key), 'character')}, {len(set(key))} of them "
            "different; expected "
            f"{SHORTEST} random ones at least. Make one with '{MAKE}'."
        )
    return key


def keyed(key: bytes, kind: str, name: str) -> str:
    """Return the hash of a name.

    Args:
        key: of the lab.
        kind: of the name, so that a subject and a sample of one name have different hashes.
        name: to be hidden.
    """
    return hmac.new(key, f"{kind}\0{name}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:LETTERS]


def name_key(key: bytes) -> str:
    """Return what tells keys apart and reveals none."""
    return keyed(key, "key", "")[:16]


def seal(key: bytes, manifest: dict[str, Any]) -> str:
    """Return what proves to those who have the key that a manifest is as it was written."""
    content = {name: value for name, value in manifest.items() if name != SEAL}
    return hmac.new(key, CANONICAL.encode(content).encode(), hashlib.sha256).hexdigest()


def seal_fault(key: bytes, manifest: dict[str, Any]) -> str:
    """Return what is wrong with the seal of a manifest; nothing if it holds."""
    if SEAL not in manifest or "key" not in manifest:
        return "is not sealed, as by 'fer-bench pack --private'"
    if manifest["key"] != name_key(key):
        return f"is sealed with the key {manifest['key']!r}; yours is {name_key(key)!r}"
    if not hmac.compare_digest(str(manifest[SEAL]), seal(key, manifest)):
        return "does not match its seal: somebody without the key changed the pack"
    return ""


@contextmanager
def copied(cells: Iterable[StoredCell], key: bytes) -> Generator[Path]:
    """Make a runs folder within the block that holds cells without names.

    Args:
        cells: with names, or without by the same key.
        key: of the lab.

    Raises:
        FerBenchError: cells are hashed with another key already.
    """
    cells = list(cells)
    if other := sorted({dataset.key for cell in cells if (dataset := cell.record.dataset).key} - {name_key(key)}):
        raise FerBenchError(
            f"Ids of some cells are hashed with other keys already ({', '.join(other)}): they came from another lab. "
            "Leave their rows out with --rows, or pack without --private."
        )
    with tempfile.TemporaryDirectory() as scratch:
        target = Store(Path(scratch))
        target.ensure_writable()
        for cell in cells:
            number, files = hide(cell, key)
            target.put(target.folder(number), files)
            if corrupted.find(cell):
                hidden = target.read(number)
                corrupted.copy(cell, hidden, _find_order(cell, hidden, key))
        yield target.runs_dir


def hide(cell: StoredCell, key: bytes) -> tuple[str, dict[str, bytes]]:
    """Return the id and the files of a cell without names; a cell that has none already stays as it is."""
    files = cell.files()
    if cell.record.dataset.key:
        return cell.id, files
    record = replace(cell.record, dataset=replace(cell.record.dataset, key=name_key(key)))
    files |= encode_records(record, cell.provenance)
    if PREDICTIONS in files:
        files[PREDICTIONS] = _hide_table(files[PREDICTIONS], key)
    del files[CHECKSUMS]
    files[CHECKSUMS] = encode_json(hash_each(files))
    assert HISTORY in files, "every cell has one"
    return record.id, files


def _find_order(cell: StoredCell, hidden: StoredCell, key: bytes) -> Array:
    """Return the place in a cell of each sample of the same cell without names, (n,) int."""
    before, after = (pd.Index(one.table()["id"].to_pylist()) for one in (cell, hidden))
    return (before if cell.record.dataset.key else before.map(_hasher(key, "id"))).get_indexer(after)


def _hide_table(content: bytes, key: bytes) -> bytes:
    """Return predictions with keyed hashes instead of names, in the order of the hashes."""
    frame = cast("pd.DataFrame", cast(Any, pyarrow.ipc.open_file(content).read_all()).to_pandas())
    for name in frame.columns:
        if name in ("id", "group") or name.startswith(GROUP):
            frame[name] = _hide_column(frame[name], _hasher(key, name))
    return to_feather(pa.Table.from_pandas(frame.sort_values("id", ignore_index=True), preserve_index=False))


def _hasher(key: bytes, column: str) -> Callable[[str], str]:
    """Return what hides the names in a column of predictions."""
    if column != "group":
        return lambda name: keyed(key, column, name)
    units = re.compile(rf"({'|'.join(UNIT_WORDS)}):")  # what kind of unit it is stays, for the words of a board

    def hide_unit(name: str) -> str:
        kind = match[0] if (match := units.match(name)) else ""
        return f"{kind}{keyed(key, 'id' if kind == 'sample:' else 'unit', name.removeprefix(kind))}"

    return hide_unit


def _hide_column(column: pd.Series, hasher: Callable[[str], str]) -> pd.Series:
    """Return a column with hashes of its names; what has no name stays without."""
    hidden = {name: hasher(str(name)) if name else name for name in column.dropna().unique().tolist()}
    return column.astype(object).map(hidden)
