"""Run fer-bench and what users write today on the same images and folds, in turn, and print one table.

    tox run -e peers        # 140 drawn faces at 71 pixels, a linear probe in two folds
    tox run -e peers -- --data-dir DIR --dataset 'fer2013[split=training]' --limit 2100 --row probe --budget-minutes 20

Any data set that fer-bench knows will do, ``--data-dir`` as in ``fer-bench run``. A row is one piece of work; without
``--budget-minutes`` every program does all of it, and seconds are those of whole processes. With it, the plain scripts
are timed on samples after a warm-up, and the table says of how many images (`work.py`); their accuracies then come from
the same training with what stays frozen computed once. Every run is printed and written to ``--results`` at once.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from programs import OURS, PACKAGES, TITLES, Place, accuracy_of, start
from table import Round, Run, to_markdown
from work import KINDS, native_bfloat16

from fer_bench import paths
from fer_bench.config import RunConfig
from fer_bench.executors.grid import expand
from fer_bench.executors.progress import TerminalReporter
from fer_bench.registry import Registry
from fer_bench.tasks.task import Task

PROGRAMS = {
    "probe": "ours,ours-again,keras,torch,torch-cached",
    "finetune": "ours,torch,keras",
    "full": "ours-steps,torch-float32,keras",
    "forward": "ours-steps,torch-float32,keras" + (",torch-bfloat16" if native_bfloat16() else ""),
}
"""What runs in a row unless ``--programs`` says otherwise."""
PHASES = {"probe": 2, "finetune": 3, "full": 2, "forward": 1}
LONGEST_SAMPLE_S = 60.0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", dest="kind", choices=KINDS, default="probe", help="the piece of work")
    parser.add_argument("--dataset", default="synthetic", help="as in fer-bench run")
    parser.add_argument("--data-dir", dest="data_folder", type=Path, default=paths.data_dir(), help="likewise")
    parser.add_argument("--limit", type=int, default=350, help="images, balanced over the classes")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", type=int, default=149, help="side of the network's input, pixels")
    parser.add_argument("--epochs", type=int, default=10, help="of the head")
    parser.add_argument("--tail-epochs", type=int, default=5, help="of what follows the head, or of 'full'")
    parser.add_argument("--strategy", help="fer-bench's strategy, if not the one that fits the row")
    parser.add_argument("--programs", help=f"of {', '.join(TITLES)}; by default those of the row")
    parser.add_argument("--rounds", type=int, default=3, help="how often every program runs, at most")
    parser.add_argument("--budget-minutes", type=float, help="sample the scripts, and begin no round that ends later")
    parser.add_argument(
        "--accuracy-limit", type=int, help="images of the accuracies of sampled programs; 0: none; default: --limit"
    )
    parser.add_argument("--timeout-minutes", type=float, default=60, help="a program that takes longer has failed")
    parser.add_argument("--results", type=Path, help="append each run to this file, one JSON object a line")
    options = parser.parse_args(arguments)
    options.programs = [name for name in (options.programs or PROGRAMS[options.kind]).split(",") if name]
    if unknown := [name for name in options.programs if name not in TITLES]:
        parser.error(f"no such programs: {unknown}; there are {list(TITLES)}")
    rows_of = {"torch-cached": ("probe",), "ours": ("probe", "finetune"), "ours-again": ("probe", "finetune")}
    rows_of["ours-steps"] = ("full", "forward")
    if wrong := [name for name in options.programs if options.kind not in rows_of.get(name, KINDS)]:
        parser.error(f"{wrong} have no part in the row {options.kind!r}")
    wanted = {PACKAGES[name] for name in options.programs if name in PACKAGES}
    if absent := {package for package in wanted if importlib.util.find_spec(package) is None}:
        parser.error(f"not installed here: {sorted(absent)}; 'tox run -e peers' has all, or choose others: --programs")
    options.sample_seconds = 0.0
    if options.budget_minutes:
        sampled = [name for name in options.programs if name not in ("ours", "ours-again", "torch-cached")]
        # Half of the time goes to starting processes and to what runs whole.
        share = options.budget_minutes * 30 / max(1, len(sampled) * PHASES[options.kind] * options.rounds)
        options.sample_seconds = min(LONGEST_SAMPLE_S, share)
    if options.accuracy_limit is None:
        options.accuracy_limit = options.limit
    return options


def export(options: argparse.Namespace, limit: int, folder: Path) -> Place:
    """Write the images, labels and folds that fer-bench would use to ``folder``."""
    folder.mkdir()
    config = RunConfig(datasets=(options.dataset,), folds=options.folds, limit=limit, data_dir=options.data_folder)
    with tempfile.TemporaryDirectory() as cache, TerminalReporter(quiet=True) as reporter:
        grid = expand(config, Registry.load(), options.data_folder, Path(cache), reporter)
    block = grid.blocks[0]
    (view,) = block.task.parts
    if view.shape is None:
        raise SystemExit(f"The images of {options.dataset!r} differ in size; the scripts take images of one size.")
    n = len(block.task)
    fold = np.full(n, -1)
    for job in block.jobs:
        fold[job.fold.test] = job.fold.number
    images = view.images(np.arange(n))
    stacked = np.stack([np.broadcast_to(image, (*image.shape[:2], view.channels)) for image in images])
    np.savez(folder / "work.npz", images=stacked, labels=block.task.labels, fold=fold)
    return Place(folder, block.task, limit)


def order_of(programs: Sequence[str], number: int) -> list[str]:
    """Return the programs in the order of round ``number``: every second one backwards.

    A warm run of ours stays behind the cold one, whose cache it finds.
    """
    order = list(programs) if number % 2 == 0 else list(reversed(programs))
    if {"ours", "ours-again"} <= set(order):
        order.remove("ours-again")
        order.insert(order.index("ours") + 1, "ours-again")
    return order


def run_rounds(options: argparse.Namespace, place: Place) -> list[Round]:
    """Run the programs in turn until all rounds are done or the budget is used."""
    rounds: list[Round] = []
    begun, longest = time.monotonic(), 0.0
    for number in range(options.rounds):
        round_begun = time.monotonic()
        if options.budget_minutes and number and round_begun - begun + longest > 60 * options.budget_minutes:
            break
        runs = {
            name: tell(options, number, start(name, options, place, number))
            for name in order_of(options.programs, number)
        }
        rounds.append({runs[name].program: runs[name] for name in options.programs})
        longest = max(longest, time.monotonic() - round_begun)
    return rounds


def tell(options: argparse.Namespace, number: int, run: Run) -> Run:
    """Print the result of a run at once, append it to ``--results``, and return the run."""
    seconds = "failed" if run.seconds is None else f"{run.seconds:.1f} s"
    print(f"round {number}: {run.program}: {seconds} {run.note}".rstrip(), file=sys.stderr, flush=True)
    if options.results:
        record = asdict(run) | {"predictions": None if run.predictions is None else run.predictions.tolist()}
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": options.kind, "limit": options.limit, "round": number, **record}) + "\n")
    return run


def accuracies(
    options: argparse.Namespace, place: Place, rounds: list[Round], folder: Path
) -> tuple[Place, list[Round]]:
    """Return the rounds with the accuracies of what was only sampled, or a round of its own on fewer images."""
    sampled = [name for name in options.programs if name not in OURS and any(run.timed for run in _runs(rounds, name))]
    if not (sampled and options.accuracy_limit and options.kind in ("probe", "finetune")):
        return place, []
    note = "accuracy of the same training with what stays frozen computed once"
    if options.accuracy_limit != options.limit:
        place = export(options, options.accuracy_limit, folder / "accuracy")
        programs = ["ours", *sampled]
        runs = [tell(options, 0, accuracy_of(name, options, place)) for name in programs]
        # Their seconds are of other work than the table's.
        untimed = [replace(run, seconds=None) if run.predictions is not None else run for run in runs]
        noted = [run if run.note or run.program == OURS["ours"] else replace(run, note=note) for run in untimed]
        return place, [{run.program: run for run in noted}]
    for name in sampled:
        run = tell(options, 0, accuracy_of(name, options, place))
        for key in [key for key in rounds[0] if key.startswith(f"{TITLES[name]} (")]:
            rounds[0][key] = replace(rounds[0][key], predictions=run.predictions, note=run.note or note)
    return place, []


def _runs(rounds: Sequence[Round], name: str) -> list[Run]:
    return [run for runs in rounds for key, run in runs.items() if key.startswith(f"{TITLES[name]} (")]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    begun, load = time.monotonic(), os.getloadavg()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = export(options, options.limit, folder / "timing")
        rounds = run_rounds(options, place)
        small, more = accuracies(options, place, rounds, folder)
    ours = [key for key in rounds[0] if key.startswith("fer-bench")]
    print(to_markdown(title(options, place.task), rounds, ours, place.task.labels, place.task.groups), end="")
    if more:
        print(to_markdown(title(options, small.task), more, ours[:1], small.task.labels, small.task.groups), end="")
    print(
        f"{len(rounds)} round(s), programs in turn, every second round backwards; {os.cpu_count()} cores, "
        f"load {load:.1f} at the start; {(time.monotonic() - begun) / 60:.0f} minutes in all."
    )


def title(options: argparse.Namespace, task: Task) -> str:
    return f"{options.kind}, {len(task)} images of {options.dataset}, {options.size} px, {options.folds} folds"


if __name__ == "__main__":
    main()
