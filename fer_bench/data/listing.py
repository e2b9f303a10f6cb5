"""What an adapter reads, before any picture is opened, and a manifest of it for people to edit."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from fer_bench.atomic import write_file
from fer_bench.data.place import locate
from fer_bench.data.records import quiet
from fer_bench.errors import DataError, FerBenchError
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import DatasetSpec, Sample

MANIFEST = "manifest.csv"
_ALWAYS = ("path", "label", "subject")
"""Columns that a manifest has even where they are empty, to be filled in."""


def list_samples(dataset: Component[DatasetSpec], data_dir: Path) -> tuple[Path, list[Sample]]:
    """Return the folder of a data set, and its samples as its adapter reads them.

    Raises:
        DataError: the data are not there, or have faults; all are listed. Pictures are not opened.
        PluginError: the adapter failed.
    """
    place = locate(dataset, data_dir)
    if place.manual is None or not place.manual.is_dir():
        raise DataError(f"There is no folder {str(place.manual or dataset)!r}. {dataset.spec.access}")
    with tempfile.TemporaryDirectory() as scratch, quiet():
        builder = place.builder(
            spec=dataset.spec,
            params=cast("Any", dataset.params),
            root=place.manual,
            data_dir=Path(scratch),
            config="listing",
        )
        samples = list(builder._read_guarded())
    if builder.faults:
        raise builder.faults.error(
            f"{str(place.manual)!r} has {number_of(len(builder.faults), 'fault')}; nothing was written."
        )
    return place.manual, samples


def write_manifest(folder: Path, samples: Sequence[Sample]) -> tuple[Path, list[str]]:
    """Write ``manifest.csv`` into the folder of some samples whose images are paths; return it and its columns.

    Raises:
        FerBenchError: there is a manifest already, or a name that is not UTF-8; or the folder cannot be written.
    """
    if existing := sorted(entry.name for entry in folder.iterdir() if entry.stem.lower() == "manifest"):
        raise FerBenchError(
            f"{str(folder / existing[0])!r} is there already, and nothing was written. Edit that, or move it elsewhere."
        )
    rows = [
        {
            **{"path": Path(cast("Path", sample.image)).as_posix(), "label": sample.label, "subject": sample.subject},
            **{"sequence": sample.sequence, "split": sample.split, **sample.groups},
        }
        for sample in samples
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [name for name in names if name in _ALWAYS or any(row.get(name) for row in rows)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    try:
        content = text.getvalue().encode()
    except UnicodeEncodeError as error:
        raise FerBenchError(
            f"A name in {str(folder)!r} is not valid UTF-8: {error.object[max(0, error.start - 20) : error.end]!r}. "
            "Rename that file."
        ) from None
    write_file(folder / MANIFEST, content, "the manifest")
    return folder / MANIFEST, columns
