"""A folder of one's own with one folder of pictures for each class, and no table: ``faces/happy/*.png``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from fer_bench.data.builder import Faults, FerBuilder
from fer_bench.data.files import DataFolder
from fer_bench.data.place import PARTS
from fer_bench.errors import DataError
from fer_bench.labels import class_of
from fer_bench.specs import DatasetParams, DatasetSpec, Sample

from .class_folders import Spelling, read_classes
from .folder_hints import Entries, explain
from .identities import by_name, by_table
from .layout import LayoutSource
from .manifest import ordered
from .params import FolderParams


class Folder(FerBuilder):
    """Reads ``<class>/*`` or ``<part>/<class>/*``; the names of files or a table may say who is shown."""

    @classmethod
    def manual_path(cls, spec: DatasetSpec, params: DatasetParams) -> PurePath:
        """Return the folder that is named, or ``folder``."""
        assert isinstance(params, FolderParams)
        return PurePath(params.path or spec.name)

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Return the classes that the folders mean, in the order that a manifest of them has.

        Raises:
            DataError: there are no folders of two classes or more, or they are numbers that nothing explains.
        """
        assert root is not None
        self._source = LayoutSource(DataFolder(root), root, self._checked, self.notices)
        top = Entries.of(root)
        names = {name.lower(): name for name in top.folders if name.lower() in PARTS}
        self._parts = {part: root / name for part, name in names.items()} or {"": root}
        within = {part: Entries.of(folder) for part, folder in self._parts.items()}
        if why := explain(root, top, within, self._checked):
            raise DataError(f"{str(root)!r} {why} {self.spec.access}")
        folders = sorted({name for entries in within.values() for name in entries.folders})
        self._spell = _spelling(folders, self._checked.classes)
        known = {label for name in folders if (label := self._spell(name))}
        if len(known) == 1:
            raise DataError(
                f"{str(root)!r} holds one class only, {known.pop()!r}; expected two or more. {self.spec.access}"
            )
        self._skip = {*top.others, *(name for entries in within.values() for name in entries.others)}
        if unread := sorted(self._skip - {self._checked.subjects}):
            self.notices.append(f"not read: {', '.join(map(repr, unread[:5]))}{' …' * (len(unread) > 5)}")
        told = [f"{name!r} is {label!r}" for name in folders if (label := self._spell(name)) and label != name.lower()]
        if told:
            self.notices.append(f"folders are classes by their spelling: {', '.join(told)}")
        return ordered(known)

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the pictures, part by part and class by class in the order of their names, each with who it shows."""
        samples: list[Sample] = []
        for part, folder in self._parts.items():
            samples += read_classes(
                self._source, folder, self.label_names, faults, part, self._spell, complete=False, skip=self._skip
            )
        if self._checked.subject:
            samples = by_name(samples, self._checked.subject)
        elif self._checked.subjects:
            samples = list(by_table(self._source, samples, self._checked.subjects, faults))
        yield from samples

    @property
    def _checked(self) -> FolderParams:
        assert isinstance(self.params, FolderParams)
        return self.params


def _spelling(folders: Sequence[str], classes: Sequence[str]) -> Spelling:
    """Return from the name of a folder to its class: an expression in any spelling, or its own name in lower case.

    Args:
        folders: their names.
        classes: what those that are numbers mean, in the order of the numbers.
    """
    numbers = sorted((name for name in folders if name.isdecimal()), key=int)
    meant = dict(zip(numbers, classes, strict=True)) if classes else {}
    return lambda name: class_of(meant.get(name, name), {})
