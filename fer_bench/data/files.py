"""Read the files of a data set, and refuse what must not be read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from fer_bench.data.names import normalise

MAX_FILE_BYTES = 256 << 20
"""Largest image file, 256 MiB."""


class FileError(ValueError):
    """A file that cannot be used; the message completes the sentence "this file …"."""


class DataFolder:
    """The folder of a data set, out of which no file may lead.

    The folder itself may be a symbolic link. A link inside it that leads out is refused: a data set copied from
    elsewhere must not be able to pull other files of the user into a benchmark.
    """

    def __init__(self, root: Path):
        self.root = root
        self._real_root = Path(os.path.realpath(root))
        self._folders_inside: set[Path] = set()

    def read(self, path: Path) -> bytes:
        """Return the bytes of an image file.

        Args:
            path: relative to the folder, or absolute.

        Raises:
            FileError: it is missing, no regular file, unreadable, too large, or outside of the folder.
        """
        full = self._present(self._inside(path))
        try:
            size = self._check(full)
            if size > MAX_FILE_BYTES:
                raise FileError(f"has {size:,} bytes, more than the {MAX_FILE_BYTES:,} allowed")
            return full.read_bytes()
        except (OSError, ValueError) as error:
            raise _explain(error, full) from None

    def check(self, path: Path) -> None:
        """Raise FileError unless ``path``, as of `read`, is a file inside the folder, such as a table of any size."""
        full = self._present(self._inside(path))
        try:
            self._check(full)
        except (OSError, ValueError) as error:
            raise _explain(error, full) from None

    def check_inside(self, path: Path) -> None:
        """Raise FileError if a symbolic link on the way to ``path``, a file or folder, leads out of the folder."""
        real = os.path.realpath(path)
        if not Path(real).is_relative_to(self._real_root):
            raise FileError(
                f"leads out of the data set's folder through a symbolic link, to {real!r}; "
                "copy the file, or make the data set's folder itself the link"
            )

    def _inside(self, path: Path) -> Path:
        """Return the whole path, without following links."""
        if ".." in path.parts:
            raise FileError("leaves the data set's folder through '..'; every file must be inside it")
        full = self.root / path
        if not full.is_relative_to(self.root):
            raise FileError(f"is an absolute path outside of {str(self.root)!r}; give it relative to that folder")
        return full

    def _present(self, full: Path) -> Path:
        """Return the path that is there where it differs from ``full`` in Unicode's normal form only, else ``full``."""
        if str(full).isascii() or os.path.lexists(full):
            return full
        place = self.root
        for part in full.relative_to(self.root).parts:
            if not os.path.lexists(place / part):
                with suppress(OSError), os.scandir(place) as entries:
                    part = next((entry.name for entry in entries if normalise(entry.name) == normalise(part)), part)
            place /= part
        return place

    def _check(self, full: Path) -> int:
        """Return the bytes of ``full``; raise FileError unless it is a regular file inside the folder."""
        status = full.lstat()
        if stat.S_ISLNK(status.st_mode):
            self.check_inside(full)
            status = full.stat()
        elif full.parent not in self._folders_inside:  # Many images share a folder: resolve its links once.
            self.check_inside(full.parent)
            self._folders_inside.add(full.parent)
        if stat.S_ISDIR(status.st_mode):
            raise FileError("is a folder, expected a file")
        if not stat.S_ISREG(status.st_mode):
            raise FileError("is a device or pipe, expected a file")
        return status.st_size


def _explain(error: OSError | ValueError, full: Path) -> FileError:
    """Return what a failure to look at or read ``full`` means."""
    if isinstance(error, FileError):
        return error
    if isinstance(error, FileNotFoundError):
        return FileError("is missing" + _spelling_hint(full))
    # ValueError: a null character in the path.
    return FileError(f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _spelling_hint(full: Path) -> str:
    """Return what is there instead, where only upper and lower case or the slash differ."""
    if "\\" in full.name and os.sep == "/":
        return "; separate folders by '/', not '\\'"
    try:
        near = [path.name for path in full.parent.iterdir() if path.name.lower() == full.name.lower()]
    except OSError:
        return ""
    return f"; there is {near[0]!r}, spelled differently" if near else ""
