"""The programs of the comparison, each a process: how it is started and what run it comes to."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from table import Run, run_of

from fer_bench.results.store import Store
from fer_bench.tasks.task import Task

HERE = Path(__file__).parent
COLD, WARM = "fer-bench, empty cache", "fer-bench, again"
OURS = {"ours": COLD, "ours-again": WARM, "ours-steps": "fer-bench"}
SCRIPTS = {
    "ours-steps": ("fer_bench_steps.py", []),
    "keras": ("keras_kfold.py", []),
    "torch": ("torch_kfold.py", []),
    "torch-float32": ("torch_kfold.py", ["--precision", "float32"]),
    "torch-bfloat16": ("torch_kfold.py", ["--precision", "bfloat16"]),
    "torch-compile": ("torch_kfold.py", ["--compile"]),
    "torch-cached": ("torch_kfold.py", ["--cached"]),
}
TITLES = {
    **OURS,
    "keras": "Keras",
    "torch": "PyTorch",
    "torch-float32": "PyTorch float32",
    "torch-bfloat16": "PyTorch bfloat16",
    "torch-compile": "torch.compile",
    "torch-cached": "PyTorch, features once",
}
PACKAGES = {"keras": "tensorflow", **{name: "torch" for name in SCRIPTS if name.startswith("torch")}}
STRATEGIES = {
    "probe": "linear-probe",
    "finetune": "finetune[epochs={tail_epochs},learning_rate=1e-4,head_rate=1,schedule=constant,warmup=0,"
    "weight_decay=0,flip=false,batch=32]",
}
"""What fits the scripts: Adam at one constant rate, no decay, no mirrored images."""


@dataclass(frozen=True)
class Place:
    """Where a task of some size lies for the programs.

    Attributes:
        folder: of the npz with images and of everything that a program leaves.
        task: the samples.
        limit: how many were asked for.
    """

    folder: Path
    task: Task
    limit: int


def start(name: str, options: argparse.Namespace, place: Place, number: int) -> Run:
    """Run a program in round ``number``; one that fails comes back with the end of what it said."""
    try:
        if name in SCRIPTS:
            return run_script(name, options, place, number, options.sample_seconds)
        return run_command(name, options, place)
    except (subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
        return Run(TITLES[name], None, 0, None, f"failed in round {number}: {_reason(error)}")


def accuracy_of(name: str, options: argparse.Namespace, place: Place) -> Run:
    """Run the whole training of a program that was only sampled, with what stays frozen computed once."""
    try:
        if name in SCRIPTS:
            return run_script(name, options, place, 0, 0.0, ["--frozen-once"])
        return run_command(name, options, place)
    except (subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
        return Run(TITLES[name], None, 0, None, f"failed when its accuracy was asked for: {_reason(error)}")


def run_script(
    name: str, options: argparse.Namespace, place: Place, number: int, seconds: float, extra: Sequence[str] = ()
) -> Run:
    script, own = SCRIPTS[name]
    weights = resources.files("fer_bench_xception") / "weights" / "imagenet.safetensors"
    answer_file = place.folder / "answer.json"
    answer_file.unlink(missing_ok=True)
    command = [sys.executable, HERE / script, "--images", place.folder / "work.npz", "--weights", str(weights)]
    command += ["--output", answer_file, "--kind", options.kind, "--size", options.size, "--seed", number, *own, *extra]
    command += ["--epochs", options.epochs, "--tail-epochs", options.tail_epochs, "--started", time.time()]
    if name != "torch-cached":
        command += ["--seconds", seconds]
    elapsed = call(command, options.timeout_minutes)
    return run_of(json.loads(answer_file.read_text(encoding="utf-8")), TITLES[name], elapsed)


def run_command(name: str, options: argparse.Namespace, place: Place) -> Run:
    """Run ``fer-bench run`` into a new runs folder; the cache folder is emptied first unless it is to be warm."""
    runs, cache = place.folder / "runs", place.folder / "cache"
    shutil.rmtree(runs, ignore_errors=True)
    if OURS[name] == COLD:
        shutil.rmtree(cache, ignore_errors=True)
    strategy = options.strategy or STRATEGIES[options.kind].format(**vars(options))
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", "--quiet"]
    command += ["--dataset", options.dataset, "--backbone", f"xception[input_size={options.size}]"]
    command += ["--strategy", strategy, "--folds", options.folds, "--limit", place.limit]
    command += ["--runs-dir", runs, "--cache-dir", cache, "--data-dir", options.data_folder]
    seconds = call(command, options.timeout_minutes)
    task, of_id = place.task, {}
    for cell in Store(runs).cells()[0]:
        table = cell.table().to_pandas()
        scores = table[[f"p{index}" for index in range(len(task.classes))]].to_numpy()
        of_id.update(zip(table["id"], scores.argmax(1), strict=True))
    return Run(OURS[name], seconds, 0, np.array([of_id[sample] for sample in task.ids.to_pylist()]))


def call(command: Sequence[object], minutes: float) -> float:
    """Run a command to its end; return its seconds.

    Raises:
        subprocess.SubprocessError: it failed, or took more than so many minutes.
    """
    begun = time.perf_counter()
    subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, timeout=60 * minutes)
    return time.perf_counter() - begun


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}: {' '.join(str(error.stderr).split())[-400:]}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer in {error.timeout / 60:.0f} minutes"
    return f"{type(error).__name__}: {error}"
