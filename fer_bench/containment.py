"""Run a plugin's code, undo what it does to the process where that can be undone, and name all of it.

Contained: what it prints on stdout, filters of warnings, jax's configuration, environment variables. Only named: time,
threads, warnings. Nothing holds code that means harm: it runs in this process, with this process's rights.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import io
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, BinaryIO, TextIO

SLOW_S = 1.0
"""Loading a plugin that takes longer is named; every command waits for it."""
_LONGEST = 80
_SET_BY_JAX = ("CLOUD_TPU", "LIBTPU", "TF_CPP", "TPU_")
"""Beginnings of environment variables that jax sets for itself when it is imported first."""


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Contain the body, which loads a plugin; the list holds a line for each thing it did, once the body is done."""
    notes: list[str] = []
    threads, environment, start = set(threading.enumerate()), dict(os.environ), time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, contained() as changes:
        warnings.simplefilter("default")
        try:
            yield notes
        finally:
            seconds = time.perf_counter() - start
    if seconds > SLOW_S:
        notes.append(f"takes {seconds:.1f} s to load; import what is heavy inside functions")
    notes += changes
    notes += [f"warns on import: {warning.category.__name__}: {_cut(str(warning.message))}" for warning in caught]
    if started := [thread.name for thread in threading.enumerate() if thread not in threads]:
        notes.append(f"starts threads on import, which go on: {', '.join(started)}")
    changed = {name for name in {*environment, *os.environ} if environment.get(name) != os.environ.get(name)}
    if names := sorted(name for name in changed if not name.startswith(_SET_BY_JAX)):
        notes.append(f"changes environment variables on import, set back: {', '.join(names)}")
        for name in names:
            os.environ.pop(name, None)
            os.environ |= {name: environment[name]} if name in environment else {}


@contextlib.contextmanager
def contained() -> Iterator[list[str]]:
    """Contain the body, which runs a plugin's code; the list holds a line for each thing it did, once it is done."""
    notes: list[str] = []
    with _kept_stdout(notes), _kept_jax_config(notes):
        yield notes


@contextlib.contextmanager
def _kept_stdout(notes: list[str]) -> Iterator[None]:
    """Keep stdout clean, which may be JSON for another program; processes that the plugin starts count too."""
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        sys.stdout.flush()
        with contextlib.suppress(OSError):  # fd 1 may be closed
            saved = os.dup(1)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, 1)
            os.dup2(file.fileno(), 1)
        text = io.TextIOWrapper(io.FileIO(os.dup(file.fileno()), "w"), encoding="utf-8", write_through=True)
        stack.enter_context(text)
        before, _KEPT.target = _KEPT.target, text
        try:
            with contextlib.redirect_stdout(_KEPT):
                yield
        finally:
            _KEPT.target = before
            file.seek(0)
            if printed := file.read().decode(errors="replace").strip():
                notes.append(f"prints on stdout: {_cut(printed)}")


@contextlib.contextmanager
def _kept_jax_config(notes: list[str]) -> Iterator[None]:
    """Set jax's configuration back to what it was, or to what jax began with if the body is the first to import it."""
    watch = None
    if "jax" not in sys.modules:
        watch = _FirstValues()
        sys.meta_path.insert(0, watch)
        before: dict[str, Any] = watch.values
    else:
        before = dict(sys.modules["jax"].config.values)
    try:
        yield
    finally:
        if watch in sys.meta_path:
            sys.meta_path.remove(watch)
        jax = sys.modules.get("jax")
        now = dict(jax.config.values) if jax is not None and hasattr(jax, "config") else {}
        for name in sorted(before):
            if name in now and now[name] != before[name]:
                assert jax is not None
                jax.config.update(name, before[name])
                notes.append(f"sets {name} to {now[name]!r}; set back to {before[name]!r}")


class _FirstValues(importlib.abc.MetaPathFinder):
    """Reads jax's configuration as soon as it is imported, before the module that imports it can change it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find jax as if this were not here, and read its configuration once it is executed."""
        if fullname != "jax":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("jax")
        if spec is not None and spec.loader is not None:
            execute: Callable[[ModuleType], None] = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self.values.update(module.config.values)

            vars(spec.loader)["exec_module"] = exec_module
        return spec


class _Stdout(io.TextIOBase):
    """What a plugin sees as ``sys.stdout``, for as long as the process lives.

    A plugin may keep it, as a default argument or in a handler of logging. Within `contained` it writes to ``target``,
    and to stderr at any other time.
    """

    target: TextIO | None = None

    def write(self, text: str) -> int:
        return (self.target or sys.stderr).write(text)

    def flush(self) -> None:
        (self.target or sys.stderr).flush()

    @property
    def buffer(self) -> BinaryIO:
        return (self.target or sys.stderr).buffer

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return (self.target or sys.stderr).encoding

    def writable(self) -> bool:
        return True


_KEPT = _Stdout()


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_LONGEST]} …" if len(line) > _LONGEST else line
