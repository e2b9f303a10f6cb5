"""Compare the quick benchmarks with those of an earlier commit, in turn, in one job on one machine.

    tox run -e speed                     # with the commit before
    tox run -e speed -- --against v0.1.0

Both commits run the same file of benchmarks, ours, each in a process of its own, in turn and in the other order every
second round. A benchmark has become slower if its ratio of medians is above `TOLERANCE` in every round: a busy minute
makes one round's ratio wrong, hardly all of them. So a further round measures only those above it in all rounds so far,
and there is none where no benchmark is. Exit code 1 where one has become slower; one that the earlier commit cannot run
is named and not compared, and one that ours cannot ends the gate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks" / "test_quick.py"
TOLERANCE = 1.25
ROUNDS = 5


def medians(file: Path) -> dict[str, float]:
    """Return the median seconds of each benchmark in a JSON file of pytest-benchmark."""
    benchmarks = json.loads(file.read_text())["benchmarks"]
    return {benchmark["name"]: benchmark["stats"]["median"] for benchmark in benchmarks}


def compare(rounds: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> tuple[str, list[str]]:
    """Return a table, and the benchmarks that have become slower.

    Args:
        rounds: medians before and now, by name; those after the first may lack names.
    """
    names = sorted({*rounds[0][0]} & {*rounds[0][1]})
    lines = [
        "| benchmark | before, ms | now, ms | ratio, median | lowest | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    slower = []
    for name in names:
        pairs = [(before[name], now[name]) for before, now in rounds if name in before and name in now]
        ratios = [now / before for before, now in pairs]
        if min(ratios) > TOLERANCE:
            slower.append(name)
        before, now = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
        verdict = "**slower**" if min(ratios) > TOLERANCE else ""
        lines.append(
            f"| {name} | {before:.1f} | {now:.1f} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {verdict} |"
        )
    lines += [f"| {name} | | | | | not in both |" for name in sorted({*rounds[0][0], *rounds[0][1]} - set(names))]
    return "\n".join(lines), slower


def measure(tree: Path, folder: Path, names: Sequence[str] = ()) -> dict[str, float]:
    """Run benchmarks, all where none is named, on the code of a tree, which comes before what is installed."""
    packages = [tree, *(path for path in (tree / "plugins").iterdir() if (path / "pyproject.toml").exists())]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, packages)),
        "FER_BENCH_SPEED_DIR": str(folder / f"done-{tree.name}"),
    }
    output = folder / "measured.json"
    output.unlink(missing_ok=True)
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "--benchmark-only", f"--benchmark-json={output}"]
    tests = [f"{BENCHMARKS}::{name}" for name in names] or [str(BENCHMARKS)]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    done = subprocess.run(command, env=environment, cwd=tree, capture_output=True, text=True)
    # What the earlier commit cannot run is named; what ours cannot would be missing without a word.
    if not output.exists() or not output.stat().st_size or (done.returncode and tree == ROOT):
        raise SystemExit(f"The benchmarks do not run on {tree}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return medians(output)


def measure_rounds(before: Path, folder: Path, most: int) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return medians before and now of each round, until no benchmark is slower in all or there are `most` rounds."""
    rounds: list[tuple[dict[str, float], dict[str, float]]] = []
    slower: list[str] = []
    while len(rounds) < most and (slower or not rounds):
        trees = [before, ROOT] if len(rounds) % 2 == 0 else [ROOT, before]
        measured = {tree: measure(tree, folder, slower) for tree in trees}
        rounds.append((measured[before], measured[ROOT]))
        _, slower = compare(rounds)
        print(f"round {len(rounds)} of at most {most}", file=sys.stderr, flush=True)
    return rounds


def main() -> None:
    """Measure both commits in turn, print the table, and exit 1 where something has become slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="HEAD~1", help="the earlier commit")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at most; one where nothing is slower in it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), Path(name) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(before), given.against], check=True)
        try:
            rounds = measure_rounds(before, folder, given.rounds)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=False)
    table, slower = compare(rounds)
    print(table)
    if slower:
        raise SystemExit(f"Slower than {given.against} by more than {TOLERANCE - 1:.0%} in every round: {slower}")


if __name__ == "__main__":
    main()
