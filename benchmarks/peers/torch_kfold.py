"""K-fold transfer learning as a PyTorch user writes it: eager, channels_last, autocast; each fold starts afresh.

``--cached`` is the careful user's linear probe: features once, then scikit-learn. ``--compile`` wraps the backbone in
``torch.compile``. BatchNorm normalises by its ImageNet statistics throughout; where a block trains, its scales and
shifts do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_xception import Xception, load
from work import CLIP, HEAD_RATE, TAIL_RATE, Work, native_bfloat16, read_work


class Trainer:
    """The images on the device, and how a batch goes through a network."""

    def __init__(self, work: Work) -> None:
        self.work, self.options = work, work.options
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        auto = "bfloat16" if self.device == "cuda" or native_bfloat16() else "float32"
        self.precision = auto if self.options.precision == "auto" else self.options.precision
        self.images = torch.from_numpy(work.images.transpose(0, 3, 1, 2).copy()).to(self.device)
        self.labels = torch.from_numpy(work.labels).to(self.device)
        self.frozen: Tensor | None = None
        if self.options.frozen_once:
            base = self.base()
            below = base if self.options.kind == "probe" else base.below_tail
            self.frozen = self.outputs(below, np.arange(len(work.labels)))

    def base(self) -> Xception:
        """Return a new backbone with all parameters frozen."""
        return load(self.options.weights).to(self.device).requires_grad_(False)

    def network(self, base: Xception) -> Callable[[Tensor], Tensor]:
        """Return how a batch becomes features."""
        if self.frozen is not None:
            return base.from_tail if self.options.kind == "finetune" else nn.Identity()
        return torch.compile(base) if self.options.compile else base

    def batch(self, rows: Tensor) -> Tensor:
        if self.frozen is not None:
            return self.frozen[rows].to(self.device)
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
        rows: np.ndarray,
        number: int,
        backbone: Callable[[Tensor], Tensor],
        head: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Train for ``number`` epochs."""
        params = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for _ in range(number):
            for part in torch.from_numpy(np.random.permutation(rows)).split(self.options.batch):
                with self.autocast():
                    loss = F.cross_entropy(head(backbone(self.batch(part))).float(), self.labels[part])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(params, CLIP)
                optimizer.step()


def cross_validate(trainer: Trainer) -> None:
    """Train a network in every fold and predict its test part."""
    for train, test in trainer.work.folds():
        run_fold(trainer, train, test)


def run_fold(trainer: Trainer, train: np.ndarray, test: np.ndarray) -> None:
    """Train a new network on the rows ``train`` and predict the rows ``test``."""
    work, options = trainer.work, trainer.options
    base = trainer.base()
    backbone = trainer.network(base)
    head = nn.Linear(2048, work.classes).to(trainer.device)

    def phase(name: str, epochs: int, params: Iterable[nn.Parameter], rate: float) -> None:
        optimizer = torch.optim.Adam(params, rate)
        work.time(name, train, lambda rows, number: trainer.epochs(rows, number, backbone, head, optimizer), epochs)

    if options.kind == "full":
        base.requires_grad_(True)
        phase("full", options.tail_epochs, [*base.parameters(), *head.parameters()], TAIL_RATE)
    else:
        phase("head", options.epochs, head.parameters(), HEAD_RATE)
    if options.kind == "finetune":
        tail = base.tail()
        for parameter in tail:
            parameter.requires_grad_(True)
        phase("tail", options.tail_epochs, [*tail, *head.parameters()], TAIL_RATE)

    def predict(rows: np.ndarray, _: int) -> None:
        work.predictions[rows] = trainer.outputs(lambda x: head(backbone(x)), rows).argmax(1).numpy()

    work.time("predict", test, predict)


def probe_cached_features(trainer: Trainer) -> None:
    """Compute features once, then fit scikit-learn's logistic regression in every fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    work = trainer.work

    def run(rows: np.ndarray, _: int) -> None:
        features = trainer.outputs(trainer.network(trainer.base()), rows).numpy()
        for train, test in work.folds():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            work.predictions[test] = model.fit(features[train], work.labels[train]).predict(features[test])

    work.time("features and heads", np.arange(len(work.labels)), run)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--cached", action="store_true", help="with --kind probe: features once, then scikit-learn")
    parser.add_argument("--compile", action="store_true", help="torch.compile the backbone")


def main() -> None:
    work = read_work(__doc__ or "", add_options)
    torch.manual_seed(work.options.seed)
    np.random.seed(work.options.seed)
    trainer = Trainer(work)
    if work.options.kind == "forward":
        network = trainer.network(trainer.base())
        work.time("forward", np.arange(len(work.labels)), lambda rows, _: trainer.outputs(network, rows))
    elif work.options.cached:
        probe_cached_features(trainer)
    else:
        cross_validate(trainer)
    work.answer(f"PyTorch {torch.__version__}, channels_last {trainer.precision}")


if __name__ == "__main__":
    main()
