"""Any folder of images that a table describes, ``manifest.csv``; and EMPATHIC, which is read in the same form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from fer_bench.data.builder import Faults, FerBuilder
from fer_bench.data.files import DataFolder
from fer_bench.labels import EXPRESSIONS, canonical
from fer_bench.specs import DatasetParams, DatasetSpec, Sample

from .layout import nothing_found
from .params import EmpathicParams, ManifestParams
from .tables import SUFFIXES, Headings, find_file, read_rows

FILES = tuple(f"manifest{suffix}" for suffix in SUFFIXES)
COLUMNS = ("path", "label", "subject", "split", "sequence")
OTHER_HEADINGS = {"path": ("image", "file", "filename"), "label": ("emotion", "expression")}
"""Column -> names that other people give it."""
ANNOTATOR = "annotator:"
"""How the headings of columns begin that hold the vote of an annotator, whose name follows."""
_DRIVE = re.compile(r"[A-Za-z]:|[\\/]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass
class _Manifest:
    """The rows of a manifest that can be used, what is wrong with the others, and how its columns were taken."""

    samples: list[Sample] = field(default_factory=list[Sample])
    faults: Faults = field(default_factory=Faults)
    notices: list[str] = field(default_factory=list[str])


class Manifest(FerBuilder):
    """Reads ``manifest.csv``, ``.tsv`` or ``.parquet``: path, label, maybe subject, split, sequence, groups, votes."""

    required: tuple[str, ...] = ("path", "label")
    """Columns that must be there and filled in."""

    @classmethod
    def manual_path(cls, spec: DatasetSpec, params: DatasetParams) -> PurePath:
        """Return the folder that is named, or ``manifest``, or ``manifest/<name>``."""
        assert isinstance(params, ManifestParams)
        return PurePath(params.path) if params.path else PurePath(spec.name, params.name)

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Return the labels of the rows: canonical ones in canonical order, all others sorted."""
        assert root is not None, "a manifest has a manual folder"
        self._manifest = _read_manifest(root, self.required, self.spec)
        return ordered(sample.label for sample in self._manifest.samples if sample.label)

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the samples in the order of the rows."""
        faults.extend(self._manifest.faults)
        self.notices += self._manifest.notices
        yield from self._manifest.samples

    def count(self) -> int | None:
        """Return the number of rows."""
        return len(self._manifest.samples)


class Empathic(Manifest):
    """Reads a manifest of EMPATHIC: the subject is required, and labels are those that the data set declares."""

    required = ("path", "label", "subject")

    @classmethod
    def manual_path(cls, spec: DatasetSpec, params: DatasetParams) -> PurePath:
        """Return ``empathic``."""
        del params
        return PurePath(spec.name)

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Return the declared labels; those of the rows are translated to them."""
        assert root is not None, "EMPATHIC has a manual folder"
        assert isinstance(self.params, EmpathicParams)
        self._manifest = _read_manifest(root, self.required, self.spec)
        return self.params.labels

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the samples, each label in the declared spelling."""
        spelled = {canonical(name): name for name in self.label_names}
        spelled.pop(None, None)
        for sample in super().read(root, faults):
            label = sample.label
            if label not in self.label_names:
                label = spelled.get(canonical(label), label)
            yield Sample(
                id=sample.id,
                image=sample.image,
                label=label,
                split=sample.split,
                subject=sample.subject,
                sequence=sample.sequence,
                groups=sample.groups,
            )


def ordered(labels: Iterable[str]) -> list[str]:
    """Return the distinct labels: in the usual order of expressions if all spell one, else sorted."""
    spelled = {name: canonical(name) for name in labels}
    if None in spelled.values():
        return sorted(spelled)
    return sorted(spelled, key=lambda name: (EXPRESSIONS.index(spelled[name] or ""), name))


def _read_manifest(root: Path, required: Sequence[str], spec: DatasetSpec) -> _Manifest:
    path = find_file(root, FILES)
    if path is None:
        raise nothing_found(root, spec.name, " or ".join(map(repr, FILES)), FILES, spec.access)
    manifest = _Manifest()
    headings = Headings(required, COLUMNS, OTHER_HEADINGS)
    lines: dict[str, tuple[str, str]] = {}
    for row in read_rows(DataFolder(root), path, headings, manifest.faults, notices=manifest.notices):
        where = f"{path.name}, {row.at}"
        # A path is taken as it stands: file names may begin or end with a space.
        values = {name: text if name == "path" else text.strip() for name, text in row.values.items()}
        for name in required:
            if not values[name].strip() and name != "label":  # An empty label is found with the unknown ones.
                manifest.faults.add(where, f"has an empty {name!r}")
        if _DRIVE.match(values["path"]):
            manifest.faults.add(
                where, f"has the absolute path {values['path']!r}, expected one relative to the manifest's folder"
            )
        elif _URL.match(values["path"]):
            manifest.faults.add(
                where, f"has the address {values['path']!r}; download the picture and give its path in the folder"
            )
        elif values["path"].strip():
            # Not the text itself: "./a.png" and "a.png" are one file.
            name = PurePosixPath(values["path"]).as_posix()
            if name == ".":
                manifest.faults.add(
                    where, f"has the path {values['path']!r}, which is the folder itself; name a picture"
                )
                continue
            if name in lines:
                line, label = lines[name]
                other = f", there with the label {label!r}, here with {values['label']!r}"
                manifest.faults.add(
                    where, f"repeats the path {name!r} of {line}{other * (label != values['label'])}; remove one"
                )
                continue
            lines[name] = row.at, values["label"]
            manifest.samples.append(
                Sample(
                    id=name,
                    image=Path(name),
                    label=values["label"],
                    split=values.get("split", ""),
                    subject=values.get("subject", ""),
                    sequence=values.get("sequence", ""),
                    groups={name: text for name, text in values.items() if name not in COLUMNS},
                    soft_label=Counter(text for name, text in values.items() if name.startswith(ANNOTATOR) and text),
                )
            )
    return manifest
