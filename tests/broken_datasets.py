"""A data set with one fault at a time, chosen by the parameter ``fault``; without one it keeps every rule."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from fer_bench.data.builder import FerBuilder
from fer_bench.specs import DatasetParams, DatasetSpec, Sample

LABELS = ("glad", "sad")
READINGS = itertools.count()


class BrokenParams(DatasetParams):
    fault: str = ""


class Broken(FerBuilder):
    """Folders of pictures, one a label; a subject a picture."""

    def read(self, root: Path | None, faults) -> Iterator[Sample]:
        fault, reading = self.params.fault, next(READINGS)
        paths = sorted(root.glob("*/*.png"))
        if fault == "no-samples":
            return
        if fault == "reports":
            faults.add("list.txt", "cannot be parsed")
        if fault == "order" and reading % 2:
            paths.reverse()
        if not paths and fault == "fails-on-nothing":
            raise KeyError("no picture")
        for path in paths:
            name = path.relative_to(root).as_posix()
            if fault == "skips-unreadable":
                try:
                    Image.open(path).load()
                except OSError:
                    continue
            if fault == "opens":
                Image.open(path).load()
            yield Sample(
                id={"absolute": str(path), "same-ids": "x"}.get(fault, name),
                image=b"not a picture" if fault == "bytes" else path,
                label="bored" if fault == "label" else path.parent.name,
                split="train" if fault == "split" else "",
                subject="" if fault == "anonymous" else path.stem,
                groups={name: "1"} if fault == "ragged-groups" else {},
            )

    def count(self) -> int | None:
        return 1000 if self.params.fault == "count" else None


SPEC = DatasetSpec(
    name="broken",
    title="broken",
    builder="broken_datasets:Broken",
    labels=LABELS,
    expressions={"glad": "happiness", "sad": "sadness"},
    identity="yes",
    licence="none",
    citation="nobody",
    access="Put the folders there.",
    params=BrokenParams,
)


def write(root: Path) -> None:
    """Write three pictures a label."""
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(3):
            Image.effect_noise((16, 16), 20 + number).save(root / label / f"{number}.png")
