"""Commands that write, with what they need and write; each in an empty folder with copies from the stock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from campaign.command import Ended, command
from campaign.disk import failing_disk
from campaign.stock import Stock, run


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes:
        words: of the command.
        needs: folders of the stock that it reads or changes.
        writes: files and folders that it writes, all of which are compared.
        codes: its exit codes on a disk that works.
        early: part of the paths of files that may be there before the file that names them.
        once: whether it refuses to write what is there.
    """

    words: tuple[str, ...]
    needs: tuple[str, ...]
    writes: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    early: str = "//"
    once: bool = False

    def __call__(self) -> Ended:
        return command(*self.words)

    def read(self, place: Path) -> dict[str, bytes]:
        """Return path -> content of what it writes; what is hidden counts as absent.

        Of an ArrayRecord the length counts: two processes write the same images in other bytes.
        """
        files = [file for name in self.writes for file in (place / name, *(place / name).rglob("*"))]
        paths = {str(file.relative_to(place)): file for file in files if file.is_file()}
        return {
            path: b"%d" % file.stat().st_size if "array_record" in path else file.read_bytes()
            for path, file in paths.items()
            if "/." not in f"/{path}"
        }


WRITERS = {
    "freeze": Writer(
        ("baseline", "freeze", "--runs-dir", "rows", "--output", "base"), ("rows", "base"), ("base",), early="/rows/"
    ),
    "board": Writer(
        ("leaderboard", "--runs-dir", "rows", "--format", "html", "--output", "b.html", "--figure", "b.svg"),
        ("rows",),
        ("b.html", "b.svg"),
    ),
    "gate": Writer(
        (
            "check",
            "--baseline",
            "base",
            "--runs-dir",
            "rows",
            "--margin",
            "0.4",
            "--junit",
            "g.xml",
            "--markdown",
            "g.md",
        ),
        ("rows", "base"),
        ("g.xml", "g.md"),
        codes=(0, 3),
    ),
    "pack": Writer(("pack", "--runs-dir", "rows", "--output", "rows.zip"), ("rows",), ("rows.zip",)),
    "merge": Writer(("merge", "rows", "--into", "older"), ("rows", "older"), ("older",)),
    "unpack": Writer(("unpack", "pack/rows.zip", "--into", "older"), ("pack", "older"), ("older",)),
    "new": Writer(("new", "metric", "my-metric"), (), ("fer-bench-my-metric",), once=True),
    "prepare": Writer(("data", "prepare", "squares", "--data-dir", "empty"), (), ("empty",)),
    "audit": Writer(
        ("data", "audit", "squares", "--data-dir", "data", "--sheet", "sheet.png"), ("data",), ("data", "sheet.png")
    ),
}


RUN = "run"
"""Beside the names of `WRITERS`: a run in a folder with ``data``."""


@cache
def count_calls(name: str, stock: Stock) -> int:
    """Return how many calls of a command change a file."""
    with stock.copy(*(WRITERS[name].needs if name in WRITERS else ("data",))) as place, failing_disk() as disk:
        disk(place)
        write(name, place)
        return disk.calls


def write(name: str, place: Path) -> None:
    """Let a command do all of its work."""
    if name == RUN:
        run(place).ends_in(0)
    else:
        WRITERS[name]().ends_in(*WRITERS[name].codes)


def find_call(number: int, stock: Stock) -> tuple[str, int]:
    """Return the command and the call of a number from 0 on: all calls of one command, then those of the next."""
    for name in itertools.cycle([*WRITERS, RUN]):
        calls = count_calls(name, stock)
        if number < calls:
            return name, number + 1
        number -= calls
    raise AssertionError
