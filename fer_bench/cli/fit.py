"""``fer-bench fit``: train one model on all data, to take home what a comparison has found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.command import imports

EXAMPLES = """\b
Examples:
  fer-bench fit --output model.safetensors
  fer-bench fit --dataset fer2013 --backbone xception --strategy linear-probe \\
      --output fer2013.safetensors
"""


def fit(
    context: typer.Context,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The model, a safetensors file.")],
    config: options.ConfigFile = None,
) -> None:
    """Train one model on all that the protocol trains on, and write it to a file for 'fer-bench predict'.

    Takes the settings of a run that name one data set, backbone, strategy and seed. The score that the file records is
    that of the stored cells of this method, which 'fer-bench run' tests by cross-validation.
    """
    (settings, *others) = options.make_config(context, config)
    from fer_bench.errors import FerBenchError

    if others:
        raise FerBenchError("A model is trained by one run; the configuration file has several.")
    if output.suffix != ".safetensors":
        raise FerBenchError(f"--output {str(output)!r} does not end in .safetensors.")
    with imports():
        from fer_bench.executors.fit import fit_model
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.registry import Registry

    with TerminalReporter(quiet=False) as reporter:
        record = fit_model(settings, Registry.load(), reporter, output)
    console.echo(f"{record.describe()}\nWritten to {output}. Try it: fer-bench predict {output} PICTURE")
    if record.score is None:
        console.warn("To give it a score: 'fer-bench run' with the same options, then 'fer-bench fit' again.")
