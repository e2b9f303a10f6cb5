"""``fer-bench card``: what models take, answer and were trained on, as YAML files beside them."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.command import App
from fer_bench.cli.rows import FilesIn, RunsDir

MAKE_EXAMPLES = """\b
Examples:
  fer-bench card make model.onnx
"""
WRITE_EXAMPLES = """\b
Examples:
  fer-bench card write model.safetensors --output README.md
  fer-bench card write runs/models/3f2a.safetensors --runs-dir runs --output README.md
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
    """Return the line of a field with a user's answer, or as it is; a list is asked for where the comment shows one."""
    import yaml

    name, expected = field.groups()
    answer = str(typer.prompt(f"{name} ({expected})", default="", show_default=False, err=True)).strip()
    if not answer:
        return field[0]
    several = "[" in expected
    value = [_read(part.strip()) for part in answer.strip("[]").split(",")] if several else _read(answer)
    # What was typed may mean something else in YAML, as 'no' and 'a: b' do.
    written = yaml.safe_dump(
        {name: value}, allow_unicode=True, default_flow_style=None if several else False, width=math.inf
    )
    return str(written).rstrip("\n")


def _read(answer: str) -> str | int | float:
    """Return the number or the text that a user typed, which may have quotes."""
    if re.fullmatch(r"-?\d+(\.\d+)?", answer, re.ASCII):
        return float(answer) if "." in answer else int(answer)
    return answer[1:-1] if len(answer) > 1 and answer[0] == answer[-1] and answer[0] in "'\"" else answer


@app.command("write", epilog=WRITE_EXAMPLES)
def write(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Written by 'fer-bench fit' or 'run --keep'.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The card, Markdown.")],
    runs_dir: RunsDir = Path("runs"),
    files_in: FilesIn = None,
) -> None:
    """Write the card of a trained model: data, licences, scores, calibration, cost, forbidden uses, versions.

    Scores are those of the method's cells in the folder of results. The head of the file is what Hugging Face reads.
    One image is timed on this machine.
    """
    from fer_bench import atomic
    from fer_bench.models import files
    from fer_bench.models.model import TrainedModel
    from fer_bench.registry import Registry
    from fer_bench.reports.leaderboard import find_row_of
    from fer_bench.reports.model_card import write_card
    from fer_bench.results.store import Store

    record, table = files.read(model)
    registry, row = Registry.load(), find_row_of(record.experiment, Store(runs_dir))
    loaded = TrainedModel(record, table, registry, folders=(*(files_in or ()), model.parent))
    card = write_card(loaded, model.name, row, registry)
    atomic.write_file(output, card, "the card")
    console.echo(f"Written to {output}.")
