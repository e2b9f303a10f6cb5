"""``--stage``: workers with folders of their own are given what they lack, and cells come back (docs/cluster.md)."""

from __future__ import annotations

import json
import os

import psutil
import pytest
from messages import says
from test_executors import cells, dask_on_loopback, of_workers, wait_for
from tiny_run import BASE, invoke, start

from fer_bench.errors import FerBenchError
from fer_bench.executors import copies

SLOW = ["run", "--dataset", "squares", "--strategy", "probe", "--folds", "2", "--backbone", "net[fault=slow]"]


class Near:
    """A client of Dask whose workers are this process."""

    def run(self, function, *arguments, workers):
        return {workers[0]: function(*arguments)}


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Files to be sent, and the folder that they go to."""
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "there"))
    monkeypatch.setattr(copies, "PIECE_BYTES", 5)
    files = {"a/empty": tmp_path / "empty", "a/short": tmp_path / "short", "b": tmp_path / "long"}
    for file, content in zip(files.values(), (b"", b"1234", bytes(range(15))), strict=True):
        file.write_bytes(content)
    return files, {name: copies.digest(file) for name, file in files.items()}, tmp_path / "there"


def test_a_machine_is_given_what_it_lacks_in_pieces(sent):
    files, digests, there = sent
    assert copies.send(Near(), "x", files, digests) == 19
    assert all((there / name).read_bytes() == file.read_bytes() for name, file in files.items())
    assert copies.send(Near(), "x", files, digests) == 0
    (there / "b").write_bytes(b"another content")
    assert copies.send(Near(), "x", files, digests) == 15
    assert sorted(file.name for file in there.rglob("*") if file.is_file()) == ["b", "empty", "short"]


def test_what_comes_damaged_does_not_count(sent):
    files, digests, there = sent
    with pytest.raises(FerBenchError) as error:
        copies.send(Near(), "x", files, {**digests, "b": "0" * 64})
    assert says(str(error.value), "'b'")
    assert not (there / "b").exists()


def test_a_worker_that_cannot_keep_them_is_one_message(sent):
    files, digests, there = sent
    there.write_text("a file where the folder should be")
    with pytest.raises(FerBenchError) as error:
        copies.send(Near(), "x", files, digests)
    assert says(str(error.value), str(there), "FER_BENCH_CACHE_DIR")


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_executors_of_this_machine_refuse_to_stage(tiny, executor):
    with pytest.raises(FerBenchError) as error:
        invoke("run", *BASE, "--stage", "--executor", executor)
    assert says(str(error.value), "--stage", executor, "dask")


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("FER_BENCH_TEST_CLUSTER") != "1", reason="needs minutes: 'tox run -e cluster'")
def test_workers_without_shared_folders_lose_one_and_give_the_bytes_of_a_local_run(tiny):
    assert invoke(*SLOW, "--runs-dir", "before").exit_code == 0  # its outputs are cached
    grid = [*SLOW, "--backbone", "net[fault=slow,input_size=20]"]
    folders = [
        {"FER_BENCH_CACHE_DIR": str(tiny / f"box{n}"), "FER_BENCH_DATA_DIR": str(tiny / f"own{n}")} for n in (1, 2)
    ]
    own = [{**variables, "TINY_SLEEP": "10"} for variables in folders]
    with dask_on_loopback(tiny, own) as file:
        run = [*grid, "--stage", "--executor", f"dask[scheduler={file},workers=2,wait=120]", "--runs-dir", "shared"]
        driver = start(tiny, *run)
        wait_for(lambda: len(of_workers(tiny)) == 2 or driver.poll() is not None)
        psutil.Process(of_workers(tiny)[0].pid).parent().kill()
        _, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert says(err, "worker", "MB copied", "was lost", "4 cells ok")
        lines = err.splitlines()
        assert not [
            line for line in lines if "features:" in line and line.endswith("net[fault=slow]")
        ]  # its outputs were copied
        for number in (1, 2):
            assert list(tiny.glob(f"box{number}/staged/data/prepared/squares/*/*/prepared.json"))
            assert not list(tiny.glob(f"box{number}/staged/runs/cells/*"))
            assert not (tiny / f"own{number}").exists()
    assert not (tiny / "shared" / "leases").exists()
    assert invoke(*grid, "--runs-dir", "alone").exit_code == 0
    assert cells(tiny / "shared") == cells(tiny / "alone")
    for record in tiny.glob("shared/cells/*/provenance.json"):
        assert json.loads(record.read_text())["executor"].startswith("dask[")
