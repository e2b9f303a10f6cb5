"""``--executor``: worker processes make the same cells, and end with their driver, as docs/cluster.md says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest
from messages import says
from tiny_run import BASE, invoke, start

from fer_bench.about import __version__
from fer_bench.builtin import DaskParams, ProcessesParams
from fer_bench.errors import FerBenchError
from fer_bench.executors.dask_cluster import _connected
from fer_bench.executors.processes import _deal_devices
from fer_bench.executors.work import versions
from fer_bench.plugins import load_plugins

GRID = ["run", *BASE, "--backbone", "net[fault=slow]", "--folds", "2"]
WORKERS = ["--executor", "processes[workers=2]"]


def wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def holders(folder):
    """Return the processes that hold the frozen stages of a backbone."""
    holding = []
    for file in folder.glob("leases/outputs-*.json"):
        try:
            holding.append(json.loads(file.read_text())["pid"])
        except (OSError, ValueError):  # it is being written, or went
            continue
    return holding


def cells(folder):
    return {file.parent.name: file.read_bytes() for file in folder.glob("cells/[!.]*/predictions.feather")}


@pytest.mark.slow
def test_workers_make_the_cells_of_a_local_run_and_one_that_is_killed_is_replaced(tiny):
    driver = start(tiny, *GRID, *WORKERS, "--runs-dir", "shared", TINY_SLEEP="3")
    wait_for(lambda: holders(tiny / "shared"))
    victim = holders(tiny / "shared")[0]
    assert victim in [child.pid for child in psutil.Process(driver.pid).children()]
    psutil.Process(victim).kill()
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    assert says(err, "worker", "SIGKILL")
    assert says(err, "4 cells ok", "0 failed")
    assert "net[fault=slow]" in out
    assert invoke(*GRID, "--runs-dir", "alone").exit_code == 0
    assert len(cells(tiny / "shared")) == 4
    assert cells(tiny / "shared") == cells(tiny / "alone")
    for name, executor in (("shared", "processes[workers=2]"), ("alone", "local")):
        for file in tiny.glob(f"{name}/cells/[!.]*/provenance.json"):
            assert json.loads(file.read_text())["executor"] == executor
            assert "executor" not in json.loads(file.read_text())["config"]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(tiny, sent):
    executor = ["--executor", "processes[workers=2,gpus=1]"]
    driver = start(tiny, *GRID, *executor, TINY_SLEEP="60", CUDA_VISIBLE_DEVICES="3,1")
    workers = []

    def working():
        workers[:] = psutil.Process(driver.pid).children()
        return len(workers) == 2 and (tiny / "runs" / "leases").exists()

    wait_for(working)
    assert sorted(worker.environ()["CUDA_VISIBLE_DEVICES"] for worker in workers) == ["1", "3"]
    driver.send_signal(sent)
    _, err = driver.communicate(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    if sent == signal.SIGINT:
        assert driver.returncode == 130
        assert "Traceback" not in err


def ask(folder, **changes):
    described = {
        "runs": [{"backbones": ["net"], "datasets": ["squares"], "strategies": ["probe"]}],
        "folders": [str(folder / name) for name in ("runs", "data", "cache")],
        "versions": versions(load_plugins()) | changes,
        "cells": "of other data",
    }
    code = "from fer_bench.executors.worker import main; main()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": str(folder / "site"), "FER_BENCH_PLUGINS": "tiny"}
    with subprocess.Popen([sys.executable, "-c", code], env=env, **pipes) as worker:
        worker.stdin.write(json.dumps(described) + "\n")
        worker.stdin.flush()  # and stays open: a worker ends with its stdin
        *_, last = worker.stdout.read().splitlines()
        assert worker.wait(60) == 2
    assert not (folder / "runs").exists()
    return json.loads(last)["error"]


@pytest.mark.slow
def test_a_worker_of_other_versions_is_refused_by_name_before_any_work(tiny):
    error = ask(tiny, **{"fer-bench": "9.9", "tiny": "2.0", "fer-bench-else": "1.0"})
    assert says(error, "fer-bench", __version__, "9.9")
    assert says(error, "tiny: 1.0 here", "2.0")
    assert says(error, "fer-bench-else: not installed", "1.0")
    assert not (tiny / "data").exists()


@pytest.mark.slow
def test_a_worker_that_finds_other_cells_is_refused_before_any_work(tiny):
    assert says(ask(tiny), "5 other cells")


@pytest.mark.parametrize(
    ("executor", "parts"),
    [("lokal", ("lokal", "local")), ("processes[workers=0]", ("workers", "0")), ("local[workers=2]", ("workers",))],
)
def test_an_executor_that_is_not_there_is_one_message(tiny, executor, parts):
    with pytest.raises(FerBenchError) as error:
        invoke(*GRID, "--executor", executor)
    assert says(str(error.value), *parts)
    assert not (tiny / "runs").exists()


@pytest.mark.parametrize(
    ("seen", "workers", "gpus", "dealt"),
    [
        (None, 2, 0, [None, None]),
        (None, 2, 1, ["0", "1"]),
        (None, 4, 1, ["0", "1", "2", "3"]),
        (None, 2, 2, ["0,1", "2,3"]),
        ("3,1", 2, 1, ["3", "1"]),
        ("GPU-8f2,GPU-77a", 1, 1, ["GPU-8f2"]),
    ],
)
def test_each_worker_sees_gpus_of_its_own(monkeypatch, seen, workers, gpus, dealt):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert _deal_devices(ProcessesParams(workers=workers, gpus=gpus)) == dealt


def test_more_workers_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(FerBenchError) as error:
        _deal_devices(ProcessesParams(workers=4, gpus=1))
    assert says(str(error.value), "4", "3")


@pytest.mark.parametrize(
    ("scheduler", "parts"),
    [("tcp://127.0.0.1:1", ("127.0.0.1:1", "dask scheduler")), ("none.json", ("none.json", "dask scheduler"))],
)
def test_a_scheduler_that_is_not_there_is_one_message(tiny, scheduler, parts):
    pytest.importorskip("distributed")
    with pytest.raises(FerBenchError) as error:
        _connected(DaskParams(scheduler=scheduler, wait=0.5)).__enter__()
    assert says(str(error.value), *parts)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(FerBenchError) as error:
        _connected(DaskParams()).__enter__()
    assert says(str(error.value), "fer-bench[cluster]")


@contextmanager
def dask_on_loopback(tiny, workers):
    """Run a scheduler and workers on loopback, each with variables of its own; gives the file of the scheduler."""
    pytest.importorskip("distributed")
    env = {**os.environ, "PYTHONPATH": str(tiny / "site"), "FER_BENCH_PLUGINS": "tiny", "TINY_SLEEP": "3"}
    file = tiny / "scheduler.json"
    where = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    commands = [([sys.executable, "-m", "dask", "scheduler", "--port", "0", *where], {})]
    worker = [sys.executable, "-m", "dask", "worker", "--nthreads", "1", "--memory-limit", "0", *where]
    commands += [(worker, own) for own in workers]
    log = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tiny}
    started = [subprocess.Popen(command, env=env | own, **log) for command, own in commands]
    try:
        yield file
    finally:
        for process in started:
            alive = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for each in reversed(alive):
                each.kill()
            process.wait()


@pytest.fixture
def cluster(tiny, request):
    """The file of a scheduler with one worker, or as many as a test asks for."""
    with dask_on_loopback(tiny, [{}] * getattr(request, "param", 1)) as file:
        yield file


def of_workers(folder):
    """Return the processes that are workers of a run in a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(folder) and "fer_bench.executors.worker" in (process.info["cmdline"] or ())
    ]


