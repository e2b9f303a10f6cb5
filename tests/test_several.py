"""Parts of work in several processes: in order, with their errors, and done here where a process is killed."""

from __future__ import annotations

import gc
import os
import signal

import joblib
import pytest

from fer_bench.several import collector, spread

HERE = os.getpid()


def describe(part):
    """Return a part and the process that worked on it; end the process that did not start with this module's tests."""
    number, home = part
    if number == 5 and os.getpid() != home:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 9:
        raise ValueError("nine")
    return number, os.getpid()


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_parts_come_in_order_and_those_of_a_killed_process_are_done_here(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    answers = [*spread(describe, [(number, HERE) for number in range(4)])]
    assert [number for number, _ in answers] == [0, 1, 2, 3]
    assert HERE not in {process for _, process in answers}
    answers = [*spread(describe, [(number, HERE) for number in range(3, 9)])]
    assert [number for number, _ in answers] == [3, 4, 5, 6, 7, 8]
    assert dict(answers)[5] == dict(answers)[8] == HERE
    with pytest.raises(ValueError, match="nine"):
        [*spread(describe, [(8, HERE), (9, HERE)])]


def test_with_one_part_or_one_processor_everything_is_done_here(monkeypatch):
    assert [*spread(describe, [(1, HERE)])] == [(1, HERE)]
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    assert {process for _, process in spread(describe, [(1, HERE), (2, HERE)])} == {HERE}
    assert [*spread(describe, [])] == []


def test_training_looks_for_garbage_though_the_cells_around_it_do_not():
    with collector(False):
        with collector(True):
            assert gc.isenabled()
        assert not gc.isenabled()
        with collector(True), collector(False):
            assert not gc.isenabled()
    with collector(True):
        pass
    assert gc.isenabled()
