"""Whatever a command writes is the old file or the new one, whole: at each call that changes a file, a full disk, a
read error, and the end of the process."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from campaign.disk import failing_disk
from PIL import Image
from synthetic_runs import write_runs
from typer.testing import CliRunner

from fer_bench import atomic
from fer_bench.audit.sheet import write_sheet
from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.results.baseline import load
from fer_bench.results.store import Store


@pytest.fixture
def disk():
    with failing_disk() as disk:
        yield disk


def invoke(*arguments: object) -> int:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit | FerBenchError):
        raise result.exception
    return 2 if isinstance(result.exception, FerBenchError) else result.exit_code


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_runs(folder / "old", datasets=1, methods=1, folds=2, n=30, failed=0)
    write_runs(folder / "new", datasets=1, methods=2, folds=2, n=30, failed=0)
    invoke("baseline", "freeze", "--runs-dir", folder / "old", "--output", folder / "base")
    return folder


def freeze(runs: Path, place: Path, state: str) -> int:
    return invoke("baseline", "freeze", "--runs-dir", runs / state, "--output", place / "base")


def board(runs: Path, place: Path, state: str) -> int:
    return invoke("leaderboard", "--runs-dir", runs / state, "--format", "md", "--output", place / "board.md")


def junit(runs: Path, place: Path, state: str) -> int:
    files = ["--junit", place / "gate.xml", "--markdown", place / "gate.md"]
    return invoke("check", "--baseline", runs / "base", "--runs-dir", runs / state, "--margin", "0.49", *files)


def sheet(runs: Path, place: Path, state: str) -> int:
    try:
        write_sheet(Image.new("RGB", (8, 8), "red" if state == "old" else "blue"), place / "copies.png")
    except FerBenchError:
        return 2
    return 0


def read(place: Path) -> dict[str, bytes]:
    files = (file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {str(file.relative_to(place)): file.read_bytes() for file in files}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the path of a descriptor is looked up in /proc")
@pytest.mark.parametrize("command", [freeze, board, junit, sheet])
def test_a_fault_at_any_call_that_changes_a_file_leaves_the_old_or_the_new_content(command, runs, tmp_path, disk):
    before, after, place = tmp_path / "before", tmp_path / "after", tmp_path / "place"
    for folder, state in ((before, "old"), (after, "new")):
        folder.mkdir()
        shutil.copytree(before, folder, dirs_exist_ok=True)
        disk(folder)
        code = command(runs, folder, state)
    calls, disk.folder = disk.calls, ""
    assert calls >= 4
    old, new = read(before), read(after)
    assert old != new or command is junit
    for at in range(1, calls + 1):
        for error, forever in ((errno.ENOSPC, False), (errno.EIO, True)):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(before, place)
            disk(place, at, error, forever=forever)
            ended = command(runs, place, "new")
            disk.folder = ""
            assert ended in (code, 2), f"call {at}"
            stands = {name: content for name, content in read(place).items() if name in old or name in new}
            if command is freeze:
                load(place / "base")
                stands = {"base/baseline.json": stands["base/baseline.json"]}
            assert all(content in (old.get(name), new.get(name)) for name, content in stands.items()), f"call {at}"
            assert stands.keys() >= (old.keys() if command is not freeze else stands.keys()), f"call {at}"
        assert command(runs, place, "new") == code, f"after call {at}"
        assert read(place) == new, f"after call {at}"


def test_a_full_disk_is_said_and_another_link_or_device_is_kept(tmp_path, disk):
    file = tmp_path / "board.md"
    file.write_text("old")
    disk(tmp_path, at=2)
    with pytest.raises(FerBenchError, match=r"the board .*board\.md.*disk is full.*untouched"):
        atomic.write_file(file, "new", "the board")
    disk.folder = ""
    assert (file.read_text(), list(tmp_path.iterdir())) == ("old", [file])
    (tmp_path / "link").symlink_to(file)
    atomic.write_file(tmp_path / "link", "new", "the board")
    assert (tmp_path / "link").is_symlink()
    assert file.read_text() == "new"
    atomic.write_file(Path("/dev/null"), "new", "the board")
    assert Path("/dev/null").is_char_device()


def test_scratch_of_processes_that_live_no_longer_is_removed(tmp_path):
    cells = tmp_path / "cells"
    mine = atomic.scratch(cells / "0123456789abcdef")
    host = mine.name.split("-")[1]
    dead, living, strange = (cells / f".0123456789abcdef-{host}-{pid}" for pid in (2**22 + 1, os.getppid(), "x"))
    elsewhere = cells / f".0123456789abcdef-{'0' * 6}-{2**22 + 1}"
    for folder in (dead, living, strange, elsewhere):
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text("{}")
    Store(tmp_path).ensure_writable()
    assert {folder.name for folder in cells.iterdir()} == {living.name, strange.name, elsewhere.name}
