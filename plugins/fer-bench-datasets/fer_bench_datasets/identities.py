r"""Who is shown by a picture that lies in a folder of its class: told by its name, or by a table.

A pattern is matched by RE2, as Arrow brings it: in time that grows as the names do, for every pattern. Python's own
expressions may never end, and a pattern may come with settings of unknown origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from fer_bench.data.builder import Faults
from fer_bench.data.texts import compute
from fer_bench.errors import DataError
from fer_bench.sizes import number_of
from fer_bench.specs import Sample

from .layout import LayoutSource
from .manifest import OTHER_HEADINGS
from .tables import SUFFIXES, Headings, read_rows

_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)")
"""The beginning of a group without a name; what may hold such a sign and begins none is matched before."""


def by_name(samples: Sequence[Sample], pattern: str) -> list[Sample]:
    r"""Return the samples with what the names of their files say.

    Args:
        samples: their ids are paths.
        pattern: its group ``subject``, or else its first group, is the subject; ``sequence`` is the sequence, and other
            named groups are groups of their own: ``^(P\d+)_``, ``^(?P<subject>\w+?)_(?P<age>\d+)``.

    Raises:
        DataError: it is no regular expression, has no group, or fits no name.
    """
    names = [PurePosixPath(sample.id).name for sample in samples]
    try:
        found = compute.extract_regex(pa.array(names, pa.string()), pattern=_name_groups(pattern)).to_pylist()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"subject={pattern!r} cannot be read: {error}. Expected a regular expression (RE2) with a group for the "
            r"subject, such as ^(P\d+)_ for 'P07_happy.png'."
        ) from None
    if names and not any(found):
        raise DataError(
            f"subject={pattern!r} fits none of the {number_of(len(names), 'name')} of files, such as "
            f"{names[0]!r}. Write it so "
            r"that its group is the subject, as ^(P\d+)_ does for 'P07_happy.png'."
        )
    return [_with(sample, known or {}) for sample, known in zip(samples, found, strict=True)]


def by_table(source: LayoutSource, samples: Sequence[Sample], name: str, faults: Faults) -> Iterator[Sample]:
    """Yield the samples with what a table says of them.

    Its columns are ``path``, from the folder on or the name of a file that is there once, and ``subject``; maybe
    ``sequence``; all others are groups. What names no picture, several pictures, or a picture twice, is a fault.

    Args:
        source: the folder.
        samples: their ids are paths.
        name: of the table, which lies in the folder.
        faults: collects what is wrong.

    Raises:
        DataError: the name is not that of a table.
    """
    if not name.lower().endswith(SUFFIXES):
        raise DataError(
            f"subjects={name!r} is no table; expected one of {', '.join(SUFFIXES)} in {str(source.base)!r}."
        )
    paths: dict[str, list[str]] = {}
    for sample in samples:
        paths.setdefault(sample.id, []).append(sample.id)
        paths.setdefault(PurePosixPath(sample.id).name, []).append(sample.id)
    said: dict[str, dict[str, str]] = {}
    headings = Headings(("path", "subject"), ("sequence",), {"path": OTHER_HEADINGS["path"]})
    for row in read_rows(source.folder, source.base / name, headings, faults, notices=source.notices):
        path = PurePosixPath(row.values.pop("path")).as_posix()
        meant = paths.get(path, [])
        if not meant:
            faults.add(path, f"is named in {name!r}, and is no picture of the folder")
        elif len(meant) > 1:
            faults.add(path, f"is named in {name!r}, and is several pictures; write the path: {meant[0]!r}")
        elif meant[0] in said:
            faults.add(path, f"is named twice in {name!r}; remove one row")
        else:
            said[meant[0]] = {column: text.strip() for column, text in row.values.items()}
    for sample in samples:
        yield _with(sample, said.get(sample.id, {}))


def _name_groups(pattern: str) -> str:
    """Return a pattern in which every group that keeps something has a name, as Arrow wants it.

    The first is the subject unless one has that name; other groups without a name keep nothing.
    """
    subject = "(?P<subject>" in pattern or "(?<subject>" in pattern

    def name(match: re.Match[str]) -> str:
        nonlocal subject
        if match[0] != "(":
            return match[0]
        first, subject = not subject, True
        return "(?P<subject>" if first else "(?:"

    return _GROUP.sub(name, pattern)


def _with(sample: Sample, known: dict[str, str]) -> Sample:
    own = {name: known[name] for name in ("subject", "sequence") if name in known}
    return replace(sample, **own, groups={name: text for name, text in known.items() if name not in own})
