"""``fer-bench data audit``: copies, conflicting labels, blank and tiny images, people in two splits; leaks of folds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.data_options import AsJson, DataDir, Names, each, show_progress
from fer_bench.cli.output import print_json, print_tables
from fer_bench.errors import FerBenchError
from fer_bench.reports.table import Cell, Column, Table, numbers, texts
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.arrays import Array
    from fer_bench.audit.audit import Audit
    from fer_bench.audit.signatures import Signatures
    from fer_bench.config import RunConfig
    from fer_bench.data.prepared import Prepared
    from fer_bench.registry import Component, Registry
    from fer_bench.specs import DatasetSpec

EXAMPLES = """\b
Examples:
  fer-bench data audit fer2013
  fer-bench data audit fer2013 --protocol kfold --folds 10
  fer-bench data audit fer2013 mmafedb --sheet copies.png
  fer-bench data audit fer2013 --json > known.json
  fer-bench data audit fer2013 --known known.json
"""

NEAR = "Near copies are alike. In posed sets and on aligned faces they are often two photographs: look at --sheet."
"""What a table with near copies says of them."""

SETTINGS = ("protocol", "folds", "repeats", "test_split", "leak_free", "seeds", "split_seeds", "labels", "limit")
"""What it takes of `fer_bench.config.RunConfig`, for the folds that it looks at."""


@dataclass(frozen=True, eq=False)
class Audited:
    """A data set with its audit; ``rows`` are those that its parameters choose, and that the audit reports on."""

    dataset: Component[DatasetSpec]
    prepared: Prepared
    signatures: Signatures
    rows: Array
    audit: Audit


def audit(
    context: typer.Context,
    datasets: Names,
    data_dir: DataDir,
    sheet: Annotated[Path | None, typer.Option(help="draw the copies; with several data sets, a file for each")] = None,
    known: Annotated[
        Path | None, typer.Option(help="file of known issues: exit 1 for one that is new, or stale")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report exact and near copies, conflicting labels, blank and tiny images, subjects in several splits.

    With --protocol, the report also says how many copies of training images the test folds of that protocol contain.
    The result is stored with the prepared data, and later runs keep copies in one fold, unless --no-leak-free is given.
    """
    from fer_bench.audit.known import compare_known, read_known

    (config,) = options.make_config(context)
    registry = _registry_for(config) if options.settings_of(context)["protocol"] else None
    listed = read_known(known) if known else {}
    audited: dict[str, Audited] = {}
    each(datasets, lambda dataset: audited.update({str(dataset): _audit(dataset, data_dir)}))
    near = {(one, other): _across(audited[one], audited[other]) for one, other in itertools.combinations(audited, 2)}
    leaks = [row for one in audited.values() for row in _leaks(one, config, registry)] if registry else []
    if as_json:
        _print_json(audited, near, leaks)
    else:
        _print(audited, near, leaks)
    if sheet:
        for name, one in audited.items():
            _draw(sheet if len(audited) == 1 else _named(sheet, name), one, audited, near)
    if known:
        stray = [f"{name}: listed, but not audited here" for name in listed if name not in audited]
        lines = [line for name, one in audited.items() for line in compare_known(name, one.audit, listed)]
        clean = [f"{name}: every finding is listed, and no entry is stale." for name in audited]
        for line in (*stray, *(lines or clean)):
            console.warn(line)
        if lines:
            raise typer.Exit(1)


def _audit(dataset: Component[DatasetSpec], data_dir: Path) -> Audited:
    from fer_bench.audit import signatures
    from fer_bench.audit.audit import audit as make_audit
    from fer_bench.data.prepare import prepare
    from fer_bench.tasks.view import select

    prepared = prepare(dataset, data_dir)
    rows = select(dataset, prepared, None).rows
    signature = signatures.load(prepared)
    if signature is None:
        # A copy of an image outside of these rows may be wanted later: all images are read.
        title = f"{dataset.spec.name}: "
        with show_progress(title + "images read", title + "pairs compared") as (reading, comparing):
            signature = signatures.compute(prepared, reading, comparing)
        try:
            signatures.store(signature, prepared)
        except FerBenchError as error:
            console.warn(f"Warning: {error} Folds will not know of the copies.")
    return Audited(dataset, prepared, signature, rows, make_audit(prepared, signature, rows))


def _across(first: Audited, second: Audited) -> Array:
    """Return the near copies of two data sets, (m, 2) places in their rows; they are kept for folds of runs on both."""
    import numpy as np

    from fer_bench.audit import across

    near = across.load(first.prepared, second.prepared)
    if near is None:
        with show_progress(f"{first.dataset} and {second.dataset}: pairs compared") as (progress,):
            near = across.find(first.prepared, second.prepared, (first.signatures, second.signatures), progress)
        try:
            across.store(near, first.prepared, second.prepared)
        except FerBenchError as error:
            console.warn(f"Warning: {error} Folds will not know of these copies.")
    near = np.stack(
        [one.signatures.places(one.rows)[near[:, side]] for side, one in enumerate((first, second))], axis=1
    )
    return near[(near >= 0).all(axis=1)]


