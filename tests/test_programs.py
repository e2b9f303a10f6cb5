"""Compiled programs on disk: what was not written to its end is removed, where jax would refuse it for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import pytest

from fer_bench.keeping import programs

COMPILE = """
import sys
from pathlib import Path
import jax
from fer_bench.keeping.programs import keep_compiled_programs
keep_compiled_programs(Path(sys.argv[1]), print)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(jax.jit(lambda x: x + 1)(1.0))
"""


def test_a_torn_program_of_a_killed_process_is_replaced_by_the_next(tmp_path):
    def compile_in_a_process():
        environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
        )
        assert (done.stdout, done.stderr) == ("2.0\n", "")
        return {file: file.stat().st_size for file in tmp_path.glob("xla/*-cache")}

    sizes = compile_in_a_process()
    (program,) = [file for file in sizes if file.name.startswith("jit__lambda")]
    os.truncate(program, sizes[program] // 2)
    assert compile_in_a_process() == sizes


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
    settings.clear()
    (tmp_path / "file").write_text("")
    programs.keep_compiled_programs(tmp_path / "file", told.append)
    assert (len(told), settings) == (2, {})
