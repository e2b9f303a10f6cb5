"""Processes on one runs folder take leases: nothing is done twice, and what a killed one held is taken over.

This tests what docs/cluster.md says of machines that see one folder.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from campaign.disk import failing_disk
from tiny_run import PROCESS, invoke, start

from fer_bench.executors.leases import Holder, Leases
from fer_bench.results.canonical import CANONICAL

LOGGER = '''
    """Writes who stored which cell."""
    import os
    from fer_bench import hookimpl

    @hookimpl
    def fer_bench_cell_done(cell):
        with open(os.environ["CELL_LOG"], "a") as file:
            file.write(f"{os.getpid()} {cell['id'][:16]}\\n")
'''


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "leases").mkdir()
    return tmp_path


def leave(runs, name, holder):
    """Write the lease of a process that did not remove it."""
    file = runs / "leases" / f"{name}.json"
    file.write_text(CANONICAL.encode(asdict(holder)), encoding="utf-8")
    return file


def can_take(leases, name):
    with leases.take(name) as taken:
        return taken


def dead():
    """Return a holder whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Holder.own(), pid=process.pid)


def test_a_unit_has_one_holder_until_it_is_released(runs):
    with Leases(runs) as one, Leases(runs) as other:
        with one.take("unit") as taken:
            assert taken
            assert other.holder("unit").pid == os.getpid()
            assert not can_take(other, "unit")
            assert can_take(other, "another")
        assert can_take(other, "unit")
    assert not (runs / "leases").exists()


@pytest.mark.parametrize("holder", [dead(), replace(Holder.own(), started="0")], ids=["gone", "number used again"])
def test_the_lease_of_a_process_that_ended_is_void_at_once(runs, holder):
    leave(runs, "unit", holder)
    with Leases(runs) as leases:
        assert can_take(leases, "unit")
        leave(runs, "unit", holder)
        leases.tidy()
        assert not list((runs / "leases").iterdir())


def test_a_lease_that_could_not_be_removed_keeps_nobody_out_in_the_same_process(runs):
    """As of two runs in a notebook, the first of which met a broken disk."""
    with failing_disk() as disk, Leases(runs) as leases:
        with leases.take("unit"):
            disk(runs, 1, errno.EIO)
        disk.folder = ""
        assert leases.holder("unit").pid == os.getpid()
        with Leases(runs) as later, later.take("unit") as taken:
            assert taken
            assert not can_take(leases, "unit")


def test_a_process_that_ended_and_was_not_waited_for_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    holder = replace(Holder.own(), pid=process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder.lives() is False
    process.wait()


@pytest.fixture
def wait(monkeypatch):
    """Return a function that lets seconds pass on the clock that silence is measured with, which else stands still."""
    clock = SimpleNamespace(seconds=1000.0, time=time.time, monotonic=lambda: clock.seconds)
    monkeypatch.setattr("fer_bench.executors.leases.time", clock)

    def wait(seconds):
        clock.seconds += seconds

    return wait


@pytest.mark.parametrize("offset_s", [-3600, 0, 3600], ids=["an hour late", "same clock", "an hour early"])
def test_another_machine_is_judged_by_its_silence_whatever_its_clock_says(runs, wait, offset_s):
    file = leave(runs, "unit", replace(dead(), machine="other", host="far"))
    with Leases(runs, silent_s=40) as leases:
        for beat in range(4):
            os.utime(file, (time.time() + offset_s + beat,) * 2)
            assert not can_take(leases, "unit")
            wait(39)
        assert str(leases.holder("unit")).endswith("on far")
        assert not can_take(leases, "unit")
        wait(2)
        assert can_take(leases, "unit")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"machine": "x"', b'{"pid": "rm"}', b"\xff" * 9000])
def test_a_file_that_names_no_holder_is_judged_by_its_silence(runs, wait, content):
    (runs / "leases" / "unit.json").write_bytes(content)
    with Leases(runs, silent_s=40) as leases:
        assert not can_take(leases, "unit")
        wait(41)
        assert can_take(leases, "unit")


def test_no_link_is_followed(runs, wait):
    secret = runs / "secret"
    secret.write_text("mine")
    (runs / "leases" / "unit.json").symlink_to(secret)
    with Leases(runs, silent_s=40) as leases:
        assert not can_take(leases, "unit")
        wait(41)
        assert can_take(leases, "unit")
    assert secret.read_text() == "mine"


def test_a_lease_is_renewed_while_the_work_goes_on(runs):
    file = runs / "leases" / "unit.json"
    with Leases(runs, renew_s=0.05) as leases, leases.take("unit") as taken:
        assert taken
        os.utime(file, (1, 1))
        deadline = time.monotonic() + 30
        while file.stat().st_mtime == 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert file.stat().st_mtime > time.time() - 60


def test_who_was_silent_does_not_remove_the_lease_of_its_successor(runs):
    with Leases(runs) as silent, silent.take("unit") as taken:
        assert taken
        successor = replace(Holder.own(), machine="other")
        file = leave(runs, "unit", successor)
    assert file.exists()
    with Leases(runs) as leases:
        assert leases.holder("unit") == successor


RACER = """
import sys, time, pathlib
from contextlib import ExitStack
from fer_bench.executors.leases import Leases
runs = pathlib.Path(sys.argv[1])
print("ready", flush=True)
input()
with Leases(runs) as leases, ExitStack() as held:
    print(*(name for name in map(str, range(100)) if held.enter_context(leases.take(name))), flush=True)
    input()
"""


@pytest.mark.slow
def test_of_processes_that_find_void_leases_at_once_one_gets_each(runs):
    gone = dead()
    for name in range(100):
        leave(runs, str(name), gone)
    with ExitStack() as stack:
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        racers = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", RACER, str(runs)], **pipe)) for _ in range(3)
        ]
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 3
        for racer in racers:
            racer.stdin.write("\n")
        taken = [racer.stdout.readline().split() for racer in racers]
        for racer in racers:
            racer.communicate("\n", timeout=60)
    assert sorted(name for names in taken for name in names) == sorted(map(str, range(100)))
    assert not (runs / "leases").exists()


