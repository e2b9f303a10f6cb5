"""``fer-bench verify``: is a claimed score of a model true?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.command import imports
from fer_bench.cli.output import print_json, print_tables
from fer_bench.cli.rows import FilesIn

EXAMPLES = """\b
Examples:
  fer-bench verify claim.yaml
  fer-bench verify claim.yaml --json

Exit codes: 0 CONFIRMED, 1 REFUTED, 2 NOT COMPARABLE or a fault in the claim, 3 UNDERPOWERED.
"""


def verify(
    context: typer.Context,
    claim: Annotated[Path, typer.Argument(metavar="CLAIM", help="YAML file with the claim.")],
    files_in: FilesIn = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Measure a claimed score again: the answer is CONFIRMED, REFUTED, NOT COMPARABLE or UNDERPOWERED.

    Where the score falls short, other settings are searched on one half of the images (label order, colours, pixel
    values, resizing, crops) and confirmed on the other half, and other splits, copies of training images and the
    commonest class are looked at.
    """
    with imports():
        from fer_bench.claims import report
        from fer_bench.claims.claim import read_claim
        from fer_bench.claims.judging import EXIT_CODES
        from fer_bench.claims.verdict import verify as make_verdict
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.keeping.programs import keep_compiled_programs
        from fer_bench.registry import Registry

    stated, metric = read_claim(claim)
    (config,) = options.make_config(context)
    keep_compiled_programs(config.cache_folder, console.warn)
    with TerminalReporter(quiet=as_json) as reporter:
        judged = make_verdict(
            stated, metric, Registry.load(), config.data_folder, config.cache_folder, reporter, files_in or ()
        )
    if as_json:
        print_json(report.to_json(judged))
    else:
        if judged.measured is not None:
            print_tables(report.to_table(judged))
        console.echo(report.summary(judged))
    raise typer.Exit(EXIT_CODES[judged.verdict])
