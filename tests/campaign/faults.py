"""Disks that fail and processes that are killed, at a drawn call or instant of a command that writes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path

from campaign.command import Ended
from campaign.disk import KILL, failing_disk
from campaign.draw import Draw
from campaign.stock import Stock, read_predictions, run
from campaign.writers import RUN, WRITERS, Writer, count_calls, find_call, write
from fer_bench.atomic import is_scratch

ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
SECONDS = 120


def _in_child(name: str, place: Path, at: int) -> None:
    os.chdir(place)
    with failing_disk() as disk:
        disk(place, at, KILL)
        write(name, place)


def _kill(name: str, place: Path, *, at: int = 0, seconds: float = SECONDS) -> bool:
    """Let a command write in a process that is killed at a call or after some seconds; return whether it was."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["campaign.stock", "fer_bench.reports.leaderboard", "fer_bench.executors.local"])
    process = context.Process(target=_in_child, args=(name, place, at))
    process.start()
    process.join(seconds)
    assert not (at and process.is_alive()), f"{name} goes on after {SECONDS} s"
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def _check_old_or_new(writer: Writer, old: dict[str, bytes], new: dict[str, bytes], now: dict[str, bytes]) -> None:
    """Each file is the old or the new one, whole."""
    for name, content in now.items():
        assert content in (old.get(name), new.get(name)), f"{name} is neither the old nor the new file"
    gone = {name for name in old if name not in now and writer.early not in name}
    assert not gone, f"{gone} is gone"


def _repeat(name: str, place: Path, new: dict[str, bytes]) -> None:
    """Let a command do its work once more, unless it is done and the command then refuses; all must be there."""
    if not WRITERS[name].once or WRITERS[name].read(place) != new:
        write(name, place)
    assert WRITERS[name].read(place) == new


def write_fails(draw: Draw, stock: Stock) -> None:
    """A command that writes meets a full, broken or closed disk once or for good: the old or the new file stands."""
    name = draw.choice(list(WRITERS))
    writer, calls = WRITERS[name], count_calls(name, stock)
    with stock.copy(*writer.needs) as whole:
        old = writer.read(whole)
        write(name, whole)
        new = writer.read(whole)
    with stock.copy(*writer.needs) as place, failing_disk() as disk:
        disk(place, draw.randrange(1, calls + 1), draw.choice(ERRORS), forever=draw.random() < 0.5)
        writer().ends_in(*writer.codes, 2)
        disk.folder = ""
        _check_old_or_new(writer, old, new, writer.read(place))
        _repeat(name, place, new)


def _killed_and_repeated(name: str, stock: Stock, *, at: int = 0, seconds: float = SECONDS) -> None:
    writer = WRITERS[name]
    with stock.copy(*writer.needs) as whole:
        old = writer.read(whole)
        write(name, whole)
        new = writer.read(whole)
    with stock.copy(*writer.needs) as place:
        killed = _kill(name, place, at=at, seconds=seconds)
        assert killed or not at, f"call {at} of {name} is not reached"
        _check_old_or_new(writer, old, new, writer.read(place))
        _repeat(name, place, new)
        left = [file.name for file in place.rglob(".*") if is_scratch(file.name)]
        assert not left, f"{left} is left"


def write_killed(draw: Draw, stock: Stock) -> None:
    """A command that writes is killed at an instant: the old or the new file stands, and the next time it ends well."""
    _killed_and_repeated(draw.choice(list(WRITERS)), stock, seconds=draw.uniform(0.05, 1.5))


def killed_at_call(draw: Draw, stock: Stock) -> None:
    """A command or a run is killed at one of its calls that change a file; with the cases, at each in turn."""
    name, at = find_call(draw.number, stock)
    if name != RUN:
        _killed_and_repeated(name, stock, at=at)
        return
    with stock.copy("data") as place:
        assert _kill(RUN, place, at=at), f"call {at} of the run is not reached"
        _check_run(stock, place, run(place).ends_in(0), left=())


def run_fails(draw: Draw, stock: Stock) -> None:
    """A run meets such a disk: it ends with its cells, or with exit 2 and without failed ones; then it goes on."""
    with stock.copy("data") as place, failing_disk() as disk:
        disk(
            place / draw.choice(("runs", "cache", "")),
            draw.randrange(1, count_calls(RUN, stock) + 1),
            draw.choice(ERRORS),
            forever=draw.random() < 0.5,
        )
        ended = run(place)
        disk.folder = ""
        _check_run(stock, place, ended.ends_in(0, 2))
        _check_run(stock, place, run(place).ends_in(0), left=())


def run_killed(draw: Draw, stock: Stock) -> None:
    """A run is killed up to three times: no wrong content, the same bytes in the end, and nothing left behind."""
    with stock.copy("data") as place:
        for _ in range(draw.randrange(1, 4)):
            if draw.random() < 0.5:
                _kill(RUN, place, seconds=draw.uniform(0.05, 4))
            else:
                _kill(RUN, place, at=draw.randrange(1, count_calls(RUN, stock) + 1))
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
