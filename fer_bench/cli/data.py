"""``fer-bench data``: list data sets, say what is missing, prepare and verify them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import console
from fer_bench.cli import audit, data_init
from fer_bench.cli.command import App
from fer_bench.cli.data_options import AsJson, DataDir, Names, each, show_progress
from fer_bench.cli.options import command_for
from fer_bench.cli.output import print_json, print_tables
from fer_bench.errors import DataError, FerBenchError
from fer_bench.labels import describe_spellings
from fer_bench.reports.table import Column, Field, Shown, Table, numbers, tabulate, texts
from fer_bench.sizes import format_size, number_of

if TYPE_CHECKING:
    from fer_bench.data.prepared import Prepared
    from fer_bench.registry import Component
    from fer_bench.specs import Counts, DatasetSpec

LIST_EXAMPLES = """\b
Examples:
  fer-bench data list
  fer-bench data list affectnet
  fer-bench data list --json
"""
STATUS_EXAMPLES = """\b
Examples:
  fer-bench data status
  fer-bench data status fer2013 'ckplus[last=1]'
"""
PREPARE_EXAMPLES = """\b
Examples:
  fer-bench data prepare fer2013
  fer-bench data prepare rafdb 'ferplus[protocol=argmax]' --data-dir data
"""
VERIFY_EXAMPLES = """\b
Examples:
  fer-bench data verify fer2013
"""

IDENTITY = {
    "yes": "known",
    "no": "not known, so no folds can keep people apart",
    "maybe": "the data decide",
    "proxy": "not known; something stands for the person, as the first line says",
}

NO_PATH = "no path given"
"""State of a data set that reads a folder of the user's own, whose path is a parameter."""

app = App(help="List, prepare and verify data sets.", no_args_is_help=True)
app.command("audit", epilog=audit.EXAMPLES, cls=command_for(*audit.SETTINGS))(audit.audit)
app.command("init", epilog=data_init.EXAMPLES)(data_init.init)


