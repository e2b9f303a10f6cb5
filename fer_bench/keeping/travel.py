"""Stage outputs as one file, so that a machine computes them and others use them: a zip file of parts, not compressed.

A part goes as it lies in the cache, with its checksums; who imports it compares every one. Machines of other kinds
round in other ways, so a part says what made it, and ``exact`` takes only what this machine would have made.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench import atomic, foreign_files
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.keeping import parts
from fer_bench.keeping.space import KeptPart, Space

FILES = (parts.VALUES, parts.IMAGES, parts.ENTRY)
LARGEST_ENTRY = 1 << 20
"""Bytes of the description of a part."""
_MEMBER = re.compile(rf"[0-9a-f]{{64}}-[0-9a-f]{{12}}/({'|'.join(map(re.escape, FILES))})")
MADE_BY = "made_by"
"""Of the facts of a part: the device, processor and versions that computed it."""


def select(space: Space, backbone: str, dataset: str) -> list[KeptPart]:
    """Return the complete parts of a backbone and a data set.

    Args:
        space: of the cache.
        backbone: as it was typed, or its name, which takes all of its parameters; empty takes all.
        dataset: likewise.

    Raises:
        FerBenchError: there is none.
    """
    stored = [row for row in space.rows() if row.facts]
    chosen = [row for row in stored if _named(row, "backbone", backbone) and _named(row, "dataset", dataset)]
    if not chosen:
        available = sorted({f"{row.facts['backbone']} on {row.facts['dataset']}" for row in stored})
        raise FerBenchError(
            f"The cache {str(space.folder)!r} holds no stage outputs of {backbone or 'any backbone'} on "
            f"{dataset or 'any data set'}. It holds:\n{bullet_list(available or ['nothing'], 10)}"
        )
    return sorted(chosen, key=lambda row: row.name)


def _named(row: KeptPart, fact: str, name: str) -> bool:
    return not name or row.facts[fact] == name or row.facts[fact].partition("[")[0] == name


def write(space: Space, rows: Sequence[KeptPart], output: Path) -> None:
    """Write parts to a file; an export that is there is replaced.

    Raises:
        FerBenchError: it cannot be written, or something else is there.
    """
    if output.exists():
        _check_replaceable(output)
    scratch = atomic.scratch(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as archive:
            for row in rows:
                for name in FILES:
                    archive.write(space.folder / row.name / name, f"{row.name}/{name}")
        scratch.replace(output)
    except OSError as error:
        raise FerBenchError(f"Cannot write {str(output)!r}: {atomic.reason(error)}. Name another --output.") from None
    finally:
        scratch.unlink(missing_ok=True)


def _check_replaceable(output: Path) -> None:
    """Raise FerBenchError unless `write` wrote a file."""
    try:
        with zipfile.ZipFile(output) as archive:
            _names(archive, output)
    except (FerBenchError, OSError, *foreign_files.BROKEN_ZIP):
        raise FerBenchError(
            f"{str(output)!r} is there already and is not what 'fer-bench cache export' writes. Name another --output."
        ) from None


def take(space: Space, file: Path, machine: Mapping[str, Any], exact: bool) -> tuple[int, int]:
    """Put the parts in a file into the cache; return how many are new and how many were there.

    Args:
        space: of the cache.
        file: from `write`.
        machine: what this one is, as in the facts of a part.
        exact: refuse what another kind of machine made.

    Raises:
        FerBenchError: the file is missing, none of these, damaged or made elsewhere, or the cache cannot keep it.
    """
    if not file.is_file():
        raise FerBenchError(f"There is no file {str(file)!r}. 'fer-bench cache export' writes one.")
    new = present = 0
    try:
        with zipfile.ZipFile(file) as archive:
            names = _names(archive, file)
            if exact:
                _check_machine(archive, names, machine, file)
            for name in names:
                if (space.folder / name / parts.ENTRY).is_file():
                    present += 1
                else:
                    _take_part(space, archive, name, file)
                    new += 1
    except foreign_files.BROKEN_ZIP as error:
        raise FerBenchError(f"{str(file)!r} is no whole file of stage outputs: {error}. Copy it again.") from None
    except OSError as error:
        raise FerBenchError(
            f"Cannot bring {str(file)!r} into the cache {str(space.folder)!r}: {atomic.reason(error)}. "
            "You can name another folder with --cache-dir."
        ) from None
    return new, present


def _names(archive: zipfile.ZipFile, file: Path) -> list[str]:
    """Return the names of the parts in a file.

    Raises:
        FerBenchError: it holds something else.
    """
    members = [member.filename for member in archive.infolist()]
    names = sorted({member.partition("/")[0] for member in members})
    strange = [name for name in members if not _MEMBER.fullmatch(name)]
    if strange or len(members) != 3 * len(names) or len(set(members)) != len(members):
        what = f"it holds {strange[0][:80]!r}" if strange else "parts are not whole"
        raise FerBenchError(f"{str(file)!r} is not what 'fer-bench cache export' writes: {what}.")
    return names


def _check_machine(archive: zipfile.ZipFile, names: Sequence[str], machine: Mapping[str, Any], file: Path) -> None:
    """Raise FerBenchError unless this kind of machine made all parts."""
    differences: dict[str, None] = {}
    for name in names:
        made_by = _made_by(archive, name, file)
        differences |= {
            f"{what}: {made_by.get(what, 'not recorded')} there, {own} here": None
            for what, own in machine.items()
            if made_by.get(what) != own
        }
    if differences:
        raise FerBenchError(
            f"--exact: another kind of machine made what {str(file)!r} holds, so its rounding may differ:\n"
            f"{bullet_list(list(differences))}\nImport it without --exact, or compute the outputs here."
        )


def _made_by(archive: zipfile.ZipFile, name: str, file: Path) -> dict[str, Any]:
    """Return what a part says of the machine that made it; empty where it says nothing.

    Raises:
        FerBenchError: it is not what a part says.
    """
    member = archive.getinfo(f"{name}/{parts.ENTRY}")
    try:
        entry = json.loads(archive.read(member) if member.file_size <= LARGEST_ENTRY else "null")
        made_by = entry["facts"].get(MADE_BY) or {}
    except (ValueError, TypeError, KeyError, AttributeError):
        made_by = None
    if not isinstance(made_by, dict):
        raise FerBenchError(f"{str(file)!r} is damaged: {member.filename} does not say what made it. Copy it again.")
    return made_by


def _take_part(space: Space, archive: zipfile.ZipFile, name: str, file: Path) -> None:
    """Put a part into the cache once every checksum of it holds."""
    members = {member: archive.getinfo(f"{name}/{member}") for member in FILES}
    with space.scratch(name, sum(member.file_size for member in members.values())) as scratch:
        for member, info in members.items():
            with archive.open(info) as source, (scratch.folder / member).open("wb") as target:
                shutil.copyfileobj(source, target, parts.CHUNK_BYTES)
        part = parts.read(scratch.folder)
        if part is None or part.values(np.arange(len(part.images))) is None:
            raise FerBenchError(f"{str(file)!r} is damaged: {name} does not match its checksums. Copy it again.")
        scratch.complete()
