"""The cache of large arrays: checked, shared by processes, evicted by last use, and nothing of a killed writer."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.keeping import cache as module
from fer_bench.keeping.cache import Cache

SHAPE = (3000, 2, 1024)  # 12.3 MB: two pieces, the second not full


def _values(seed=0):
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float16)


def _write(cache, key, values, facts=None):
    with cache.locked(key, pytest.fail), cache.writer(key, values.shape, values.dtype) as writer:
        for start in range(0, len(values), 700):
            writer.append(values[start : start + 700])
        writer.facts |= facts or {}


def _open(cache, key):
    with cache.locked(key, pytest.fail):
        return cache.open(key)


def _forget():
    module._verified.clear()  # as another process would see it


def test_what_was_written_piece_by_piece_is_mapped_with_its_facts(tmp_path):
    cache, values = Cache(tmp_path), _values()
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
    cache = Cache(tmp_path)
    _write(cache, "a", _values())
    damage(tmp_path / "a" / "values.npy")
    assert _open(cache, "a") is None, "a change is seen even by the process that wrote the entry"


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"schema": 1, "chunks": [], "facts": {}, "sha256": "0"}'])
def test_a_damaged_description_does_not_count(tmp_path, text):
    cache = Cache(tmp_path)
    _write(cache, "a", _values())
    (tmp_path / "a" / "entry.json").write_bytes(text)
    assert not cache.has("a")
    assert _open(cache, "a") is None
    _write(cache, "a", _values(1))
    np.testing.assert_array_equal(_open(cache, "a").values, _values(1))


def test_checksums_are_compared_once_a_process(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    _write(cache, "a", _values())
    _forget()
    assert _open(cache, "a")
    monkeypatch.setattr(module.hashlib, "sha256", lambda *_: pytest.fail("read again"))
    monkeypatch.setattr(module, "_read", lambda folder: {"chunks": ["", ""], "facts": {}})
    assert _open(cache, "a")


def _write_too_little(cache):
    with cache.writer("a", (3, 4), np.dtype(np.float32)) as writer:
        writer.append(np.ones((2, 4), np.float32))


def _fail_while_writing(cache):
    with cache.writer("a", SHAPE, np.dtype(np.float16)) as writer:
        writer.append(_values())
        raise ZeroDivisionError("after everything was written")


@pytest.mark.parametrize(
    ("write", "message"),
    [(_write_too_little, "2 rows were written of 3"), (_fail_while_writing, "after everything was written")],
)
def test_a_writer_that_fails_leaves_nothing(tmp_path, write, message):
    cache = Cache(tmp_path)
    with pytest.raises((ValueError, ZeroDivisionError), match=message):
        write(cache)
    assert cache.rows() == []
    assert [file.name for file in tmp_path.iterdir() if file.is_dir()] == []


HOLD = """
import sys, time, numpy as np
from pathlib import Path
from fer_bench.keeping.cache import Cache
cache = Cache(Path(sys.argv[1]))
def say(word): print(word, flush=True)
with cache.locked("a", lambda: say("waits")):
    entry = cache.open("a")
    if entry is None:
        with cache.writer("a", (4, 1000), np.dtype(np.float32)) as writer:
            writer.append(np.ones((2, 1000), np.float32))
            writer._file.flush()
            say("writes")
            sys.stdin.readline()
            writer.append(np.ones((2, 1000), np.float32))
        entry = cache.open("a")
    else:
        say("found")
say("has")
sys.stdin.readline()
"""


@pytest.fixture
def process(tmp_path):
    started = []

    def start():
        arguments = [sys.executable, "-c", HOLD, str(tmp_path)]
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
    cache = Cache(tmp_path)
    (row,) = cache.rows()
    assert row.busy
    assert row.size >= 16_000, "what it is going to take counts already"
    assert cache.clear() == ([], [row])
    first.kill()
    first.wait()
    assert _open(cache, "a") is None
    (row,) = cache.rows()
    assert not row.busy
    second = process()
    _expect(second, "writes")
    second.stdin.write("\n")
    _expect(second, "has")
    assert [row.key for row in cache.rows()] == ["a"]
    np.testing.assert_array_equal(_open(cache, "a").values, np.ones((4, 1000)))


def test_an_entry_that_a_process_uses_is_not_evicted_until_it_is_gone(process, tmp_path):
    first = process()
    _expect(first, "writes")
    first.stdin.write("\n")
    _expect(first, "has")
    cache = Cache(tmp_path, limit=30_000)
    (row,) = cache.rows()
    assert row.busy
    with pytest.raises(FerBenchError, match=r"20.0 kB do not fit .* limit is 30.0 kB, of which .* use 16"):
        _write(cache, "b", np.ones((5, 1000), np.float32))
    first.kill()
    first.wait()
    _write(cache, "b", np.ones((5, 1000), np.float32))
    assert [row.key for row in cache.rows()] == ["b"]


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache, values = Cache(tmp_path, limit=3 * 20_500 + 15_000), np.ones((5, 1000), np.float32)
    for key in "abc":
        _write(cache, key, values)
    for ago, key in enumerate("bca"):
        _open(cache, key)
        for file in (tmp_path / key).glob("[!l]*"):
            os.utime(file, (time.time() - 100 * ago,) * 2)
    gc.collect()
    assert [row.key for row in cache.rows()] == ["b", "c", "a"]
    _write(cache, "d", values)
    assert {row.key for row in cache.rows()} == {"b", "c", "d"}


def test_an_entry_in_use_here_survives_clear(tmp_path):
    cache = Cache(tmp_path)
    _write(cache, "a", _values())
    _write(cache, "b", _values())
    entry = _open(cache, "a")
    removed, kept = cache.clear()
    assert ([row.key for row in removed], [row.key for row in kept]) == (["b"], ["a"])
    del entry
    gc.collect()
    removed, kept = cache.clear()
    assert ([row.key for row in removed], kept) == (["a"], [])


def test_an_entry_beyond_the_limit_is_refused_before_any_work(tmp_path):
    cache = Cache(tmp_path, 500_000)
    with pytest.raises(FerBenchError, match=r"1.0 MB do not fit the cache .* its limit is 500.0 kB"):
        cache.writer("a", (1000, 1000), np.dtype("u1")).__enter__()


def test_a_folder_that_cannot_be_written_is_an_error_to_mend(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match="Cannot write to the cache"):
        _open(Cache(tmp_path / "file" / "x"), "a")
