"""What every program of the comparison is given and gives back, so that only the program differs.

The runner writes one npz: ``images`` (n, h, w, 1 or 3) uint8, ``labels`` (n,) int64 and ``fold`` (n,) int64, the
fold in which an image is tested. A program answers with one JSON file: what it is, its seconds, and the class that it
predicts for each image (null where it was not asked to do the whole work).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

KINDS = ("probe", "finetune", "full", "forward")
"""A head; a head, then blocks 13 and 14; all parameters; the features alone."""

HEAD_RATE, TAIL_RATE = 1e-3, 1e-4
"""Adam's learning rates: of a new head, and of anything that is pre-trained."""


@dataclass
class Work:
    """Images with their folds, and what to do with them."""

    images: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    options: argparse.Namespace
    predictions: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.predictions = np.zeros_like(self.labels)

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (training rows, test rows) of each fold; of the first alone where a sample is timed."""
        numbers = range(1 if self.options.sample else int(self.fold.max()) + 1)
        return [(np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)) for k in numbers]


@dataclass
class Clock:
    """Seconds of each phase, and of the whole work if every fold and epoch costs what the timed ones did."""

    sample: bool
    folds: int
    measured: float = 0.0
    whole: float = 0.0

    def time(self, run: Callable[[], None], epochs: int = 1) -> None:
        """Time ``run``, which does one epoch where a sample is timed, else all ``epochs``; count it as all."""
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        self.measured += seconds
        self.whole += seconds * epochs * self.folds if self.sample else seconds


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
    parser.add_argument("--sample", action="store_true", help="time one epoch of the first fold, and scale")
    more(parser)
    options = parser.parse_args()
    with np.load(options.images) as file:
        return Work(file["images"], file["labels"], file["fold"], options)


def clock(work: Work) -> Clock:
    return Clock(work.options.sample, int(work.fold.max()) + 1)


def write_answer(work: Work, program: str, clock: Clock) -> None:
    """Write the answer; predictions count only where every fold was tested."""
    whole = not work.options.sample and work.options.kind != "forward"
    answer = {
        "program": program,
        "measured_s": clock.measured,
        "whole_s": clock.whole,
        "predictions": work.predictions.tolist() if whole else None,
    }
    work.options.output.write_text(json.dumps(answer), encoding="utf-8")


def native_bfloat16() -> bool:
    """Return whether this CPU multiplies bfloat16 itself; elsewhere it is emulated and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return bool({"amx_bf16", "avx512_bf16"} & set(flags))
