"""Pictures in one folder a class, as many data sets lie on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.data.files import FileError
from fer_bench.data.images import SUFFIXES, is_picture
from fer_bench.data.place import PARTS
from fer_bench.errors import did_you_mean
from fer_bench.labels import canonical
from fer_bench.specs import Sample

from .layout import LayoutSource

IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}

Spelling = Callable[[str], str | None]
"""From the name of a folder to the label it means, or None."""


def spelling_of(labels: Sequence[str]) -> Spelling:
    """Return what understands every spelling of ``labels`` that fer-bench knows, in upper or lower case."""
    known = {canonical(label) or label: label for label in labels}
    return lambda name: known.get(canonical(name) or name.strip().lower())


def list_classes(
    source: LayoutSource,
    part: Path,
    labels: Sequence[str],
    spell: Spelling,
    faults: Faults,
    complete: bool = True,
    skip: Collection[str] = (),
) -> Iterator[tuple[str, Path]]:
    """Yield label and folder of each class in ``part``, in order of the folders' names.

    Files other than those to ``skip``, folders of no class, two folders of one class and, if it must be ``complete``,
    classes without a folder are faults.
    """
    found: dict[str, str] = {}
    for entry in sorted(os.scandir(part), key=lambda entry: entry.name):
        if is_ignored(entry.name) or entry.name in skip:
            continue
        where = source.name(Path(entry.path))
        label = spell(entry.name)
        if not entry.is_dir():
            what = "link that leads nowhere" if entry.is_symlink() and not entry.is_file() else "file"
            faults.add(where, f"is a {what}, expected a folder named after a class")
        elif label is None:
            faults.add(where, f"is not a class of this data set. {did_you_mean(entry.name.lower(), labels)}")
        elif label in found:
            faults.add(where, f"is the class {label!r}, as is {found[label]!r}; remove or merge one of them")
        else:
            found[label] = entry.name
            try:
                source.folder.check_inside(Path(entry.path))
            except FileError as error:
                faults.add(where, str(error))
            else:
                yield label, Path(entry.path)
    for label in labels if complete else ():
        if label not in found:
            faults.add(source.name(part), f"has no folder for the class {label!r}")


def list_pictures(source: LayoutSource, folder: Path, faults: Faults) -> Iterator[Path]:
    """Yield the picture files in ``folder``, sorted; other files, and no picture at all, are faults."""
    empty = True
    for name in sorted(entry.name for entry in os.scandir(folder)):  # Only names: there may be 300,000.
        if is_ignored(name):
            continue
        empty = False
        path = folder / name
        if is_picture(name):
            yield path
        elif path.is_dir():
            faults.add(source.name(path), "is a folder, expected pictures; move what it holds up, or remove it")
        else:
            faults.add(source.name(path), f"is no picture, expected one of {', '.join(SUFFIXES)}; remove it")
    if empty:
        faults.add(source.name(folder), "holds no picture; put some there, or remove it")


def joined_parts(source: LayoutSource) -> list[Path]:
    """Return the folders that hold the classes: the base, or ``train``, ``test`` and their like, with a notice.

    For data sets without official splits: somebody dealt them into parts, often frames of one person into several.
    """
    parts = [source.base / name for name in source.folders() if name.lower() in PARTS]
    if parts:
        names = " and ".join(repr(part.name) for part in parts)
        source.notices.append(f"{names} are no official splits of this data set: they are read as one")
    return parts or [source.base]


def read_classes(
    source: LayoutSource,
    part: Path,
    labels: Sequence[str],
    faults: Faults,
    split: str = "",
    spell: Spelling | None = None,
    complete: bool = True,
    skip: Collection[str] = (),
) -> Iterator[Sample]:
    """Yield the pictures of ``part``, a folder with one folder a class, without identity; see `list_classes`."""
    for label, folder in list_classes(source, part, labels, spell or spelling_of(labels), faults, complete, skip):
        for path in list_pictures(source, folder, faults):
            yield Sample(id=source.name(path), image=path.relative_to(source.root), label=label, split=split)


def is_ignored(name: str) -> bool:
    """Return whether ``name`` is a file that operating systems leave behind."""
    return name.startswith(".") or name.lower() in IGNORED
