"""``fer-bench cite``: what a paper that uses stored results should cite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.errors import FerBenchError

EXAMPLES = """\b
Examples:
  fer-bench cite
  fer-bench cite --runs-dir runs/paper > references.bib
"""


def cite(runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs")) -> None:
    """Print BibTeX of this tool and of the data sets, backbones and strategies of stored results."""
    from fer_bench.registry import Registry
    from fer_bench.reports import citations
    from fer_bench.results.store import Store

    cells, _ = Store(runs_dir).cells()
    if not cells:
        raise FerBenchError(f"The runs folder {str(runs_dir)!r} holds no intact cells. Run 'fer-bench run' first.")
    console.write(citations.cite(citations.find_names(cells), Registry.load().plugins))
