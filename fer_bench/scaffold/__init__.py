"""Write a plugin's package from templates: installable, tested and working before its author changes a line."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import jinja2

from fer_bench import atomic
from fer_bench.about import __version__
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.plugins import ITEM_NAME, Kind, installed
from fer_bench.sizes import number_of
from fer_bench.specs import INTERFACE_VERSION

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".jinja"

LONGEST_NAME = 60
"""Characters of an item's name: it is part of the names of files."""


def create(kind: Kind, name: str, parent: Path, existing: Mapping[str, Collection[str]]) -> Path:
    """Write a new package and return its folder, ``parent/fer-bench-NAME``.

    Args:
        kind: of the item that it brings.
        name: of the item.
        parent: where the folder is made; made itself where it is not there.
        existing: what has the name already -> names, such as "backbone" -> those that installed plugins bring.

    Raises:
        FerBenchError: the name cannot be used, or the folder is there or cannot be written; nothing is left behind.
    """
    distribution = f"fer-bench-{name}"
    package = distribution.replace("-", "_")
    faults = [
        *_name_faults(name),
        *(f"there is a {what} {name!r}" for what, names in existing.items() if name in names),
        *([f"the package {distribution!r} is installed"] if distribution in _installed() else []),
    ]
    if faults:
        raise FerBenchError(f"A {kind} cannot be called {name!r}:\n{bullet_list(faults)}")
    folder = parent / distribution
    if folder.exists():
        raise FerBenchError(f"{str(folder)!r} is there already. Remove it, or choose another name or --output.")
    values = {
        "kind": kind,
        "name": name,
        "distribution": distribution,
        "package": package,
        "camel": "".join(word.capitalize() for word in name.split("-")),
        "identifier": name.replace("-", "_"),
        "version": __version__,
        "interface": INTERFACE_VERSION,
    }
    beside = atomic.scratch(folder)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        atomic.remove_stale(parent, folder.name)
        beside.mkdir()
        for source in (TEMPLATES / "common", TEMPLATES / kind):
            _render(source, beside, values)
        beside.rename(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise FerBenchError(
            f"Cannot write {str(folder)!r}: {atomic.reason(error)}. Choose another --output."
        ) from error
    return folder


def _installed() -> set[str]:
    """Return the names of all installed distributions, as the package index compares them."""
    return {re.sub(r"[-_.]+", "-", name).lower() for name, _ in installed()}


def _name_faults(name: str) -> list[str]:
    if not ITEM_NAME.fullmatch(name):
        return ["a name is lower-case letters and digits, in words joined by '-', and begins with a letter"]
    if len(name) > LONGEST_NAME:
        return [f"it has {number_of(len(name), 'character')}, and a name has {LONGEST_NAME} at most"]
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return ["it is a keyword of Python"]
    return ["it is a module of Python's own library"] if name in sys.stdlib_module_names else []


def _render(source: Path, folder: Path, values: Mapping[str, object]) -> None:
    """Write every template below ``source`` to ``folder``; ``PACKAGE`` in a path is the package's name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(source), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    for path in sorted(source.rglob(f"*{SUFFIX}")):
        inner = path.relative_to(source).as_posix()
        # Hidden files are spelled out in the templates, so that every tool that packs them finds them.
        name = inner.removesuffix(SUFFIX).replace("PACKAGE", str(values["package"])).replace("dot-", ".")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(environment.get_template(inner).render(values), encoding="utf-8")
