"""Known issues: a file of findings that have been looked at; anything new fails, and so does an entry that is stale."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fer_bench.audit.audit import Audit
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.yaml_files import compose_texts, read_text

KINDS = ("duplicates", "near", "blank", "tiny", "subjects_in_splits")
"""What of an audit's record can be listed: ids, or lists of ids."""
OTHER = (
    "schema",
    "samples",
    "redundant",
    "conflicting",
    "near_conflicting",
    "copies",
    "near_copies",
    "leaks",
    "across",
)
"""What else ``fer-bench data audit NAME --json`` prints, which does not count here."""
EMPTY = (None, "", "null", "~")
"""No entries, in JSON and in YAML."""
LARGEST = 1 << 26
"""Bytes of a file."""


def read_known(file: Path) -> dict[str, dict[str, Any]]:
    """Return what a file of known issues lists for each data set.

    Args:
        file: YAML or JSON as ``fer-bench data audit NAME --json`` prints it; keys in `OTHER` do not count.

    Raises:
        FerBenchError: it cannot be read, or holds something else; all faults at once.
    """
    text = read_text(file, "list of known issues", LARGEST)
    try:
        issues = json.loads(text) if text.lstrip().startswith("{") else compose_texts(text, file)
    except (ValueError, RecursionError):
        issues = compose_texts(text, file)
    if not isinstance(issues, dict) or not all(isinstance(entry, dict) for entry in issues.values()):
        raise FerBenchError(f"{str(file)!r} does not list data sets; expected 'DATASET: {{blank: [id, …], …}}'.")
    faults = [
        f"{name}: {kind}: {fault}"
        for name, entry in issues.items()
        for kind, values in entry.items()
        if (fault := _fault(kind, values))
    ]
    if faults:
        raise FerBenchError(
            f"{str(file)!r} lists what is no finding:\n{bullet_list(faults)}\n"
            "'fer-bench data audit DATASET --json' prints what such a file holds."
        )
    return issues


def _fault(kind: object, values: object) -> str:
    """Return what is wrong with the entries of a kind, in words."""
    if kind not in (*KINDS, *OTHER):
        return f"unknown; expected {', '.join(KINDS)}"
    if kind in OTHER or values in EMPTY:
        return ""
    if not isinstance(values, list | dict):
        return f"{str(values)[:40]!r} is no list"
    if any(isinstance(part, list | dict) for value in values for part in (value if isinstance(value, list) else ())):
        return "lists within lists of ids"
    return "mappings within a list" if any(isinstance(value, dict) for value in values) else ""


def compare_known(name: str, audit: Audit, issues: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each finding of a data set that is not listed, and for each entry that is stale."""
    record, listed = audit.record(), issues.get(name, {})
    lines: list[str] = []
    for kind in KINDS:
        audited, expected = _entries(record[kind] or ()), _entries(() if listed.get(kind) in EMPTY else listed[kind])
        lines += [f"{name}: {kind}: not listed: {', '.join(entry)}" for entry in sorted(audited - expected)]
        lines += [f"{name}: {kind}: listed but not found: {', '.join(entry)}" for entry in sorted(expected - audited)]
    return lines


def _entries(values: Iterable[object]) -> set[tuple[str, ...]]:
    """Return the entries of a kind; the order of the ids within one does not count."""
    return {(str(value),) if not isinstance(value, list) else tuple(sorted(map(str, value))) for value in values}
