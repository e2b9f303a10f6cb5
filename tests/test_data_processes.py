"""Two processes that prepare the same, and one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import drawn_set
import pytest

from fer_bench.data.prepare import find_prepared, prepare


@pytest.fixture
def data_dir(tmp_path):
    return drawn_set.draw_images(tmp_path / "data")


def start(data_dir: Path, pace_s: float, note: Path) -> subprocess.Popen[str]:
    script = Path(drawn_set.__file__)
    command = [sys.executable, str(script), str(data_dir), str(pace_s), str(note)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(script.parent), *filter(None, sys.path)])}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=data_dir
    )


def wait_for(condition, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_two_processes_prepare_once(data_dir):
    notes = [data_dir / "first", data_dir / "second"]
    processes = [start(data_dir, 0.1, note) for note in notes]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(note.exists() for note in notes) == 1
    fingerprints = {out.split()[1] for out, _ in outputs}
    assert fingerprints == {prepare(drawn_set.component(), data_dir).fingerprint}
    # Neither TensorFlow nor jax is loaded, and nothing but our own lines is printed.
    for out, err in outputs:
        assert out.split()[2:] == ["False", "False"]
        assert err == ""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_process_leaves_nothing_that_counts(data_dir):
    note = data_dir / "note"
    process = start(data_dir, 0.5, note)
    wait_for(note.exists)
    process.kill()
    process.communicate(timeout=60)
    folder = data_dir / "prepared" / "drawn-set" / "default"
    assert list(folder.glob(".preparing-*")), "it was killed while preparing"
    assert find_prepared(drawn_set.component(), data_dir) is None
    assert prepare(drawn_set.component(), data_dir).verify() == []
    assert sorted(path.name for path in folder.iterdir()) == [".1.0.0.lock", "1.0.0"]
