"""Drawn copies of layouts in a data folder: where they lie, what is prepared of them, and how they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError
from fer_bench.labels import canonical
from fer_bench.testing.layouts import Truth


def manual(data_dir: Path, layout: str) -> Path:
    """Return the folder in which the adapter of a layout looks."""
    return data_dir / "manual" / layout.partition("/")[0]


def read(prepared) -> set[Truth]:
    """Return what is prepared, in the words of the truths that a layout is drawn with."""
    names = [canonical(label) or label for label in prepared.labels]
    return {
        Truth(row.id, names[row.label], row.split, row.subject, row.sequence)
        for row in prepared.samples.itertuples(index=False)
    }


def refuse(component, data_dir: Path, name: str) -> str:
    """Return the message that ``name`` cannot be prepared with, having checked that nothing stays."""
    text = fault_of(component, data_dir, name)
    left = [path for path in (data_dir / "prepared").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    return text


def fault_of(component, data_dir: Path, name: str) -> str:
    """Return the message that ``name`` cannot be prepared with."""
    with pytest.raises(DataError) as caught:
        prepare(component(name), data_dir)
    return str(caught.value)
