"""The command begins again with huge pages: once, in its own process, and only where they help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fer_bench.cli import huge_pages

PROGRAM = """
import os
import signal
from fer_bench.cli import huge_pages
huge_pages._helps = lambda: {helps}
huge_pages.restart_with_them()
blocked = len(signal.pthread_sigmask(signal.SIG_BLOCK, [])) if hasattr(signal, "pthread_sigmask") else 0
print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), blocked, flush=True)
"""


def start(arguments, *, helps=True, **environment):
    """Return what a process says of the setting; its number must be that of the process that was started.

    No signal may be blocked afterwards, also where a program of its own calls the command, as this one does.
    """
    own = {name: value for name, value in os.environ.items() if name != huge_pages.VARIABLE} | environment
    command = [sys.executable, "-c", PROGRAM.format(helps=helps), *arguments]
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    number, setting, blocked = said.split()
    assert int(number) == process.pid
    assert blocked == "0"
    return setting


@pytest.mark.skipif(os.name != "posix", reason="a process cannot be replaced here")
def test_a_run_begins_again_in_its_own_process():
    assert start(["run", "--quiet"]) == huge_pages.SETTING
    assert start(["replay", "a cell"]) == huge_pages.SETTING


@pytest.mark.parametrize("arguments", [["leaderboard"], ["--version"], [], ["data", "run"]])
def test_what_does_not_train_goes_on(arguments):
    assert start(arguments) == "None"


def test_who_sets_the_variable_decides():
    assert start(["run"], GLIBC_TUNABLES="glibc.malloc.hugetlb=0") == "glibc.malloc.hugetlb=0"


def test_where_it_does_not_help_nothing_happens():
    assert start(["run"], helps=False) == "None"


def test_a_caller_of_the_command_is_not_replaced(monkeypatch):
    monkeypatch.setattr(huge_pages, "_helps", lambda: True)
    monkeypatch.delenv(huge_pages.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run", "--quiet"])
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("replaced the process of the caller"))
    huge_pages.restart_with_them()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal is blocked here")
def test_where_the_process_cannot_be_replaced_signals_come_all_the_same(monkeypatch):
    monkeypatch.setattr(huge_pages, "_helps", lambda: True)
    monkeypatch.delenv(huge_pages.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run"])
    monkeypatch.setattr(sys, "orig_argv", ["fer-bench", "run"])

    def refuse(*_):
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGINT, signal.SIGTERM}
        raise OSError

    monkeypatch.setattr(os, "execve", refuse)
    huge_pages.restart_with_them()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


@pytest.mark.parametrize(
    ("library", "switch", "expected"),
    [
        (("glibc", "2.36"), "always [madvise] never", True),
        (("glibc", "2.36"), "[always] madvise never", False),
        (("glibc", "2.36"), "always madvise [never]", False),
        (("glibc", "2.31"), "always [madvise] never", False),
        (("", ""), "always [madvise] never", False),
        (("glibc", "2.36"), None, False),
    ],
)
def test_they_help_where_linux_leaves_them_to_programs(monkeypatch, tmp_path, library, switch, expected):
    monkeypatch.setattr("platform.libc_ver", lambda: library)
    monkeypatch.setattr(huge_pages, "SWITCH", tmp_path / "enabled")
    if switch:
        huge_pages.SWITCH.write_text(switch)
    assert huge_pages._helps() is expected
