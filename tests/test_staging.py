"""``--stage``: workers with folders of their own are given what they lack, and cells come back (docs/cluster.md)."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from messages import says
from test_executors import cells, dask_on_loopback, of_workers, wait_for
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import BASE, invoke, start, write_distribution

from fer_bench import brackets
from fer_bench.corruption import Corruption
from fer_bench.digests import sha256_of
from fer_bench.errors import FerBenchError
from fer_bench.executors import copies, staging
from fer_bench.executors.kept import file_of
from fer_bench.results import corrupted
from fer_bench.results.store import Store

SLOW = ["run", "--dataset", "squares", "--strategy", "probe", "--folds", "2", "--backbone"]
CLUSTER = pytest.mark.skipif(
    os.environ.get("FER_BENCH_TEST_CLUSTER") != "1", reason="needs minutes: 'tox run -e cluster'"
)


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
    return files, {name: sha256_of(file) for name, file in files.items()}, tmp_path / "there"


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


def test_a_cell_comes_back_with_what_belongs_to_it_and_leaves_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "there"))
    there, here, dark = Store(copies.folders()[0]), Store(tmp_path / "here"), Corruption("low-light", 2)
    made = there.write(make_cell(), make_result(), UNKNOWN)
    corrupted.write(made, dark, np.full((3, 2), 0.5, np.float32))
    file_of(there.runs_dir, made.id).parent.mkdir()
    file_of(there.runs_dir, made.id).write_bytes(b"numbers")
    before = here.write(make_cell(), make_result(), UNKNOWN)  # it lacked predictions of corrupted images
    here.take(made.id, *copies.fetch(made.id))
    stored = here.read(made.id)
    assert (stored.finished, corrupted.find(stored)) == (before.finished, [dark])
    assert file_of(here.runs_dir, made.id).read_bytes() == b"numbers"
    assert not [file for file in there.runs_dir.rglob("*") if file.is_file()]
    other = there.write(make_cell(), make_result(predicted=(1, 1, 1)), UNKNOWN)
    here.take(made.id, *copies.fetch(made.id))
    stored = here.read(made.id)
    assert (stored.predictions_sha256, corrupted.find(stored)) == (other.predictions_sha256, [])


def test_a_worker_that_cannot_keep_them_is_one_message(sent):
    files, digests, there = sent
    there.write_text("a file where the folder should be")
    with pytest.raises(FerBenchError) as error:
        copies.send(Near(), "x", files, digests)
    assert says(str(error.value), str(there), "FER_BENCH_CACHE_DIR")


class Gone:
    """A client of Dask whose workers are gone."""

    def scheduler_info(self, n_workers):
        return {"workers": {"x": None}}

    def run(self, function, *arguments, workers):
        raise ConnectionError("Stream is closed")


@pytest.mark.parametrize("numbers", [{}, {"x": 1}], ids=["while it tells its versions", "while it is given files"])
def test_a_worker_that_goes_before_it_begins_is_a_line_and_counts_as_lost(numbers):
    warned: list[str] = []
    work = SimpleNamespace(plugins=(), reporter=SimpleNamespace(warn=warned.append))
    dealer = staging._Dealer(Gone(), work, None, [None], [], {}, {}, print, numbers=numbers)
    dealer.deal()
    assert (dealer.losses, dealer.shares, dealer.units) == (1, {}, [None])
    assert says(warned[0], "lost", "Stream is closed")


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_executors_of_this_machine_refuse_to_stage(tiny, executor):
    with pytest.raises(FerBenchError) as error:
        invoke("run", *BASE, "--stage", "--executor", executor)
    assert says(str(error.value), "--stage", executor, "dask")


@pytest.mark.parametrize(
    ("text", "places", "written"),
    [
        ("onnx", {"path": "staged/a b.onnx"}, 'onnx[path="staged/a b.onnx"]'),
        ("onnx[path=/home/m.onnx,size=48]", {"path": "staged/m.onnx"}, "onnx[path=staged/m.onnx,size=48]"),
        ("net[a='1',b=true,c=[1,x]]", {"d": "e,]"}, 'net[a="1",b=true,c=["1", "x"],d="e,]"]'),
    ],
)
def test_the_file_that_a_parameter_names_has_another_name_on_a_worker(text, places, written):
    assert brackets.rewrite("backbone", text, places) == written
    name, values = brackets.read("backbone", text)
    assert brackets.read("backbone", written) == (name, {**values, **places})


def boxes(folder):
    """Return the variables of two workers with folders of their own."""
    return [
        {"FER_BENCH_CACHE_DIR": str(folder / f"box{n}"), "FER_BENCH_DATA_DIR": str(folder / f"own{n}")} for n in (1, 2)
    ]


@CLUSTER
@pytest.mark.slow
def test_a_worker_of_other_versions_is_refused_before_anything_is_copied(tiny):
    other = tiny / "other"
    shutil.copytree(tiny / "site", other)
    shutil.rmtree(other / "tiny-1.0.dist-info")
    write_distribution(other, "tiny", (other / "tiny.py").read_text(), version="2.0")
    with dask_on_loopback(tiny, [{**boxes(tiny)[0], "PYTHONPATH": str(other)}]) as file:
        grid = [*SLOW, "net", "--stage", "--executor", f"dask[scheduler={file},wait=120]", "--runs-dir", "shared"]
        driver = start(tiny, *grid)
        _, err = driver.communicate(timeout=300)
    assert driver.returncode == 2
    assert says(err, "tiny: 2.0 here", "1.0", platform.node())
    assert not (tiny / "box1" / "staged").exists()
    assert not list(tiny.glob("shared/cells/*"))


@CLUSTER
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_runs_folder_that_is_full_at_the_workers_is_one_message_and_loses_nothing(tiny):
    """Eight cells of 30 kB go to a disk of 150."""
    grid = [*SLOW, "net", "--strategy", "probe[c=2]", "--seeds", "0,1", "--executor", "processes[workers=2]"]
    (tiny / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", str(tiny / "small")], check=True)
    try:
        driver = start(tiny, *grid, "--runs-dir", "small")
        _, err = driver.communicate(timeout=300)
        assert driver.returncode == 2, err
        assert says(err, "small", "disk is full")
        assert "Traceback" not in err
        kept, damaged = Store(tiny / "small").cells()
        assert damaged == []
        assert 0 < len(kept) < 8
        before = cells(tiny / "small")
        subprocess.run(["mount", "-o", "remount,size=10m", str(tiny / "small")], check=True)
        driver = start(tiny, *grid, "--runs-dir", "small")
        assert driver.wait(timeout=300) == 0
        now = cells(tiny / "small")
    finally:
        subprocess.run(["umount", str(tiny / "small")], check=True)
    assert before.items() <= now.items()
    assert invoke(*grid[:-2], "--runs-dir", "alone").exit_code == 0
    assert now == cells(tiny / "alone")


@CLUSTER
@pytest.mark.slow
def test_workers_without_shared_folders_lose_one_and_give_the_bytes_of_a_local_run(tiny):
    code = tiny / "site" / "tiny.py"
    fault = '    fault: str = ""\n'
    note = '    note: str = Field("", json_schema_extra={"file": True})\n'
    code.write_text(code.read_text().replace(fault, fault + note))
    (tiny / "note.txt").write_text("a file that a parameter names")
    assert invoke(*SLOW, "net[fault=slow]", "--runs-dir", "before").exit_code == 0  # its outputs are cached
    grid = [*SLOW, "net[fault=slow]", "--backbone", "net[fault=slow,input_size=20,note=note.txt]"]
    own = [{**variables, "TINY_SLEEP": "10"} for variables in boxes(tiny)]
    with dask_on_loopback(tiny, own) as file:
        more = ["--corrupt", "brightness[severity=2]", "--keep", "all"]
        to = ["--stage", "--executor", f"dask[scheduler={file},workers=2,wait=120]", "--runs-dir", "shared"]
        run = [*grid, *more, *to]
        driver = start(tiny, *run)
        given = "staged/data/prepared/squares/*/*/prepared.json"  # before that, workers only tell their versions
        both = lambda: all(list(tiny.glob(f"box{n}/{given}")) for n in (1, 2)) and len(of_workers(tiny)) == 2  # noqa: E731
        wait_for(lambda: both() or driver.poll() is not None)
        assert driver.poll() is None, driver.communicate()[1]
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
            assert len(list(tiny.glob(f"box{number}/staged/files/*/note.txt"))) == 1
            assert not list(tiny.glob(f"box{number}/staged/runs/c*/*")), "cells left the machine"
            assert not list(tiny.glob(f"box{number}/staged/runs/models/*"))
            assert not (tiny / f"own{number}").exists()
    assert not (tiny / "shared" / "leases").exists()
    assert invoke(*grid, *more, "--runs-dir", "alone").exit_code == 0
    assert cells(tiny / "shared") == cells(tiny / "alone")
    shared, alone = (
        {
            file.relative_to(tiny / name): file.read_bytes()
            for kind in ("corrupted/*/*", "models/*")
            for file in (tiny / name).glob(kind)
        }
        for name in ("shared", "alone")
    )
    assert shared == alone
    assert len(shared) == 8
    for record in tiny.glob("shared/cells/[!.]*/provenance.json"):
        assert json.loads(record.read_text())["executor"].startswith("dask[")


@CLUSTER
@pytest.mark.slow
def test_workers_are_given_kept_models_and_train_nothing_for_corrupted_images(tiny):
    run = ["run", "--dataset", "squares", "--backbone", "net", "--strategy", "steps", "--folds", "2"]
    trained = invoke(*run, "--keep", "all", "--runs-dir", "alone")
    assert (trained.exit_code, "phase first" in trained.stderr) == (0, True)
    shutil.copytree(tiny / "alone", tiny / "shared")
    asked = ["--corrupt", "brightness[severity=2]", "--runs-dir"]
    with dask_on_loopback(tiny, boxes(tiny)) as file:
        to = ["--stage", "--executor", f"dask[scheduler={file},workers=2,wait=120]"]
        driver = start(tiny, *run, *to, *asked, "shared")
        _, err = driver.communicate(timeout=400)
        assert driver.returncode == 0, err
        assert not [file for number in (1, 2) for file in tiny.glob(f"box{number}/staged/runs/models/*.safetensors")]
    assert says(err, "MB copied", "worker 1: corrupted images"), err
    assert "phase " not in err, "a kept model is trained again"
    assert invoke(*run, *asked, "alone").exit_code == 0
    assert cells(tiny / "shared") == cells(tiny / "alone")
    shared, alone = (
        {file.name: file.read_bytes() for file in sorted((tiny / name).glob("corrupted/*/*"))}
        for name in ("shared", "alone")
    )
    assert shared == alone
    assert len(list(tiny.glob("shared/corrupted/*/*"))) == 2
