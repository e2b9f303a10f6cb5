"""The cache of rows by image: checked, shared by processes, evicted by last use, and nothing of a killed writer."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.keeping import parts
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.space import Space

SHAPE = (3000, 2, 1024)  # 12.3 MB: two chunks, the second not full


@functools.cache
def _values(seed=0):
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def _images(*numbers):
    """Return a hash for each number, some of which end in zeros."""
    return np.frombuffer(b"".join(hashlib.sha256(b"%d" % n).digest()[:30] + b"\0\0" for n in numbers), "S32")


def _cache(folder, limit=None):
    return Cache(Space(folder, limit))


def _write(cache, key, values, facts=None, images=None):
    images = _images(*range(len(values))) if images is None else images
    with cache.locked(key, pytest.fail), cache.writer(key, images, values.shape, values.dtype) as writer:
        for start in range(0, len(values), 700):
            writer.append(values[start : start + 700])
        writer.facts |= facts or {}


def _open(cache, key, *numbers):
    """Return the entry that holds all of some images, and their rows; None if there is none."""
    entries, places = cache.open(key, _images(*numbers or (0,)), lambda facts: True)
    assert len(entries) <= 1
    return entries[0] if (places >= 0).all() else None


def _part(folder, key="a"):
    (part,) = folder.glob(f"{key}-*/")
    return part


def _rows(entries, places):
    return np.stack([entries[number].values[row] for number, row in places.tolist()])


def _forget():
    parts._verified.clear()  # as another process would see it


def test_what_was_written_piece_by_piece_is_mapped_with_its_facts(tmp_path):
    cache, values = _cache(tmp_path), _values()
    _write(cache, "a", values, {"what": "x"})
    _forget()
    entry = _open(cache, "a")
    assert isinstance(entry.values, np.memmap)
    np.testing.assert_array_equal(entry.values, values)
    assert entry.facts == {"what": "x"}
    assert _open(cache, "b") is None


def _truncate(file):
    os.truncate(file, file.stat().st_size - 2)


def _lengthen(file):
    with file.open("ab") as stream:
        stream.write(b"\0")


def _change(at):
    def change(file):
        with file.open("r+b") as stream:
            stream.seek(at)
            byte = stream.read(1)
            stream.seek(at)
            stream.write(bytes([byte[0] ^ 1]))

    return change


@pytest.mark.parametrize("damage", [_truncate, _lengthen, _change(20), _change(9_000_000), _change(12_288_000)])
def test_a_damaged_array_does_not_count(tmp_path, damage):
    cache = _cache(tmp_path)
    _write(cache, "a", _values())
    damage(_part(tmp_path) / "values.npy")
    assert _open(cache, "a", *range(3000)) is None, "a change is seen even by the process that wrote the entry"
    assert cache.space.rows() == [], "a damaged part is removed"


def test_only_what_holds_the_rows_that_are_asked_for_is_compared(tmp_path):
    cache, values = _cache(tmp_path), _values()
    _write(cache, "a", values)
    _forget()
    _change(9_000_000)(_part(tmp_path) / "values.npy")
    first = _open(cache, "a", 5, 2000)  # 4096 bytes a row: both lie below 8 MiB
    np.testing.assert_array_equal(first.values[[5, 2000]], values[[5, 2000]])
    assert _open(cache, "a", 2047) is None, "the row that the first chunk ends in"


def test_damaged_hashes_of_images_do_not_count(tmp_path):
    cache = _cache(tmp_path)
    _write(cache, "a", _values())
    _change(40)(_part(tmp_path) / "images.bin")
    assert _open(cache, "a") is None


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"schema": 2, "chunks": [], "facts": {}, "sha256": "0"}'])
def test_a_damaged_description_does_not_count(tmp_path, text):
    cache = _cache(tmp_path)
    _write(cache, "a", _values())
    (_part(tmp_path) / "entry.json").write_bytes(text)
    assert cache.missing("a", _images(0, 1), lambda facts: True).all()
    assert _open(cache, "a") is None
    _write(cache, "a", _values(1))
    np.testing.assert_array_equal(_open(cache, "a").values, _values(1))


def test_checksums_are_compared_once_a_process(tmp_path, monkeypatch):
    cache = _cache(tmp_path)
    _write(cache, "a", _values())
    _forget()
    assert _open(cache, "a", *range(3000))
    monkeypatch.setattr(parts, "ThreadPoolExecutor", lambda *_: pytest.fail("read again"))
    assert _open(cache, "a", *range(3000))


def _write_too_little(cache):
    with cache.writer("a", _images(0, 1, 2), (3, 4), np.dtype(np.float32)) as writer:
        writer.append(np.ones((2, 4), np.float32))


def _fail_while_writing(cache):
    with cache.writer("a", _images(*range(SHAPE[0])), SHAPE, np.dtype(np.float16)) as writer:
        writer.append(_values())
        raise ZeroDivisionError("wrote everything")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_write_too_little, "2 rows.* of 3"),
        (_fail_while_writing, "wrote everything"),
    ],
)
def test_a_writer_that_fails_leaves_nothing(tmp_path, write, message):
    cache = _cache(tmp_path)
    with pytest.raises((ValueError, ZeroDivisionError), match=message):
        write(cache)
    assert cache.space.rows() == []
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == []


HOLD = """
import sys, numpy as np
from pathlib import Path
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.space import Space
cache = Cache(Space(Path(sys.argv[1])))
images = np.frombuffer(bytes.fromhex(sys.argv[2]), "S32")
def say(word): print(word, flush=True)
def find(): return cache.open("a", images, lambda facts: True)[0]
with cache.locked("a", lambda: say("waits")):
    entries = find()
    if not entries:
        with cache.writer("a", images, (4, 1000), np.dtype(np.float32)) as writer:
            writer.append(np.ones((2, 1000), np.float32))
            writer._file.flush()
            say("writes")
            sys.stdin.readline()
            writer.append(np.ones((2, 1000), np.float32))
        entries = find()
    else:
        say("found")
