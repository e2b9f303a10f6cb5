"""Prepare a data set: read what the user has, check all of it, and write it once in the form that runs read.

Data lie under one folder::

    <data_dir>/manual/<name>/…                          what the user puts there, never written to
    <data_dir>/prepared/<name>/<config>/<version>/      records (TFDS), samples.parquet, prepared.json

A data set is prepared again if its parameters, the builder's version or the format of these files changed, or if files
in the manual folder were added, removed, resized or touched since: names, sizes and times are compared, not content. If
the manual folder is gone, what was prepared stays good. `Prepared.verify` compares content.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import pandas as pd
import tensorflow_datasets as tfds
from filelock import FileLock

from fer_bench.data.builder import FerBuilder, Progress
from fer_bench.data.index import GROUP, compare_counts, count_labels, fingerprint, write_index
from fer_bench.data.names import nearly_equal
from fer_bench.data.place import Place, check_data_dir, locate, stored_params
from fer_bench.data.prepared import INDEX_FILE, SCHEMA, SUMMARY_FILE, Prepared, describe_file, digest
from fer_bench.data.records import file_format, quiet
from fer_bench.data.understood import unused_subjects
from fer_bench.errors import DataError, FerBenchError
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import DatasetSpec


def find_prepared(dataset: Component[DatasetSpec], data_dir: Path) -> Prepared | None:
    """Return ``dataset`` if it is prepared with these parameters, else None; does not look at the manual folder."""
    return _open(dataset, locate(dataset, data_dir).prepared)


def old_format(dataset: Component[DatasetSpec], data_dir: Path) -> str:
    """Return a sentence about ``dataset`` if an earlier or later fer-bench prepared it in another format, else ''."""
    folder = locate(dataset, data_dir).prepared
    if not (folder / SUMMARY_FILE).is_file():
        return ""
    schema = Prepared(dataset.spec, folder).summary.get("schema")
    if schema == SCHEMA:
        return ""
    return (
        f"What is prepared in {str(folder)!r} has format {schema}; this fer-bench reads and writes format {SCHEMA}. "
        "The next run prepares it again from the manual folder."
    )


def prepare(dataset: Component[DatasetSpec], data_dir: Path, progress: Progress | None = None) -> Prepared:
    """Prepare ``dataset`` unless that is done already.

    A second process that wants the same waits for the first. A process that is killed leaves nothing that counts as
    prepared.

    Args:
        dataset: the data set with its parameters.
        data_dir: the folder of all data.
        progress: called with the number of samples done and, where known, of all.

    Raises:
        DataError: the data are not there, or have faults; all are listed.
        PluginError: the adapter failed.
        FerBenchError: the folder cannot be written, or the disk is full.
    """
    check_data_dir(data_dir)
    place = locate(dataset, data_dir)
    listing = _list_files(place.manual)
    prepared = _open(dataset, place.prepared)
    if prepared is not None and _is_current(prepared, listing):
        prepared.check()
        return prepared
    if place.manual is not None and listing is None:
        old = old_format(dataset, data_dir)
        raise DataError(
            f"Data set {str(dataset)!r} is not there: expected it in {str(place.manual)!r}. "
            + (f"{old} Put the data back there. " if old else "")
            + dataset.spec.access
        )
    folder, version = place.prepared.parent, place.prepared.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{version}.lock"):
            prepared = _open(dataset, place.prepared)
            if prepared is not None and _is_current(prepared, listing):
                prepared.check()
                return prepared
            for leftover in folder.glob(f".preparing-{version}-*"):
                shutil.rmtree(leftover)
            scratch = Path(tempfile.mkdtemp(prefix=f".preparing-{version}-", dir=folder))
            try:
                _replace(_write(dataset, place, scratch, listing, progress), place.prepared, scratch)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise FerBenchError(
            f"Cannot write the prepared data set {str(dataset)!r} to {str(place.prepared)!r}: "
            f"{error.strerror or error}. Free space or permit writing there, or choose another folder with --data-dir."
        ) from error
    return Prepared(dataset.spec, place.prepared)


def _write(
    dataset: Component[DatasetSpec], place: Place, scratch: Path, listing: str | None, progress: Progress | None
) -> Path:
    """Write everything below ``scratch`` and return the folder that is to be moved into place."""
    with quiet(), warnings.catch_warnings():
        # Pillow warns of odd metadata in pictures that it decodes well.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        builder = place.builder(
            spec=dataset.spec,
            params=cast("Any", dataset.params),
            root=place.manual,
            data_dir=scratch,
            config=place.prepared.parent.name,
            progress=progress,
        )
        builder.download_and_prepare(
            file_format=file_format(),
            download_config=tfds.download.DownloadConfig(
                manual_dir=place.manual, try_download_gcs=False, register_checksums=False
            ),
        )
    if builder.failure is not None:
        raise builder.failure
    if builder.faults:
        where = f" in {str(place.manual)!r}" if place.manual is not None else ""
        count = len(builder.faults)
        raise builder.faults.error(
            f"Data set {str(dataset)!r}{where} has {number_of(count, 'fault')}; nothing was prepared. "
            f"Correct {'them' if count > 1 else 'it'} and prepare again:"
        )
    folder = Path(builder.data_dir)
    table = builder.index.table()
    write_index(table, folder / INDEX_FILE)
    counts = count_labels(table, builder.label_names)
    expected = builder.expected_counts(frozenset(counts))
    summary = {
        "schema": SCHEMA,
        "name": dataset.spec.name,
        "version": place.prepared.name,
        "params": stored_params(dataset),
        "place": place.source,
        "labels": list(builder.label_names),
        "samples": len(table),
        "fingerprint": fingerprint(table, builder.label_names),
        "counts": counts,
        "warnings": [*builder.notices, *compare_counts(counts, expected), *_doubts(table, builder)],
        "source": listing,
        "package": dataset.plugin.distribution,
        "versions": {
            dataset.plugin.distribution: dataset.plugin.version,
            **{name: importlib.metadata.version(name) for name in ("tensorflow-datasets", "pillow", "numpy")},
        },
    }
    summary["files"] = {file.name: describe_file(file) for file in sorted(folder.iterdir())}
    summary["digest"] = digest(summary)
    (folder / SUMMARY_FILE).write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return folder


def _doubts(table: pd.DataFrame, builder: FerBuilder) -> list[str]:
    """Return a warning for each kind of names that look alike, and for subjects that are not taken as such."""
    columns = {"subjects": "subject", "sequences": "sequence", "splits": "split"}
    columns |= {f"values of {name.removeprefix(GROUP)!r}": name for name in table.columns if name.startswith(GROUP)}
    texts = {what: table[column].unique().tolist() for what, column in columns.items()}
    # Labels that differ in case only are named with what joins them, see `fer_bench.labels.describe_spellings`.
    labels = list({name.lower(): name for name in builder.label_names}.values())
    return [*nearly_equal({"labels": labels, **texts}), *unused_subjects(table)]


def _replace(new: Path, target: Path, scratch: Path) -> None:
    """Move ``new`` to ``target``; a stale one goes to ``scratch`` first, which is deleted."""
    if target.exists():
        target.rename(scratch / "stale")
    new.rename(target)


def _open(dataset: Component[DatasetSpec], folder: Path) -> Prepared | None:
    """Return what is prepared in ``folder``, if this package made it from these parameters."""
    if not (folder / SUMMARY_FILE).is_file():
        return None
    prepared = Prepared(dataset.spec, folder)
    summary = prepared.summary
    expected = {"schema": SCHEMA, "params": stored_params(dataset), "package": dataset.plugin.distribution}
    return prepared if expected == {key: summary.get(key) for key in expected} else None


def _is_current(prepared: Prepared, listing: str | None) -> bool:
    """Return whether ``prepared`` was made from the files that are there now, or none are there any more."""
    return listing is None or prepared.summary.get("source") == listing


def _list_files(root: Path | None) -> str | None:
    """Return a hash of the names, sizes and times of all files below ``root``; None if there are none."""
    if root is None or not root.is_dir():
        return None
    digest = hashlib.sha256()
    files = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]  # They are not followed.
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            status = path.lstat()
            line = f"{path.relative_to(root)!s}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
            files += 1
    return digest.hexdigest() if files else None
