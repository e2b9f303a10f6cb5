from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_bench import plugins
from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError
from fer_bench.registry import Component, Registry
from fer_bench.specs import DatasetSpec
from fer_bench.testing.layouts import LAYOUTS, Truth


@pytest.fixture
def component(monkeypatch) -> Callable[[str], Component[DatasetSpec]]:
    """Look a data set up among those of this package, installed or not, and no other's."""
    entry_point = importlib.metadata.EntryPoint(name="datasets", value="fer_bench_datasets", group="fer_bench")
    monkeypatch.setattr(plugins, "_discover", lambda: [("datasets", entry_point)])
    monkeypatch.delenv(plugins.SELECT_VARIABLE, raising=False)
    return lambda text: Registry.load().dataset(text)


@pytest.fixture(scope="session")
def copies(tmp_path_factory) -> dict[str, tuple[Path, list[Truth]]]:
    """A whole copy of every layout, and what it holds."""
    root = tmp_path_factory.mktemp("whole")
    return {layout: (root / layout, write(root / layout)) for layout, write in LAYOUTS.items()}


@pytest.fixture
def place(copies, tmp_path) -> Callable[[str], Path]:
    """Copy a layout to where its adapter looks, and return that folder; each call begins anew."""

    def copy(layout: str) -> Path:
        root = tmp_path / "manual" / layout.partition("/")[0]
        for folder in ("manual", "prepared", "elsewhere"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        shutil.copytree(copies[layout][0], root)
        return root

    return copy


@pytest.fixture
def refuse(component, tmp_path) -> Callable[[str], str]:
    """Return the message that a spoiled layout leads to, having checked that nothing half prepared stays."""

    def refused(layout: str) -> str:
        name = layout.partition("/")[0]
        with pytest.raises(DataError) as caught:
            prepare(component(name), tmp_path)
        files = [path for path in (tmp_path / "prepared").rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert files == []
        text = str(caught.value)
        assert name in text
        assert str(tmp_path / "manual") in text
        return text

    return refused