say("has")
sys.stdin.readline()
"""


@pytest.fixture
def process(tmp_path):
    started = []

    def start():
        arguments = [sys.executable, "-c", HOLD, str(tmp_path), _images(*range(4)).tobytes().hex()]
        started.append(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def _expect(process, word):
    assert process.stdout.readline().strip() == word


def test_of_two_processes_one_writes_and_the_other_waits_and_uses_it(process):
    first = process()
    _expect(first, "writes")
    second = process()
    _expect(second, "waits")
    first.stdin.write("\n")
    _expect(first, "has")
    _expect(second, "found")
    _expect(second, "has")


def test_a_killed_writer_leaves_nothing_that_counts_and_its_space_is_taken_again(process, tmp_path):
    first = process()
    _expect(first, "writes")
    cache = _cache(tmp_path)
    (row,) = cache.space.rows()
    assert row.busy
    assert row.size >= 16_000, "what it is going to take counts already"
    assert cache.space.clear() == ([], [row], {})
    first.kill()
    first.wait()
    assert _open(cache, "a") is None
    (row,) = cache.space.rows()
    assert not row.busy
    second = process()
    _expect(second, "writes")
    second.stdin.write("\n")
    _expect(second, "has")
    cache.space.tidy()
    assert [row.key for row in cache.space.rows()] == ["a"]
    np.testing.assert_array_equal(_open(cache, "a").values, np.ones((4, 1000)))


def test_a_part_without_rows_serves_nobody(tmp_path):
    with parts.Writer(tmp_path, _images(), (0, 3), np.dtype(np.float16)) as writer:
        writer.finish()
    part = parts.read(tmp_path)
    assert part is not None
    assert part.values(np.arange(0)) is None


def test_an_entry_that_a_process_uses_is_not_evicted_until_it_is_gone(process, tmp_path):
    first = process()
    _expect(first, "writes")
    first.stdin.write("\n")
    _expect(first, "has")
    cache = _cache(tmp_path, 30_000)
    (row,) = cache.space.rows()
    assert row.busy
    with pytest.raises(FerBenchError, match=r"20.2 kB .*30.0 kB.* 16"):
        _write(cache, "b", np.ones((5, 1000), np.float32))
    first.kill()
    first.wait()
    _write(cache, "b", np.ones((5, 1000), np.float32))
    assert [row.key for row in cache.space.rows()] == ["b"]


def test_rows_are_found_by_image_in_the_parts_of_a_key(tmp_path):
    cache, values = _cache(tmp_path), np.arange(40, dtype=np.float32).reshape(10, 1, 4)
    _write(cache, "a", values[:6], {"variants": 1}, _images(*range(6)))
    _write(cache, "a", values[6:], {"variants": 2}, _images(*range(6, 10)))
    _write(cache, "b", values, {"variants": 2}, _images(*range(10)))
    wanted = _images(9, 2, 2, 11, 6)
    entries, places = cache.open("a", wanted, lambda facts: True)
    assert [len(entry.values) for entry in entries] == [6, 4]
    assert places.tolist() == [[1, 3], [0, 2], [0, 2], [-1, -1], [1, 0]]
    np.testing.assert_array_equal(_rows(entries, places[[0, 1, 2, 4]]), values[[9, 2, 2, 6]])
    assert cache.missing("a", wanted, lambda facts: facts["variants"] == 2).tolist() == [False, True, True, True, False]
    (_entry,), places = cache.open("a", _images(7), lambda facts: True)
    assert places.tolist() == [[0, 1]]
    held = {row.facts["variants"]: row.busy for row in cache.space.rows() if row.key == "a"}
    assert held == {1: True, 2: True}, "the entries of the first search are in use still"
    del entries
    gc.collect()
    assert {row.facts["variants"] for row in cache.space.rows() if row.busy} == {2}, "only what holds a wanted row"


def test_rows_in_use_stay_while_others_of_their_key_make_room(tmp_path):
    cache, values = _cache(tmp_path, 45_000), np.ones((5, 1000), np.float32)
    for first in (0, 5):
        _write(cache, "a", values, images=_images(*range(first, first + 5)))
    entry = _open(cache, "a", *range(5))
    _write(cache, "a", values, images=_images(*range(10, 15)))
    images = _images(0, 5, 10)
    assert cache.missing("a", images, lambda facts: True).tolist() == [False, True, False]
    assert entry.values.sum() == 5000


def test_what_killed_processes_leave_is_removed_by_the_next_run(process, tmp_path):
    writer = process()
    _expect(writer, "writes")
    writer.kill()
    writer.wait()
    user = process()
    _expect(user, "writes")
    user.stdin.write("\n")
    _expect(user, "has")
    left = [file for file in tmp_path.rglob("*") if file.name.startswith((".writing-", "lease-"))]
    assert len(left) == 3, "a part that was not finished and its lease, and a lease in use"
    user.kill()
    user.wait()
    entry = _open(_cache(tmp_path), "a", *range(4))
    _cache(tmp_path).space.tidy()
    (lease,) = [file for file in tmp_path.rglob("*") if file.name.startswith((".writing-", "lease-"))]
    assert lease not in left, "that of this process"
    del entry
    gc.collect()
    assert not list(tmp_path.rglob("lease-*")), "nothing is left of a process that goes on or ends by itself"


def test_a_folder_that_can_only_be_read_serves_what_it_holds_with_one_warning(readable_only, tmp_path):
    _write(_cache(tmp_path), "a", _values())
    _write(_cache(tmp_path), "b", _values())
    told = []
    with readable_only(tmp_path):
        cache = Cache(Space(tmp_path, warn=told.append))
        cache.space.tidy()
        for key in "ab":
            np.testing.assert_array_equal(_open(cache, key, *range(3000)).values, _values())
        with pytest.raises(FerBenchError, match=re.escape(repr(str(tmp_path)))):
            _write(cache, "c", _values())
        removed, kept, failed = cache.space.clear()
    assert (removed, kept, len(failed)) == ([], [], 2)
    assert len(told) == 1
    assert str(tmp_path) in told[0]
    assert len(_cache(tmp_path).space.rows()) == 2


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache, values = _cache(tmp_path, 3 * 20_700 + 15_000), np.ones((5, 1000), np.float32)
    for key in "abc":
        _write(cache, key, values)
    for ago, key in enumerate("bca"):
        _open(cache, key)
        for file in _part(tmp_path, key).glob("[!l]*"):
            os.utime(file, (time.time() - 100 * ago,) * 2)
    gc.collect()
    assert [row.key for row in cache.space.rows()] == ["b", "c", "a"]
    _write(cache, "d", values)
    assert {row.key for row in cache.space.rows()} == {"b", "c", "d"}


def test_an_entry_in_use_here_survives_clear(tmp_path):
    cache = _cache(tmp_path)
    _write(cache, "a", _values())
    _write(cache, "b", _values())
    entry = _open(cache, "a")
    removed, kept, _ = cache.space.clear()
    assert ([row.key for row in removed], [row.key for row in kept]) == (["b"], ["a"])
    del entry
    gc.collect()
    removed, kept, _ = cache.space.clear()
    assert ([row.key for row in removed], kept) == (["a"], [])


def test_an_entry_beyond_the_limit_is_refused_before_any_work(tmp_path):
    cache = _cache(tmp_path, 500_000)
    with pytest.raises(FerBenchError, match=r"1.0 MB .*500.0 kB.*--cache-limit"):
        _write(cache, "a", np.zeros((1000, 1000), "u1"))


def test_a_folder_that_cannot_be_written_is_an_error_to_correct(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match=re.escape(repr(str(tmp_path / "file" / "x")))):
        _write(_cache(tmp_path / "file" / "x"), "a", np.zeros((1, 1), "u1"))
