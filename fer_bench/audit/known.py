"""Known issues: a file of findings that have been looked at; anything new fails, and so does an entry that is stale."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from fer_bench.audit.audit import Audit
from fer_bench.errors import FerBenchError

KINDS = ("duplicates", "near", "blank", "tiny", "subjects_in_splits")
"""What of an audit's record can be listed: ids, or lists of ids."""


def read_known(file: Path) -> dict[str, dict[str, Any]]:
    """Return what a file of known issues lists for each data set.

    Args:
        file: YAML or JSON as ``fer-bench data audit NAME --json`` prints it; keys that are not in `KINDS` do not count.

    Raises:
        FerBenchError: it cannot be read, or holds something else.
    """
    try:
        known = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FerBenchError(
            f"Cannot read the known issues {str(file)!r}: {error.strerror}. "
            "'fer-bench data audit DATASET --json' prints what such a file holds."
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise FerBenchError(f"{str(file)!r} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(known, dict) or not all(isinstance(entry, dict) for entry in known.values()):
        raise FerBenchError(f"{str(file)!r} does not list data sets; expected 'DATASET: {{blank: [id, …], …}}'.")
    return known


def compare_known(name: str, audit: Audit, known: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each finding of a data set that is not listed, and for each entry that is stale."""
    record, listed = audit.record(), known.get(name, {})
    lines: list[str] = []
    for kind in KINDS:
        here, there = _entries(record[kind] or ()), _entries(listed.get(kind) or ())
        lines += [f"{name}: {kind}: not listed: {', '.join(entry)}" for entry in sorted(here - there)]
        lines += [f"{name}: {kind}: listed but not found: {', '.join(entry)}" for entry in sorted(there - here)]
    return lines


def _entries(values: Iterable[object]) -> set[tuple[str, ...]]:
    """Return the entries of a kind; the order of the ids within one does not count."""
    return {(str(value),) if not isinstance(value, list) else tuple(sorted(map(str, value))) for value in values}
