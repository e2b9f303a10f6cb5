"""Views of data sets that are nothing but a table of samples: all that protocols and label sets look at."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa

from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import DatasetParams, DatasetSpec
from fer_bench.tasks.view import View, select

SPEC = DatasetSpec(name="faces", title="", builder="", labels=(), identity="maybe", licence="", citation="")


def make_view(
    labels,
    subjects=None,
    splits=None,
    sequences=None,
    limit=None,
    split="",
    classes=("a", "b"),
    labels_as="native",
    name="faces",
    place="",
    sha256=None,
    first=0,
    **declared,
) -> View:
    n = len(labels)
    samples = pd.DataFrame(
        {
            "id": [f"s{first + i}" for i in range(n)],
            "label": labels,
            "subject": subjects or [""] * n,
            "sequence": sequences or [""] * n,
            "split": splits or [""] * n,
            "content": [f"{name}{first + i}" for i in range(n)],
            "sha256": [f"{name}{first + i}" for i in range(n)] if sha256 is None else sha256,
        }
    )
    table = pa.Table.from_pandas(samples)
    prepared = SimpleNamespace(
        column=lambda name: table[name],
        labels=tuple(classes),
        fingerprint="f",
        place=place or name,
        warnings=(),
        groups=(),
        splits=tuple(sorted({*(splits or ())} - {""})),
        soft_labels=lambda rows: None,
    )
    component = Component(
        replace(SPEC, name=name, **declared),
        DatasetParams(split=split),
        Plugin(name="p", distribution="p", version="1"),
    )
    return select(component, prepared, limit, labels_as)  # pyright: ignore[reportArgumentType]
