"""A new machine's first ``fer-bench run`` compiles for at most 15 s of processor time, its second not at all.

pytest benchmarks/test_first_run.py --benchmark-only -s

Three whole processes with caches of their own. The second finds only the programs of the first, so that the difference
of their processor time is what XLA took to compile; tracing and lowering count in both. No process prints an alarm of
XLA on slow compilation.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from fer_bench.keeping.programs import FOLDER

GRID = ["--dataset", "synthetic[n=350]", "--backbone", "xception[input_size=149]", "--folds", "2"]
METHODS = ["--strategy", "linear-probe", "--strategy", "finetune[epochs=1]"]
MOST_S = 15.0
PROGRAMS = 32


def run(folder: Path, name: str) -> tuple[float, list[str]]:
    """Return the processor seconds of a run, and the names of the programs that are kept after it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_COMP", "JAX_PERS"))}
    places = [part for kind in ("data", "cache") for part in (f"--{kind}-dir", str(folder / kind))]
    command = [sys.executable, "-m", "fer_bench", "run", *GRID, *METHODS, *places, "--runs-dir", str(folder / name)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "slow_operation_alarm" not in done.stderr, done.stderr
    programs = sorted(file.name for file in (folder / "cache" / FOLDER).glob("*-cache"))
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, programs


def test_a_first_run_compiles_little_and_the_next_nothing(tmp_path, benchmark):
    first, compiled = benchmark.pedantic(run, (tmp_path, "first"), rounds=1)
    for entry in (tmp_path / "cache").iterdir():
        if entry.name != FOLDER:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    second, kept = run(tmp_path, "second")
    third, last = run(tmp_path, "third")
    print(
        f"\n{len(compiled)} programs; processor time {first:.1f} s, {second:.1f} with them, {third:.1f} with features"
    )
    assert len(compiled) <= PROGRAMS
    assert kept == last == compiled
    assert first - second <= MOST_S
