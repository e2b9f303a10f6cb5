"""What to cite: BibTeX of this tool and of the data sets, backbones and strategies of stored cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fer_bench.about import __version__
from fer_bench.foreign import one_line
from fer_bench.plugins import Plugin, Plugins
from fer_bench.results.store import StoredCell
from fer_bench.specs import DatasetSpec

FILE = "CITATION.bib"
"""At the top of a plugin's package. The key of an entry is the name of an item, or several joined by ``+``."""

LARGEST = 1_000_000
"""Bytes of such a file that are read."""

OWN = f"""@software{{fer-bench,
  author = {{{{The fer-bench developers}}}},
  title = {{fer-bench: honest, plugin-based benchmarks of facial-expression recognition}},
  version = {{{__version__}}}
}}"""

KINDS = ("dataset", "backbone", "strategy")


def find_names(cells: Iterable[StoredCell]) -> list[tuple[str, str, str]]:
    """Return (kind, package, name) of each component of the cells, once, sorted by kind and name."""
    names = {
        (kind, part.package, part.name)
        for cell in cells
        for kind, part in zip(KINDS, (cell.record.dataset, cell.record.backbone, cell.record.strategy), strict=True)
    }
    return sorted(names, key=lambda name: (KINDS.index(name[0]), name[2], name[1]))


def cite(names: Iterable[tuple[str, str, str]], plugins: Plugins) -> str:
    """Return the entries as one text; of what has none, a comment says what is known of it."""
    blocks, brought = [OWN], {plugin.distribution: plugin for plugin in plugins if plugin.status == "ok"}
    for kind, package, name in names:
        plugin = brought.get(package)
        entry = read_entries(plugin).get(name) if plugin else None
        blocks.append(entry or _describe(kind, package, name, plugin))
    return "\n\n".join(dict.fromkeys(blocks)) + "\n"


def read_entries(plugin: Plugin) -> dict[str, str]:
    """Return the entries of a plugin's file by the names of the items that they are of; none where it has no file."""
    spec = find_spec(plugin.module.partition(".")[0])
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / FILE
        if file.is_file() and file.stat().st_size <= LARGEST:
            text = file.read_text(encoding="utf-8", errors="replace")
            entries = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}", text, re.DOTALL | re.MULTILINE)
            return {name: match[0] for match in entries for name in match[1].split("+")}
    return {}


def _describe(kind: str, package: str, name: str, plugin: Plugin | None) -> str:
    """Return an entry made of a data set's citation, else a comment."""
    items = {(item_kind, item.name): item for item_kind, item in plugin.items} if plugin else {}
    spec: Any = items.get((kind, name))
    if spec is None:
        return f"% {one_line(f'{kind} {name} of {package}: this package is not installed here')}"
    if isinstance(spec, DatasetSpec):
        return f"@misc{{{name},\n  title = {{{{{_escape(spec.title)}}}}},\n  note = {{{_escape(spec.citation)}}}\n}}"
    return f"% {one_line(f'{kind} {name} of {package}, which gives no entry: {spec.summary}')}"


def _escape(text: str) -> str:
    """Return ``text`` as one line that BibTeX and LaTeX print as it is."""
    return re.sub(r"[&%$#_{}]", r"\\\g<0>", one_line(text))
