"""``fer-bench new``: a package for a plugin, ready to be installed, tested and changed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console

EXAMPLES = """\b
Examples:
  fer-bench new backbone my-net
  fer-bench new dataset my-lab --output ~/src
"""


class NewKind(StrEnum):
    """What a new package can bring."""

    backbone = "backbone"
    dataset = "dataset"
    protocol = "protocol"
    strategy = "strategy"
    metric = "metric"


def new(
    kind: Annotated[NewKind, typer.Argument(help="Kind of the plugin.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the item: lower-case words joined by '-'.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder in which the package is created.")] = Path(),
) -> None:
    """Write an installable package with a working example of one kind, which you change into yours.

    It contains an entry point, one plugin, a test of the conformance rules, a README, a CI workflow and a licence.
    """
    from fer_bench.registry import Registry
    from fer_bench.scaffold import create

    registry = Registry.load()
    taken = {
        kind.value: {item.name for _, _, item in registry.specs(kind.value)},
        "plugin": {plugin.name for plugin in registry.plugins},
    }
    folder = create(kind.value, name, output, taken)
    console.echo(f"{folder}\nNext: cd {folder}, then read README.md.")
