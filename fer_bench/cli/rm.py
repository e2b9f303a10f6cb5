"""``fer-bench rm``: remove stored cells, after showing which."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.output import print_tables
from fer_bench.cli.rows import ALL_ROWS, HELP, RunsDir, chosen, with_filters
from fer_bench.errors import bullet_list
from fer_bench.reports.table import Table, numbers, texts
from fer_bench.results.filters import Filters
from fer_bench.sizes import number_of

EXAMPLES = """\b
Examples:
  fer-bench rm 'xception, linear-probe' --dataset fer2013
  fer-bench rm 3f2a --yes
  fer-bench rm --failed --yes

Exit codes: 0 removed or shown, 1 a process works at some of the cells, which stay, 2 nothing fits.
"""


@with_filters
def rm(
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW", help=HELP)] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    failed: Annotated[bool, typer.Option("--failed", help="Only cells that failed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only listed.")] = False,
) -> None:
    """List stored cells, and with --yes remove them.

    Cells at which a run works stay, and links are not followed. A removed cell can be computed again by its run.
    """
    from fer_bench.executors.removal import remove
    from fer_bench.results.store import Store

    store = Store(runs_dir)
    cells = [cell for cell in chosen(store, rows, filters, failed, "--failed") if not (failed and cell.ok)]
    if not yes:
        counts = Counter(cell.record.experiment.question for cell in cells)
        print_tables(Table("", (*texts("row"), *numbers("cells")), tuple(counts.items())))
        console.echo(f"{number_of(len(cells), 'cell')} in {runs_dir}. Nothing was removed: --yes removes them.")
        return
    removed = remove(store, cells)
    console.echo(f"{number_of(len(removed.cells), 'cell')} removed from {runs_dir}.")
    if removed.kept:
        console.warn(
            f"fer-bench: {number_of(len(removed.kept), 'cell was', 'cells were')} not "
            f"removed:\n{bullet_list(removed.kept, 10)}"
        )
        raise typer.Exit(1)
