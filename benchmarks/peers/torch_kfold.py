"""K-fold transfer learning as a PyTorch user writes it: eager, channels_last, autocast; each fold starts afresh.

``--cached`` is the careful user's linear probe: features once, then scikit-learn. ``--compile`` wraps the backbone in
``torch.compile``. BatchNorm keeps its ImageNet statistics throughout.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_xception import load
from work import HEAD_RATE, TAIL_RATE, Clock, Work, clock, native_bfloat16, read_work, write_answer


class Trainer:
    """The images on the device, and how a batch goes through a network."""

    def __init__(self, work: Work) -> None:
        self.work, self.options = work, work.options
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        auto = "bfloat16" if self.device == "cuda" or native_bfloat16() else "float32"
        self.precision = auto if self.options.precision == "auto" else self.options.precision
        self.images = torch.from_numpy(work.images.transpose(0, 3, 1, 2).copy()).to(self.device)
        self.labels = torch.from_numpy(work.labels).to(self.device)

    def base(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """Return a new backbone with all parameters frozen, and how to call it."""
        base = load(self.options.weights).to(self.device).requires_grad_(False)
        return base, torch.compile(base) if self.options.compile else base

    def batch(self, rows: Tensor) -> Tensor:
        size = self.options.size
        x = F.interpolate(self.images[rows].float(), (size, size), mode="bilinear", antialias=True)
        return x.div_(127.5).sub_(1).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def outputs(self, network: Callable[[Tensor], Tensor], rows: np.ndarray) -> Tensor:
        """Return what ``network`` gives for ``rows``, without gradients."""
        with torch.no_grad(), self.autocast():
            parts = torch.from_numpy(rows).split(self.options.batch)
            return torch.cat([network(self.batch(part)).float() for part in parts]).cpu()

    def epochs(
        self,
        number: int,
        rows: np.ndarray,
        backbone: Callable[[Tensor], Tensor],
        head: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Train for ``number`` epochs."""
        for _ in range(number):
            for part in torch.from_numpy(np.random.permutation(rows)).split(self.options.batch):
                with self.autocast():
                    loss = F.cross_entropy(head(backbone(self.batch(part))).float(), self.labels[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def cross_validate(trainer: Trainer, clock: Clock) -> None:
    """Train a network in every fold and predict its test part."""
    for train, test in trainer.work.folds():
        run_fold(trainer, clock, train, test)


def run_fold(trainer: Trainer, clock: Clock, train: np.ndarray, test: np.ndarray) -> None:
    """Train a new network on the rows ``train`` and predict the rows ``test``."""
    work, options = trainer.work, trainer.options
    base, backbone = trainer.base()
    head = nn.Linear(2048, work.classes).to(trainer.device)

    def phase(epochs: int, params: Iterable[nn.Parameter], rate: float) -> None:
        optimizer = torch.optim.Adam(params, rate)
        once = 1 if options.sample else epochs
        clock.time(lambda: trainer.epochs(once, train, backbone, head, optimizer), epochs)

    if options.kind == "full":
        base.requires_grad_(True)
        phase(options.tail_epochs, [*base.parameters(), *head.parameters()], TAIL_RATE)
    else:
        phase(options.epochs, head.parameters(), HEAD_RATE)
    if options.kind == "finetune":
        tail = base.tail()
        for parameter in tail:
            parameter.requires_grad_(True)
        phase(options.tail_epochs, [*tail, *head.parameters()], TAIL_RATE)

    def predict() -> None:
        work.predictions[test] = trainer.outputs(lambda x: head(backbone(x)), test).argmax(1).numpy()

    clock.time(predict)


def probe_cached_features(trainer: Trainer, clock: Clock) -> None:
    """Compute features once, then fit scikit-learn's logistic regression in every fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    work = trainer.work

    def run() -> None:
        features = trainer.outputs(trainer.base()[1], np.arange(len(work.labels))).numpy()
        for train, test in work.folds():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            work.predictions[test] = model.fit(features[train], work.labels[train]).predict(features[test])

    clock.time(run)


def pass_forward(trainer: Trainer, clock: Clock) -> None:
    """Compute the features of all images, after a batch to warm up."""
    _, backbone = trainer.base()
    trainer.outputs(backbone, np.arange(min(trainer.options.batch, len(trainer.work.labels))))
    clock.time(lambda: trainer.outputs(backbone, np.arange(len(trainer.work.labels))))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--cached", action="store_true", help="with --kind probe: features once, then scikit-learn")
    parser.add_argument("--compile", action="store_true", help="torch.compile the backbone")


def main() -> None:
    work = read_work(__doc__ or "", add_options)
    torch.manual_seed(0)
    np.random.seed(0)
    trainer, seconds = Trainer(work), clock(work)
    if work.options.kind == "forward":
        pass_forward(trainer, seconds)
    elif work.options.cached:
        probe_cached_features(trainer, seconds)
    else:
        cross_validate(trainer, seconds)
    write_answer(work, f"PyTorch {torch.__version__}, channels_last {trainer.precision}", seconds)


if __name__ == "__main__":
    main()
