"""Where data and caches lie unless the user says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

DATA_VARIABLE = "FER_BENCH_DATA_DIR"
CACHE_VARIABLE = "FER_BENCH_CACHE_DIR"
CACHE_LIMIT_VARIABLE = "FER_BENCH_CACHE_LIMIT"


def data_dir() -> Path:
    """Return the folder of manual and prepared data: ``FER_BENCH_DATA_DIR``, or the user's data folder."""
    return _from_environment(DATA_VARIABLE) or Path(platformdirs.user_data_dir("fer-bench"))


def cache_dir() -> Path:
    """Return the folder of what can be computed again: ``FER_BENCH_CACHE_DIR``, or the user's cache folder."""
    return _from_environment(CACHE_VARIABLE) or Path(platformdirs.user_cache_dir("fer-bench"))


def _from_environment(variable: str) -> Path | None:
    """Return the path in ``variable``, or None if it is unset or empty."""
    text = os.environ.get(variable, "")
    return Path(text).expanduser() if text else None
