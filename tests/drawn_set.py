"""A data set for tests, of two classes of tiny pictures in ``<class>/*.png``; as a program, it prepares that."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field

from fer_bench.data.builder import FerBuilder
from fer_bench.data.images import encode_png
from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import DatasetParams, DatasetSpec, Sample


class Params(DatasetParams):
    """Those that are marked as a view change nothing that is prepared."""

    pace_s: float = Field(0.0, json_schema_extra={"view": True})
    note: str = Field("", json_schema_extra={"view": True})
    upper: bool = False
    tag: str = ""


class Folder(FerBuilder):
    """Reads the pictures, slowly if asked to, and leaves a line in the file ``note`` each time it does."""

    def read(self, root, faults) -> Iterator[Sample]:
        with Path(self.params.note or os.devnull).open("a") as file:
            file.write("read\n")
        for path in sorted(root.glob("*/*")):
            time.sleep(self.params.pace_s)
            name, label = path.relative_to(root).as_posix(), path.parent.name
            yield Sample(
                id=name.upper() if self.params.upper else name,
                image=path,
                label=label,
                split="train" if path.stem < "5" else "test",
                subject=path.stem[:1],
                sequence="s",
                groups={"tone": "dark"} if label == "sad" else {},
            )


class Plan(FerBuilder):
    """Yields what a test put into ``SAMPLES``, and raises what it put there to be raised."""

    SAMPLES: ClassVar[list[Sample | Exception]] = []

    def read(self, root, faults) -> Iterator[Sample]:
        for sample in self.SAMPLES:
            if isinstance(sample, Exception):
                raise sample
            yield sample


def component(builder: str = "Folder", **values) -> Component[DatasetSpec]:
    spec = DatasetSpec(
        name="drawn-set",
        title="drawn",
        builder=f"drawn_set:{builder}",
        labels=("happy", "sad"),
        identity="yes",
        licence="none",
        citation="none",
        access="Draw it." if builder == "Folder" else "",
        splits=("train", "test"),
        expected_counts=values.pop("expected", {}),
        params=Params,
    )
    return Component(spec, Params(**values), Plugin(name="tests", distribution="fer-bench-tests", version="1"))


def draw_images(data_dir: Path) -> Path:
    """Draw ten pictures of 6 x 5 pixels, five a class, every second in colour."""
    rng = np.random.default_rng(0)
    for label in ("happy", "sad"):
        folder = manual(data_dir) / label
        folder.mkdir(parents=True)
        for number in (1, 2, 3, 7, 8):
            shape = (6, 5, 3) if number % 2 else (6, 5)
            (folder / f"{number}.png").write_bytes(encode_png(rng.integers(0, 256, shape, np.uint8)))
    return data_dir


def manual(data_dir: Path) -> Path:
    return data_dir / "manual" / "drawn-set"


def faults_of(dataset: Component[DatasetSpec], data_dir: Path) -> list[str]:
    """Return what is said to be wrong, having checked that nothing was prepared."""
    with pytest.raises(DataError) as caught:
        prepare(dataset, data_dir)
    assert not list(data_dir.rglob("prepared.json"))
    return [line.strip(" -") for line in str(caught.value).splitlines()[1:]]


if __name__ == "__main__":
    print("started", flush=True)
    prepared = prepare(component(pace_s=float(sys.argv[2]), note=sys.argv[3]), Path(sys.argv[1]))
    print(prepared.fingerprint, "tensorflow" in sys.modules, "jax" in sys.modules)
