"""Why a folder of one's own cannot be read as one folder for each class, in words, with the way out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fer_bench.brackets import write
from fer_bench.data.images import is_picture
from fer_bench.data.place import PARTS
from fer_bench.labels import canonical
from fer_bench.sizes import number_of

from .class_folders import is_ignored
from .params import FolderParams

DEPTH, FOLDERS = 6, 2000
"""How deep, and in how many folders, pictures that lie too deep are looked for."""
SHOWN = 8
_YOLO = ("data.yaml", "data.yml", "classes.txt", "dataset.yaml")


@dataclass(frozen=True)
class Entries:
    """What lies in a folder, by kind; names are sorted. What operating systems leave and dead links are left out."""

    folders: tuple[str, ...]
    pictures: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return what lies in ``folder``."""
        with os.scandir(folder) as scanned:
            entries = sorted((entry for entry in scanned if not is_ignored(entry.name)), key=lambda entry: entry.name)
        folders = [entry.name for entry in entries if entry.is_dir()]
        files = [entry.name for entry in entries if entry.is_file()]
        pictures = [name for name in files if is_picture(name)]
        return cls(tuple(folders), tuple(pictures), tuple(name for name in files if not is_picture(name)))


def explain(root: Path, top: Entries, within: Mapping[str, Entries], params: FolderParams) -> str:
    """Return why ``root`` cannot be read, to follow its name, or nothing.

    Args:
        root: the folder.
        top: what lies in it.
        within: part -> what lies in it; the part is empty where there are none, and then it is ``root``.
        params: of the data set.
    """
    return (
        _parts(top, within)
        or _yolo(top, within)
        or _without_folders(top, within)
        or _too_deep(root, top)
        or _numbers(root, sorted({name for entries in within.values() for name in entries.folders}), params.classes)
    )


def _parts(top: Entries, within: Mapping[str, Entries]) -> str:
    """Return what is wrong with the official parts, ``train`` and their like."""
    named = [name for name in top.folders if name.lower() in PARTS]
    if len(named) > len({name.lower() for name in named}):
        return f"holds {_list(named)}, of which two are the same part. Merge or rename them."
    others = [name for name in top.folders if name not in named]
    if named and others:
        return f"holds {_list(others)} beside {_list(named)}, so what are its classes? Move {_list(others)} elsewhere."
    bare = [part for part, entries in within.items() if part and not entries.folders]
    if bare:
        pictures = sum(len(within[part].pictures) for part in bare)
        return (
            f"has no folder of a class in {_list(bare)}, only {number_of(pictures, 'picture')} without a "
            "label. Sort them into "
            "folders, or move that part elsewhere."
        )
    return ""


def _yolo(top: Entries, within: Mapping[str, Entries]) -> str:
    """Return what to do with an export for detectors, whose labels lie in text files of boxes."""
    pairs = any({"images", "labels"} <= set(entries.folders) for entries in (top, *within.values()))
    if not pairs and not (
        top.folders and set(map(str.lower, top.others)) & set(_YOLO) and _only_parts_of_images(within)
    ):
        return ""
    return (
        "is an export for object detectors (YOLO): 'images' and 'labels', with boxes in text files. fer-bench reads "
        "one class for each picture. Export the data once more as folders for classification, or write a manifest.csv "
        "with a row path,label for each picture, and read it as manifest[path=…]."
    )


def _only_parts_of_images(within: Mapping[str, Entries]) -> bool:
    return all(set(entries.folders) <= {"images", "labels"} for entries in within.values())


def _without_folders(top: Entries, within: Mapping[str, Entries]) -> str:
    """Return what to do where there are no folders at all, or pictures beside them."""
    if not top.folders and top.pictures:
        return (
            f"holds {number_of(len(top.pictures), 'picture')} and no folder, so their classes are not "
            "known. Sort them into one "
            "folder for each class, or write a manifest.csv beside them with a row path,label for each, and read it as "
            "manifest[path=…]."
        )
    if not top.folders:
        return f"holds no picture and no folder{f', only {_list(top.others)}' if top.others else ''}."
    loose = [f"{part}/{name}" if part else name for part, entries in within.items() for name in entries.pictures]
    if loose:
        return (
            f"holds {number_of(len(loose), 'picture')} outside of the folders of classes: {_list(loose)}. "
            "Move each into the "
            "folder of its class, or remove it."
        )
    return ""


def _too_deep(root: Path, top: Entries) -> str:
    """Return what to do where pictures lie deeper than a folder of a class, and none lies in one."""
    holder = _holder(root)
    if holder is None or holder == root or (holder.parent == root and holder.name.lower() in PARTS):
        return "" if holder else "holds folders and no picture."
    relative = holder.relative_to(root)
    children = Entries.of(holder).folders
    if canonical(holder.name):
        name, inner = relative.as_posix(), children[0]
        return (
            f"holds folders in the folders of classes, such as {f'{name}/{inner}'!r}, and pictures in these. If they "
            f"are people, put their names before those of the pictures ('{name}/{inner}_1.png') and say so with "
            "subject='^([^_]+)_'; or write a manifest.csv with path,label,subject, and read it as manifest[path=…]."
        )
    base = holder.parent if holder.name.lower() in PARTS else holder
    if len(top.folders) > 1 and base.parent == root:
        return (
            f"holds {_list(top.folders)}, and folders of pictures in these, such as {f'{base.name}/{children[0]}'!r}. "
            "If the first are people, write a manifest.csv with path,label,subject, and read it as manifest[path=…]; "
            f"if each is a data set, name one: {_command(base)}."
        )
    return (
        f"holds the folders of classes deeper, in {base.relative_to(root).as_posix()!r}. Name that: {_command(base)}."
    )


def _holder(root: Path) -> Path | None:
    """Return the first folder, by depth, that holds a folder that holds pictures; None if there is none near."""
    level, seen = [root], 0
    for _ in range(DEPTH):
        below: list[Path] = []
        for folder in level:
            for name in Entries.of(folder).folders if not folder.is_symlink() or folder == root else ():
                if (seen := seen + 1) > FOLDERS:
                    return None
                below.append(folder / name)
                if Entries.of(folder / name).pictures:
                    return folder
        level = below
    return None


def _numbers(root: Path, folders: Sequence[str], classes: Sequence[str]) -> str:
    """Return what to do where folders are numbers, or where classes are named and do not fit them."""
    numbers = sorted((name for name in folders if name.isdecimal()), key=int)
    if len(classes) == len(numbers):
        return ""
    if not classes:
        return (
            f"has folders that are numbers, {_list(numbers)}, and nothing says which class each of them is: data sets "
            "differ in that. Name the classes in the order of the numbers: "
            f"{_command(root, 'classes=[happy,sad,…]')}; or rename the folders."
        )
    count = number_of(len(numbers), "folder that is a number", "folders that are numbers")
    return (
        f"has {count}{f', {_list(numbers)}' if numbers else ''}; classes= names "
        f"{len(classes)}: {_list(classes)}. Name one for each number, in their order."
    )


def _command(path: Path, more: str = "") -> str:
    text = f"folder[path={write(str(path))}{',' if more else ''}{more}]"
    return f"--dataset {shlex.quote(text)}"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
