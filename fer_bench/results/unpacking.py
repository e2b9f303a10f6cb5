"""Read a pack of results of unknown origin: what `fer_bench.reports.packing` writes and nothing else."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_bench import atomic, foreign_files
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.results import canonical, corrupted
from fer_bench.results.folders import FILES, LARGEST
from fer_bench.results.keyed import seal_fault
from fer_bench.results.store import cannot_write
from fer_bench.sizes import number_of

README, CONFIG, MANIFEST = "README.md", "config.yaml", "manifest.json"
SCHEMA = 1
_MEMBER = re.compile(
    rf"cells/[0-9a-f]{{16}}/({'|'.join(map(re.escape, FILES))})"
    rf"|{corrupted.MEMBER}|{re.escape(README)}|{re.escape(CONFIG)}|{re.escape(MANIFEST)}"
)
RESULTS = ("cells/", f"{corrupted.FOLDER}/")
"""Folders of a pack that are folders of a runs folder."""
MOST_MEMBERS = 10_000_000
MOST_TIMES = 200
"""Times that a file over 1 MiB may be larger than what it is compressed to; a cell's are compressed at most tenfold."""


@contextmanager
def unpacked(file: Path, beside: Path, key: bytes | None = None) -> Generator[Path]:
    """Make a pack a runs folder within the block.

    Args:
        file: the pack.
        beside: the runs folder in which the temporary one is made.
        key: with which the pack must be sealed; None takes any.

    Raises:
        FerBenchError: it is no whole pack, or holds what is not of a pack; nothing has been written by then.
    """
    if file.exists() and not file.is_file():
        raise FerBenchError(f"{str(file)!r} is no file; expected what 'fer-bench pack' wrote.")
    atomic.remove_stale(beside, "unpacked")
    folder = atomic.scratch(beside / "unpacked")
    try:
        _extract(file, folder, beside, key)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # it holds cells
            beside.rmdir()


def _extract(file: Path, folder: Path, runs_dir: Path, key: bytes | None) -> None:
    """Write the cells of a pack to a folder within a runs folder."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check(archive, file, key)
            for member in archive.infolist():
                if member.filename.startswith(RESULTS):
                    _write(folder / member.filename, archive.read(member), runs_dir)
    except foreign_files.BROKEN_ZIP as error:
        raise FerBenchError(f"{str(file)!r} is no complete pack of results: {error}. Copy it again.") from None
    except OSError as error:
        raise FerBenchError(f"Cannot read {str(file)!r}: {atomic.reason(error)}.") from None


def _write(place: Path, content: bytes, runs_dir: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    except OSError as error:
        raise cannot_write(runs_dir, error) from None


def _check(archive: zipfile.ZipFile, file: Path, key: bytes | None) -> None:
    """Raise FerBenchError unless an archive holds what a pack holds, sealed with the key if there is one."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise FerBenchError(
            f"{str(file)!r} has {number_of(len(members), 'member')}; a pack has {MOST_MEMBERS:,} at most."
        )
    counts = Counter(member.filename for member in members)
    faults = [f"{member.filename[:80]!r} {why}" for member in members if (why := _fault(member))]
    faults += [f"{name!r} is there {count} times" for name, count in counts.items() if count > 1]
    if MANIFEST not in counts:
        faults.append(f"there is no {MANIFEST}")
    if not faults:
        faults = _manifest_faults(archive, set(counts), key)
    if faults:
        raise FerBenchError(
            f"{str(file)!r} is not what 'fer-bench pack' writes, and nothing was unpacked:\n{bullet_list(faults)}"
        )


def _fault(member: zipfile.ZipInfo) -> str:
    """Return what is wrong with a member; nothing for one of a pack."""
    if not _MEMBER.fullmatch(member.filename):
        return "is no file of a pack"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or no regular file"
    if member.flag_bits & 1:
        return "is encrypted"
    size = member.file_size
    folder, _, name = member.filename.rpartition("/")
    if size > (corrupted.LARGEST if folder.startswith(corrupted.FOLDER) else LARGEST.get(name, 1 << 24)):
        return f"has {size:,} bytes, more than such a file"
    if size > 1 << 20 and size > MOST_TIMES * member.compress_size:
        return f"has {size:,} bytes out of {member.compress_size:,}"
    return ""


def _manifest_faults(archive: zipfile.ZipFile, names: set[str], key: bytes | None) -> list[str]:
    """Return what is missing, not named or changed against the manifest, and what is wrong with its seal."""
    try:
        manifest = canonical.read(dict[str, object], archive.read(MANIFEST))
        files = canonical.from_json(dict[str, str], manifest.get("files"))
    except ValueError as error:
        return [f"{MANIFEST} {error}"]
    if manifest.get("schema") != SCHEMA:
        return [f"{MANIFEST} has schema {manifest.get('schema')!r}; this fer-bench reads {SCHEMA}"]
    faults = [f"{name!r} is missing" for name in sorted(files.keys() - names)]
    faults += [f"{name!r} is not named in {MANIFEST}" for name in sorted(names - files.keys() - {MANIFEST})]
    faults += [
        f"{name!r} does not match its checksum"
        for name in sorted(files.keys() & names)
        if hashlib.sha256(archive.read(name)).hexdigest() != files[name]
    ]
    if key is not None and (fault := seal_fault(key, manifest)):
        faults.append(f"{MANIFEST} {fault}")
    return faults
