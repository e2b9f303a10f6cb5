"""Disks that fail and processes that are killed, at a drawn call or instant of a command that writes."""

from __future__ import annotations

import errno
import multiprocessing
import random
import signal
from collections.abc import Sequence
from pathlib import Path

from campaign.command import Ended, command
from campaign.disk import KILL, failing_disk
from campaign.stock import Stock, read_predictions, run

ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
WRITERS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "freeze": (("baseline", "freeze", "--runs-dir", "rows", "--output", "base"), (0,)),
    "board": (("leaderboard", "--runs-dir", "rows", "--format", "html", "--output", "board.html"), (0,)),
    "gate": (
        (
            "check",
            "--baseline",
            "base",
            "--runs-dir",
            "rows",
            "--margin",
            "0.9",
            "--junit",
            "g.xml",
            "--markdown",
            "g.md",
        ),
        (0, 3),
    ),
}
"""Commands that write one thing -> their words, and their exit codes on a disk that works."""
KEPT = ("base", "board.html", "g.xml", "g.md")
SECONDS = 120


def read(place: Path) -> dict[str, bytes]:
    """Return the content of what the commands write; what is hidden counts as absent."""
    files = [file for name in KEPT for file in (place / name, *(place / name).rglob("*"))]
    return {str(file.relative_to(place)): file.read_bytes() for file in files if file.is_file() and file.name[0] != "."}


def _in_child(at: int, words: Sequence[str], place: Path) -> None:
    import os

    os.chdir(place)
    with failing_disk() as disk:
        disk(place, at, KILL)
        code = run(place).code if words[0] == "run" else command(*words).code
    raise SystemExit(code)


def _killed(draw: random.Random, words: Sequence[str], place: Path, calls: int) -> bool:
    """Run a command in a process of its own that is killed at a drawn call or instant; return whether it was."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["campaign.stock", "fer_bench.reports.leaderboard", "fer_bench.executors.local"])
    by_time = draw.random() < 0.3
    process = context.Process(target=_in_child, args=(0 if by_time else draw.randrange(1, calls), tuple(words), place))
    process.start()
    process.join(draw.uniform(0.05, 4) if by_time else SECONDS)
    if process.is_alive():
        assert by_time, f"{' '.join(words)} goes on after {SECONDS} s"
        process.kill()
        process.join()
    return process.exitcode == -signal.SIGKILL


def _check_old_or_new(old: dict[str, bytes], new: dict[str, bytes], now: dict[str, bytes]) -> None:
    """Each file is the old or the new one, whole; the files of a baseline's rows may be there early."""
    for name, content in now.items():
        assert content in (old.get(name), new.get(name)), f"{name} is neither the old nor the new file"
    gone = {name for name in old if name not in now and "/rows/" not in name}
    assert not gone, f"{gone} is gone"


def write_fails(draw: random.Random, stock: Stock) -> None:
    """A command that writes meets a full, broken or closed disk once or for good: the old or the new file stands."""
    name = draw.choice(list(WRITERS))
    words, codes = WRITERS[name]
    with stock.copy("rows", "base") as whole, failing_disk() as disk:
        old = read(whole)
        disk(whole)
        command(*words).ends_in(*codes)
        calls, new, disk.folder = disk.calls, read(whole), ""
        with stock.copy("rows", "base") as place:
            disk(place, draw.randrange(1, calls + 1), draw.choice(ERRORS), forever=draw.random() < 0.5)
            command(*words).ends_in(*codes, 2)
            disk.folder = ""
            _check_old_or_new(old, new, read(place))
            command(*words).ends_in(*codes)
            assert read(place) == new


def write_killed(draw: random.Random, stock: Stock) -> None:
    """A command that writes is killed: the old or the new file stands, and the next time it ends well."""
    words, codes = WRITERS[draw.choice(list(WRITERS))]
    with stock.copy("rows", "base") as whole:
        old = read(whole)
        command(*words).ends_in(*codes)
        new = read(whole)
        with stock.copy("rows", "base") as place:
            _killed(draw, words, place, 12)
            _check_old_or_new(old, new, read(place))
            command(*words).ends_in(*codes)
            assert read(place) == new


def run_fails(draw: random.Random, stock: Stock) -> None:
    """A run meets such a disk: it ends with its cells, or with exit 2 and without failed ones; then it goes on."""
    with stock.copy("data") as place, failing_disk() as disk:
        disk(
            place / draw.choice(("runs", "cache", "")),
            draw.randrange(1, 60),
            draw.choice(ERRORS),
            forever=draw.random() < 0.5,
        )
        ended = run(place)
        disk.folder = ""
        _check_run(stock, place, ended.ends_in(0, 2))
        _check_run(stock, place, run(place).ends_in(0), left=())


def run_killed(draw: random.Random, stock: Stock) -> None:
    """A run is killed up to three times: no wrong content, the same bytes in the end, and nothing left behind."""
    with stock.copy("data") as place:
        for _ in range(draw.randrange(1, 4)):
            _killed(draw, ["run"], place, 70)
        _check_run(stock, place, run(place).ends_in(0), left=())


def _check_run(stock: Stock, place: Path, ended: Ended, left: tuple[str, ...] | None = None) -> None:
    """Whatever is stored has the right bytes; all of it where the run ended well."""
    stored = read_predictions(place / "runs") if (place / "runs" / "cells").is_dir() else {}
    wrong = [cell for cell, content in stored.items() if stock.predictions.get(cell) != content]
    assert not wrong, f"cells {wrong} hold other predictions"
    assert ended.code or stored.keys() == stock.predictions.keys(), "a cell is missing"
    if left is not None:
        hidden = [file.name for file in (place / "runs").rglob(".*")]
        assert not hidden, f"{hidden} is left in the runs"
        assert not (place / "runs" / "unfinished").exists(), "checkpoints are left"
        assert not list((place / "cache").rglob(".probe*")), "probes are left"
