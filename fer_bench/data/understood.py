"""What was understood of a data set: its classes, subjects, splits and groups, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from fer_bench.data.index import GROUP
from fer_bench.data.prepared import Prepared
from fer_bench.sizes import number_of

SHOWN = 12
"""Values of a group that are listed with their counts; of more, only the number is said."""
_PERSON = "subject|participant|person|patient|actor|speaker|user|individual|volunteer|respondent"
_SUBJECT = re.compile(rf"(?:{_PERSON})s?(?:id|no|nr|nummer|number|name|code|key)?|pid|uid|sid|identity", re.IGNORECASE)


def describe(prepared: Prepared) -> list[tuple[str, str]]:
    """Return (what, text) of what a prepared data set holds."""
    samples = prepared.samples
    counts = samples["label"].value_counts()
    classes = {name: int(counts.get(code, 0)) for code, name in enumerate(prepared.labels)}
    splits = {split: sum(labels.values()) for split, labels in prepared.counts.items() if split}
    unsplit = len(samples) - sum(splits.values())
    groups = [_group(name, samples[GROUP + name]) for name in prepared.groups]
    return [
        ("classes", _listed(classes)),
        ("subjects", _people(samples["subject"])),
        *([("sequences", _people(samples["sequence"]))] if (samples["sequence"] != "").any() else []),
        ("splits", f"{_listed(splits)}{f'; {_images(unsplit)} without one' if unsplit else ''}" if splits else "none"),
        ("groups", "\n".join(groups) or "none"),
    ]


def unused_subjects(table: pd.DataFrame) -> list[str]:
    """Return a warning for each group that looks like the subject, where no subject is known.

    Args:
        table: of `fer_bench.data.index.IndexWriter.table`.
    """
    if (table["subject"] != "").any():
        return []
    names = [name.removeprefix(GROUP) for name in table.columns if name.startswith(GROUP)]
    return [
        f"the column {name!r} ({number_of(table[GROUP + name].nunique(), 'value')}) looks like the "
        "subject and is not taken as "
        "one, so a person may be in both training and test. If it says who is shown, rename it to 'subject'"
        for name in names
        if _SUBJECT.fullmatch(re.sub(r"[\W_]", "", name))
    ]


def _people(column: pd.Series[str]) -> str:
    """Return how many subjects or sequences there are, and how many images each of them and none of them has."""
    subjects = column[column != ""]
    if not len(subjects):
        return "none known, so folds cannot keep people apart"
    sizes = subjects.value_counts()
    least, most = int(sizes.min()), int(sizes.max())
    each = _images(most) if least == most else f"{least:,} to {_images(most)}"
    without = len(column) - len(subjects)
    return f"{len(sizes):,}, with {each} each{f'; {_images(without)} without one' if without else ''}"


def _group(name: str, column: pd.Series[str]) -> str:
    counts = column[column != ""].value_counts()
    values = {str(value): int(count) for value, count in counts.items() if count}
    return f"{name}: {_listed(values) if len(values) <= SHOWN else number_of(len(values), 'value')}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _images(count: int) -> str:
    return number_of(count, "image")
