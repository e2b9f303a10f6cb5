"""The lines of docs/cluster.md for machines with ssh and for a cloud, on loopback (``tox run -e cluster``)."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from messages import says
from test_executors import cells, of_workers, wait_for
from tiny_run import invoke

SERVER = shutil.which("sshd") or "/usr/sbin/sshd"
PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
GRID = ["--dataset", "squares", "--strategy", "probe", "--folds", "2", "--backbone", "net"]
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
"""
CLIENT = """
Host 10.0.0.2 10.0.0.3
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {folder}/user
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
StrictHostKeyChecking accept-new
BatchMode yes
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def server(tmp_path):
    """Run an ssh server with keys made now; gives the folder with its client's configuration."""
    if os.environ.get("FER_BENCH_TEST_CLUSTER") != "1":
        pytest.skip("set FER_BENCH_TEST_CLUSTER=1, as 'tox run -e cluster' does")
    if not Path(SERVER).is_file() or not shutil.which("ssh"):
        pytest.skip("apt-get install --no-install-recommends openssh-server openssh-client")
    pytest.importorskip("distributed")
    folder, port = tmp_path / "ssh", free_port()
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder))
    (folder / "ssh_config").write_text(CLIENT.format(port=port, folder=folder, user=getpass.getuser()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's server, as root, separates its privileges
    process = subprocess.Popen([SERVER, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(["ssh", "-F", str(folder / "ssh_config"), "10.0.0.2", "true"]).returncode:
            assert time.monotonic() < deadline, "no ssh server answers"
            time.sleep(0.2)
        yield folder
    finally:
        process.terminate()
        process.wait()


def lines_of(section):
    """Return the shell block of a section of the page."""
    (lines,) = re.findall(rf"\n## {section}\n(?:(?!\n## ).)*?```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return lines


def run(lines, folder, environment):
    """Run shell lines, each of which must succeed."""
    command = ["bash", "-e", "-m", "-c", lines]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.slow
def test_the_lines_for_machines_with_ssh_and_for_a_cloud_run_as_they_stand(tiny, server):
    lines = lines_of("Machines with only ssh")
    commands = tiny / "commands"
    commands.mkdir()
    programs = {"ssh": f"{shutil.which('ssh')} -F {server / 'ssh_config'}"}
    programs |= {"dask": f"{sys.executable} -m dask", "fer-bench": f"{sys.executable} -m fer_bench"}
    for name, command in programs.items():
        (commands / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (commands / name).chmod(0o755)
    plugin = f"PYTHONPATH={tiny / 'site'} FER_BENCH_PLUGINS=tiny"
    there = f"{plugin} FER_BENCH_CACHE_DIR={tiny}/box-$machine FER_BENCH_DATA_DIR={tiny}/own-$machine JAX_PLATFORMS=cpu"
    for old, new in {
        "10.0.0.1": "127.0.0.1",
        "8786": str(free_port()),
        "cd faces": f"cd {tiny}",
        "CUDA_VISIBLE_DEVICES=0": there,
        ".venv/bin/dask": str(commands / "dask"),
        "--dataset synthetic --backbone xception --strategy linear-probe": " ".join(GRID),
    }.items():
        assert old in lines
        lines = lines.replace(old, new)
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(tiny / "site")}
    environment["FER_BENCH_PLUGINS"] = "tiny"
    ran = run(f"{lines}\nwait", tiny, environment)
    assert says(ran.stderr, "MB copied", "2 cells ok", "0 failed")
    assert len(list(tiny.glob("box-*/staged/data/prepared/squares/*/*/prepared.json"))) == 2
    assert not list(tiny.glob("own-*"))
    wait_for(lambda: not of_workers(tiny))
    assert invoke("run", *GRID, "--runs-dir", "alone").exit_code == 0
    assert cells(tiny / "runs") == cells(tiny / "alone")
    home, lines = tiny / "home", lines_of("A cloud")
    home.mkdir()
    for old, new in {
        "cd faces": f"cd {tiny}",
        "faces/results.zip": str(tiny / "results.zip"),
        ".venv/bin/fer-bench": f"{plugin} {commands / 'fer-bench'}",
    }.items():
        assert old in lines
        lines = lines.replace(old, new)
    board = run(lines, home, environment)
    assert says(board.stdout, "squares", "probe", "majority-class")
    assert cells(home / "runs") == cells(tiny / "alone")
