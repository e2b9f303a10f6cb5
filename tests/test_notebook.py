"""`fer_bench.run`: the notebook of docs/python.md is executed in a kernel of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fer_bench

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.mark.slow
def test_the_notebook_of_the_page_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    checks = [
        "print(sorted(done.leaderboard['strategy']), len(done.cells), set(done.cells['status']), done.damaged)",
        "print(done.cells.groupby('strategy')['uar'].mean().round(6).to_dict())",
        "print(done.leaderboard.set_index('strategy')['uar_mean'].round(6).to_dict())",
        "print(len(list(__import__('pathlib').Path('runs/cells').iterdir())))",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in (code, *checks)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    # A kernel may send one text in parts, and warnings between them.
    said = [
        "".join(out["text"] for out in cell.outputs if out.get("name") == "stdout").strip()
        for cell in notebook.cells[1:]
    ]
    assert said[0] == "['knn', 'linear-probe', 'majority-class'] 4 {'ok'} ()"
    by_cell, by_row = (dict(eval(text, {"nan": None})) for text in said[1:3])
    assert by_row["majority-class"] == pytest.approx(1 / 7, abs=1e-5)
    assert {name: by_row[name] for name in by_cell} == pytest.approx(by_cell, abs=1e-5)
    assert said[3] == "4"


def test_faults_are_those_of_the_command():
    with pytest.raises(fer_bench.FerBenchError, match="Did you mean 'folds'"):
        fer_bench.run(fold=3)


def test_importing_the_package_imports_no_jax():
    heavy = "sorted({'jax', 'pandas', 'pydantic'} & set(sys.modules))"
    code = f"import sys, fer_bench; print({heavy}, 'run' in dir(fer_bench))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[] True"
