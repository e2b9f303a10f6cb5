"""What XLA compiled, kept on disk: the next process starts at once."""

from __future__ import annotations

import importlib
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jax

from fer_bench import atomic, foreign_files, processors

FOLDER = "xla"
_STAMP = ".checked"
LARGEST = 1 << 32
"""Bytes of a compiled program: jax reads it whole."""
_ZLIB_MAGIC, _ZSTD_MAGIC = b"\x78", b"\x28\xb5\x2f\xfd"


def keep_compiled_programs(cache_dir: Path, warn: Callable[[str], None]) -> None:
    """Let XLA keep what it compiles below ``cache_dir``, or where the environment variable of jax says.

    Small programs are kept as well, so that the next process compiles nothing. On a GPU, jax lets XLA keep what
    autotuning chose for each fusion in a folder beside them.

    jax takes a program for a CPU to be the same on every CPU. But XLA divides each operation among the processors that
    the process may use, and takes their instructions: what one processor compiled would use one of sixteen. So each
    kind of processors has a folder.

    jax writes a program in place and never replaces one. What a killed process or a full disk left half-written would
    be refused and compiled again in every later process, so it is removed here.

    Args:
        cache_dir: the cache folder.
        warn: told where the folder cannot be written; programs are compiled again then.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder, shortest = cache_dir / FOLDER / processors.kind(), 0.0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_torn(folder)
    except OSError as error:
        warn(f"Compiled programs cannot be kept in {str(folder)!r}: {atomic.reason(error)}.")
        if not folder.is_dir():
            return
        shortest = float("inf")  # jax writes nothing, and XLA keeps nothing of its own there
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)


def _remove_torn(folder: Path) -> None:
    """Remove programs that are not whole; each is looked at once, by a process that starts after it was written."""
    stamp = folder / _STAMP
    checked = stamp.stat().st_mtime_ns if stamp.exists() else 0
    stamp.touch()
    for file in folder.glob("*-cache"):
        if file.lstat().st_mtime_ns >= checked and not _is_whole(file):
            with suppress(OSError):
                file.unlink()


def _is_whole(file: Path) -> bool:
    """Return whether what jax compressed can be read to its end; one of a format that is not known here counts."""
    try:
        program = foreign_files.read(file, LARGEST)
        if program.startswith(_ZSTD_MAGIC):
            for name in ("compression.zstd", "zstandard"):  # as jax chooses
                with suppress(ImportError):
                    importlib.import_module(name).decompress(program)
                    break
        elif not program or program.startswith(_ZLIB_MAGIC):
            zlib.decompress(program)
    except Exception:  # each library raises its own
        return False
    return True
