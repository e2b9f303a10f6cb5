"""Rules for data sets. A small copy of the data is enough for all but their counts."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from fer_bench.data.faults import Faults
from fer_bench.data.index import compare_counts
from fer_bench.data.place import Place, locate
from fer_bench.data.prepare import prepare
from fer_bench.data.prepared import Prepared
from fer_bench.data.records import quiet
from fer_bench.errors import DataError, FerBenchError, PluginError
from fer_bench.labels import EXPRESSIONS
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import DatasetSpec, Sample
from fer_bench.testing.conformance.rules import ConformanceRule, NotApplicable, rule
from fer_bench.testing.conformance.spec import add_pickle_rule
from fer_bench.testing.layouts.damages import DAMAGES
from fer_bench.testing.layouts.drawing import list_pictures

LARGEST_COPY = 200_000_000
"""Bytes of data that are copied to be damaged."""


class DatasetSubject:
    """A data set that is read and prepared once for all rules.

    Args:
        component: with the parameters to be checked.
        data_dir: where the data lie, below ``manual``, and where they are prepared.
        write: writes a small copy of the data to a folder, to be checked instead.
    """

    def __init__(
        self, component: Component[DatasetSpec], data_dir: Path, write: Callable[[Path], object] | None = None
    ):
        self.component, self.spec, self.small = component, component.spec, write is not None
        self._scratch = tempfile.TemporaryDirectory(prefix="fer-bench-check-")
        self.scratch = Path(self._scratch.name)
        self._data_dir, self._write = data_dir, write

    @cached_property
    def place(self) -> Place:
        """Where the data lie.

        Raises:
            NotApplicable: they do not.
        """
        if self._write is not None:
            place = locate(self.component, self.scratch)
            if place.manual is not None and not place.manual.exists():
                place.manual.parent.mkdir(parents=True, exist_ok=True)
                self._write(place.manual)
            return place
        place = locate(self.component, self._data_dir)
        if place.manual is not None and not place.manual.is_dir():
            raise NotApplicable(f"the data are not in {str(place.manual)!r}; put them there or give --data-dir")
        return place

    def builder(self) -> Any:
        """Return a new builder, as the host makes it."""
        place = self.place
        with quiet():
            return place.builder(
                spec=self.spec,
                params=cast("Any", self.component.params),
                root=place.manual,
                data_dir=self.scratch / "read",
                config="check",
            )

    def read(self) -> tuple[list[Sample], Faults, tuple[str, ...]]:
        """Return the samples as the adapter reads them, its faults and its label names."""
        builder, faults = self.builder(), Faults()
        return list(builder.read(builder.root, faults)), faults, builder.label_names

    @cached_property
    def first_read(self) -> tuple[list[Sample], Faults, tuple[str, ...]]:
        """What the first reading gave."""
        return self.read()

    @property
    def samples(self) -> list[Sample]:
        """The samples of the first reading."""
        return self.first_read[0]

    @cached_property
    def prepared(self) -> Prepared:
        """The data set as a run reads it."""
        _ = self.place
        return prepare(self.component, self.scratch if self.small else self._data_dir)


RULES: list[ConformanceRule[DatasetSubject]] = []


add_pickle_rule(RULES, lambda subject: subject.component)


@rule(
    RULES,
    expected="title, licence and citation are stated, label names are distinct, and 'access' says how to get the data "
    "unless the package makes them itself",
    fix="fill these fields of the DatasetSpec in; where a licence is not known, say that the owners do not state one",
)
def described(subject: DatasetSubject) -> Iterator[str]:
    """Yield each field that says nothing."""
    spec = subject.spec
    yield from (f"{name} is empty" for name in ("title", "licence", "citation") if not getattr(spec, name).strip())
    if len(set(spec.labels)) < len(spec.labels) or not all(name.strip() for name in spec.labels):
        yield f"labels are {spec.labels}"
    place = locate(subject.component, subject.scratch)
    if place.manual is not None and not spec.access.strip():
        yield "access is empty, but the data must be put in a folder by hand"


@rule(
    RULES,
    expected="every label says which expression it means, or that it means none; every official split says what it is "
    "for, with one to train on and one to test; published numbers are of declared splits and labels",
    fix="fill in DatasetSpec.expressions ('' for none) and roles; correct the names in expected_counts and variants",
)
def declared(subject: DatasetSubject) -> Iterator[str]:
    """Yield what the spec leaves to be guessed, or says of something that is not there."""
    spec = subject.spec
    for label in spec.labels:
        meaning = spec.expressions.get(label)
        if meaning is None:
            yield f"the label {label!r} does not say which expression it means"
        elif meaning and meaning not in EXPRESSIONS:
            yield f"the label {label!r} means {meaning!r}, which is none of {', '.join(EXPRESSIONS)}"
    if strange := sorted(set(spec.expressions) - set(spec.labels)) if spec.labels else []:
        yield f"expressions are declared for {strange}, which are no labels"
    if set(spec.roles) != set(spec.splits):
        yield f"splits are {sorted(spec.splits)}, but roles are declared for {sorted(spec.roles)}"
    if spec.splits and not {"train", "test"} <= set(spec.roles.values()):
        yield f"no split to train on, or none to test: {dict(spec.roles)}"
    for text, counts in {"expected_counts": spec.expected_counts, **spec.variants}.items():
        if strange := sorted(set(counts) - {*spec.splits, ""}):
            yield f"{text}: {strange} are no declared splits"
        if strange := sorted({label for labels in counts.values() for label in labels} - {*spec.labels, ""}):
            yield f"{text}: {strange} are no labels"


@rule(
    RULES,
    expected="'read' yields Sample objects, at least one, and reports no fault",
    fix="correct the data or the adapter; the faults name the files",
)
def reads(subject: DatasetSubject) -> Iterator[str]:
    """Yield the faults that reading reports."""
    samples, faults, _ = subject.first_read
    yield from faults
    if not samples:
        yield "no sample at all"
    kinds = {type(sample).__name__ for sample in samples if not isinstance(sample, Sample)}
    yield from (f"'read' yields {kind}" for kind in sorted(kinds))


@rule(
    RULES,
    needs=["reads"],
    expected="every label is one of the label names, and every label name has a sample",
    fix="translate labels to the names in DatasetSpec.labels (or 'labels()'), and drop names that are never used",
)
def labels_in_range(subject: DatasetSubject) -> Iterator[str]:
    """Yield each label without a name, and each name without a sample."""
    samples, _, names = subject.first_read
    counts = Counter(sample.label for sample in samples)
    yield from (
        f"{number_of(n, 'sample has', 'samples have')} the label {label!r}"
        for label, n in counts.items()
        if label not in names
    )
    if not subject.small:
        yield from (f"no sample has the label {name!r}" for name in names if not counts[name])


@rule(
    RULES,
    needs=["reads"],
    expected="sample ids are unique, not empty, and the same in any folder",
    fix="take the path below the data set's folder (path.relative_to(root).as_posix()) or a row number as id",
)
def ids_unique_and_stable(subject: DatasetSubject) -> Iterator[str]:
    """Yield each id that is empty, comes twice or holds the folder's own path."""
    counts = Counter(sample.id for sample in subject.samples)
    yield from (
        f"{number_of(n, 'sample has', 'samples have')} the id {name!r}"
        for name, n in counts.items()
        if n > 1 or not name
    )
    root = subject.place.manual
    where = [name for name in counts if root is not None and str(root) in name]
    if where:
        yield f"{number_of(len(where), 'id contains', 'ids contain')} the folder of the data, as {where[0]!r}"


