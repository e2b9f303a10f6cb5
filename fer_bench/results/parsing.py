"""The record of a cell from ``cell.json``. Cells have most parts in common: each distinct one is parsed once."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, get_type_hints

from fer_bench.results.canonical import CANONICAL, read
from fer_bench.results.records import SCHEMA, Cell, hash_texts


def split_cell(content: bytes) -> dict[str, str]:
    """Return each field of a ``cell.json`` as canonical JSON.

    Cells have most of their fields in common: as the store lays them out, each distinct one is parsed once.

    Raises:
        ValueError: it holds no record.
    """
    try:
        with suppress(ValueError):
            return {name: _canonical(text) for name, text in sorted(_split_lines(content.decode()))}
        value = json.loads(content)
        return {name: CANONICAL.encode(value[name]) for name in sorted(value)}
    except (RecursionError, TypeError) as error:
        raise ValueError(f"not the record of a cell ({error})") from None


def _split_lines(content: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each field of a JSON object that begins on a line with an indent of 1.

    Raises:
        ValueError: the object is laid out in another way.
    """
    start, *fields = content.removesuffix("\n}\n").split('\n "')
    if start != "{":
        raise ValueError("no object with an indent of 1")
    for number, field_text in enumerate(fields, 1):
        name, colon, text = field_text.partition('": ')
        if not colon or not name.isidentifier() or (number < len(fields)) != text.endswith(","):
            raise ValueError("no field on lines of its own")
        yield name, text.removesuffix(",")


@functools.lru_cache(maxsize=1 << 16)
def _canonical(text: str) -> str:
    """Return JSON as canonical JSON."""
    return CANONICAL.encode(json.loads(text))


def join_cell(fields: Mapping[str, str]) -> tuple[str, Cell]:
    """Return the id and the record of a cell from its fields in canonical JSON.

    Cells have most of their parts in common: each distinct one is checked once and held once.

    Raises:
        ValueError: it is not the record of a cell, or of a newer schema.
    """
    texts = dict(fields)
    schema = _check_schema(texts.get("schema", "null"))
    if schema == 1:
        texts["numerics"] = "null"
    _check_names(frozenset(texts))
    cell = Cell(**{name: _part(name, text) for name, text in texts.items()})
    if cell.fold >= cell.protocol.folds:
        raise ValueError(f"fold {cell.fold} of {cell.protocol.folds}; the first is 0")
    if schema == 1:
        del texts["numerics"]
    return hash_texts(texts), cell


@functools.lru_cache
def _check_schema(text: str) -> Any:
    """Return the schema of a record from its JSON; raise ValueError if it is newer than this one."""
    schema = json.loads(text)
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(f"written by a newer fer-bench (schema {schema}, this one reads up to {SCHEMA})")
    return schema


@functools.lru_cache
def _check_names(names: frozenset[str]) -> None:
    """Raise ValueError unless a record has the fields of a cell."""
    kinds = _cell_parts()
    required = kinds.keys() - {"split_seed"}
    if not required <= names <= kinds.keys():
        other = sorted((names - kinds.keys()) | (required - names))
        raise ValueError(f"not the record of a cell: {', '.join(other)} missing or unknown")


@functools.cache
def _cell_parts() -> dict[str, Any]:
    return get_type_hints(Cell, include_extras=True)


@functools.lru_cache(maxsize=1 << 16)
def _part(name: str, text: str) -> Any:
    """Return a field of a cell from its canonical JSON."""
    try:
        return read(_cell_parts()[name], text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
