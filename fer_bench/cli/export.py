"""``fer-bench export``: a trained model as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli.command import imports
from fer_bench.cli.rows import FilesIn
from fer_bench.sizes import number_of

EXAMPLES = """\b
Examples:
  fer-bench export model.safetensors --to onnx --output faces
  fer-bench export model.safetensors --to safetensors --output faces
"""


def export(
    model: Annotated[Path, typer.Argument(help="Written by 'fer-bench fit' or 'fer-bench run --keep'.")],
    to: Annotated[
        Literal["onnx", "safetensors"],
        typer.Option("--to", help="One ONNX graph with its card, or all arrays by name with a config."),
    ],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="An export that is there is replaced as a whole.")],
    files_in: FilesIn = None,
) -> None:
    """Write a model as a folder that needs neither its training data nor a cache.

    The ONNX graph takes bytes (n, height, width, channels) and gives probabilities; it resizes by itself. It is written
    only if onnxruntime gives the probabilities of the model, and needs 'pip install fer-bench[export]'.
    """
    with imports():
        from fer_bench.models import export as exporting
        from fer_bench.sizes import format_size

    exported = exporting.export(model, to, output, files_in or ())
    for name, size in exported.files.items():
        console.echo(f"{output / name}  {format_size(size)}")
    if exported.apart is None:
        console.echo(f"Try it: fer-bench predict {output / exporting.ARRAYS} PICTURE")
        return
    height, width = exporting.input_side(exported.model)
    console.echo(f"Probabilities differ from the model's by at most {exported.apart:.1e} on images of noise.")
    if exported.model.record.experiment.backbone.precision != "float32":
        console.echo("The model was trained with bfloat16 products; the graph has float32, which is closer to exact.")
    console.echo(
        f"It takes uint8 (n, height, width, {exported.model.record.channels}), best {height} x {width}, and gives "
        f"{number_of(len(exported.model.classes), 'probability', 'probabilities')}: "
        f"{', '.join(exported.model.classes)}."
    )
    console.echo(f"Test it: fer-bench run --backbone 'onnx[card={output / exporting.CARD}]' --strategy as-is")
