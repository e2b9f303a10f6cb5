"""``--executor slurm`` on a real Slurm of two nodes (``tox run -e cluster``), as docs/cluster.md says."""

from __future__ import annotations

import errno
import os
import shutil
import time

import pytest
import slurm_host
from messages import says
from test_executors import GRID, cells, of_workers, wait_for
from tiny_run import invoke, start, write_distribution

from fer_bench.builtin import SlurmParams
from fer_bench.errors import FerBenchError
from fer_bench.executors import slurm

SLURM = "workers=2,gpus=1,memory=1GB,interface=lo"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    if why := slurm_host.missing():
        pytest.skip(why)
    with slurm_host.running(tmp_path_factory.mktemp("slurm")):
        yield


def jobs(state="R"):
    return slurm_host.ask("squeue", "-h", "-o", "%i", "-t", state).split()


def run(folder, executor, *more, sleep="0"):
    return start(folder, *GRID, *more, "--executor", executor, "--runs-dir", "shared", TINY_SLEEP=sleep)


def finish(folder, driver):
    _, err = driver.communicate(timeout=400)
    assert driver.returncode == 0, err
    assert says(err, "4 cells ok", "0 failed")
    assert not (folder / "shared" / slurm.FOLDER).exists()
    wait_for(lambda: not jobs("R,PD"))
    assert not of_workers(folder)
    assert invoke(*GRID, "--runs-dir", "alone").exit_code == 0
    assert cells(folder / "shared") == cells(folder / "alone")
    return err


@pytest.mark.slow
def test_a_job_that_is_killed_is_replaced_and_the_bytes_are_those_of_a_local_run(tiny, nodes):
    driver = run(tiny, f"slurm[queue=gpu,{SLURM}]", sleep="4")
    wait_for(lambda: (len(jobs()) == 2 and len(of_workers(tiny)) == 2) or driver.poll() is not None)
    dealt = [worker.environ().get("CUDA_VISIBLE_DEVICES") for worker in of_workers(tiny)]
    assert all(dealt)
    wait_for(lambda: list(tiny.glob("shared/leases/*.json")))
    slurm_host.ask("scancel", "--signal=KILL", "--full", jobs()[0])
    err = finish(tiny, driver)
    assert says(err, "worker", "was lost")
    records = [file.read_text() for file in tiny.glob("shared/cells/[!.]*/provenance.json")]
    assert all("slurm[" in record for record in records)


@pytest.mark.slow
def test_jobs_that_run_out_of_time_are_replaced(tiny, nodes):
    slow_at_first = "echo >> begun; test $(wc -l < begun) -gt 2 || export TINY_SLEEP=600"  # the first two jobs
    driver = run(tiny, f"slurm[hours=0.0167,prologue=['{slow_at_first}'],{SLURM}]")
    wait_for(lambda: jobs() or driver.poll() is not None)
    began, first = time.monotonic(), jobs()[0]
    wait_for(lambda: first not in jobs())
    assert time.monotonic() - began > 30  # Slurm counts minutes
    assert says(finish(tiny, driver), "worker", "was lost")


@pytest.mark.slow
def test_jobs_that_share_no_folder_are_given_what_they_lack_and_cells_come_back(tiny, nodes):
    own = "export FER_BENCH_CACHE_DIR=$PWD/box-$SLURM_JOB_ID FER_BENCH_DATA_DIR=$PWD/own-$SLURM_JOB_ID"
    driver = run(tiny, f"slurm[prologue=['{own}'],{SLURM}]", "--stage", sleep="4")
    err = finish(tiny, driver)
    assert says(err, "worker", "MB copied")
    given = [*tiny.glob("box-*/staged/data/prepared/squares/*/*/prepared.json")]
    assert len(given) == 2
    assert not list(tiny.glob("own-*"))
    assert not list(tiny.glob("box-*/staged/runs/cells/*"))


@pytest.mark.slow
def test_a_job_of_other_versions_is_refused_by_name(tiny, nodes):
    other = tiny / "other"
    shutil.copytree(tiny / "site", other)
    shutil.rmtree(other / "tiny-1.0.dist-info")
    code = (other / "tiny.py").read_text()
    write_distribution(other, "tiny", code, version="2.0")
    driver = run(tiny, f"slurm[{SLURM},prologue=['export PYTHONPATH={other}']]")
    _, err = driver.communicate(timeout=200)
    assert driver.returncode == 2
    assert says(err, "tiny: 2.0 here", "1.0")
    assert not list(tiny.glob("shared/cells/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "word"), [("queue=nope", "nope"), ("gpus=5", "configuration"), ("hours=90", "PartitionTimeLimit")]
)
def test_a_job_that_slurm_refuses_is_one_message(tiny, nodes, asked, word):
    with pytest.raises(FerBenchError) as refused:
        invoke(*GRID, "--executor", f"slurm[memory=1GB,{asked}]")
    assert says(str(refused.value), word, "sinfo")
    assert not list((tiny / "runs").glob("cluster/*"))


def test_without_slurm_its_command_is_named(tiny, monkeypatch, tmp_path):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FerBenchError) as missing, slurm._cluster(SlurmParams(), tmp_path):
        pass
    assert says(str(missing.value), "sbatch")


@pytest.mark.parametrize(("answers", "advice"), [(0, "sinfo"), (1, "scontrol ping")])
def test_a_controller_that_does_not_answer_is_no_refused_job(tmp_path, monkeypatch, answers, advice):
    for name, code in {"sbatch": 1, "scontrol": answers}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} says why >&2\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FerBenchError) as refused:
        slurm._try("#!/bin/sh\n", tmp_path)
    assert says(str(refused.value), "sbatch says why", advice)
    assert says(str(refused.value), "sinfo") != says(str(refused.value), "scontrol ping")


def test_a_command_of_slurm_that_hangs_or_cannot_be_started_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE_S", 0.2)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "sbatch").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(FerBenchError) as hanging:
        slurm._try("#!/bin/sh\n", tmp_path)
    assert says(str(hanging.value), "sbatch", "0.2 s")
    with pytest.raises(FerBenchError) as strange:
        slurm._ask(str(tmp_path / "squeue"), "--me")
    assert says(str(strange.value), "squeue", os.strerror(errno.ENOENT))
