"""``fer-bench labels``: which labels of a data set are probably wrong, and what its annotators reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.output import print_json, print_tables, write_file
from fer_bench.cli.rows import ALL_ROWS, HELP, RunsDir, with_filters
from fer_bench.results.filters import Filters

EXAMPLES = """\b
Examples:
  fer-bench labels --dataset fer2013
  fer-bench labels linear-probe finetune --output suspects.csv
"""


@with_filters
def labels(
    rows: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help=f"{HELP} All rows without one.")] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    agreed: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of an image's annotators from which on the image counts as agreed."),
    ] = 0.8,
    output: Annotated[Path | None, typer.Option(help="Write the suspects as CSV into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the suspects.")] = False,
) -> None:
    """Estimate how many labels of each class are wrong, and rank the methods without these images.

    The estimate comes from stored predictions; nothing is trained. Where annotators' votes are known, it also prints
    the highest score that they allow, and each method on images on which they agree or do not.
    """
    from fer_bench.reports import label_tables
    from fer_bench.reports.formats import csv
    from fer_bench.reports.label_check import check_labels
    from fer_bench.results.find import find_current_rows
    from fer_bench.results.store import Store

    checks = check_labels(find_current_rows(Store(runs_dir), rows or (), filters), agreed)
    if output is not None:
        write_file(output, csv.write(label_tables.to_suspects(checks)), "the suspects")
    if as_json:
        print_json({"schema": 1, "agreed": agreed, "data_sets": [label_tables.record(check) for check in checks]})
    else:
        print_tables(*(table for check in checks for table in label_tables.to_tables(check)))
