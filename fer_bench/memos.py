"""Facts that a machine remembers: each one file in the user's cache folder, under a hash of all that it depends on.

::

    <cache folder>/<kind>/<hash of the key>.memo

A file begins with the sha256 of the rest. A fact that is lost or damaged is computed again, or a user is asked for it:
no number depends on these files. None is flushed to disk when it is written: a thousand of them would take seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_bench import atomic, foreign_files

FOLDERS = ("batches", "flops", "folds", "places", "rates", "scores", "shapes", "stages")
"""The kinds of facts, of `fer_bench.networks.source`, `fer_bench.networks.shapes`, `fer_bench.tasks.scikit`,
`fer_bench.keeping.named_files` and `fer_bench.reports.scored`."""
LARGEST = 1 << 30
"""Bytes of a file, which is read whole."""
DIGEST = hashlib.sha256().digest_size
"""Bytes of the hash."""


def recall(cache_dir: Path, kind: str, key: Mapping[str, Any]) -> bytes | None:
    """Return what was remembered, or None.

    Args:
        cache_dir: the cache folder.
        kind: one of `FOLDERS`.
        key: all that the fact depends on, as plain JSON.
    """
    try:
        stored = foreign_files.read(_file(cache_dir, kind, key), LARGEST)
    except (OSError, ValueError):
        return None
    content = stored[DIGEST:]
    return content if stored[:DIGEST] == hashlib.sha256(content).digest() else None


def known(cache_dir: Path, kind: str, key: Mapping[str, Any]) -> bool:
    """Return whether there is a file for `recall`, be it damaged."""
    return _file(cache_dir, kind, key).is_file()


def remember(cache_dir: Path, kind: str, key: Mapping[str, Any], content: bytes) -> None:
    """Remember ``content`` for `recall`; raises OSError where the folder cannot be written."""
    file = _file(cache_dir, kind, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace_file(file, hashlib.sha256(content).digest() + content, flush=False)


def _file(cache_dir: Path, kind: str, key: Mapping[str, Any]) -> Path:
    text = json.dumps(key, sort_keys=True)
    return cache_dir / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.memo"
