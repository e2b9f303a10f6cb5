"""``fer-bench cache``: what the features and other stage outputs on disk take, and how to be rid of them."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import atomic, console, paths
from fer_bench.cli.command import App
from fer_bench.cli.options import command_for, make_config
from fer_bench.cli.output import print_json, print_tables
from fer_bench.reports.table import Shown, Table, numbers, texts
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.keeping.space import KeptPart, Space

STATUS_EXAMPLES = """\b
Examples:
  fer-bench cache status
  fer-bench cache status --json
"""
CLEAR_EXAMPLES = """\b
Examples:
  fer-bench cache clear
  fer-bench cache clear --all
"""

EXPORT_EXAMPLES = """\b
Examples:
  fer-bench cache export --output outputs.zip
  fer-bench cache export --backbone xception --dataset fer2013 --output outputs.zip
"""
IMPORT_EXAMPLES = """\b
Examples:
  fer-bench cache import outputs.zip
  fer-bench cache import outputs.zip --exact
"""

app = App(help="Show, copy and clear the cache.", no_args_is_help=True)

Folder = Annotated[
    Path,
    typer.Option(
        "--cache-dir",
        envvar=paths.CACHE_VARIABLE,
        default_factory=paths.cache_dir,
        show_default="the user's cache folder",
        help="Folder of features and compiled programs.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog=STATUS_EXAMPLES, cls=command_for("cache_limit"))
def status(context: typer.Context, cache_dir: Folder, as_json: Json = False) -> None:
    """List the stored stage outputs: content, size, last use, and the limit of all together.

    At the limit, the outputs with the oldest last use are removed first; outputs that a running process uses stay.
    """
    from fer_bench.keeping.programs import FOLDER
    from fer_bench.sizes import format_size

    (config,) = make_config(context)
    space = _open(cache_dir, config.cache_limit)
    rows, limit = space.rows(), space.limit
    programs = _size_of(cache_dir / FOLDER)
    total = sum(row.size for row in rows)
    if as_json:
        record = {
            "schema": 1,
            "folder": str(space.folder),
            "limit_bytes": limit,
            "total_bytes": total,
            "compiled_programs_bytes": programs,
            "entries": [_record(row) for row in rows],
        }
        print_json(record)
        return
    outputs = _outputs(rows)
    if outputs:
        columns = (
            *(*texts("key", "data sets"), *numbers("images")),
            *(*texts("backbone", "holds", "type"), *numbers("size", "used")),
        )
        cells = [(*words, Shown(format_size(size), size), used) for words, size, used in outputs]
        print_tables(Table("", columns, tuple(cells)))
    total_said = f"{format_size(total)} of at most {format_size(limit)}, in {space.folder}"
    console.echo(f"{number_of(len(outputs), 'stage output')}, {total_said}")
    console.echo(f"Compiled programs: {format_size(programs)}.")


@app.command(epilog=CLEAR_EXAMPLES)
def clear(
    cache_dir: Folder,
    everything: Annotated[bool, typer.Option("--all", help="Compiled programs, speeds and scores, too.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the stored stage outputs that no running process uses; a later run computes them again.

    Downloaded weights stay.
    """
    from fer_bench.errors import FerBenchError, bullet_list
    from fer_bench.keeping.programs import FOLDER
    from fer_bench.memos import FOLDERS
    from fer_bench.sizes import format_size

    space = _open(cache_dir, None)
    removed, kept, failed = space.clear()
    failed = {str(space.folder / name): reason for name, reason in failed.items()}
    freed = sum(row.size for row in removed)
    if everything:
        for folder in (cache_dir / name for name in (FOLDER, *FOLDERS)):
            size = _size_of(folder)
            failed |= _remove(folder)
            freed += size - _size_of(folder)
    if as_json:
        record = {
            "schema": 1,
            "freed_bytes": freed,
            "removed": [*map(_record, removed)],
            "kept": [*map(_record, kept)],
            "failed": failed,
        }
        print_json(record)
    else:
        console.echo(
            f"Removed {number_of(len(_outputs(removed)), 'stage output')}; {format_size(freed)} are free again."
        )
        for words, size, _ in _outputs(kept):
            console.echo(f"Kept, since a process uses it: {', '.join(words[1:5])}, {format_size(size)}.")
    if failed:
        lines = [f"{name!r}: {reason}" for name, reason in failed.items()]
        raise FerBenchError(
            f"{number_of(len(lines), 'thing')} in {str(cache_dir)!r} could not be removed:\n{bullet_list(lines, 10)}"
        )


