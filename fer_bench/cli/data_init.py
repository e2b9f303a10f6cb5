"""``fer-bench data init``: a manifest of a folder of pictures, for a user to edit."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.data_options import DataDir
from fer_bench.sizes import number_of

EXAMPLES = """\b
Examples:
  fer-bench data init faces
  fer-bench data init 'folder[path=faces,subject=^(P\\d+)_]'
"""


def init(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="with one folder of pictures for each class")],
    data_dir: DataDir,
) -> None:
    """Write manifest.csv into a folder of pictures, one row for each, to be edited and read as 'manifest'.

    Does not overwrite a manifest that is there.
    """
    from fer_bench import brackets
    from fer_bench.data.listing import list_samples, write_manifest
    from fer_bench.registry import Registry

    text = folder if folder.startswith("folder[") else f"folder[path={brackets.write(folder)}]"
    root, samples = list_samples(Registry.load().dataset(text), data_dir)
    file, columns = write_manifest(root, samples)
    near = root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root
    component = shlex.quote(f"manifest[path={brackets.write(str(near))}]")
    console.echo(f"{number_of(len(samples), 'row')} written to {file}, with the columns {', '.join(columns)}.")
    console.echo(f"Edit it, then: fer-bench data prepare {component}")
