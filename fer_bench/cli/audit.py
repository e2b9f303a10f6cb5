"""``fer-bench data audit``: copies, conflicting labels, blank and tiny images, people in two splits; leaks of folds."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli import options
from fer_bench.cli.data_options import AsJson, DataDir, Names, each, print_json, show_progress
from fer_bench.cli.tables import print_table
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.audit.audit import Audit
    from fer_bench.audit.signatures import Signatures
    from fer_bench.config import RunConfig
    from fer_bench.data.prepared import Prepared
    from fer_bench.registry import Component
    from fer_bench.specs import DatasetSpec

EXAMPLES = """\b
Examples:
  fer-bench data audit fer2013
  fer-bench data audit fer2013 --protocol kfold --folds 10
  fer-bench data audit fer2013 mmafedb --sheet copies.png
  fer-bench data audit fer2013 --json > known.json
  fer-bench data audit fer2013 --known known.json
"""


@dataclass(frozen=True, eq=False)
class Found:
    """An audited data set."""

    dataset: Component[DatasetSpec]
    prepared: Prepared
    signatures: Signatures
    audit: Audit


def audit(
    context: typer.Context,
    datasets: Names,
    data_dir: DataDir,
    sheet: Annotated[Path | None, typer.Option(help="draw the copies; with several data sets, a file for each")] = None,
    known: Annotated[
        Path | None, typer.Option(help="file of known issues: exit 1 for one that is new, or stale")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="say too what folds of this protocol let into the test: auto, kfold, group-kfold, official, …"
        ),
    ] = None,
    folds: options.Folds = None,
    repeats: options.Repeats = None,
    test_split: options.TestSplit = None,
    seeds: options.Seeds = None,
    limit: options.Limit = None,
    labels: options.Labels = None,
    leak_free: options.LeakFree = None,
    as_json: AsJson = False,
) -> None:
    """Report exact and near copies, conflicting labels, blank and tiny images, subjects in several splits.

    What it finds is kept beside the prepared data: from then on copies stay in one fold (--no-leak-free: they do not).
    """
    from fer_bench.audit.known import compare_known, read_known

    given = {**context.params, "datasets": None}
    (config,) = options.make_config({name: value for name, value in given.items() if name != "data_dir"})
    listed = read_known(known) if known else {}
    found: dict[str, Found] = {}
    each(datasets, lambda dataset: found.update({str(dataset): _audit(dataset, data_dir)}))
    near = {(one, other): _across(found[one], found[other]) for one, other in itertools.combinations(found, 2)}
    leaks = [row for one in found.values() for row in _leaks(one, config)] if protocol else []
    if as_json:
        _print_json(found, near, leaks)
    else:
        _print(found, near, leaks)
    if sheet:
        for name, one in found.items():
            _draw(sheet if len(found) == 1 else _named(sheet, name), one, found, near)
    if known:
        stray = [f"{name}: listed, but not audited here" for name in listed if name not in found]
        lines = [line for name, one in found.items() for line in compare_known(name, one.audit, listed)]
        said = [f"{name}: every finding is listed, and no entry is stale." for name in found]
        for line in (*stray, *(lines or said)):
            sys.stderr.write(f"{line}\n")
        if lines:
            raise typer.Exit(1)


def _audit(dataset: Component[DatasetSpec], data_dir: Path) -> Found:
    from fer_bench.audit import signatures
    from fer_bench.audit.audit import audit as make_audit
    from fer_bench.data.prepare import prepare

    prepared = prepare(dataset, data_dir)
    found = signatures.load(prepared)
    if found is None:
        with show_progress(f"Auditing {dataset}") as progress:
            found = signatures.compute(prepared, progress)
        try:
            signatures.store(found, prepared)
        except FerBenchError as error:
            sys.stderr.write(f"Warning: {error} Folds will not know of the copies.\n")
    return Found(dataset, prepared, found, make_audit(prepared, found))


def _across(first: Found, second: Found) -> Any:
    """Return the near copies of two data sets, (m, 2) rows, which are kept for the folds of runs on both."""
    from fer_bench.audit import across

    near = across.load(first.prepared, second.prepared)
    if near is None:
        near = across.find(first.prepared, second.prepared, (first.signatures, second.signatures))
        try:
            across.store(near, first.prepared, second.prepared)
        except FerBenchError as error:
            sys.stderr.write(f"Warning: {error} Folds will not know of these copies.\n")
    return near


def _leaks(found: Found, config: RunConfig) -> list[dict[str, Any]]:
    """Return a row a seed and fold: how many tested images share something with the images that they are trained on."""
    from fer_bench.audit.clusters import duplicate_clusters
    from fer_bench.tasks import leaks, protocols
    from fer_bench.tasks.task import Task
    from fer_bench.tasks.view import select

    view = select(found.dataset, found.prepared, config.limit, config.labels)
    (clusters,) = duplicate_clusters([found.prepared])
    if clusters is None:
        raise FerBenchError(f"The audit of {str(found.dataset)!r} could not be stored, so folds cannot be looked at.")
    task = Task((view,), () if config.leak_free is False else (clusters[view.rows],))
    name, _ = protocols.choose(config, task)
    splits = [protocols.split(name, task, config, seed) for seed in config.seeds]
    keys = leaks.keys(view, found.signatures)
    return [
        {"dataset": str(found.dataset), "protocol": split.text, "seed": split.seed, **row}
        for split in splits
        for row in leaks.count(split, keys)
    ]


def _print_json(found: dict[str, Found], near: dict[tuple[str, str], Any], leaks: list[dict[str, Any]]) -> None:
    from fer_bench.audit.audit import compare

    record: dict[str, dict[str, Any]] = {name: one.audit.record() for name, one in found.items()}
    for name, own in record.items():
        own["leaks"] = [row for row in leaks if row["dataset"] == name]
        own["across"] = []
    counts = compare({name: one.signatures for name, one in found.items()}, near) if len(found) > 1 else []
    for row in counts:
        one, other = row["images of"], row["in"]
        rows = near[one, other] if (one, other) in near else near[other, one][:, ::-1]
        ids = [found[name].prepared.samples["id"].astype(str).to_numpy() for name in (one, other)]
        pairs = [[str(ids[0][a]), str(ids[1][b])] for a, b in rows]
        record[one]["across"].append({"in": other, "exact": row["exact"], "near": row["exact or near"], "pairs": pairs})
    print_json(record)


def _print(found: dict[str, Found], near: dict[tuple[str, str], Any], leaks: list[dict[str, Any]]) -> None:
    from fer_bench.audit.audit import compare

    for name, one in found.items():
        print_table((name, "number"), [(what, f"{number:,}") for what, number in one.audit.summary()])
    if len(found) > 1:
        counts = compare({name: one.signatures for name, one in found.items()}, near)
        print_table(
            ("images of", "with a copy in", "exact", "exact or near"),
            [(row["images of"], row["in"], f"{row['exact']:,}", f"{row['exact or near']:,}") for row in counts],
        )
    if leaks:
        shared = [key for key in leaks[0] if key not in ("dataset", "protocol", "seed", "fold", "tested")]
        print_table(
            ("data set", "protocol", "seed", "fold", "tested", *(f"with {what} in training" for what in shared)),
            [
                (
                    *(row["dataset"], row["protocol"], str(row["seed"]), str(row["fold"])),
                    *(f"{row[key]:,}" for key in ("tested", *shared)),
                )
                for row in leaks
            ],
        )


def _draw(file: Path, one: Found, found: dict[str, Found], near: dict[tuple[str, str], Any]) -> None:
    from fer_bench.audit.sheet import draw_sheet, write_sheet

    name = str(one.dataset)
    elsewhere = {other: rows for (first, other), rows in near.items() if first == name}
    picture, left_out = draw_sheet(
        one.audit, one.prepared, [(other, found[other].prepared, rows) for other, rows in elsewhere.items()]
    )
    write_sheet(picture, file)
    rest = f"; {left_out:,} more groups are not drawn" if left_out else ""
    sys.stderr.write(f"Copies drawn in {file}{rest}.\n")


def _named(file: Path, name: str) -> Path:
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
    return file.with_stem(f"{file.stem}-{safe}")
