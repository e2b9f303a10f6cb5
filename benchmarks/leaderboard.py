"""Time ``leaderboard`` and a ``run`` that finds all done over many cells: python benchmarks/leaderboard.py 100000.

The cells are those of a real grid on drawn faces: data sets x 10 backbones x 10 strategies x seeds x 5 folds. Each is
written by the store, with random probabilities of the images that its fold tests, and records, history and provenance
as long as real ones. Every command is a process of its own, which may start others; the peak of memory is that of all
of them together.

The first command is a rebuild: a ``leaderboard`` that finds no index of the store and remembers no row, as after
``merge``, ``unpack``, a copied folder or another version of fer-bench. It leaves what a ``run`` leaves, which prints a
board at its end. What users of a run meet comes after it: ``leaderboard``, and the ``run`` again. The targets are
`LIMITS` and `MEMORY_MIB`; at the end it is said which are met, and the exit code is 1 where one is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.ipc

from fer_bench import atomic
from fer_bench.config import RunConfig
from fer_bench.executors.grid import Block, expand
from fer_bench.executors.progress import TerminalReporter
from fer_bench.registry import Registry
from fer_bench.results.encoding import encode_json, hash_each, to_feather
from fer_bench.results.folders import CELL, CHECKSUMS, PREDICTIONS
from fer_bench.results.outcomes import Cost, Measures, PeakMemory, Seconds
from fer_bench.results.provenance import collect
from fer_bench.results.records import Cell
from fer_bench.results.store import Result, Store
from fer_bench.tasks.folds import Fold

MAIN = "from fer_bench.cli import main; main()"
METHODS, FOLDS, IMAGES = 100, 5, 301
LIMITS = {"rebuild": 60.0, "leaderboard": 25.0, "run": 20.0}
"""Seconds of the clock for 100,000 cells, on a machine that does nothing else."""
MEMORY_MIB = 2e9 / 2**20
WATCH_S = 0.1
"""Between two looks at the memory of a command's processes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=int, nargs="?", default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="how often each command runs after the rebuild")
    parser.add_argument("--folder", type=Path, help="where the cells stay; without it they are removed at the end")
    parser.add_argument("--format", default="terminal", help="of the leaderboard; csv and json hold groups, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        if not (folder / "runs").is_dir():
            start = time.perf_counter()
            written = _write(folder, given.cells)
            print(f"{written} cells of {IMAGES // FOLDS} images, written in {time.perf_counter() - start:.0f} s")
        board = ["leaderboard", "--runs-dir", f"{folder / 'runs'}", "--format", given.format]
        run = ["run", "--config", f"{folder / 'grid.yaml'}", "--quiet"]
        environment = {**os.environ, "FER_BENCH_CACHE_DIR": str(folder / "cache")}
        # An installed command has its modules compiled; without them each run would compile 700 of them anew.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name in ("cache/scores", "runs/index.json.z"):  # of an earlier call with this folder
            _remove(folder / name)
        last: dict[str, tuple[float, float]] = {}
        for name, command in (("rebuild", board), *(("leaderboard", board), ("run", run)) * given.rounds):
            clock, seconds, mib = _time(command, environment)
            print(f"{name}: {clock:.2f} s, processor {seconds:.2f} s, {mib:.0f} MiB", flush=True)
            last[name] = clock, mib
    missed = 0
    for name, (seconds, mib) in last.items():
        limit = LIMITS[name]
        met = seconds <= limit and mib <= MEMORY_MIB
        missed += not met
        print(f"{name}: {seconds:.1f} of {limit:g} s, {mib:.0f} of {MEMORY_MIB:.0f} MiB: {'met' if met else 'MISSED'}")
    sys.exit(1 if missed else 0)


def _remove(place: Path) -> None:
    """Remove a file or a folder that may be there."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _time(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Return the seconds of the clock and of the processor, and the peak of memory in MiB, of a command."""
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-c", MAIN, *command], stdout=subprocess.DEVNULL, env=environment)
    family = psutil.Process(process.pid)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, sum(one.memory_info().rss for one in (family, *family.children(recursive=True))))
        time.sleep(WATCH_S)
    seconds = time.perf_counter() - start
    assert status == 0, f"{command[0]} ended with status {status}"
    return seconds, usage.ru_utime + usage.ru_stime, max(peak / 2**20, usage.ru_maxrss / 1024)


