"""The index of a store is only a cache: nothing that is done to it changes what is read."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from pathlib import Path

import pandas as pd
import pytest
from messages import says
from test_results import make_cell, make_result

from fer_bench.errors import FerBenchError
from fer_bench.reports.leaderboard import build
from fer_bench.results import index
from fer_bench.results.outcomes import Provenance
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Result, Store

FILES = ("cell.json", "result.json", "predictions.feather", "history.csv", "provenance.json", "checksums.json")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a store of four cells with an index of all of them, as if they were written a while ago."""
    monkeypatch.setattr(index, "FEWEST", 1)
    monkeypatch.setattr(index, "TICK_NS", -(10**18))
    made = Store(tmp_path / "runs")
    for fold in range(2):
        for backbone in ("one", "other"):
            made.write(make_cell(fold, backbone=backbone), make_result(), Provenance())
    made.cells()
    assert (made.runs_dir / index.NAME).is_file()
    return made


def read(store):
    """Return all that a store says of its cells, and what is wrong with it."""
    cells, damaged = store.cells()
    said = [(c.id, c.record, c.result, c.finished, c.folder, c.predictions_sha256) for c in cells]
    return said, damaged


def read_without(store):
    """Return the same of a copy of it, which has no index."""
    (store.runs_dir / index.NAME).unlink(missing_ok=True)
    return read(store)


def opened_of(store, monkeypatch):
    """Return the names of the folders that a reading reads whole."""
    folders: list[str] = []
    real = index.read_files
    with monkeypatch.context() as patch:
        patch.setattr(
            index, "read_files", lambda folder, states: (folders.append(Path(folder).name), real(folder, states))[1]
        )
        store.cells()
    return folders


def edit(name, old, new, keep_time=True):
    """Return what changes a file in place to as many other bytes, and gives it its time back."""

    def change(folder):
        file, content = folder / name, (folder / name).read_bytes()
        assert content.count(old)
        assert len(old) == len(new)
        status = file.stat()
        file.write_bytes(content.replace(old, new))
        if keep_time:
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    return change


def link_away(folder):
    moved = folder.parents[1] / "moved"
    folder.rename(moved)
    folder.symlink_to(moved)


def link_file(folder):
    (folder / "history.csv").rename(folder.parent.parent / "history.csv")
    (folder / "history.csv").symlink_to(folder.parent.parent / "history.csv")


def replace_by_a_failed_one(folder):
    store = Store(folder.parents[1])
    cell = store.read(folder.name)
    store.write(cell.record, Result("failed", "MemoryError", None, None, pd.DataFrame({"phase": []})), Provenance())


BEHIND = {
    "the record edited": edit("cell.json", b'"fold": 0', b'"fold": 1'),
    "the result edited": edit("result.json", b'"parameters": 1', b'"parameters": 2'),
    "the predictions edited": edit("predictions.feather", b"ARROW1", b"ARROW2"),
    "the provenance edited": edit("provenance.json", b'"schema": 2', b'"schema": 1'),
    "a checksum edited": lambda folder: edit("checksums.json", b'"result.json"', b'"resalt.json"')(folder),
    **{f"{name} removed": lambda folder, name=name: (folder / name).unlink() for name in FILES},
    "removed": shutil.rmtree,
    "renamed": lambda folder: folder.rename(folder.with_name("0123456789abcdef")),
    "behind a link": link_away,
    "a file behind a link": link_file,
    "replaced": replace_by_a_failed_one,
    "files of another cell": lambda folder: [
        shutil.copy2(other, folder) for other in min(set(folder.parent.iterdir()) - {folder}).iterdir()
    ],
}


@pytest.mark.parametrize("change", BEHIND.values(), ids=BEHIND)
def test_a_cell_that_changed_behind_the_index_is_read_as_without_it(store, change):
    before = read(store)
    folder = next(cell.folder for cell in store.cells()[0] if cell.record.fold == 0)
    change(folder)
    now = read(store)
    assert now != before
    assert now == read(store)
    assert now == read_without(store)


def forge(store, change):
    """Write the index again as ``change`` makes it of its content."""
    file = store.runs_dir / index.NAME
    content = json.loads(zlib.decompress(file.read_bytes()))
    change(content)
    file.write_bytes(zlib.compress(json.dumps(content).encode()))


def swap(content):
    """Give each cell the record and the result of another, under its own state."""
    names = [*content["cells"]]
    states = [content["cells"][name][0] for name in names]
    rest = [content["cells"][name][1:] for name in names]
    content["cells"] = {
        name: [state, *other] for name, state, other in zip(names, states, rest[1:] + rest[:1], strict=True)
    }


