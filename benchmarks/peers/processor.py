"""Measure the four rows beside PyTorch and Keras on this processor, and print them as a table of docs/performance.md.

    tox run -e peers-processor                       # all rows, at most three rounds
    tox run -e peers-processor -- --rounds 1 --rows full

Each round takes the programs of each row in turn, every second round backwards; a round that would end after
``--minutes`` does not begin. The plain scripts and the bare steps are sampled, `fer-bench run` works from an empty
cache (`run.py`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from programs import OURS, TITLES, start
from run import export, order_of, parse, tell
from table import Round, median_ratio
from work import KINDS, native_bfloat16

from fer_bench import paths, processors

SAMPLE_S = 4.0
"""Seconds of each phase of a sampled program."""
LIMIT, PIXELS = 350, {"probe": 149, "finetune": 149, "full": 149, "forward": 299}
TORCH = ["torch-float32", "torch-bfloat16"] if native_bfloat16() else ["torch-float32"]
PROGRAMS = {
    "probe": ["ours", "torch", "keras"],
    "finetune": ["ours", "torch", "keras"],
    "full": ["ours-steps", *TORCH, "keras"],
    "forward": ["ours-steps", *TORCH, "keras"],
}
"""``torch`` takes bfloat16 where the processor multiplies it natively."""


def measure(rows: Sequence[argparse.Namespace], minutes: float, folder: Path) -> dict[str, list[Round]]:
    """Return the rounds of each row, by the row and the name of the program."""
    begun, longest = time.monotonic(), 0.0
    place = export(rows[0], LIMIT, folder / "timing")
    rounds: dict[str, list[Round]] = {options.kind: [] for options in rows}
    for number in range(rows[0].rounds):
        round_begun = time.monotonic()
        if number and round_begun - begun + longest > 60 * minutes:
            break
        for options in rows:
            order = order_of(options.programs, number)
            rounds[options.kind].append(
                {name: tell(options, number, start(name, options, place, number)) for name in order}
            )
        longest = max(longest, time.monotonic() - round_begun)
    return rounds


def to_markdown(rounds: Mapping[str, Sequence[Round]]) -> str:
    """Return one row a piece of work: how many times as long as fer-bench each peer takes, and in which rounds."""
    lines = [
        "| row | fer-bench, seconds | peer | takes times as long | by round |",
        "| --- | ---: | --- | ---: | --- |",
    ]
    for kind, taken in rounds.items():
        (ours,) = (name for name in taken[0] if name in OURS)
        seconds = [runs[ours].seconds for runs in taken]
        for peer in [name for name in PROGRAMS[kind] if name not in OURS]:
            each = [median_ratio([runs], peer, ours) for runs in taken]
            ratio = median_ratio(taken, peer, ours)
            cells = [kind, ", ".join(_text(value, 1) for value in seconds), TITLES[peer], _text(ratio, 2)]
            lines.append("| " + " | ".join([*cells, ", ".join(_text(value, 2) for value in each)]) + " |")
    return "\n".join(lines) + "\n"


def _text(number: float | None, digits: int) -> str:
    return "failed" if number is None else f"{number:.{digits}f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12, help="begin no round that ends later")
    parser.add_argument("--rounds", type=int, default=3, help="at most")
    parser.add_argument("--rows", default=",".join(KINDS), help="which of them")
    parser.add_argument("--dataset", default="synthetic", help="as in fer-bench run")
    parser.add_argument("--data-dir", type=Path, default=paths.data_dir(), help="likewise")
    options = parser.parse_args(arguments)
    rows = []
    for kind in options.rows.split(","):
        given = ["--row", kind, "--size", str(PIXELS[kind]), "--programs", ",".join(PROGRAMS[kind])]
        given += ["--limit", str(LIMIT), "--rounds", str(options.rounds)]
        row = parse([*given, "--dataset", options.dataset, "--data-dir", str(options.data_dir)])
        row.sample_seconds = SAMPLE_S
        rows.append(row)
    load, begun = os.getloadavg()[1], time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        rounds = measure(rows, options.minutes, Path(name))
    print(f"{processors.model()}, {processors.count()} cores, load {load:.1f} at the start:\n\n{to_markdown(rounds)}")
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes in all", file=sys.stderr)


if __name__ == "__main__":
    main()