@app.command("export", epilog=EXPORT_EXAMPLES)
def write(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write; an export that is there is replaced.")
    ],
    cache_dir: Folder,
    backbone: Annotated[str, typer.Option(help="Only outputs of this backbone.", show_default="all")] = "",
    dataset: Annotated[str, typer.Option(help="Only outputs for this data set.", show_default="all")] = "",
) -> None:
    """Write stage outputs to a file, for another machine: what one of them computed, all can use."""
    from fer_bench.keeping import travel
    from fer_bench.sizes import format_size

    space = _open(cache_dir, None)
    rows = travel.select(space, backbone, dataset)
    travel.write(space, rows, output)
    console.echo(f"{number_of(len(rows), 'part')} of stage outputs in {output}, {format_size(output.stat().st_size)}.")


@app.command("import", epilog=IMPORT_EXAMPLES, cls=command_for("cache_limit"))
def take(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'export' wrote.")],
    cache_dir: Folder,
    exact: Annotated[
        bool, typer.Option("--exact", help="Refuse what another kind of device or processor or other versions made.")
    ] = False,
) -> None:
    """Put the stage outputs in a file into the cache, once all of their checksums hold."""
    from fer_bench.keeping import travel
    from fer_bench.networks.devices import describe_machine

    (config,) = make_config(context)
    new, present = travel.take(_open(cache_dir, config.cache_limit), file, describe_machine(), exact)
    console.echo(
        f"{number_of(new, 'part of stage outputs is', 'parts of stage outputs are')} new in {cache_dir}, "
        f"{present} were there."
    )


def _open(cache_dir: Path, limit: int | None) -> Space:
    """Return what is kept in a cache, which need not be there.

    Raises:
        FerBenchError: it is a file.
    """
    from fer_bench.errors import FerBenchError
    from fer_bench.keeping.space import FOLDER, Space

    if cache_dir.exists() and not cache_dir.is_dir():
        raise FerBenchError(f"--cache-dir {str(cache_dir)!r} is a file; expected a folder.")
    return Space(cache_dir / FOLDER, limit)


def _outputs(rows: Iterable[KeptPart]) -> list[tuple[tuple[str, ...], int, str]]:
    """Return what parts hold, parts of one output together, each with its bytes and its last use in words."""
    groups: dict[tuple[str, object, object, str], list[KeptPart]] = {}
    for row in rows:
        facts = row.facts
        state = "" if facts else "being written" if row.busy else "incomplete"
        groups.setdefault((row.key, facts.get("variants"), facts.get("type"), state), []).append(row)
    return [
        (
            _words(key, state, [row.facts for row in group]),
            sum(row.size for row in group),
            "in use" if any(row.busy for row in group) else _ago(max(row.used for row in group)),
        )
        for (key, _, _, state), group in groups.items()
    ]


def _words(key: str, state: str, facts: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the first letters of the key, data sets, images, backbone, what is held and its type."""
    if state:
        return key[:8], state, "", "", "", ""
    first = facts[0]
    images = sum(part["images"] for part in facts)
    content = first["holds"] + (" of images and mirrored images" if first["variants"] == 2 else "")
    content += f", faces={first['faces']}" if first.get("faces") else ""
    before = first.get("jaxlib", "")
    content += f", by jaxlib {before}" if before not in ("", importlib.metadata.version("jaxlib")) else ""
    datasets = ", ".join(sorted({part["dataset"] for part in facts}))
    return key[:8], datasets, f"{images:,}", f"{first['backbone']}, {first['precision']}", content, first["type"]


def _ago(when: float) -> str:
    """Return how long ago something was, in words."""
    seconds = max(0.0, time.time() - when)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number_of(number, unit)} ago"
    return "now"


def _record(row: KeptPart) -> dict[str, Any]:
    return {
        "key": row.key,
        "part": row.name,
        "size_bytes": row.size,
        "used": row.used,
        "in_use": row.busy,
        **row.facts,
    }


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _remove(folder: Path) -> dict[str, str]:
    """Remove a folder if it is there; return name -> reason of each file in it that could not be removed."""
    failed: dict[str, str] = {}
    for file in (*sorted(folder.rglob("*"), reverse=True), folder) if folder.is_dir() else ():
        try:
            file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
        except OSError as error:
            failed[str(file)] = atomic.reason(error)
    return failed
