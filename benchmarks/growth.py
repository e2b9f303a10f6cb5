"""How seconds and memory grow with images, folds and strategies: a table, a CSV and a picture.

    python benchmarks/growth.py --output docs/results/growth        # 25 minutes on two quiet cores
    python benchmarks/growth.py --images 200,400 --folds 2,3 --strategies 1,2 --output growth

Drawn faces of 48 pixels go through Xception at 71 pixels. Each point is one process of `fer-bench run` with an empty
cache (the data are prepared before), seconds and peak RSS those of the whole process. Images and folds vary under a
linear probe; strategies are added one by one, those by gradients with two epochs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from scale import run_measured

STRATEGIES = ("linear-probe", "knn", "svm", "finetune[epochs=2]", "lp-ft[epochs=2]", "lora[epochs=2]")
FEW = 350
"""Images where strategies vary: two of them train from the image on."""
PROGRAM = [sys.executable, "-c", "from fer_bench.cli import main; main()"]


def measure(images: int, folds: int, strategies: int, folder: Path) -> dict[str, float]:
    """Return what one run takes: seconds, and peak RSS in MB."""
    data = ["--data-dir", str(folder / "data")]
    dataset = f"synthetic[n={images}]"
    subprocess.run([*PROGRAM, "data", "prepare", dataset, *data], check=True, capture_output=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = ["run", "--quiet", "--dataset", dataset, "--backbone", "xception[input_size=71]", *data]
        command += ["--folds", str(folds), "--cache-dir", f"{scratch}/cache", "--runs-dir", f"{scratch}/runs"]
        for strategy in STRATEGIES[:strategies]:
            command += ["--strategy", strategy]
        start = time.perf_counter()
        peak, _ = run_measured([*PROGRAM, *command])
        return {"seconds": time.perf_counter() - start, "peak_rss_mb": peak / 1e6}


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def main() -> None:
    """Measure every point, print each at once, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=numbers, default=[1000, 3000, 10000, 30000])
    parser.add_argument("--folds", type=numbers, default=[2, 5, 10, 20])
    parser.add_argument("--strategies", type=numbers, default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--output", type=Path, required=True, help="path of the files without their ending")
    given = parser.parse_args()
    points = [("images", n, n, 5, 1) for n in given.images]
    points += [("folds", folds, 1000, folds, 1) for folds in given.folds]
    points += [("strategies", count, FEW, 2, count) for count in given.strategies]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for varied, value, images, folds, strategies in points:
            cost = measure(images, folds, strategies, Path(folder))
            rows.append({"varied": varied, "value": value, **cost})
            print(rows[-1], file=sys.stderr, flush=True)
    table = pd.DataFrame(rows).round({"seconds": 1, "peak_rss_mb": 0})
    given.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.output.with_suffix(".csv"), index=False, lineterminator="\n")
    draw(table, given.output.with_suffix(".svg"))
    print(table.to_string(index=False))


def draw(table: pd.DataFrame, file: Path) -> None:
    """Draw seconds above and memory below, one column for what was varied."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "fer-bench"
    kinds = list(dict.fromkeys(table["varied"]))
    figure = Figure(figsize=(3 * len(kinds), 4.5), layout="constrained")
    axes = figure.subplots(2, len(kinds), squeeze=False)
    for column, kind in enumerate(kinds):
        part = table[table["varied"] == kind]
        for row, (name, title) in enumerate({"seconds": "seconds", "peak_rss_mb": "peak RSS, MB"}.items()):
            axis = axes[row][column]
            axis.plot(part["value"], part[name], marker="o")
            axis.set_ylim(0, 1.1 * part[name].max())
            axis.set_xlim(0, 1.05 * part["value"].max())
            axis.locator_params(axis="x", nbins=4)
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.yaxis.set_major_formatter("{x:,.0f}")
            axis.grid(alpha=0.3)
            if row:
                axis.set_xlabel(kind)
            if not column:
                axis.set_ylabel(title)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
