"""``fer-bench baseline``: freeze results for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.command import App

app = App(help="Freeze results, for 'fer-bench check' to compare with.", no_args_is_help=True)

EXAMPLES = """\b
Examples:
  fer-bench baseline freeze --runs-dir runs --output tests/baseline
"""


@app.callback()
def _group() -> None:
    """Keep ``freeze`` a subcommand of its own."""


@app.command("freeze", epilog=EXAMPLES)
def freeze(
    output: Annotated[Path, typer.Option(help="Folder to write; a baseline that is there is replaced.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    forget_oldest: Annotated[
        bool, typer.Option("--forget-oldest", help="Measure drift from now on, as after a drop that was meant.")
    ] = False,
) -> None:
    """Write the predictions of a runs folder as a small folder of text for git. The same runs give the same bytes."""
    from fer_bench.results import baseline

    names, random = baseline.freeze(runs_dir, output, forget_oldest)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    for name in names:
        console.echo(f"frozen: {name}")
    for name in random:
        console.warn(
            f"fer-bench: {name} is trained at random, and frozen with one seed: the gate cannot tell a worse method "
            "from another training. Freeze several, with --split-seeds 0 --seeds 0,1,2,3,4 of 'run'."
        )
    console.echo(
        f"{len(names)} row{'s' if len(names) != 1 else ''}, {size / 1000:,.0f} kB in {output}. Commit this folder."
    )
