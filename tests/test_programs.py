"""Compiled programs on disk: what was not written to its end is removed, where jax would refuse it for ever.

That the next process compiles such a program again, and no other: tests/test_console.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import pytest

from fer_bench import processors
from fer_bench.keeping import programs


def test_each_program_is_looked_at_once_after_it_was_written(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setattr(programs.jax.config, "update", lambda *_: None)
    folder, whole = tmp_path / "xla" / processors.kind(), zlib.compress(b"program" * 1000)
    folder.mkdir(parents=True)
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
    folder = tmp_path / "xla" / processors.kind()
    folder.mkdir(parents=True)
    with readable_only(tmp_path):
        programs.keep_compiled_programs(tmp_path, told.append)
    assert len(told) == 1
    assert str(folder) in told[0]
    assert settings["jax_persistent_cache_min_compile_time_secs"] == float("inf")
    assert settings["jax_compilation_cache_dir"] == str(folder), "what is there is read"
    assert settings["jax_persistent_cache_enable_xla_caches"] == "none"
    settings.clear()
    (tmp_path / "file").write_text("")
    programs.keep_compiled_programs(tmp_path / "file", told.append)
    assert (len(told), settings) == (2, {})


DIVIDED = """
import pathlib, sys
from fer_bench.keeping import programs
programs.keep_compiled_programs(pathlib.Path(sys.argv[1]), sys.exit)
import jax, jax.numpy as jnp
text = jax.jit(lambda x: jnp.sin(x) + 1).lower(jnp.zeros((1 << 10, 1 << 10))).compile().as_text()
print(text.count('"outer_dimension_partitions":["2"'))
"""


@pytest.mark.skipif(processors.count() < 2, reason="one processor")
def test_what_one_processor_compiled_is_not_run_by_two(tmp_path, monkeypatch):
    """jax's own key is the same for both: the program of one would use one of them for ever."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    two = sorted(os.sched_getaffinity(0))[:2]
    divided = []
    for allowed in (two[:1], two):
        command = [sys.executable, "-c", DIVIDED, str(tmp_path)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda own=allowed: os.sched_setaffinity(0, own),
        )
        divided.append(int(done.stdout))
    assert divided[0] == 0 < divided[1]
    kinds = sorted(folder.name.partition("-")[0] for folder in (tmp_path / "xla").iterdir())
    assert kinds == ["1", "2"]
