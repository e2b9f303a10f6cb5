"""Damage that the pictures of any data set can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fer_bench.testing.layouts.drawing import list_pictures


def _replace_by_text(root: Path) -> str:
    path = list_pictures(root)[-1]
    path.write_text("<html>Please log in</html>")
    return "is not an image of a known format"


def _empty(root: Path) -> str:
    list_pictures(root)[-1].write_bytes(b"")
    return "is empty (0 bytes)"


def _truncate(root: Path) -> str:
    path = list_pictures(root)[-1]
    path.write_bytes(path.read_bytes()[:-200])
    return "is truncated or corrupt"


def _link_out(root: Path) -> str:
    path = list_pictures(root)[-1]
    outside = root.parent.parent / "elsewhere" / path.name
    outside.parent.mkdir(parents=True, exist_ok=True)
    path.rename(outside)
    path.symlink_to(outside)
    return "leads out of the data set's folder through a symbolic link"


def _replace_by_folder(root: Path) -> str:
    path = list_pictures(root)[-1]
    path.unlink()
    path.mkdir()
    return "is a folder, expected a file"


DAMAGES: dict[str, Callable[[Path], str]] = {
    "text": _replace_by_text,
    "empty": _empty,
    "truncated": _truncate,
    "link": _link_out,
    "folder": _replace_by_folder,
}
"""Damage that the last picture of any layout with picture files can have."""
