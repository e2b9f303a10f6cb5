"""The backbones of ``recipes/backbones.yaml`` on 2,100 faces in five folds, within an hour on two cores.

    tox run -e backbones
    tox run -e backbones -- --images 210 --seconds 900

It runs the recipe as its users do, in one process of ``fer-bench run`` with an empty cache, so that everything is
compiled and every feature computed. Weights that no package ships are drawn: random numbers take as long. Drawn faces
are prepared before. It prints the seconds of each backbone, those of the whole process and its processor time, and
fails where a backbone is missing or ``--seconds`` are over.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

RECIPE = Path(__file__).parent.parent / "recipes" / "backbones.yaml"
PROGRAM = [sys.executable, "-c", "from fer_bench.cli import main; main()"]
SHIPPED = {"xception"}
"""Backbones whose package holds their weights."""


def with_random_weights(backbone: str) -> str:
    """Return the text of a backbone of the recipe, with weights that are drawn if no package has them."""
    if backbone in SHIPPED:
        return backbone
    return f"{backbone[:-1]},weights=random]" if backbone.endswith("]") else f"{backbone}[weights=random]"


def seconds_of(runs: Path) -> dict[str, dict[str, float]]:
    """Return for each backbone whose cells are all ok the seconds that its features and its classifiers took."""
    seconds: dict[str, dict[str, float]] = {}
    failed: set[str] = set()
    for folder in (runs / "cells").iterdir():
        cell: dict[str, Any] = json.loads((folder / "cell.json").read_text())
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        name = cell["backbone"]["text"]
        if result["status"] != "ok":
            failed.add(name)
            print(f"{name}: {result['error'].splitlines()[-1]}", file=sys.stderr)
            continue
        seconds[name] = result["measures"]["seconds"]
    return {name: parts for name, parts in seconds.items() if name not in failed}


def processor_time() -> float:
    """Return the seconds that processes which ended here have worked, on all cores together."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Run the recipe, print the table, and return 1 where it takes too long or lacks a backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2100)
    parser.add_argument("--seconds", type=float, default=3600, help="that it may take")
    parser.add_argument("--precision", default="auto", help="of products, as of fer-bench run")
    given = parser.parse_args()
    backbones = [with_random_weights(text) for text in yaml.safe_load(RECIPE.read_text())["backbones"]]
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data-dir", f"{folder}/data"]
        dataset = f"synthetic[n={given.images},subjects=20]"
        subprocess.run([*PROGRAM, "data", "prepare", dataset, *data], check=True, capture_output=True)
        command = ["run", "--config", str(RECIPE), "--dataset", dataset, "--precision", given.precision, *data]
        command += ["--runs-dir", f"{folder}/runs", "--cache-dir", f"{folder}/cache"]
        for backbone in backbones:
            command += ["--backbone", backbone]
        start, before = time.perf_counter(), processor_time()
        done = subprocess.run([*PROGRAM, *command], check=False)
        total, worked = time.perf_counter() - start, processor_time() - before
        seconds = seconds_of(Path(folder, "runs"))
    for name, parts in sorted(seconds.items(), key=lambda item: -sum(item[1].values())):
        print(f"{name:70} features {parts['features']:7.1f} s, five classifiers {parts['fit']:6.1f} s")
    print(
        f"{len(seconds)} of {len(backbones)} backbones, {given.images} faces: {total:.0f} s of {given.seconds:.0f} s, "
        f"{worked:.0f} s of processor time"
    )
    return int(done.returncode != 0 or len(seconds) != len(backbones) or total > given.seconds)


if __name__ == "__main__":
    sys.exit(main())
