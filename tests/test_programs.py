"""Compiled programs on disk: what was not written to its end is removed, where jax would refuse it for ever.

That the next process compiles such a program again, and no other: tests/test_console.py.
"""

from __future__ import annotations

import os
import sys
import zlib

import pytest

from fer_bench.keeping import programs


def test_each_program_is_looked_at_once_after_it_was_written(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setattr(programs.jax.config, "update", lambda *_: None)
    folder, whole = tmp_path / "xla", zlib.compress(b"program" * 1000)
    folder.mkdir()
    contents = {"a": whole, "b": whole[:-3], "c": b"", "d": b"another format", "e": b"\x28\xb5\x2f\xfd"}
    for name, content in contents.items():
        (folder / f"{name}-cache").write_bytes(content)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    programs.keep_compiled_programs(tmp_path, pytest.fail)
    assert sorted(file.name[0] for file in folder.glob("*-cache")) == ["a", "d", "e"]
    os.mkfifo(folder / "g-cache")
    (folder / "h-cache").symlink_to("/dev/zero")
    programs.keep_compiled_programs(tmp_path, pytest.fail)
    assert sorted(file.name[0] for file in folder.glob("*-cache")) == ["a", "d", "e"]
    read: list[str] = []
    monkeypatch.setattr(programs, "_is_whole", lambda file: read.append(file.name) or True)
    os.utime(folder / "a-cache", (1, 1))
    (folder / "f-cache").write_bytes(whole[:-3])
    programs.keep_compiled_programs(tmp_path, pytest.fail)
    assert "a-cache" not in read
    assert "f-cache" in read


def test_what_a_gpu_tunes_itself_to_is_kept_beside_the_programs():
    assert "xla_gpu_per_fusion_autotune_cache_dir" in programs.jax.config.jax_persistent_cache_enable_xla_caches


def test_a_folder_that_cannot_be_written_is_told_once_and_nothing_is_written(tmp_path, monkeypatch, readable_only):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    settings, told = {}, []
    monkeypatch.setattr(programs.jax.config, "update", settings.__setitem__)
    (tmp_path / "xla").mkdir()
    with readable_only(tmp_path):
        programs.keep_compiled_programs(tmp_path, told.append)
    assert len(told) == 1
    assert str(tmp_path / "xla") in told[0]
    assert settings["jax_persistent_cache_min_compile_time_secs"] == float("inf")
    assert settings["jax_compilation_cache_dir"] == str(tmp_path / "xla"), "what is there is read"
    assert settings["jax_persistent_cache_enable_xla_caches"] == "none"
    settings.clear()
    (tmp_path / "file").write_text("")
    programs.keep_compiled_programs(tmp_path / "file", told.append)
    assert (len(told), settings) == (2, {})
