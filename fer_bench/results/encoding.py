"""What the files of a cell hold, as bytes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.ipc

from fer_bench.results import canonical
from fer_bench.results.folders import CELL, PROVENANCE
from fer_bench.results.outcomes import Provenance
from fer_bench.results.records import Cell


def encode_json(value: object) -> bytes:
    """Return plain JSON as the files of a cell hold it."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def encode_records(cell: Cell, provenance: Provenance) -> dict[str, bytes]:
    """Return the files that say what a cell is and where it comes from, by name."""
    origin = {"schema": provenance.schema, **canonical.to_json(provenance)}
    return {CELL: encode_json(cell.record()), PROVENANCE: encode_json(origin)}


def to_feather(table: pa.Table) -> bytes:
    """Return a table as a file of Arrow, compressed by lz4."""
    buffer = io.BytesIO()
    with pyarrow.ipc.new_file(buffer, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table, max_chunksize=1 << 16)
    return buffer.getvalue()


def hash_each(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 of each file by its name, in order of names."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
