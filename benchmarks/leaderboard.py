"""Time ``fer-bench leaderboard`` as a whole process over many cells: python benchmarks/leaderboard.py [cells] [n].

Writes drawn predictions in the real store format, with records and provenance as long as real ones, to a temporary
folder, then prints seconds and peak memory of whole processes: the first run, and those after it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from synthetic_runs import write_runs

from fer_bench.registry import Registry
from fer_bench.results.provenance import collect

MAIN = "from fer_bench.cli import main; main()"
ROWS = 20
FOLDS = 5


def main(cells: int = 10_000, n: int = 300, rounds: int = 4) -> None:
    seeds = cells // (ROWS * FOLDS)
    here = collect(Registry.load().plugins)
    # An installed command has its modules compiled; without them each run would compile 700 of them anew.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        size = {"methods": ROWS // 2, "folds": FOLDS, "seeds": seeds, "n": n}
        write_runs(Path(folder), datasets=2, failed=0, provenance=here, **size)
        print(f"{ROWS * FOLDS * seeds} cells of {n // FOLDS} images, written in {time.perf_counter() - start:.1f} s")
        for number in range(rounds):
            command = [sys.executable, "-c", MAIN, "leaderboard", "--runs-dir", folder, "--format", "csv"]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            assert status == 0
            cpu = usage.ru_utime + usage.ru_stime
            print(f"run {number}: {seconds:.2f} s, processor {cpu:.2f} s, {usage.ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
