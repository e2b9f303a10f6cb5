"""``fer-bench cache``: what the features and other stage outputs on disk take, and how to be rid of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import paths
from fer_bench.cli.options import CacheLimit

if TYPE_CHECKING:
    from fer_bench.keeping.cache import Cache, Row

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

app = typer.Typer(help="Show and clear what was computed once and kept.", no_args_is_help=True)

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


@app.command(epilog=STATUS_EXAMPLES)
def status(cache_dir: Folder, cache_limit: CacheLimit = None, as_json: Json = False) -> None:
    """List the stored stage outputs: what each is, its size, when it was used last, and the limit of all.

    When the limit would be passed, those used longest ago go first; what a running process uses stays.
    """
    from fer_bench.cli.tables import print_table
    from fer_bench.keeping.cache import last_used
    from fer_bench.sizes import format_size

    cache = _open(cache_dir, cache_limit)
    rows, limit = cache.rows(), cache.limit
    programs = _size_of(cache_dir / "xla")
    total = sum(row.size for row in rows)
    if as_json:
        record = {
            "schema": 1,
            "folder": str(cache.folder),
            "limit_bytes": limit,
            "total_bytes": total,
            "compiled_programs_bytes": programs,
            "entries": [_record(row) for row in rows],
        }
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    if rows:
        print_table(
            ("data set", "images", "backbone", "holds", "type", "size", "used"),
            [(*_words(row), format_size(row.size), "in use" if row.busy else last_used(row)) for row in rows],
        )
    typer.echo(f"{len(rows)} stage outputs, {format_size(total)} of at most {format_size(limit)}, in {cache.folder}")
    typer.echo(f"Compiled programs: {format_size(programs)}.")


@app.command(epilog=CLEAR_EXAMPLES)
def clear(
    cache_dir: Folder,
    everything: Annotated[bool, typer.Option("--all", help="Compiled programs and measured speeds, too.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the stored stage outputs that no running process uses; whatever is needed again is computed again.

    Downloaded weights stay.
    """
    import shutil

    from fer_bench.sizes import format_size

    cache = _open(cache_dir, None)
    removed, kept = cache.clear()
    freed = sum(row.size for row in removed)
    if everything:
        for folder in (cache_dir / name for name in ("xla", "rates", "stages")):
            freed += _size_of(folder)
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        record = {"schema": 1, "freed_bytes": freed, "removed": [*map(_record, removed)], "kept": [*map(_record, kept)]}
        typer.echo(json.dumps(record, indent=1, ensure_ascii=False))
        return
    typer.echo(f"Removed {len(removed)} stage outputs; {format_size(freed)} are free again.")
    for row in kept:
        typer.echo(f"Kept, since a process uses it: {', '.join(_words(row)[:4])}, {format_size(row.size)}.")


def _open(cache_dir: Path, limit: str | None) -> Cache:
    from fer_bench.keeping.cache import Cache
    from fer_bench.sizes import parse_size

    return Cache(cache_dir / "prefix", parse_size(limit) if limit else None)


def _words(row: Row) -> tuple[str, str, str, str, str]:
    """Return data set, images, backbone, what is held and its type."""
    facts = row.facts
    if not facts:
        return "being written" if row.busy else "incomplete", "", "", "", ""
    held = facts["holds"] + (" of images and mirrored images" if facts["variants"] == 2 else "")
    return facts["dataset"], f"{facts['images']:,}", f"{facts['backbone']}, {facts['precision']}", held, facts["type"]


def _record(row: Row) -> dict[str, Any]:
    return {"key": row.key, "size_bytes": row.size, "used": row.used, "in_use": row.busy, **row.facts}


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
