"""Find out in which of its layouts a data set lies on disk, and refuse two copies at once.

An adapter declares its layouts; `LayoutBuilder` finds the one that is there, in the manual folder or up to
two folders below it, since archives often unpack into folders of their own::

    class Jaffe(LayoutBuilder):
        layouts = (Layout("pictures", "pictures such as 'KA.AN1.39.tiff'", ("*.tiff",), read_pictures),)
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from fer_bench.data.builder import Faults, FerBuilder
from fer_bench.data.files import DataFolder, FileError
from fer_bench.errors import DataError
from fer_bench.specs import Sample

DEPTH = 2
"""How many folders below the manual folder a layout may lie."""
COPIES = 100
"""How many folders of one depth are searched for a second copy."""
HINT_DEPTH, HINT_FOLDERS = 6, 2000
"""How deep, and in how many folders, what lies too deep is looked for, to be named in the message."""


@dataclass(frozen=True)
class LayoutSource:
    """A data set as it was found.

    Attributes:
        folder: the manual folder, out of which no file may lead.
        base: the folder that holds the layout: ``root`` or one below it. Ids of samples are relative to it.
        params: the data set's parameters.
        notices: what the user should know; readers append.
    """

    folder: DataFolder
    base: Path
    params: Any
    notices: list[str]

    @property
    def root(self) -> Path:
        """The manual folder."""
        return self.folder.root

    def name(self, path: Path) -> str:
        """Return the name of a file below ``base`` as ids and messages show it."""
        return path.relative_to(self.base).as_posix()

    def folders(self) -> list[str]:
        """Return the names of the folders in ``base``, sorted."""
        return [folder.name for folder in _folders(self.base)]

    def find(self, *patterns: str) -> Path | None:
        """Return the one file or folder below ``base`` that any of ``patterns`` names, in upper or lower case, or None.

        Raises:
            DataError: there are several, or it leads out of the manual folder.
        """
        found = [path for pattern in patterns for path in matches(self.base, pattern)]
        if len(found) > 1:
            names = " and ".join(repr(self.name(path)) for path in found)
            raise DataError(
                f"{str(self.base)!r} holds {names}, which are the same thing twice. Leave one of them there."
            )
        if not found:
            return None
        try:
            self.folder.check_inside(found[0])
        except FileError as error:
            raise DataError(f"{str(found[0])!r} {error}.") from None
        return _unwrap(found[0])

    def need(self, faults: Faults, *patterns: str) -> Path | None:
        """Return what `find` returns; if there is nothing, or nothing that may be read, that is a fault."""
        try:
            found = self.find(*patterns)
        except DataError as error:
            faults.add("", str(error))
            return None
        if found is None:
            others = "".join(f"; {pattern!r} will do as well" for pattern in patterns[1:])
            faults.add(patterns[0], f"is missing in {str(self.base)!r}{others}")
        return found

    def may_read(self, path: Path, faults: Faults) -> bool:
        """Return whether ``path``, below ``base``, is a file that may be read; if not, that is a fault."""
        try:
            self.folder.check(path)
        except FileError as error:
            faults.add(self.name(path), str(error))
            return False
        return True


Reader = Callable[[LayoutSource, Faults], Iterator[Sample]]


@dataclass(frozen=True)
class Layout:
    """One form in which a data set lies on disk.

    Attributes:
        name: short.
        what: what the user puts there, for messages.
        marks: paths with ``*``, any one of which shows that the layout is there.
        read: yields the samples.
        labels: label names, where this layout has not all of the data set's.
        size: width and height that every picture file must have, where the layout says so.
        ignores: parameters of the data set that this layout cannot honour; one that is set is refused.
    """

    name: str
    what: str
    marks: tuple[str, ...]
    read: Reader
    labels: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    ignores: tuple[str, ...] = ()


class LayoutBuilder(FerBuilder):
    """Base class of adapters that read one of several layouts.

    Attributes:
        layouts: all that the adapter reads.
    """

    layouts: ClassVar[tuple[Layout, ...]] = ()

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Find the layout and return its labels."""
        assert root is not None, f"{self.spec.name} has a manual folder"
        self.layout, base = detect(root, self.layouts, self.wanted(), self.spec.name, self.spec.access)
        self._refuse_ignored()
        self.source = LayoutSource(DataFolder(root), base, self.params, self.notices)
        return self.layout.labels or self.spec.labels

    def wanted(self) -> Sequence[str]:
        """Return the names of the layouts that will do; override where a parameter chooses one."""
        return [layout.name for layout in self.layouts]

    def _refuse_ignored(self) -> None:
        """Raise DataError if a parameter is set that the layout cannot honour."""
        fields = type(self.params).model_fields
        values = {name: getattr(self.params, name) for name in self.layout.ignores}
        given = [f"{name}={value}" for name, value in values.items() if value != fields[name].default]
        if given:
            raise DataError(
                f"{self.spec.name}[{','.join(given)}]: the copy that is there ({self.layout.what}) cannot honour "
                f"{' and '.join(name.partition('=')[0] for name in given)}. Leave that out, or get another copy. "
                f"{self.spec.access}"
            )

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the samples of the layout that was found."""
        for sample in self.layout.read(self.source, faults):
            if self.layout.size is not None and isinstance(sample.image, Path):
                check_size(self.source, sample.image, self.layout.size, faults)
            yield sample


def detect(root: Path, layouts: Sequence[Layout], wanted: Sequence[str], name: str, access: str) -> tuple[Layout, Path]:
    """Return the one layout of ``wanted`` that is there, and the folder that holds it.

    Raises:
        DataError: there is none, or more than one copy.
    """
    found: list[tuple[Layout, Path, Path]] = []
    bases = [root]
    for depth in range(DEPTH + 1):
        # A copy that is there must not hide a second one, but a folder of very many folders is part of it.
        if depth and len(bases) > COPIES and any(layout.name in wanted for layout, _, _ in found):
            break
        claimed: set[Path] = set()
        for base in bases:
            for layout in layouts:
                marks = [path for mark in layout.marks for path in matches(base, mark)]
                if marks:
                    found.append((layout, base, marks[0]))
                    claimed |= {base / path.relative_to(base).parts[0] for path in marks}
        # What a layout uses is not searched for further copies.
        bases = [folder for base in bases for folder in _folders(base) if folder not in claimed]
    found = [entry for entry in found if entry[0].name in wanted]
    if len(found) == 1:
        return found[0][:2]
    if not found:
        either = "; or ".join(layout.what for layout in layouts if layout.name in wanted)
        marks = [mark for layout in layouts if layout.name in wanted for mark in layout.marks]
        raise nothing_found(root, name, either, marks, access)
    copies = " and ".join(f"{mark.relative_to(root).as_posix()!r} ({layout.name})" for layout, _, mark in found)
    raise DataError(
        f"{str(root)!r} holds {name} more than once: {copies}. Leave one of them there and remove the rest."
    )


def nothing_found(root: Path, name: str, expected: str, marks: Sequence[str], access: str) -> DataError:
    """Return what is said where a data set's folder holds nothing that can be read: what is there, and what is missing.

    Args:
        root: the folder.
        name: of the data set.
        expected: what should be there.
        marks: paths with ``*`` that would show it; one that lies too deep is named.
        access: how to get the data.
    """
    entries = [repr(entry.name) for entry in _visible(root)]
    there = ", ".join(entries[:8]) or "nothing"
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    deep = _too_deep(root, marks)
    hint = f" The folder {deep.relative_to(root).as_posix()!r} may be it: move what it holds there." if deep else ""
    return DataError(
        f"{str(root)!r} holds no {name} that can be read: expected {expected}. There is {there}{more}.{hint} {access}"
    )


def _too_deep(root: Path, marks: Sequence[str]) -> Path | None:
    """Return the first folder, by depth, below ``root`` that holds any of ``marks``."""
    level, seen = [root], 0
    for _ in range(HINT_DEPTH):
        level = [folder for base in level for folder in _folders(base)]
        for folder in level:
            if (seen := seen + 1) > HINT_FOLDERS:
                return None
            if any(matches(folder, mark) for mark in marks):
                return folder
    return None


def matches(base: Path, pattern: str) -> list[Path]:
    """Return what ``pattern`` (parts separated by ``/``, with ``*``) names below ``base``, in upper or lower case."""
    found = [base]
    for part in pattern.lower().split("/"):
        found = [
            Path(entry.path)
            for folder in found
            if folder.is_dir()
            for entry in _visible(folder)
            if fnmatch.fnmatchcase(entry.name.lower(), part)
        ]
    return found


def _unwrap(path: Path) -> Path:
    """Return the folder below ``path`` that has its name and is all that it holds, as some archives unpack."""
    inner = path / path.name
    while inner.is_dir() and not inner.is_symlink() and len(_visible(path)) == 1:
        path, inner = inner, inner / path.name
    return path


def check_size(source: LayoutSource, path: Path, size: tuple[int, int], faults: Faults) -> None:
    """Record a picture of another size; one that cannot be opened is left to the base class, which says why."""
    full = source.root / path
    if not full.is_file():
        return
    try:
        with Image.open(full) as image:
            found = image.size
    except Exception:  # Pillow lets almost any exception out; the base class opens the file again and reports it.
        return
    if found != size:
        faults.add(
            path.as_posix(),
            f"has {found[0]} x {found[1]} pixels, expected {size[0]} x {size[1]}; another size is other data: "
            "describe it by a manifest",
        )


def _folders(root: Path) -> list[Path]:
    return [Path(entry.path) for entry in _visible(root) if entry.is_dir()]


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
