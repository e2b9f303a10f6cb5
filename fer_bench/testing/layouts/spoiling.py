"""What a defect is, and what does the harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_bench.testing.layouts.drawing import save_face


def append(file: str, *lines: str) -> Callable[[Path], None]:
    """Add lines to a table."""

    def spoil(root: Path) -> None:
        with (root / file).open("a", encoding="utf-8") as target:
            target.writelines(f"{line}\n" for line in lines)

    return spoil


def rename(old: str, new: str) -> Callable[[Path], None]:
    """Give a file or folder another name."""

    def spoil(root: Path) -> None:
        (root / old).rename(root / new)

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    """Remove a file."""
    return lambda root: (root / name).unlink()


def face(name: str, width: int = 48) -> Callable[[Path], None]:
    """Add a face, drawn ``width`` pixels wide."""
    return lambda root: save_face(root / name, "neutral", 99, width)


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace the first ``old`` of a table."""

    def spoil(root: Path) -> None:
        text = (root / file).read_text(encoding="utf-8")
        (root / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return spoil


def both(*spoilers: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do all of these."""

    def spoil(root: Path) -> None:
        for one in spoilers:
            one(root)

    return spoil


@dataclass(frozen=True)
class Defect:
    """Something wrong with a layout.

    Attributes:
        layout: a key of `LAYOUTS`.
        spoil: does it to the folder of a copy.
        messages: pieces of what the adapter has to say.
    """

    layout: str
    spoil: Callable[[Path], None]
    messages: tuple[str, ...]