def _registry_for(config: RunConfig) -> Registry:
    """Return the registry, once it is known that it has the protocol that is asked for."""
    from fer_bench.registry import Registry
    from fer_bench.tasks import protocols

    registry = Registry.load()
    protocols.find(config, registry)
    return registry


def _leaks(audited: Audited, config: RunConfig, registry: Registry) -> list[dict[str, Any]]:
    """Return a row a seed and fold: how many tested images share something with the images that they are trained on."""
    from fer_bench.audit.clusters import duplicate_clusters
    from fer_bench.tasks import leaks, protocols
    from fer_bench.tasks.task import Task
    from fer_bench.tasks.view import select

    view = select(audited.dataset, audited.prepared, config.limit, config.labels)
    (clusters,) = duplicate_clusters([audited.prepared])
    if clusters is None:
        raise FerBenchError(f"The audit of {str(audited.dataset)!r} could not be stored, so folds cannot be looked at.")
    task = Task((view,), () if config.leak_free is False else (clusters[view.rows],))
    protocol, _ = protocols.choose(config, task, registry)
    splits = [protocols.split(protocol, task, config, seed) for seed in config.split_seeds or config.seeds]
    keys = leaks.keys(view, audited.signatures)
    return [
        {"dataset": str(audited.dataset), "protocol": split.text, "seed": split.seed, **row}
        for split in splits
        for row in leaks.count(split, keys)
    ]


def _print_json(audited: dict[str, Audited], near: dict[tuple[str, str], Array], leaks: list[dict[str, Any]]) -> None:
    from fer_bench.audit.audit import compare

    record: dict[str, dict[str, Any]] = {name: one.audit.record() for name, one in audited.items()}
    for name, own in record.items():
        own["leaks"] = [row for row in leaks if row["dataset"] == name]
        own["across"] = []
    counts = (
        compare({name: one.signatures.of(one.rows) for name, one in audited.items()}, near) if len(audited) > 1 else []
    )
    for row in counts:
        one, other = row["images of"], row["in"]
        rows = near[one, other] if (one, other) in near else near[other, one][:, ::-1]
        ids = [audited[name].prepared.samples["id"].astype(str).to_numpy()[audited[name].rows] for name in (one, other)]
        pairs = [[str(ids[0][a]), str(ids[1][b])] for a, b in rows]
        record[one]["across"].append({"in": other, "exact": row["exact"], "near": row["exact or near"], "pairs": pairs})
    print_json(record)


def _print(audited: dict[str, Audited], near: dict[tuple[str, str], Array], leaks: list[dict[str, Any]]) -> None:
    from fer_bench.audit.audit import compare

    tables = [
        Table(
            "", (Column(name), Column("number", "number")), tuple((what, _number(n)) for what, n in one.audit.summary())
        )
        for name, one in audited.items()
    ]
    if len(audited) > 1:
        counts = compare({name: one.signatures.of(one.rows) for name, one in audited.items()}, near)
        columns = (*texts("images of", "with a copy in"), *numbers("exact", "exact or near"))
        tables.append(Table("", columns, tuple(tuple(row.values()) for row in counts)))
    if leaks:
        shared = [key for key in leaks[0] if key not in ("dataset", "protocol", "seed", "fold", "tested")]
        heads = [f"with {what} in training" for what in shared]
        columns = (*texts("data set", "protocol"), *numbers("seed", "fold", "tested", *heads))
        rows = [
            (
                *(str(row[key]) for key in ("dataset", "protocol", "seed", "fold")),
                *(_number(row[key]) for key in ("tested", *shared)),
            )
            for row in leaks
        ]
        tables.append(Table("", columns, tuple(rows)))
    if any(len(one.audit.near) for one in audited.values()) or any(map(len, near.values())):
        tables.append(Table(notes=(NEAR,)))
    print_tables(*tables)


def _number(number: int | None) -> Cell:
    return "not known" if number is None else number


def _draw(file: Path, one: Audited, audited: dict[str, Audited], near: dict[tuple[str, str], Array]) -> None:
    import numpy as np

    from fer_bench.audit.sheet import draw_sheet, write_sheet

    name = str(one.dataset)
    elsewhere = [
        (other, audited[other].prepared, np.stack([one.rows[pairs[:, 0]], audited[other].rows[pairs[:, 1]]], axis=1))
        for (first, other), pairs in near.items()
        if first == name
    ]
    picture, left_out = draw_sheet(one.audit, one.prepared, elsewhere)
    write_sheet(picture, file)
    undrawn = f"; {number_of(left_out, 'more group is', 'more groups are')} not drawn" if left_out else ""
    console.warn(f"Copies drawn in {file}{undrawn}.")


def _named(file: Path, name: str) -> Path:
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
    return file.with_stem(f"{file.stem}-{safe}")
