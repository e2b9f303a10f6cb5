"""A Slurm of two nodes on this machine, for tests: its configuration, its daemons, and how they end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
COMMANDS = ("slurmctld", "slurmd", "sbatch", "munged")
MUNGE = Path("/run/munge/munged.pid")
NODES = ("box1", "box2")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
KillWait=2
NodeName=box1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16818 CPUs=1 RealMemory=6000 Gres=gpu:2 State=UNKNOWN
NodeName=box2 NodeHostname={host} NodeAddr=127.0.0.1 Port=16819 CPUs=1 RealMemory=6000 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=box1,box2 Default=YES MaxTime=60 State=UP
"""
GPUS = "NodeName={name} Name=gpu Count=2 File=/dev/null,/dev/zero\n"


def missing() -> str:
    """Return why this machine cannot have such a Slurm; nothing if it can."""
    if os.environ.get("FER_BENCH_TEST_CLUSTER") != "1":
        return "set FER_BENCH_TEST_CLUSTER=1, as 'tox run -e cluster' does: the tests need minutes"
    if not Path("/etc/debian_version").is_file():
        return "the configuration is for Debian's Slurm"
    if os.geteuid():
        return "the daemons of Slurm need root"
    if lacking := [name for name in COMMANDS if shutil.which(name) is None]:
        return f"{', '.join(lacking)} missing: apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    return ""


def ask(*command: str) -> str:
    """Return what a command of Slurm prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Run the daemons within the block; ``SLURM_CONF`` leads to them."""
    (folder / "state").mkdir()
    file = folder / "slurm.conf"
    file.write_text(CONFIG.format(folder=folder, host=socket.gethostname().partition(".")[0]))
    (folder / "gres.conf").write_text("".join(GPUS.format(name=name) for name in NODES))
    os.environ["SLURM_CONF"] = str(file)
    try:
        if not MUNGE.is_file():
            for place in (MUNGE.parent, Path("/var/log/munge"), Path("/var/lib/munge")):
                place.mkdir(parents=True, exist_ok=True)
                shutil.chown(place, "munge", "munge")
            MUNGE.parent.chmod(0o755)
            ask("runuser", "-u", "munge", "--", "/usr/sbin/munged", "--pid-file", str(MUNGE))
        daemons = [["slurmctld", "-f", str(file)], *(["slurmd", "-f", str(file), "-N", name] for name in NODES)]
        for command in daemons:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True)
        deadline = time.monotonic() + 60
        while len(ask("sinfo", "-N", "-h", "-t", "idle").splitlines()) != len(NODES):
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.2)
        yield
    finally:
        with suppress(subprocess.SubprocessError):
            ask("scancel", "-u", "root")
        for place in (*(folder / f"slurmd-{name}.pid" for name in NODES), folder / "slurmctld.pid", MUNGE):
            with suppress(OSError, ValueError):
                os.kill(int(place.read_text()), signal.SIGTERM)
        del os.environ["SLURM_CONF"]