@pytest.mark.slow
def test_a_dask_cluster_makes_the_cells_of_a_local_run(tiny, cluster):
    run = [*GRID, "--executor", f"dask[scheduler={cluster},workers=1,wait=120]", "--runs-dir", "shared"]
    done = invoke(*run)
    assert done.exit_code == 0, done.output
    assert says(done.stderr, "4 cells ok", "0 failed")
    assert invoke(*GRID, "--runs-dir", "alone").exit_code == 0
    assert cells(tiny / "shared") == cells(tiny / "alone")


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("FER_BENCH_TEST_CLUSTER") != "1", reason="needs minutes: 'tox run -e cluster'")
@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_a_dask_cluster_loses_a_worker_and_the_driver_and_ends_in_the_same_bytes(tiny, cluster):
    run = [*GRID, "--executor", f"dask[scheduler={cluster},workers=2,wait=120]", "--runs-dir", "shared"]
    driver = start(tiny, *run)
    wait_for(lambda: holders(tiny / "shared") or driver.poll() is not None)
    holder = psutil.Process(holders(tiny / "shared")[0])
    holder.parent().kill()  # the worker of Dask, in the middle of a cell
    psutil.wait_procs([holder], timeout=60)
    assert not holder.is_running()
    wait_for(lambda: cells(tiny / "shared"))
    quick = of_workers(tiny)
    for worker in quick:  # held, so that it does not finish the grid before the driver's end is seen
        worker.suspend()
    driver.kill()
    driver.communicate()
    time.sleep(5)
    for worker in quick:
        worker.resume()
    wait_for(lambda: not of_workers(tiny))
    before = cells(tiny / "shared")
    assert 0 < len(before) < 4
    stored = {file: file.stat().st_mtime_ns for file in tiny.glob("shared/cells/[!.]*/result.json")}
    driver = start(tiny, *run)
    _, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    assert says(err, "4 cells ok", "0 failed")
    assert all(file.stat().st_mtime_ns == time for file, time in stored.items())
    assert invoke(*GRID, "--runs-dir", "alone").exit_code == 0
    assert cells(tiny / "shared") == cells(tiny / "alone")
