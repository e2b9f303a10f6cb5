from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import pytest

from fer_bench import plugins
from fer_bench.registry import Component, Registry
from fer_bench.specs import DatasetSpec


@pytest.fixture
def component(monkeypatch) -> Callable[[str], Component[DatasetSpec]]:
    """Look a data set up among those of this package, installed or not, and no other's."""
    entry_point = importlib.metadata.EntryPoint(name="datasets", value="fer_bench_datasets", group="fer_bench")
    monkeypatch.setattr(plugins, "_discover", lambda: [("datasets", entry_point)])
    monkeypatch.delenv(plugins.SELECT_VARIABLE, raising=False)
    return lambda text: Registry.load().dataset(text)
