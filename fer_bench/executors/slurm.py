"""Run a grid by jobs of Slurm, each of which is a worker of Dask with one worker of fer-bench in it.

The scheduler of Dask is in this process. The runs folder holds, while the run lasts, the keys by which jobs and
scheduler know each other (TLS, made for each run), and the logs of the jobs.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fer_bench.builtin import SlurmParams
from fer_bench.errors import FerBenchError
from fer_bench.executors import staging
from fer_bench.executors.dask_cluster import hand_out
from fer_bench.executors.work import Work
from fer_bench.results.store import cannot_write
from fer_bench.sizes import number_of

FOLDER = "cluster"
"""In the runs folder: keys and logs of jobs."""
CHECK_S = 2.0
"""Between two looks at whether a job must be replaced."""
PATIENCE_S = 300
"""Given to a command of Slurm for an answer."""
NAME = "fer-bench"
NEVER = frozenset({"PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "AccountNotAllowed", "QOSNotAllowed"})
"""Reasons of ``squeue`` for which a job waits forever."""
HINT = (
    "Compare queue, account, gpus, cores, memory, hours and directives in slurm[…] with what 'sinfo' and "
    "'sacctmgr show associations' list."
)


def execute(params: SlurmParams, work: Work) -> None:
    """Run what is left of a grid.

    Raises:
        FerBenchError: Dask or Slurm is not installed, Slurm refuses the job, or a worker refused the work.
    """
    folder = work.store.runs_dir.absolute() / FOLDER / uuid.uuid4().hex[:8]
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise cannot_write(work.store.runs_dir, error) from None
    unfinished = False
    try:
        with _cluster(params, folder) as (cluster, client):
            _try(cluster.job_script(), folder)
            cluster.adapt(minimum_jobs=params.workers, maximum_jobs=params.workers, interval=f"{CHECK_S}s")
            work.reporter.say(
                f"{number_of(params.workers, 'job is', 'jobs are')} handed to Slurm; their logs are in {folder}"
            )
            if work.staged:
                staging.hand_out(client, work, _Watch(work))
            else:
                hand_out(client, work, params.workers, {}, _Watch(work))
            unfinished = work.left > 0
    finally:
        if not unfinished:
            shutil.rmtree(folder, ignore_errors=True)
        for file in folder.glob("*.pem"):
            file.unlink()
        with suppress(OSError):  # it holds logs of other runs
            folder.parent.rmdir()


@contextmanager
def _cluster(params: SlurmParams, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Yield a cluster without jobs, and a client of its scheduler; at the end its jobs are cancelled."""
    try:
        from dask import config
        from dask_jobqueue.slurm import SLURMCluster
        from distributed import Client
    except ImportError:
        raise FerBenchError(
            "The executor 'slurm' needs Dask, which is not installed. Run: pip install 'fer-bench[cluster]'"
        ) from None
    if shutil.which("sbatch") is None:
        raise FerBenchError("There is no command 'sbatch' here. Start the run on a machine that submits jobs to Slurm.")
    for name in ("distributed", "dask_jobqueue", "tornado"):  # a lost job is one line, by `hand_out`
        logging.getLogger(name).setLevel(logging.CRITICAL)
    minutes = round(params.hours * 60)
    gpus = [f"--gres=gpu:{params.gpus}"] if params.gpus else []
    # A lost job is told at once, since only the driver knows whether cells came meanwhile.
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        SLURMCluster(
            queue=params.queue or None,
            account=params.account or None,
            cores=1,
            processes=1,
            job_cpu=params.cores,
            memory=params.memory,
            walltime=f"{minutes // 60}:{minutes % 60:02}:00",
            interface=params.interface or None,
            job_name=NAME,
            job_extra_directives=[*gpus, *params.directives],
            job_script_prologue=list(params.prologue),
            log_directory=str(folder),
            security=_make_keys(folder),
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client


class _Watch:
    """Says why jobs do not start.

    Args:
        work: whose reporter is told.
    """

    def __init__(self, work: Work):
        self._work, self._said = work, ""

    def __call__(self) -> None:
        """Look at the queue.

        Raises:
            FerBenchError: Slurm will never start a job.
        """
        command = ["squeue", "--noheader", "--me", "--name", NAME, "--states", "PENDING", "--format", "%r"]
        reasons = sorted({line.strip() for line in _ask(*command).stdout.splitlines()} - {"None", ""})
        if never := [reason for reason in reasons if reason in NEVER or reason.startswith("Invalid")]:
            raise FerBenchError(f"Slurm takes the job and will never start it: {', '.join(never)}. {HINT}")
        if (why := ", ".join(reasons)) and why != self._said:
            self._work.reporter.say(f"jobs are waiting in Slurm's queue: {why}")
        self._said = why


def _make_keys(folder: Path) -> Any:
    """Write keys of TLS to a folder that only this user may read, and return what tells Dask to use them."""
    from distributed.security import Security

    keys, files = Security.temporary(), dict[str, str]()
    pairs = [f"{role}_{kind}" for role in ("scheduler", "worker", "client") for kind in ("cert", "key")]
    for name in ("ca_file", *pairs):
        file = folder / f"{name}.pem"
        file.write_text(getattr(keys, f"tls_{name}"), encoding="ascii")
        files[f"tls_{name}"] = str(file)
    return Security(require_encryption=True, **files)


def _try(script: str, folder: Path) -> None:
    """Raise FerBenchError unless Slurm answers and would accept a job."""
    file = folder / "job.sh"
    file.write_text(script, encoding="utf-8")
    tried = _ask("sbatch", "--test-only", str(file))
    if not tried.returncode:
        return
    why = " ".join(tried.stderr.split())
    if shutil.which("scontrol") and _ask("scontrol", "ping").returncode:
        raise FerBenchError(
            f"No Slurm controller answers: {why}. Check slurm.conf and slurmctld until 'scontrol ping' says UP, "
            "or start the run on a machine of the cluster."
        )
    raise FerBenchError(f"Slurm refuses the job: {why}. {HINT}")


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Return what a command of Slurm answered, be it a failure.

    Raises:
        FerBenchError: it does not answer, or cannot be started.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        why = f"did not answer within {PATIENCE_S} s"
    except OSError as error:
        why = f"cannot be started: {error.strerror}"
    raise FerBenchError(
        f"Slurm's command {command[0]!r} {why}. Try it by hand, and repeat the run once it answers. Cells that are "
        "stored stay."
    )
