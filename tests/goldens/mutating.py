"""How a module of the core is loaded with a change in its text."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from goldens.table import CORE


@dataclass(frozen=True)
class Mutation:
    """A change of behaviour.

    Attributes:
        module: below ``fer_bench``.
        old: a text that stands in its source once.
        new: what stands there instead.
        golden: that must fail.
    """

    module: str
    old: str
    new: str
    golden: str

    def __str__(self) -> str:
        return f"{self.module}: {' '.join(self.old.split())[:40]} -> {' '.join(self.new.split())[:40]}"

    @property
    def path(self) -> Path:
        """The file of the module."""
        return CORE.joinpath(*self.module.split(".")).with_suffix(".py")

    def apply(self) -> str:
        """Return the source of the module with the change."""
        source = self.path.read_text(encoding="utf-8")
        count = source.count(self.old)
        assert count == 1, f"{self.old!r} stands {count} times in {self.path}; adapt tests/goldens/mutations.py"
        return source.replace(self.old, self.new)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of which a text is replaced; past Python's compiled files."""

    def __init__(self, name: str, mutation: Mutation):
        super().__init__(name, str(mutation.path))
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutation.apply(), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutation: Mutation):
        self._mutation, self.loaded = mutation, False

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"fer_bench.{self._mutation.module}":
            return None
        self.loaded = True
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, self._mutation))


def _ours() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in ("fer_bench", "goldens")]


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Any]:
    """Give `goldens.record` of a core in which one module is changed; afterwards all modules are as they were."""
    kept = {name: sys.modules.pop(name) for name in _ours()}
    finder = _Finder(mutation)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("goldens.record")
        assert finder.loaded, f"{mutation.golden} does not import {mutation.module}"
    finally:
        sys.meta_path.remove(finder)
        for name in _ours():
            del sys.modules[name]
        sys.modules.update(kept)