@rule(
    RULES,
    needs=["reads"],
    expected="subjects are there for all samples where identity is 'yes' or 'proxy' and for none where it is 'no'; "
    "every sample has the same group columns; splits are among the declared ones",
    fix="set DatasetSpec.identity and DatasetSpec.splits to what the data hold; give a group '' where it is not known",
)
def groups(subject: DatasetSubject) -> Iterator[str]:
    """Yield what does not fit the declaration."""
    samples, spec = subject.samples, subject.spec
    identified = sum(bool(sample.subject) for sample in samples)
    if spec.identity in ("yes", "proxy") and identified < len(samples):
        yield (
            f"identity is {spec.identity!r}, but "
            f"{number_of(len(samples) - identified, 'sample has', 'samples have')} no subject"
        )
    if spec.identity == "no" and identified:
        yield f"identity is 'no', but {number_of(identified, 'sample has', 'samples have')} a subject"
    columns = {tuple(sorted(sample.groups)) for sample in samples}
    if len(columns) > 1:
        yield f"samples have {len(columns)} different lists of groups: {sorted(columns)[:3]}"
    splits = {sample.split for sample in samples}
    if spec.splits and splits - set(spec.splits):
        yield f"splits {sorted(splits - set(spec.splits))} are not declared"


@rule(
    RULES,
    needs=["reads"],
    expected="two readings give the same samples in the same order",
    fix="sort what a folder lists (sorted(root.glob(...))), and keep sets and random numbers out of 'read'",
)
def same_order_twice(subject: DatasetSubject) -> Iterator[str]:
    """Yield the first sample that differs."""
    again, _, names = subject.read()
    if names != subject.first_read[2]:
        yield f"label names are {subject.first_read[2]}, then {names}"
    if len(again) != len(subject.samples):
        yield f"{number_of(len(subject.samples), 'sample')}, then {len(again)}"
    for number, (one, two) in enumerate(zip(subject.samples, again, strict=False)):
        if one != two:
            yield f"sample {number} is {one.id!r}, then {two.id!r}{'' if one.id != two.id else ' with other content'}"
            return


