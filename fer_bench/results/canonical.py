"""Records as JSON: how a dataclass is checked, written, hashed and published; the one place that does it.

A field with a default is written only where it differs, so that a new one changes no id.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, StrictFloat, StrictInt, TypeAdapter, ValidationError

from fer_bench.errors import reword

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

Count = Annotated[StrictInt, Field(ge=0, lt=2**63)]
AtLeastOne = Annotated[StrictInt, Field(ge=1)]
AtLeastTwo = Annotated[StrictInt, Field(ge=2)]
Images = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
Amount = Annotated[StrictFloat, Field(ge=0)]
Share = Annotated[StrictFloat, Field(ge=0, le=1)]
Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Unknown fields are refused, since the id of a cell is a hash of all that it says."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    @functools.cached_property
    def canonical(self) -> str:
        """Canonical JSON, see `digest`; kept, since thousands of cells share a record."""
        return CANONICAL.encode(to_json(self))


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: object) -> Json:
    """Return a record as plain JSON."""
    return _adapter(record.__class__).dump_python(record, mode="json", exclude_defaults=True, by_alias=True)


def from_json(kind: type[T], value: object) -> T:
    """Return plain JSON as a record.

    Raises:
        ValueError: it is none; says each field that is wrong.
    """
    return _checked(lambda: _adapter(kind).validate_python(value))


def read(kind: type[T], content: str | bytes) -> T:
    """Return the record that a file holds.

    Raises:
        ValueError: it is none; says each field that is wrong.
    """
    return _checked(lambda: _adapter(kind).validate_json(content))


def json_schema(kind: type[object]) -> Json:
    """Return the JSON Schema (2020-12) of a record."""
    schema = _adapter(kind).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def digest(record: Json) -> str:
    """Return the sha256 of ``record`` as canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(CANONICAL.encode(record).encode()).hexdigest()


def _checked(work: Callable[[], T]) -> T:
    try:
        return work()
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))} {reword(fault['type'], fault['msg'])}".strip()
            for fault in error.errors()[:5]
        ]
        raise ValueError("; ".join(faults)) from None
