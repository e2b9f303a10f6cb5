"""A cell: one fold and seed of one data set x protocol x backbone x strategy.

Its name is the hash of all that decides its result.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fer_bench.numerics import NUMERICS

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
SCHEMA = 2
"""Version of the files in a cell's folder; since 2, the record holds the version of the core's numerics."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What decides a cell's result; each part is plain JSON.

    Attributes:
        dataset: from `fer_bench.tasks.view.View.identity`, with ``text``, as the user typed it.
        protocol: from `fer_bench.tasks.protocols.Split.identity`.
        backbone: from `fer_bench.networks.backbone.identity`, with ``text``.
        strategy: package, version, name, parameters and code, with ``text``.
        fold: 0 to K - 1.
        seed: of folds and training.
    """

    dataset: dict[str, Any]
    protocol: dict[str, Any]
    backbone: dict[str, Any]
    strategy: dict[str, Any]
    fold: int
    seed: int

    def record(self) -> dict[str, Any]:
        """Return the cell as it is stored in ``cell.json``."""
        return {
            "schema": SCHEMA,
            "numerics": NUMERICS,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "backbone": self.backbone,
            "strategy": self.strategy,
            "fold": self.fold,
            "seed": self.seed,
        }

    @property
    def id(self) -> str:
        """The sha256 of the record's canonical JSON."""
        return record_id(self.record())

    def __str__(self) -> str:
        method = f"{self.dataset['text']} / {self.backbone['text']} / {self.strategy['text']}"
        return f"{method} / seed {self.seed} / fold {self.fold}"


def record_id(record: dict[str, Any]) -> str:
    """Return the sha256 of ``record`` as canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(CANONICAL.encode(record).encode()).hexdigest()


def shared_part(record: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's record without fold, seed and the splits that the seed drew."""
    shared = {key: value for key, value in record.items() if key not in ("fold", "seed", "schema")}
    protocol = {key: value for key, value in record["protocol"].items() if key != "splits_sha256"}
    return {**shared, "protocol": protocol}