def _write(folder: Path, cells: int) -> int:
    """Store all cells of a grid of about so many; return how many."""
    datasets = max(1, min(10, cells // (METHODS * FOLDS)))
    config = RunConfig(
        datasets=tuple(f"synthetic[n={IMAGES},size=48,seed={number}]" for number in range(datasets)),
        backbones=tuple(f"mini-xception[input_size={size}]" for size in range(40, 50)),
        strategies=tuple(f"linear-probe[c={c}]" for c in np.logspace(-4, 0, 10).round(5).tolist()),
        seeds=tuple(range(max(1, cells // (METHODS * FOLDS * datasets)))),
        folds=FOLDS,
        runs_dir=folder / "runs",
        data_dir=folder / "data",
        cache_dir=folder / "cache",
    )
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, too.
    (folder / "grid.yaml").write_text(config.model_dump_json(exclude_defaults=True), encoding="utf-8")
    registry, store, rng = Registry.load(), Store(config.runs_dir), np.random.default_rng(0)
    grid = expand(config, registry, config.data_folder, config.cache_folder, TerminalReporter(quiet=True))
    here = collect(registry.plugins)
    atomic.write_synced = Path.write_bytes  # what is removed in an hour need not survive a power failure
    like: dict[tuple[str, int, int], tuple[dict[str, bytes], pa.Table]] = {}
    for number, block in enumerate(grid.blocks):
        together = tuple(job.cell.place for job in block.jobs)
        for job in block.jobs:
            place = block.task.name, job.cell.seed, job.cell.fold
            if place not in like:
                made = dataclasses.replace(here, seeds=job.seeds, config=dict(job.config), together=together)
                stored = store.write(job.cell, _draw(block, job.fold), made)
                like[place] = stored.files(), stored.table()
            else:
                _write_like(store, job.cell, *like[place], 0.5 + number % METHODS / METHODS, rng)
    return len(grid.jobs)


def _draw(block: Block, fold: Fold) -> Result:
    """Return the result of a cell that guesses."""
    task, classes = block.task, len(block.task.classes)
    tested = np.flatnonzero(fold.test)
    predictions = task.describe(tested)
    for index in range(classes):
        predictions[f"p{index}"] = np.full(len(tested), 1 / classes, np.float32)
    measures = Measures(
        parameters=58_423,
        trained_parameters=903,
        converged=True,
        train_counts=tuple(np.bincount(task.labels[fold.train], minlength=classes).tolist()),
        seconds=Seconds(features=1.5, fit=0.25),
        tested=len(tested),
        images_per_second=431.5,
        images_at_once=64,
        cost=Cost(
            seconds={"features": 1.5, "train": 0.25, "predict": 0.0625},
            peak_memory_bytes=PeakMemory(host=700_000_000, device=None),
            forward_flops=12_345_678.0,
        ),
    )
    return Result("ok", "", measures, predictions, pd.DataFrame({"phase": [0], "iteration": [17], "loss": [1.25]}))


def _write_like(
    store: Store, cell: Cell, files: dict[str, bytes], table: pa.Table, skill: float, rng: np.random.Generator
) -> None:
    """Store a cell with the files and the table of another of its fold, but probabilities that know the true class by
    ``skill``.
    """
    classes = len(cell.dataset.classes)
    logits = rng.normal(size=(len(table), classes)) + skill * np.eye(classes)[table["label"].to_numpy()]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for index in range(classes):
        place = table.column_names.index(f"p{index}")
        table = table.set_column(place, f"p{index}", pa.array(shares[:, index].astype(np.float32)))
    files = {**files, CELL: encode_json(cell.record()), PREDICTIONS: to_feather(table)}
    del files[CHECKSUMS]
    store.put(store.folder(cell.id), {**files, CHECKSUMS: encode_json(hash_each(files))})


if __name__ == "__main__":
    main()