def wait_for(condition, processes=()):
    deadline = time.monotonic() + 300
    while not condition():
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


FAR = """
import datetime, os, time
from fer_bench.executors import leases
from fer_bench.results import store

class Clock(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return super().now(zone) + datetime.timedelta(seconds=off)

off, real = int(os.environ["CLOCK_OFF_S"]), time.time
time.time, store.datetime = lambda: real() + off, Clock
leases._machine = lambda: f"machine {off}"
leases.Leases.__init__.__defaults__ = 0.2, float(os.environ["SILENT_S"])
"""
"""Makes of a process one on another machine, with a clock of its own."""
SILENT_S = 6


def kill_who_holds(begin_far, held, stored):
    """Kill a process that held a backbone for longer than others may be silent; return it and two that go on."""
    victim = begin_far(-3600, TINY_SLEEP="900")
    wait_for(lambda: held(), [victim])
    others = [begin_far(off_s) for off_s in (0, 3600)]
    wait_for(lambda: len(stored()) == 4, [victim])
    time.sleep(SILENT_S + 2)
    assert [process.poll() for process in (victim, *others)] == [None] * 3
    assert held()
    assert len(stored()) == 4
    victim.kill()
    victim.communicate()
    return victim, others


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_processes_divide_a_grid_and_take_over_the_share_of_one_that_is_killed(tiny, write_plugin, monkeypatch):
    write_plugin("logger", LOGGER)
    grid = ["run", "--dataset", "squares", "--backbone", "net[fault=slow]", "--backbone", "net", "--folds", "2"]
    grid += ["--strategy", "probe", "--strategy", "probe[c=2]"]

    def begin(runs, process=PROCESS, **environment):
        environment |= {"FER_BENCH_PLUGINS": "tiny,logger", "CELL_LOG": str(tiny / f"{runs}.log")}
        environment |= {"FER_BENCH_CACHE_DIR": str(tiny / f"cache-{runs}")}
        return start(tiny, *grid, "--runs-dir", runs, process=process, **environment)

    def begin_far(off_s, **environment):
        """Begin one on a machine whose clock is off."""
        return begin("three", FAR + PROCESS, CLOCK_OFF_S=str(off_s), SILENT_S=str(SILENT_S), **environment)

    def finish(runs, processes):
        """Return how many cells each process stored; none stored one that another stored."""
        outputs = [process.communicate(timeout=300) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), outputs
        lines = [line.split() for line in (tiny / f"{runs}.log").read_text().splitlines()]
        cells = sorted(path.name for path in tiny.glob(f"{runs}/cells/[0-9a-f]*"))
        assert sorted(cell for _, cell in lines) == cells
        assert len(cells) == 8
        assert not (tiny / runs / "leases").exists()
        return Counter(int(pid) for pid, _ in lines)

    def held(runs):
        return list(tiny.glob(f"{runs}/leases/outputs-*"))

    def stored(runs):
        return list(tiny.glob(f"{runs}/cells/[0-9a-f]*"))

    # One process stands still in its first backbone; the other does all that the first does not hold, and waits.
    first = begin("two", TINY_SLEEP="3")
    wait_for(lambda: held("two"), [first])
    first.send_signal(signal.SIGSTOP)
    second = begin("two")
    wait_for(lambda: len(stored("two")) == 4, [first, second])
    time.sleep(3)
    assert held("two")
    assert len(stored("two")) == 4
    first.send_signal(signal.SIGCONT)
    share = finish("two", [first, second])
    assert set(share) == {first.pid, second.pid}
    assert share.total() == 8

    # Of three machines, one an hour early and one an hour late, one holds a backbone for longer than others may be
    # silent, and nobody takes it. Then it is killed, and the other two do all.
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tiny / "cache-three"))
    assert invoke("plan", *grid[1:]).exit_code == 0  # else the victim sleeps before it has a lease, too
    victim, others = kill_who_holds(begin_far, lambda: held("three"), lambda: stored("three"))
    share = finish("three", others)
    assert victim.pid not in share
    assert share.total() == 8

    for file in tiny.glob("two/cells/[!.]*/predictions.feather"):
        assert file.read_bytes() == (tiny / "three" / "cells" / file.parent.name / file.name).read_bytes()
