"""``fer-bench publish``: a leaderboard as a site of files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import atomic, console
from fer_bench.cli.leaderboard import Plan, read_board, read_plan
from fer_bench.errors import FerBenchError
from fer_bench.sizes import number_of

EXAMPLES = """\b
Examples:
  fer-bench publish --output site
  fer-bench publish --output site --url https://lab.example/fer/ --title 'Our methods' --authors 'A. Smith, B. Jones'
  fer-bench publish --output site --history boards.jsonl
  fer-bench publish --output site --plan plan.json
"""
MOST_SHOWN = 20
"""Changes that are printed."""


def publish(
    context: typer.Context,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The site; one that is there is replaced as a whole.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was published before; gets a line.  [default: that in the site]"),
    ] = None,
    url: Annotated[str, typer.Option(help="Where the site will be, for the feed and badges.")] = "",
    title: Annotated[str, typer.Option(help="Heading of the site.")] = "Leaderboard",
    authors: Annotated[str, typer.Option(metavar="NAMES", help="Who made the results.")] = "",
    metric: Annotated[str, typer.Option(help="Metric that orders, ranks and tells apart the rows.")] = "uar",
    plan: Plan = None,
) -> None:
    """Write the leaderboard as a folder that any web server shows: the page, a page a row, numbers, badges, a feed.

    It holds no images, paths or user names. A row keeps its address. Nothing is uploaded.
    """
    if url and not url.startswith(("https://", "http://")):
        raise FerBenchError(f"--url {url!r} is no address of the web; write it as https://lab.example/fer/.")
    from fer_bench.reports import history as publications
    from fer_bench.reports import publishing

    try:
        atomic.restore_folder(output)
    except OSError as error:
        raise FerBenchError(f"Cannot write the site to {str(output)!r}: {atomic.reason(error)}.") from None
    publishing.check_folder(output)
    before = publications.read(output / publishing.HISTORY if history is None else history)
    rows, damaged = read_board(context, runs_dir, metric, details=True)
    judged = None if plan is None else read_plan(plan, runs_dir)
    rows = judged.mark(rows) if judged else rows
    now = publications.describe(rows, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    extended = publications.extend(before, now)
    address = url if not url or url.endswith("/") else f"{url}/"
    atomic.write_folder(
        output, publishing.make_site(rows, damaged, extended, title, authors, address, judged), "the site"
    )
    if history is not None:
        atomic.write_file(history, publications.write(extended), "the history")
    changes = publications.compare(before[-1].rows if before else (), now.rows)
    for change in changes[:MOST_SHOWN]:
        console.echo(f"{change.row.name}: {change.say()}")
    if len(changes) > MOST_SHOWN:
        console.echo(f"{number_of(len(changes) - MOST_SHOWN, 'more row')} changed.")
    what = f"{len(changes)} changed since {before[-1].published}" if before else "published for the first time"
    console.echo(
        f"{number_of(len(now.rows), 'row')} in {output}, {what}. Open {output / publishing.INDEX} to see them."
    )
