"""Run fer-bench and what users write today on the same images and folds, in turn, and print one table.

    tox run -e peers        # 140 drawn faces at 71 pixels, a linear probe in two folds
    tox run -e peers -- --data-dir DIR --dataset 'fer2013[split=training]' --limit 2100 --kind probe --rounds 3

Any data set that fer-bench knows will do, ``--data-dir`` as in ``fer-bench run``. Seconds are those of whole processes.
``--sample`` times one epoch of the first fold of the plain scripts and multiplies. That epoch compiles, too, so the
seconds, marked with a ``~``, are more than the script would take; they have no accuracy.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from table import Run, to_markdown
from work import KINDS

from fer_bench import paths
from fer_bench.cli.progress import TerminalReporter
from fer_bench.config import RunConfig
from fer_bench.data.task import Task
from fer_bench.executors.grid import expand
from fer_bench.registry import Registry
from fer_bench.results.store import Store

HERE = Path(__file__).parent
COLD, WARM = "fer-bench, empty cache", "fer-bench, again"
PEERS = {
    "keras": ("Keras", "keras_kfold.py", []),
    "torch": ("PyTorch", "torch_kfold.py", []),
    "torch-float32": ("PyTorch float32", "torch_kfold.py", ["--precision", "float32"]),
    "torch-bfloat16": ("PyTorch bfloat16", "torch_kfold.py", ["--precision", "bfloat16"]),
    "torch-compile": ("torch.compile", "torch_kfold.py", ["--compile"]),
    "torch-cached": ("PyTorch, features once", "torch_kfold.py", ["--cached"]),
}
STRATEGIES = {
    "probe": "linear-probe",
    "finetune": "finetune[epochs={tail_epochs}]",
    "full": "full[epochs={tail_epochs}]",
    "forward": "linear-probe",
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="synthetic", help="as in fer-bench run")
    parser.add_argument("--data-dir", type=Path, help="as in fer-bench run")
    parser.add_argument("--limit", type=int, default=350, help="images, balanced over the classes")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--size", type=int, default=149, help="side of the network's input, pixels")
    parser.add_argument("--kind", choices=KINDS, default="probe")
    parser.add_argument("--epochs", type=int, default=10, help="of the head")
    parser.add_argument("--tail-epochs", type=int, default=5, help="of what follows the head, or of 'full'")
    parser.add_argument("--strategy", help="fer-bench's strategy, if not the one that fits --kind")
    parser.add_argument("--peers", default="keras,torch,torch-cached", help=f"of {', '.join(PEERS)}; may be empty")
    parser.add_argument("--rounds", type=int, default=1, help="how often every program runs, in turn")
    parser.add_argument(
        "--sample", action="store_true", help="time one epoch of one fold of the plain scripts, and scale"
    )
    options = parser.parse_args(arguments)
    options.peers = [name for name in options.peers.split(",") if name]
    if unknown := [name for name in options.peers if name not in PEERS]:
        parser.error(f"no such peers: {unknown}; there are {list(PEERS)}")
    if options.kind != "probe" and "torch-cached" in options.peers:
        options.peers.remove("torch-cached")
    packages = {"keras": "tensorflow", **{name: "torch" for name in PEERS if name != "keras"}}
    if absent := {packages[name] for name in options.peers if importlib.util.find_spec(packages[name]) is None}:
        parser.error(f"not installed here: {sorted(absent)}; 'tox run -e peers' has all, or leave them out of --peers")
    return options


def export(options: argparse.Namespace, file: Path) -> Task:
    """Write the images, labels and folds that fer-bench would use to ``file``."""
    config = RunConfig(datasets=(options.dataset,), folds=options.folds, limit=options.limit, data_dir=options.data_dir)
    with tempfile.TemporaryDirectory() as cache, TerminalReporter(quiet=True) as reporter:
        grid = expand(config, Registry.load(), data_folder(options), Path(cache), reporter)
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
    np.savez(file, images=stacked, labels=block.task.labels, fold=fold)
    return block.task


def data_folder(options: argparse.Namespace) -> Path:
    return options.data_dir or paths.data_dir()


def call(command: Sequence[str | Path]) -> float:
    """Run a command to its end; return its seconds.

    Raises:
        SystemExit: it failed; shows the end of what it said.
    """
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def run_peer(name: str, options: argparse.Namespace, folder: Path) -> Run:
    title, script, extra = PEERS[name]
    weights = resources.files("fer_bench_xception") / "weights" / "imagenet.safetensors"
    sample = options.sample and name != "torch-cached" and options.kind != "forward"
    answer_file = folder / "answer.json"
    command = [sys.executable, HERE / script, "--images", folder / "work.npz", "--weights", str(weights)]
    command += ["--output", answer_file, "--kind", options.kind, "--size", str(options.size), *extra]
    command += ["--epochs", str(options.epochs), "--tail-epochs", str(options.tail_epochs)]
    elapsed = call([*command, "--sample"] if sample else command)
    answer = json.loads(answer_file.read_text(encoding="utf-8"))
    start = 0.0 if options.kind == "forward" else elapsed - answer["measured_s"]
    predictions = answer["predictions"]
    program = f"{title} ({answer['program']})"
    return Run(program, start + answer["whole_s"], sample, None if predictions is None else np.array(predictions))


def run_ours(program: str, options: argparse.Namespace, task: Task, folder: Path) -> Run:
    """Run ``fer-bench run`` into a new runs folder; the cache folder is emptied first unless it is to be warm."""
    runs, cache = folder / "runs", folder / "cache"
    shutil.rmtree(runs, ignore_errors=True)
    if program == COLD:
        shutil.rmtree(cache, ignore_errors=True)
    strategy = options.strategy or STRATEGIES[options.kind].format(**vars(options))
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", "--quiet"]
    command += ["--dataset", options.dataset, "--backbone", f"xception[input_size={options.size}]"]
    command += ["--strategy", strategy, "--folds", str(options.folds), "--limit", str(options.limit)]
    command += ["--runs-dir", runs, "--cache-dir", cache, "--data-dir", data_folder(options)]
    seconds = call(command)
    cells = Store(runs).cells()[0]
    if options.kind == "forward":
        return Run(program, len(task) / cells[0].measures["images_per_second"], False, None)
    of_id = {}
    for cell in cells:
        table = cell.predictions()
        scores = table[[f"p{index}" for index in range(len(task.classes))]].to_numpy()
        of_id.update(zip(table["id"], scores.argmax(1), strict=True))
    return Run(program, seconds, False, np.array([of_id[sample] for sample in task.ids]))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    ours = [COLD] if options.kind == "forward" else [COLD, WARM]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = export(options, folder / "work.npz")
        rounds = []
        for number in range(options.rounds):
            runs = [run_ours(program, options, task, folder) for program in ours]
            for peer in options.peers:
                runs.append(run_peer(peer, options, folder))
                print(f"round {number}: {runs[-1].program}: {runs[-1].seconds:.1f} s", file=sys.stderr, flush=True)
            rounds.append({run.program: run for run in runs})
    title = f"{options.kind}, {len(task)} images of {options.dataset}, {options.size} px, {options.folds} folds"
    print(to_markdown(title, rounds, ours, task.labels, task.groups), end="")
    load = os.getloadavg()[1]
    print(f"{options.rounds} round(s), programs in turn; {os.cpu_count()} cores, load {load:.1f} at the end.")


if __name__ == "__main__":
    main()
