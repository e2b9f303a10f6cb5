"""The code of a plugin behind its references, and the files that it names, as digests for a cell's identity.

They change with what the code does, and neither with comments, docstrings and layout nor with the folder that it is
installed in.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from fer_bench.digests import sha256_once
from fer_bench.syntax import Module, read_module

NO_PLUGINS = ("fer_bench", "sklearn")
"""The core, for which `fer_bench.numerics` stands, and the library whose classifiers strategies may name."""

SUFFIXES = tuple(importlib.machinery.all_suffixes())
"""How the names of modules end."""


def digest_code(references: Iterable[str], distribution: str, leave_out: Collection[str] = ()) -> dict[str, str]:
    """Return digests of what decides, beside arguments, what some functions of a plugin return.

    What counts is the module of each reference or, where that lies in a package, all modules of the package; likewise
    of each import from the same distribution, and of each import of what is not installed: a module that lies in
    another folder of the path, or is being developed. In a namespace package it is the package or module below it. A
    file in such a package, or beside such a module, counts where its name ends with a string of the code that has a
    dot, as with ``"weights.npz"``, ``f"{name}.npz"`` or ``"*.npz"``. Installed libraries do not count: provenance
    records their versions.

    Args:
        references: ``"package.module:attribute"`` each.
        distribution: the installed package that brings the plugin.
        leave_out: files whose content the identity holds elsewhere, ``"package:path"`` each.

    Returns:
        ``code_sha256`` of the syntax of the modules, and ``data_sha256`` of the files where there are any; nothing
        if no reference is to a module of a plugin that can be found.
    """
    left_out = {
        package.replace(".", "/") + "/" + path for package, _, path in (text.partition(":") for text in leave_out)
    }
    code: dict[str, str] = {}
    data: dict[str, str] = {}
    for module in {reference.partition(":")[0] for reference in references}:
        if (start := _root(module)) is None:
            continue
        for root, unit in _units(start, module, distribution):
            modules = _modules(unit)
            code |= {_place(file, root): module.digest for file, module in modules.items()}
            names = {
                PurePosixPath(text).name.rpartition("*")[2] for module in modules.values() for text in module.strings
            }
            ends = tuple(name for name in names if "." in name)
            files = {_place(file, root): file for file in _files(unit) if file.name.endswith(ends)}
            data |= {place: sha256_once(files[place]) for place in files.keys() - code.keys() - left_out}
    digested = {"code_sha256": code, "data_sha256": data}
    return {name: _digest(digests) for name, digests in digested.items() if digests}


def _root(module: str) -> Path | None:
    """Return the folder that holds the outermost package of a plugin's module, or None."""
    names = module.split(".")
    if names[0] in NO_PLUGINS:
        return None
    for depth in range(1, len(names) + 1):
        try:
            spec = importlib.util.find_spec(".".join(names[:depth]))  # imports namespace packages, which run nothing
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        if spec.has_location and spec.origin:
            return Path(spec.origin).parents[depth - (spec.submodule_search_locations is None)]
    return None


def _units(home: Path, module: str, distribution: str) -> Iterator[tuple[Path, Path]]:
    """Yield the unit of a module and those that count of what it imports, directly or not, each after its folder.

    A unit is the file of a module, or the ``__init__`` of a package that counts as a whole.
    """
    start = _unit(home, module)
    own: set[str] | None = _recorded(distribution)
    if start and _place(start, home) not in own:
        # Either it is being developed, and what lies in the same folder belongs to it, or it is another's.
        own = set() if own or _is_for_packages(home) else None
    pending = [(home, start)] if start else []
    seen = set(pending)
    while pending:
        yield (place := pending.pop())
        root, unit = place
        for file, parsed in _modules(unit).items():
            for name in _absolute(file.relative_to(root).parts, parsed):
                folder = root if _unit(root, name) else _developed(name)
                other = _unit(folder, name) if folder else None
                if folder is None or other is None or (folder, other) in seen:
                    continue
                if folder != home or own is None or _place(other, folder) in own:
                    seen.add((folder, other))
                    pending.append((folder, other))


def _developed(module: str) -> Path | None:
    """Return the folder from which a module is imported that nobody has installed; None for installed ones."""
    if module.partition(".")[0] in sys.stdlib_module_names or (root := _root(module)) is None:
        return None
    return None if _is_for_packages(root) else root


def _is_for_packages(folder: Path) -> bool:
    """Return whether packages are installed into a folder; that of another environment may be on the path, too."""
    return folder in _site_folders() or folder.name in ("site-packages", "dist-packages")


def _unit(root: Path, module: str) -> Path | None:
    """Return the outermost regular package or module on the way from a folder to a module, or None."""
    names = module.split(".")
    for name in names if names[0] not in NO_PLUGINS else ():
        for stem in (root / name / "__init__", root / name):
            for suffix in SUFFIXES:
                if (file := stem.with_name(stem.name + suffix)).is_file():
                    return file
        root = root / name
    return None


def _modules(unit: Path) -> dict[Path, Module]:
    """Return what the modules of a unit say."""
    files = _walk(unit.parent) if unit.name.startswith("__init__.") else [unit]
    return {file: read_module(file) for file in files if file.name.endswith(SUFFIXES)}


def _files(unit: Path) -> list[Path]:
    """Return the files in a unit that is a package, or beside one that is a module."""
    if unit.name.startswith("__init__."):
        return list(_walk(unit.parent))
    return [file for file in unit.parent.iterdir() if file.is_file()]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all regular files below a folder but for hidden ones and those that Python has compiled."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        files = (Path(place, name) for name in names if not name.startswith("."))
        yield from (file for file in files if file.is_file())


def _absolute(parts: tuple[str, ...], module: Module) -> Iterator[str]:
    """Yield the full names of what a module imports, whose file has some parts below the root."""
    for level, name in module.imports:
        above = parts[: len(parts) - level] if level else ()
        yield ".".join([*above, name] if name else above)


def _recorded(distribution: str) -> set[str]:
    """Return the modules that an installed package records; none while it is being developed."""
    try:
        files = importlib.metadata.files(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    places = {file.as_posix() for file in files if file.name.endswith(SUFFIXES)}
    return {place for place in places if not place.startswith("__editable__")}


def _place(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


@functools.cache
def _site_folders() -> set[Path]:
    """Return the folders into which packages are installed."""
    paths = sysconfig.get_paths()
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return {Path(path) for path in (paths["purelib"], paths["platlib"], *site.getsitepackages(), *users)}


def _digest(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
