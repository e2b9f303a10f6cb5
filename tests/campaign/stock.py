"""What the cases begin with: a plugin, data, a cache and runs, made once and copied."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from synthetic_runs import write_runs
from tiny_run import BASE, install

from campaign.command import Ended, command
from fer_bench.results.store import Store
from fer_bench.testing.layouts.manifests import write_manifest

GRID = [*BASE, "--folds", "2", "--precision", "float32"]


@dataclass(frozen=True)
class Stock:
    """Folders that cases copy: ``data``, ``cache`` and ``runs`` of a run of `GRID`, ``rows`` and ``older`` of drawn
    predictions, ``base``, a baseline of the latter, and ``pack``, a pack of ``rows``.
    """

    folder: Path

    @contextmanager
    def copy(self, *names: str) -> Iterator[Path]:
        """Yield a new folder, the working directory meanwhile, with copies of some of these."""
        back = Path.cwd()
        with tempfile.TemporaryDirectory(prefix="case-", dir=self.folder, ignore_cleanup_errors=True) as folder:
            for name in names:
                shutil.copytree(self.folder / name, Path(folder, name))
            os.chdir(folder)
            try:
                yield Path(folder)
            finally:
                os.chdir(back)

    @property
    def predictions(self) -> dict[str, bytes]:
        """Cell -> predictions of the run of `GRID`."""
        return read_predictions(self.folder / "runs")


def read_predictions(runs: Path) -> dict[str, bytes]:
    """Return cell -> its file of predictions, of all that are stored whole."""
    cells, _ = Store(runs).cells()
    return {cell.id: (cell.folder / "predictions.feather").read_bytes() for cell in cells if cell.ok}


def run(place: Path, *options: str, runs: str = "runs") -> Ended:
    """Run `GRID` with the data, the cache and the runs in a place."""
    folders = {"data": "data", "cache": "cache", "runs": runs}
    given = [word for name, folder in folders.items() for word in (f"--{name}-dir", str(place / folder))]
    return command("run", *GRID, *given, *options)


@contextmanager
def open_stock(folder: Path) -> Iterator[Stock]:
    """Yield a stock in an empty folder; its plugin is installed in this process meanwhile."""
    site = folder / "site"
    site.mkdir()
    install(site)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    kept = {"FER_BENCH_PLUGINS", "FER_BENCH_DATA_DIR", "FER_BENCH_CACHE_DIR"}
    environment = {name: value for name, value in os.environ.items() if name not in kept}
    environment |= {"PYTHONPATH": path, "FER_BENCH_DATA_DIR": str(folder / "data")}
    environment |= {"FER_BENCH_CACHE_DIR": str(folder / "cache")}
    with (
        mock.patch.object(sys, "path", [str(site), *sys.path]),
        mock.patch.dict(os.environ, environment, clear=True),
    ):
        run(folder).ends_in(0)
        write_runs(folder / "older", datasets=1, methods=1, folds=2, n=30, failed=0)
        write_runs(folder / "rows", datasets=1, methods=2, folds=2, n=30, failed=0)
        command("baseline", "freeze", "--runs-dir", folder / "older", "--output", folder / "base").ends_in(0)
        command("pack", "--runs-dir", folder / "rows", "--output", folder / "pack" / "rows.zip").ends_in(0)
        write_manifest(folder / "manual" / "manifest")
        yield Stock(folder)
