"""Imports point one way, and the cheap modules stay cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fer_bench

ROOT = Path(fer_bench.__file__).parent
LAYERS = [
    ("errors", "labels", "numerics", "paths", "privacy", "sizes", "containment"),
    ("specs",),
    ("interface",),
    ("hookspecs",),
    ("plugins",),
    ("registry",),
    ("config",),
    (
        *("faces", "data", "audit", "tasks", "keeping", "networks", "learning"),
        *("evaluation", "results", "reports", "executors", "testing", "scaffold"),
    ),
    ("cli", "pytest_plugin"),
    ("notebook",),
]
ORDER_INSIDE = list(LAYERS[7])
"""Within the middle layer a package imports only those before it."""
LIGHT = [name for layer in LAYERS[:7] for name in layer]
HEAVY = {"jax", "jaxlib", "flax", "optax", "sklearn", "pandas", "tensorflow_datasets", "numpy", "tensorflow"}


def _imports(file: Path) -> set[str]:
    """Return the full names of all modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} uses a relative import; the core writes names in full"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _unit(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _rank(unit: str) -> tuple[int, int]:
    layer = next(i for i, names in enumerate(LAYERS) if unit in names)
    return layer, ORDER_INSIDE.index(unit) if unit in ORDER_INSIDE else 0


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    unit = file.relative_to(ROOT).parts[0].removesuffix(".py")
    if unit == "__init__":
        return
    for name in _imports(file):
        assert not name.startswith(("fer_bench_", "plugins")), f"the core imports a plugin: {name}"
        target = _unit(name)
        if not name.startswith("fer_bench.") or (not (ROOT / target).exists() and not (ROOT / f"{target}.py").exists()):
            continue
        assert _rank(target) <= _rank(unit), f"{unit} must not import {name}"


@pytest.mark.parametrize("unit", LIGHT)
def test_light_modules_import_nothing_heavy(unit):
    heavy = {name.split(".")[0] for name in _imports(ROOT / f"{unit}.py")} & HEAVY
    assert not heavy


def test_help_imports_no_pydantic():
    code = (
        "import sys; from fer_bench.cli import main;"
        "print(sorted({'pydantic', 'pluggy', 'yaml', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_listing_and_help_import_neither_jax_nor_tfds():
    code = (
        "import sys; from fer_bench.cli import app; from typer.testing import CliRunner;"
        "from fer_bench.registry import Registry;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0;"
        "Registry.load();"
        "heavy = {'jax', 'flax', 'tensorflow_datasets', 'pandas', 'sklearn', 'numpy', 'tensorflow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout
