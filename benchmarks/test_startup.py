"""How long ``fer-bench --help`` takes as a whole process, including the start of the interpreter."""

from __future__ import annotations

import subprocess
import sys


def test_help_is_quick(benchmark):
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "--help"]
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=7, warmup_rounds=1)
    median = benchmark.stats.stats.median
    print(f"\nfer-bench --help: median {median:.3f} s")
    assert median < 0.4
