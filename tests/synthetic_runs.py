"""Varied runs in the real store format, from random predictions: for the page, its screenshots and the benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.results.outcomes import Measures, Provenance, Seconds
from fer_bench.results.records import BackboneRecord, Cell, DatasetRecord, LabelsRecord, ProtocolRecord, StrategyRecord
from fer_bench.results.store import Result, Store

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
DETAILS: dict[str, Any] = {
    "package": "fer-bench-xception",
    "name": "xception",
    "version": "0.1.0",
    "params": {"input_size": 299, "weights": "imagenet", "standardize": True, "max_iterations": 500},
}
"""What a record says beside the text of a data set, backbone or strategy."""


def write_runs(
    runs_dir: Path,
    *,
    datasets: int = 2,
    methods: int = 4,
    folds: int = 5,
    seeds: int = 1,
    n: int = 300,
    failed: int = 1,
    provenance: Provenance | None = None,
) -> Store:
    """Store ``datasets`` x ``methods`` x ``seeds`` x ``folds`` cells; ``failed`` of each last method fail.

    With the ``provenance`` of a real cell, the records are as long as a real one's, too.
    """
    store, rng = Store(runs_dir), np.random.default_rng(0)
    for d in range(datasets):
        true = rng.choice(7, size=n, p=(0.14, 0.03, 0.14, 0.25, 0.16, 0.11, 0.17))
        people = np.array([f"s{i}" for i in rng.integers(0, 40, size=n)])
        for m in range(methods):
            for seed in range(seeds):
                parts = np.array_split(np.random.default_rng(seed).permutation(n), folds)
                for fold, part in enumerate(parts):
                    cell = Cell(
                        dataset=DatasetRecord(
                            **{**DETAILS, "name": f"faces-{d}"},
                            text=f"faces-{d}",
                            fingerprint=f"{d:064d}",
                            classes=CLASSES,
                            labels=LabelsRecord(set="native", map={name: name for name in CLASSES}),
                            limit=None,
                            n=n,
                            samples_sha256="2" * 64,
                            synthetic=True,
                        ),
                        protocol=ProtocolRecord(
                            name="group-kfold", text="group-kfold", ignores=(), folds=folds, splits_sha256=f"{seed}"
                        ),
                        backbone=BackboneRecord(
                            **DETAILS,
                            text=f"net-{m // 2}",
                            code_sha256="0" * 64,
                            weights_sha256=None,
                            precision="float32",
                        ),
                        strategy=StrategyRecord(
                            **DETAILS, text=("linear-probe", "fine-tune")[m % 2], code_sha256="0" * 64
                        ),
                        fold=fold,
                        seed=seed,
                    )
                    if m == methods - 1 and fold < failed and not seed:
                        blank = pd.DataFrame({"phase": []})
                        result = Result("failed", "MemoryError: out of memory <b>here</b>", None, None, blank)
                    else:
                        result = _result(rng, true, people, part, skill=0.8 + 0.5 * m + 0.3 * d)
                    command = ("fer-bench", "run", "--dataset", f"faces-{d}")
                    store.write(cell, result, replace(provenance or Provenance(), command=command, python="3"))
    return store


def _result(rng: np.random.Generator, true: np.ndarray, people: np.ndarray, part: np.ndarray, skill: float) -> Result:
    logits = rng.normal(size=(len(part), len(CLASSES))) + skill * np.eye(len(CLASSES))[true[part]]
    probabilities = np.exp(1.5 * logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    table = pd.DataFrame({"id": [f"i{i}" for i in part], "group": people[part], "label": true[part]})
    for index in range(len(CLASSES)):
        table[f"p{index}"] = probabilities[:, index].astype(np.float32)
    epochs = np.arange(12)
    loss = 1.9 * np.exp(-epochs * skill / 6) + rng.normal(0, 0.03, size=12)
    measures = Measures(
        parameters=21_000_000,
        trained_parameters=14_343,
        converged=True,
        train_counts=tuple(np.bincount(true, minlength=len(CLASSES)).tolist()),
        seconds=Seconds(features=60.0, fit=2.0),
    )
    return Result("ok", "", measures, table, pd.DataFrame({"epoch": epochs, "loss": loss}))
