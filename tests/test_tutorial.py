"""The plugin of the tutorial keeps the rules when it is installed; the page shows its files as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_bench.cli import app

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = DOCS / "tutorial" / "fer-bench-edges"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["fer_bench_edges/__init__.py", "fer_bench_edges/model.py"])
def test_the_page_shows_the_files_of_the_package(file):
    (shown,) = re.findall(rf'```python title="{re.escape(file)}"\n(.*?)```', PAGE, re.DOTALL)
    assert shown == (PACKAGE / file).read_text(encoding="utf-8")


@pytest.mark.slow
def test_its_own_tests_pass(edges, tmp_path):
    """In a process of its own, in which it is installed, on a copy of its tests alone."""
    tests = tmp_path / "test_backbone.py"
    tests.write_text((PACKAGE / "tests" / "test_backbone.py").read_text(encoding="utf-8"), encoding="utf-8")
    path = os.pathsep.join([str(edges), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "14 passed, 1 skipped" in done.stdout or "13 passed, 2 skipped" in done.stdout


@pytest.mark.slow
def test_the_fault_that_the_page_shows_is_found(edges, tmp_path, monkeypatch):
    for source in edges.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(edges)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    model = tmp_path / "fer_bench_edges" / "model.py"
    code = model.read_text(encoding="utf-8")
    assert code.count("+ 1e-4") == 1
    model.write_text(code.replace("+ 1e-4", ""), encoding="utf-8")
    _forget(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    checked = CliRunner().invoke(app, ["plugins", "check", "edges"])
    _forget(monkeypatch)
    assert checked.exit_code == 1
    (shown,) = re.findall(r"```text\n(backbone 'edges'.*?)```", PAGE, re.DOTALL)
    assert shown in checked.output


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fer_bench_edges", "fer_bench_edges.model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
