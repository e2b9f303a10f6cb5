"""``fer-bench card``: what models take, answer and were trained on, as YAML files beside them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.command import App

MAKE_EXAMPLES = """\b
Examples:
  fer-bench card make model.onnx
"""
OPEN = re.compile(r"^(\w+):[ \t]*#[ \t]*(.*)$", re.MULTILINE)
"""A field without a value, and the comment that says what is wanted."""

app = App(help="Write the cards that describe models.", no_args_is_help=True)


@app.command("make", epilog=MAKE_EXAMPLES)
def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Model, such as an ONNX file.")],
) -> None:
    """Write a first card of a model file, beside it, as FILE.yaml.

    It has what the file says of itself. What the file cannot say is asked on a terminal; without an answer the field
    stays empty, with a comment that says what is wanted, and a run asks for it again.
    """
    from fer_bench import atomic
    from fer_bench.errors import FerBenchError
    from fer_bench.plugins import load_plugins

    card = file.with_suffix(".yaml")
    if not file.is_file():
        raise FerBenchError(f"There is no file {str(file)!r}.")
    if card.exists():
        raise FerBenchError(f"{str(card)!r} is there already. Rename or remove it to make a new one.")
    draft = load_plugins().ask("fer_bench_card_draft", file=file)
    if not isinstance(draft, str):
        raise FerBenchError(
            f"No plugin makes a card of {file.name!r}. fer-bench-predictors does of ONNX files (.onnx): "
            "pip install fer-bench-predictors"
        )
    if sys.stdin.isatty():
        draft = OPEN.sub(_ask, draft)
    atomic.write_file(card, draft, "the card")
    console.echo(str(card))
    if empty := [match.expand(r"  \1: \2") for match in OPEN.finditer(draft)]:
        console.warn("\n".join(["To fill in:", *empty]))


def _ask(field: re.Match[str]) -> str:
    """Return the line of a field with a user's answer, or as it is."""
    name, wanted = field.groups()
    answer = str(typer.prompt(f"{name} ({wanted})", default="", show_default=False, err=True)).strip()
    return f"{name}: {answer}" if answer else field[0]