@app.command("list", epilog=LIST_EXAMPLES)
def list_datasets(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATASET", help="print all details of these; without a name, a table of all"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the data sets that the installed plugins bring: labels, splits, identity, size, licence."""
    from fer_bench.registry import Registry
    from fer_bench.specs import DatasetSpec

    registry = Registry.load()
    entries = [
        (name, plugin.distribution, spec)
        for name, plugin, spec in registry.specs("dataset")
        if isinstance(spec, DatasetSpec)
    ]
    if datasets:
        chosen = [dataset.spec for dataset in registry.datasets(datasets)]
        entries = [entry for spec in chosen for entry in entries if entry[2] is spec]
    rows = [describe(name, package, spec) for name, package, spec in entries]
    if as_json:
        print_json(rows)
    elif datasets:
        print_tables(*(Table("", texts(row["name"], ""), tuple(in_words(row))) for row in rows))
    else:
        print_tables(tabulate(rows, LISTED))


@app.command(epilog=STATUS_EXAMPLES)
def status(
    data_dir: DataDir,
    datasets: Annotated[list[str] | None, typer.Argument(metavar="DATASET", help="all, if none is named")] = None,
    as_json: AsJson = False,
) -> None:
    """Print which data sets are prepared, where their files belong, and which are missing."""
    from fer_bench.data.place import check_data_dir
    from fer_bench.registry import Registry

    check_data_dir(data_dir)
    registry = Registry.load()
    names = datasets or [name for name, _, _ in registry.specs("dataset")]
    rows = [_status(dataset, data_dir) for dataset in registry.datasets(names)]
    if as_json:
        print_json(rows)
        return
    print_tables(tabulate(rows, STATUS))
    for row in rows:
        for warning in row["warnings"]:
            console.echo(f"Warning: {row['dataset']}: {warning}")
        if row["state"] in ("missing", NO_PATH) and datasets:
            console.echo(f"{row['dataset']}: the folder is {row['manual_dir']!r}. {row['access']}")


@app.command(epilog=PREPARE_EXAMPLES)
def prepare(datasets: Names, data_dir: DataDir) -> None:
    """Check data sets and write them in the form that runs read; does nothing where that is done."""
    each(datasets, lambda dataset: _prepare(dataset, data_dir))


@app.command(epilog=VERIFY_EXAMPLES)
def verify(datasets: Names, data_dir: DataDir) -> None:
    """Read prepared data sets again: every row, every image and its hash, the counts, the fingerprint."""
    each(datasets, lambda dataset: _verify(dataset, data_dir))


def _status(dataset: Component[DatasetSpec], data_dir: Path) -> dict[str, Any]:
    from fer_bench.data.place import locate
    from fer_bench.data.prepare import find_prepared, old_format

    manual, prepared, old, problem = None, None, "", ""
    try:
        manual = locate(dataset, data_dir).manual
        prepared = find_prepared(dataset, data_dir)
        old = old_format(dataset, data_dir)
    except FerBenchError as error:  # One broken plugin or folder must not hide the others.
        problem = str(error)
    has_files = manual is None or (manual.is_dir() and any(manual.iterdir()))
    absent = "missing" if getattr(dataset.params, "path", True) else NO_PATH
    state = "broken" if problem else "prepared" if prepared else "ready to prepare" if has_files else absent
    return {
        "dataset": str(dataset),
        "state": state,
        "samples": len(prepared) if prepared else None,
        "counts": prepared.counts if prepared else None,
        "splits": splits_of(dataset.spec, prepared.counts) if prepared else [],
        "bytes": sum(file.stat().st_size for file in prepared.folder.iterdir()) if prepared else None,
        "fingerprint": prepared.fingerprint if prepared else "",
        "warnings": [*(_warnings(dataset, prepared) if prepared else ()), *filter(None, [old, problem])],
        "manual_dir": str(manual) if manual else "",
        "prepared_dir": str(prepared.folder) if prepared else "",
        "access": dataset.spec.access,
    }


def _prepare(dataset: Component[DatasetSpec], data_dir: Path) -> None:
    from fer_bench.data.prepare import prepare as prepare_dataset
    from fer_bench.data.understood import describe as describe_data

    with show_progress(f"Preparing {dataset}") as (progress,):
        prepared = prepare_dataset(dataset, data_dir, progress)
    title = f"{dataset}: {number_of(len(prepared), 'image')}"
    print_tables(Table(title, texts("", "what was understood"), tuple(describe_data(prepared))))
    _report(dataset, prepared, "prepared")


def _verify(dataset: Component[DatasetSpec], data_dir: Path) -> None:
    from fer_bench.data.faults import Faults
    from fer_bench.data.prepare import find_prepared, old_format

    prepared = find_prepared(dataset, data_dir)
    if prepared is None:
        why = old_format(dataset, data_dir) or f"Data set {str(dataset)!r} is not prepared in {str(data_dir)!r}."
        raise DataError(f"{why} Run 'fer-bench data prepare {dataset}' first.")
    faults = Faults()
    for line in prepared.verify():
        faults.add("", line)
    if faults:
        raise faults.error(
            f"The prepared data set {str(dataset)!r} in {str(prepared.folder)!r} has faults; "
            "delete that folder and prepare it again:"
        )
    _report(dataset, prepared, "verified")
    rows = [
        (split or "all", sum(labels.values()), *(labels[name] for name in prepared.labels))
        for split, labels in prepared.counts.items()
    ]
    print_tables(Table("", (*texts("split"), *numbers("images", *prepared.labels)), tuple(rows)))


def _report(dataset: Component[DatasetSpec], prepared: Prepared, done: str) -> None:
    text = f"{number_of(len(prepared), 'image')} {done}, fingerprint {prepared.fingerprint[:12]}, in {prepared.folder}"
    console.echo(f"{dataset}: {text}")
    for warning in _warnings(dataset, prepared):
        console.warn(f"Warning: {dataset}: {warning}")


def _warnings(dataset: Component[DatasetSpec], prepared: Prepared) -> list[str]:
    """Return what is known of prepared data that the user should know, too."""
    spellings = describe_spellings(prepared.labels, dataset.spec.expressions)
    return [*prepared.warnings, *([spellings] if spellings else [])]


def describe(name: str, package: str, spec: DatasetSpec) -> dict[str, Any]:
    """Return all that a spec declares as plain JSON.

    ``published`` maps each release, layout or parameter, ``""`` where there is only one, to split -> label -> samples;
    the label ``""`` stands for all of a split. ``published_images`` is the number of all where there is only one.
    """
    published = spec.variants or ({"": spec.expected_counts} if spec.expected_counts else {})
    return {
        "name": name,
        "title": spec.title,
        "labels": list(spec.labels),
        "expressions": dict(spec.expressions),
        "identity": spec.identity,
        "splits": list(spec.splits),
        "roles": dict(spec.roles),
        "published_images": _total(published[""]) if "" in published else None,
        "published": {
            text: {split: dict(labels) for split, labels in counts.items()} for text, counts in published.items()
        },
        "synthetic": spec.synthetic,
        "access": "manual" if spec.access else "built in",
        "how_to_get": spec.access,
        "licence": spec.licence,
        "citation": spec.citation,
        "params": {key: field.default for key, field in spec.params.model_fields.items()},
        "package": package,
    }


def splits_of(spec: DatasetSpec, counts: Counts) -> list[tuple[str, int, str]]:
    """Return name, number of samples and role of each official split; the role is empty where none is declared."""
    return [(name, sum(labels.values()), spec.roles.get(name, "")) for name, labels in counts.items() if name]


def published_in_words(row: dict[str, Any]) -> str:
    """Return the published number of images; the smallest and the largest one of several releases or layouts."""
    numbers = [_total(counts) for counts in row["published"].values()]
    return " to ".join(f"{number:,}" for number in sorted({min(numbers), max(numbers)})) if numbers else "-"


def in_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, text) of everything that `describe` returned."""
    labels = [f"{label} -> {row['expressions'].get(label) or 'none'}" for label in row["labels"]]
    splits = [f"{name} ({row['roles'].get(name, 'told by its name')})" for name in row["splits"]]
    return [
        ("what it is", row["title"]),
        ("labels", ", ".join(labels) or "from the data; what they mean is told by their spelling"),
        ("subjects", IDENTITY[row["identity"]]),
        ("official splits", ", ".join(splits) or "none declared"),
        *((f"published, {text}".rstrip(", "), _in_lines(counts)) for text, counts in row["published"].items()),
        ("parameters", ", ".join(f"{key}={value}" for key, value in row["params"].items())),
        ("licence", row["licence"]),
        ("citation", row["citation"]),
        ("how to get it", row["how_to_get"] or "its package makes it"),
        ("package", row["package"]),
    ]


def _in_lines(counts: Counts) -> str:
    """Return a line a split, with the number of each label where it is published."""
    lines: list[str] = []
    for split, labels in counts.items():
        each = ", ".join(f"{label} {number:,}" for label, number in labels.items() if label)
        lines.append(f"{f'{split}: ' if split else ''}{sum(labels.values()):,}{f' ({each})' if each else ''}")
    return "\n".join(lines)


def _total(counts: Counts) -> int:
    return sum(sum(labels.values()) for labels in counts.values())


def _split_in_words(split: tuple[str, int, str]) -> str:
    name, number, role = split
    return f"{name} {number:,}{f' ({role})' if role else ''}"


LISTED: tuple[Field[dict[str, Any]], ...] = (
    (Column("name"), lambda row: row["name"]),
    (Column("images published", "number"), published_in_words),
    (Column("labels", "number"), lambda row: str(len(row["labels"]) or "from the data")),
    (Column("subjects known", optional=True), lambda row: row["identity"]),
    (Column("what it is"), lambda row: row["title"]),
    (Column("official splits", optional=True), lambda row: ", ".join(row["splits"])),
)
STATUS: tuple[Field[dict[str, Any]], ...] = (
    (Column("data set"), lambda row: row["dataset"]),
    (Column("state"), lambda row: row["state"]),
    (Column("images", "number"), lambda row: row["samples"]),
    (Column("official splits"), lambda row: "\n".join(map(_split_in_words, row["splits"]))),
    (
        Column("on disk", "number", optional=True),
        lambda row: None if row["bytes"] is None else Shown(format_size(row["bytes"]), row["bytes"]),
    ),
    (Column("fingerprint", optional=True), lambda row: row["fingerprint"][:12]),
    (Column("folder for the data", optional=True), lambda row: row["manual_dir"]),
)