def fail_all(content):
    for line in content["cells"].values():
        line[1] = json.dumps({"status": "failed", "error": "no", "measures": {}, "finished": "2020"})


def other_parameters(content):
    for line in content["cells"].values():
        line[1] = line[1].replace('"parameters": 1', '"parameters": 9')


def other_texts(content):
    content["texts"] = [text.replace("one", "two").replace('"faces"', '"places"') for text in content["texts"]]


def codes(number):
    def change(content):
        for line in content["cells"].values():
            line[2] = dict.fromkeys(line[2], number)

    return change


FORGED = {
    "lines of other cells": swap,
    "results that failed": fail_all,
    "other numbers": other_parameters,
    "other names": other_texts,
    "texts that are not there": codes(10**6),
    "places below 0": codes(-1),
    "one text for all": codes(0),
    "another version": lambda content: content.update(version=2),
    "fields that nobody knows": lambda content: content.update(more=1),
    "no cells": lambda content: content.update(cells={}),
    "a cell that is not there": lambda content: content["cells"].update(ffff=["", "", {}]),
    "cells of numbers": lambda content: content.update(cells=7),
    "texts that are no JSON": lambda content: content.update(texts=["{"] * len(content["texts"])),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_index_changes_no_cell(store, change):
    right = read(store)
    board = [(row.scores, row.parameters, row.ok, row.failed) for row in build(store.cells()[0])]
    forge(store, change)
    assert read(store) == right
    assert [(row.scores, row.parameters, row.ok, row.failed) for row in build(store.cells()[0])] == board


def content_of(kind):
    def write(file):
        content = file.read_bytes()
        file.unlink()
        match kind:
            case "a folder":
                file.mkdir()
            case "a link":
                file.symlink_to("/dev/zero")
            case "a FIFO":
                os.mkfifo(file)
            case "empty":
                file.touch()
            case "no JSON":
                file.write_bytes(zlib.compress(b"[" * 100_000))
            case "no text":
                file.write_bytes(zlib.compress(b"\xff\xfe"))
            case "half":
                file.write_bytes(content[: len(content) // 2])
            case "turned bits":
                file.write_bytes(bytes(byte ^ 0x55 for byte in content))

    return write


@pytest.mark.parametrize("kind", ["a folder", "a link", "a FIFO", "empty", "no JSON", "no text", "half", "turned bits"])
def test_what_is_no_index_is_passed_over(store, kind):
    right = read(store)
    content_of(kind)(store.runs_dir / index.NAME)
    assert read(store) == right


def test_an_index_spares_the_reading_and_is_made_again_where_it_is_lost_or_stale(store, monkeypatch):
    assert opened_of(store, monkeypatch) == []
    file = store.runs_dir / index.NAME
    file.write_bytes(b"damaged")
    assert len(opened_of(store, monkeypatch)) == 4
    assert opened_of(store, monkeypatch) == []
    new = store.write(make_cell(0, backbone="third"), make_result(), Provenance())
    assert opened_of(store, monkeypatch) == [new.folder.name]
    assert opened_of(store, monkeypatch) == []
    monkeypatch.setattr(index, "LARGEST", 100)
    assert len(opened_of(store, monkeypatch)) == 5


def test_a_cell_that_was_written_this_moment_has_no_line(tmp_path, monkeypatch):
    """Within a tick of the disk's clock it may change again and keep its time."""
    monkeypatch.setattr(index, "FEWEST", 1)
    store = Store(tmp_path)
    store.write(make_cell(), make_result(), Provenance())
    assert len(store.cells()[0]) == 1
    assert not (tmp_path / index.NAME).exists()


def test_predictions_that_change_after_the_cell_was_read_are_left_out(store):
    """What no time shows, as a bit that a disk loses, shows when the predictions are read."""
    first, *rest = store.cells()[0]
    edit("predictions.feather", b"ARROW1", b"ARROW2")(first.folder)
    _, kept, (fault,) = read_predictions([first, *rest])
    assert kept == rest
    assert says(fault, first.folder.name, "predictions.feather", "checksum")


def test_a_folder_that_cannot_be_written_is_read_without_an_index(store, monkeypatch):
    right = read(store)
    (store.runs_dir / index.NAME).unlink()
    monkeypatch.setattr(index, "_read_clock", lambda folder: None)
    assert read(store) == right
    assert not (store.runs_dir / index.NAME).exists()


def test_few_cells_have_no_index(tmp_path):
    store = Store(Path(tmp_path))
    store.write(make_cell(), make_result(), Provenance())
    store.cells()
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells"]
    with pytest.raises(FerBenchError):
        Store(tmp_path / "none").cells()
