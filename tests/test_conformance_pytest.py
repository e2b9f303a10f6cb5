"""``pytest --fer-check NAME``: what ``fer-bench plugins check`` shows, as tests, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = """
from fer_bench import hookimpl
from fer_bench.specs import MetricSpec


def make(params):
    return lambda true, predicted: float((true == predicted).mean())


@hookimpl
def fer_bench_metrics():
    good = dict(title="Hits", metric="hits:make", needs="labels")
    return [
        MetricSpec(name="hits", higher_is_better=True, **good),
        MetricSpec(name="hits_upside_down", higher_is_better=False, **good),
    ]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an installed plugin, one of whose metrics declares the wrong direction."""
    (tmp_path / "hits.py").write_text(PLUGIN)
    info = tmp_path / "hits-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fer_bench]\nhits = hits\n")
    return tmp_path


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "fer_bench.pytest_plugin", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def test_what_keeps_the_rules_passes_and_what_does_not_says_how_to_mend_it(folder):
    done = run_pytest(folder, "-v", "--fer-check", "hits")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fer-check[hits-is-best-when-perfect] PASSED" in done.stdout
    assert "fer-check[hits_upside_down-points-in-its-direction] FAILED" in done.stdout
    assert "Turn higher_is_better" in done.stdout
    assert "Traceback" not in done.stdout
    done = run_pytest(folder, "--fer-check", "hits[]", "--fer-check", "hits_upside_down", "-k", "not upside_down")
    assert done.returncode == 0, done.stdout


def test_an_unknown_name_is_a_usage_error(folder):
    done = run_pytest(folder, "--fer-check", "hist")
    assert done.returncode == 4
    assert "is called 'hist'" in done.stderr
    assert "hits" in done.stderr
