"""What every program of the comparison is given and gives back, so that only the program differs.

The runner writes one npz: ``images`` (n, h, w, 1 or 3) uint8, ``labels`` (n,) int64 and ``fold`` (n,) int64, the
fold in which an image is tested. A program answers with one JSON file: what it is, when it was ready to begin, the
images and seconds of each phase, and the class that it predicts for each image (null unless it did the whole work).

With ``--seconds`` a phase is timed on as many images as take about so long, after batches that compile and set the
pace outside of the timing, only in the first fold.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

KINDS = ("probe", "finetune", "full", "forward")
"""A head; a head, then blocks 13 and 14; all parameters; only the features."""

HEAD_RATE, TAIL_RATE = 1e-3, 1e-4
"""Adam's learning rates, constant: of a new head on frozen features, and of everything else."""
CLIP = 1.0
"""Largest norm of a gradient, as in fer-bench."""


@dataclass(frozen=True)
class Phase:
    """What was timed of a phase.

    Attributes:
        name: head, tail, full, predict or forward.
        images: that went through, each counted as often as it did.
        seconds: that they took.
        whole_images: that go through in the whole work.
    """

    name: str
    images: int
    seconds: float
    whole_images: int


@dataclass
class Work:
    """Images with their folds, and what to do with them."""

    images: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    options: argparse.Namespace
    predictions: np.ndarray = field(init=False)
    phases: list[Phase] = field(init=False, default_factory=list)
    start: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.predictions = np.zeros_like(self.labels)

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def sampled(self) -> bool:
        return self.options.seconds > 0

    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (training rows, test rows) of each fold; only of the first where a sample is timed."""
        numbers = range(1 if self.sampled else int(self.fold.max()) + 1)
        return [(np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)) for k in numbers]

    def time(self, name: str, rows: np.ndarray, run: Callable[[np.ndarray, int], object], epochs: int = 1) -> None:
        """Time ``run(rows, epochs)``, which takes the rows through the network in each epoch; or a sample of it."""
        if self.start is None:
            self.start = time.time() - self.options.started
        whole = len(rows) * epochs
        if not self.sampled:
            self.phases.append(Phase(name, whole, _seconds(lambda: run(rows, epochs)), whole))
            return
        # The images of a class lie together; a sample shall hold all classes.
        rows = np.random.default_rng(0).permutation(rows)
        batch = self.options.batch
        run(rows[:batch], 1)
        taken, seconds = rows[:batch], _seconds(lambda: run(rows[:batch], 1))
        batches = min(len(rows), int(self.options.seconds / seconds * batch)) // batch
        if batches > 1:
            taken = rows[: batches * batch]
            seconds = _seconds(lambda: run(taken, 1))
        in_all = int(self.fold.max()) + 1 if name != "forward" else 1
        self.phases.append(Phase(name, len(taken), seconds, whole * in_all))

    def answer(self, program: str) -> None:
        """Write the answer; predictions count only where every fold was tested."""
        whole = not self.sampled and self.options.kind != "forward"
        record = {
            "program": program,
            "start_s": self.start,
            "phases": [asdict(phase) for phase in self.phases],
            "predictions": self.predictions.tolist() if whole else None,
        }
        self.options.output.write_text(json.dumps(record), encoding="utf-8")


def read_work(description: str, more: Callable[[argparse.ArgumentParser], None] = lambda parser: None) -> Work:
    """Parse the command line and load the images."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--images", type=Path, required=True, help="npz that the runner wrote")
    parser.add_argument("--weights", type=Path, required=True, help="the safetensors file of fer-bench-xception")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--size", type=int, required=True, help="side of the network's input, pixels")
    parser.add_argument("--epochs", type=int, default=10, help="of the head")
    parser.add_argument("--tail-epochs", type=int, default=5, help="of what follows the head")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="time a sample of so many seconds a phase; 0: all")
    parser.add_argument("--started", type=float, default=time.time(), help="when the runner started this process")
    parser.add_argument("--frozen-once", action="store_true", help="compute what stays frozen once, for the accuracy")
    more(parser)
    options = parser.parse_args()
    with np.load(options.images) as file:
        return Work(file["images"], file["labels"], file["fold"], options)


def native_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 itself; elsewhere it is emulated and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return bool({"amx_bf16", "avx512_bf16"} & set(flags))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
