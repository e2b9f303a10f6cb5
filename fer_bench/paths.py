"""Where data and caches lie unless the user says otherwise."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import platformdirs

from fer_bench.errors import FerBenchError

DATA_VARIABLE = "FER_BENCH_DATA_DIR"
CACHE_VARIABLE = "FER_BENCH_CACHE_DIR"
CACHE_LIMIT_VARIABLE = "FER_BENCH_CACHE_LIMIT"
LONGEST_NAME, LONGEST_PATH = 255, 4000
"""Bytes of a part of a path, and of all of it; a little is left for the files below."""


def data_dir() -> Path:
    """Return the folder of manual and prepared data: ``FER_BENCH_DATA_DIR``, or the user's data folder."""
    return _from_environment(DATA_VARIABLE) or Path(platformdirs.user_data_dir("fer-bench"))


def cache_dir() -> Path:
    """Return the folder of what can be computed again: ``FER_BENCH_CACHE_DIR``, or the user's cache folder."""
    return _from_environment(CACHE_VARIABLE) or Path(platformdirs.user_cache_dir("fer-bench"))


def parse(text: str | Path) -> Path:
    """Return the path that a user wrote, with a leading ``~`` or ``~name`` as the home folder.

    Raises:
        FerBenchError: there is no such home folder, no file can have this name, or links lead round in a circle.
    """
    if "\0" in str(text):
        raise FerBenchError(f"{str(text)!r} holds a NUL character, which no path can; write it without.")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise FerBenchError(f"{str(text)!r} begins with a home folder that is not there; write it in full.") from None
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST_NAME or len(os.fsencode(path)) > LONGEST_PATH:
        raise FerBenchError(
            f"'{str(text)[:40]}…' is a path of {len(os.fsencode(path)):,} bytes, whose longest name has {longest:,}; "
            f"file systems take names of {LONGEST_NAME} and paths of {LONGEST_PATH:,} at most."
        )
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FerBenchError(f"{str(text)!r} is behind a link that leads back to itself; remove that.") from None
    return path


def _from_environment(variable: str) -> Path | None:
    """Return the path in ``variable``, or None if it is unset or empty."""
    text = os.environ.get(variable, "")
    return parse(text) if text else None