@rule(
    RULES,
    needs=["reads"],
    expected="'count' and the published counts agree with the samples that are there",
    fix="return the number of samples or None from 'count', and correct DatasetSpec.expected_counts or the data",
)
def counts(subject: DatasetSubject) -> Iterator[str]:
    """Yield each count that is another."""
    samples = subject.samples
    if subject.small:
        raise NotApplicable("a small copy has counts of its own")
    builder = subject.builder()
    counted: dict[str, dict[str, int]] = {}
    for sample in samples:
        split = counted.setdefault(sample.split, {})
        split[sample.label] = split.get(sample.label, 0) + 1
    stated = builder.count()
    if stated is not None and stated != len(samples):
        yield f"'count' says {stated}, 'read' yields {len(samples)}"
    yield from compare_counts(counted, builder.expected_counts(frozenset(counted)))


@rule(
    RULES,
    needs=["labels-in-range", "ids-unique-and-stable"],
    expected="the host prepares the data: every image decodes, and what is stored matches its hashes",
    fix="yield images as paths below the data set's folder or as encoded bytes (fer_bench.data.builder.encode_png)",
)
def decodes(subject: DatasetSubject) -> Iterator[str]:
    """Yield what is wrong with the prepared data."""
    prepared = subject.prepared
    if len(prepared) != len(subject.samples):
        yield f"{number_of(len(prepared), 'sample was', 'samples were')} prepared, {len(subject.samples)} read"
    yield from prepared.verify()


@rule(
    RULES,
    needs=["decodes"],
    expected="damaged pictures and a folder without data are reported as faults of the data, which name the file, "
    "and nothing is prepared",
    fix="open no picture in 'read' (the host checks them), collect other faults with faults.add(where, what), and "
    "raise DataError where nothing can be read",
)
def defects_reported(subject: DatasetSubject) -> Iterator[str]:
    """Yield each damage that is not reported."""
    root = subject.place.manual
    if root is None:
        raise NotApplicable("the package makes its data itself")
    if sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) > LARGEST_COPY:
        raise NotApplicable(f"more than {LARGEST_COPY / 1e6:.0f} MB would be copied; check a small copy")
    base = subject.scratch / "damaged"
    for name, damage in {"nothing but a README": None, **DAMAGES}.items():
        data_dir = base / name.replace(" ", "-")
        target = locate(subject.component, data_dir).manual
        assert target is not None
        where = ""
        if damage is None:
            target.mkdir(parents=True)
            (target / "README.txt").write_text("to be filled\n", encoding="utf-8")
        else:
            shutil.copytree(root, target)
            if not (pictures := list_pictures(target)):
                continue
            where = pictures[-1].name
            damage(target)
        yield from _report(subject, data_dir, name, where)
    shutil.rmtree(base, ignore_errors=True)


def _report(subject: DatasetSubject, data_dir: Path, name: str, where: str) -> Iterator[str]:
    """Yield what is wrong with how a damage is reported."""
    what = f"a folder with {name}" if not where else f"the picture {where!r}, damaged ({name}),"
    try:
        prepare(replace(subject.component), data_dir)
    except PluginError as error:
        yield f"{what} makes the adapter fail: {error}"
    except DataError as error:
        if where and where not in str(error):
            yield f"{what} is not named: {' '.join(str(error).split())[:200]}"
    except FerBenchError as error:
        yield f"{what} leads to {type(error).__name__}, not DataError: {' '.join(str(error).split())[:200]}"
    else:
        yield f"{what} is accepted"
