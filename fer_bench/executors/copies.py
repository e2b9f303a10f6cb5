"""Copy files to machines that share no folder with this one, through Dask, and bring cells back.

A machine has what it is given below its own cache folder: stage outputs where its own ones are, all else in `FOLDER`.
A file is compared by content, sent in pieces, and counts once it is whole.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fer_bench import atomic, paths
from fer_bench.digests import sha256_of
from fer_bench.errors import FerBenchError
from fer_bench.executors.kept import file_of
from fer_bench.results import corrupted
from fer_bench.results.store import Store

FOLDER = "staged"
"""In the cache folder of a machine: data that it was given, and cells until they are fetched."""
PIECE_BYTES = 8 << 20


def home() -> Path:
    """Return the folder below which this machine keeps what it is given."""
    return paths.cache_dir().absolute()


def send(client: Any, address: str, files: Mapping[str, Path], digests: Mapping[str, str]) -> int:
    """Copy what a machine lacks and return how many bytes it were.

    Args:
        client: of Dask.
        address: of a Dask worker on the machine.
        files: name below the cache folder there -> file here; the order is kept.
        digests: name -> sha256.

    Raises:
        FerBenchError: the machine cannot keep them.
    """
    sent = 0
    for name in call(client, address, lacking, dict(digests)):
        with files[name].open("rb") as stream:
            offset, size = 0, files[name].stat().st_size
            while offset < size or not offset:
                piece = stream.read(PIECE_BYTES)
                whole = offset + len(piece) >= size
                call(client, address, put, name, offset, piece, digests[name] if whole else "")
                offset += len(piece)
                if whole:
                    break
            sent += offset
    return sent


def call(client: Any, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a Dask worker, beside the task that it is at."""
    return client.run(function, *arguments, workers=[address])[address]


def lacking(digests: Mapping[str, str]) -> list[str]:
    """Return which files this machine does not have with these contents."""
    return [
        name
        for name, expected in digests.items()
        if not (home() / name).is_file() or sha256_of(home() / name) != expected
    ]


def put(name: str, offset: int, piece: bytes, whole: str) -> None:
    """Keep a piece of a file.

    Args:
        name: below the cache folder.
        offset: bytes of the file before the piece; 0 begins it again.
        piece: bytes.
        whole: with the last piece, the sha256 of the file; else nothing.

    Raises:
        FerBenchError: the folder cannot be written, or the file is not what was sent.
    """
    file = home() / name
    part = file.with_name(f"{file.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if offset else "wb") as stream:
            stream.seek(offset)
            stream.write(piece)
        if not whole:
            return
        if sha256_of(part) != whole:
            raise FerBenchError(f"{name!r} came to {platform.node()} damaged. Repeat the command.")
        part.replace(file)
    except OSError as error:
        raise FerBenchError(
            f"The worker on {platform.node()} cannot write to its cache folder {str(home())!r}: "
            f"{atomic.reason(error)}. You can start it with another {paths.CACHE_VARIABLE}."
        ) from None


def folders() -> tuple[Path, Path, Path]:
    """Return where this machine keeps cells until they are fetched, the data that it is given, and stage outputs."""
    return home() / FOLDER / "runs", home() / FOLDER / "data", home()


def fetch(cell_id: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of a cell that this machine made, and those beside it, and forget all of them.

    Returns:
        Name -> content of the cell's folder; and name below the runs folder -> content of the predictions of corrupted
        images and the trained model, where there are any.

    Raises:
        ValueError: it is not there, or damaged.
        OSError: a file cannot be read.
    """
    runs = folders()[0]
    cell = Store(runs).read(cell_id)
    files, beside, model = cell.files(), corrupted.read_files(cell), file_of(runs, cell_id)
    if model.is_file():
        beside[model.relative_to(runs).as_posix()] = model.read_bytes()
        model.unlink()
    corrupted.remove(cell)
    shutil.rmtree(cell.folder)
    return files, beside
