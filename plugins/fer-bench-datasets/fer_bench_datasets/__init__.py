"""The standard facial-expression data sets for fer-bench, and one that is drawn; imports nothing heavy."""

from __future__ import annotations

from fer_bench import hookimpl
from fer_bench.labels import BASIC_7
from fer_bench.specs import DatasetSpec

from . import catalogue_posed, catalogue_tables, catalogue_wild
from .facts import meanings
from .params import SyntheticParams


@hookimpl
def fer_bench_datasets() -> list[DatasetSpec]:
    """Return the data sets of this package."""
    return [
        *catalogue_wild.SPECS,
        *catalogue_tables.SPECS,
        *catalogue_posed.SPECS,
        DatasetSpec(
            name="synthetic",
            title="faces drawn by this package, of no real person",
            builder="fer_bench_datasets.synthetic_dataset:Synthetic",
            labels=BASIC_7,
            expressions=meanings(BASIC_7),
            identity="yes",
            licence="Apache-2.0, drawn by fer-bench-datasets",
            citation="fer-bench-datasets",
            synthetic=True,
            params=SyntheticParams,
        ),
    ]
