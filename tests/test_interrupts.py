"""Ctrl-C and SIGTERM, at a terminal, at any moment: a line, what is stored, an exit code within seconds."""

from __future__ import annotations

import signal
import sys

import pytest
from at_terminal import at_terminal
from messages import says
from tiny_run import BASE

from fer_bench import interrupts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")

BEGIN = "from fer_bench.__main__ import main\nprint('begun', flush=True)\nmain()"
RUN = [sys.executable, "-c", BEGIN, "run", *BASE, "--folds", "3"]
STUCK = [*RUN, "--backbone", "net[fault=stuck]"]
"""Three cells, then a call in C that no handler of Python interrupts, as compiling is: it takes many minutes."""


@pytest.mark.slow
def test_control_c_ends_a_run_at_any_moment(tiny):
    """The moments go from the first import over compiling to training; the first runs store no cell."""
    delays = (0.05, 0.4, 2.0)
    environment = {"PYTHONPATH": str(tiny / "site"), "FER_BENCH_PLUGINS": "tiny"}
    trials = [{"words": RUN, "when": delay, "keys": 1} for delay in delays]
    trials += [{"words": RUN, "when": 0.9, "number": int(signal.SIGTERM)}]
    trials += [{"words": STUCK, "when": "stuck", "keys": keys} for keys in (1, 2)]
    ended = at_terminal(tiny, *trials, **environment, JAX_COMPILATION_CACHE_DIR=str(tiny / "programs"))
    for given, trial in zip(trials, ended, strict=True):
        finished = trial.code == 0 and given["words"] == RUN  # a quick machine was done by then
        assert finished or trial.code == (143 if "number" in given else 130), (given, trial.text)
        assert finished or trial.text.count("interrupted") == 1, (given, trial.text)
        assert trial.seconds < 30, (given, trial.text)
        assert "Traceback" not in trial.text
    once, twice = ended[-2:]
    assert says(once.text, "3 of 6 cells stored")
    assert says(twice.text, "3 of 6 cells stored")
    assert twice.seconds < once.seconds - 1
    assert len(list(tiny.glob("runs/cells/[0-9a-f]*"))) == 3
    assert not list(tiny.glob("runs/**/.*"))


def test_an_interrupt_that_code_swallows_counts(tiny):
    """Python prints what a callback raises, as those of jax at a collection of garbage, and goes on."""
    code = (
        "import os, signal, time, fer_bench.cli as cli\n"
        "from fer_bench.__main__ import main\n"
        "class Callback:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "def app():\n    callback = Callback()\n    del callback\n    time.sleep(200)\n    print('went on')\n"
        "cli.app = app\nmain()"
    )
    (ended,) = at_terminal(tiny, {"words": [sys.executable, "-c", code]})
    assert ended.code == 130
    assert ended.seconds < 30
    assert "went on" not in ended.text


def test_a_command_that_fails_does_not_wait_for_what_threads_compile(tiny):
    code = (
        "import sys, threading, time, types, fer_bench.cli as cli\n"
        "from fer_bench.__main__ import main\n"
        "from fer_bench.networks.early import Early\n"
        "begun = threading.Event()\n"
        "program = types.SimpleNamespace(compile=lambda: begun.set() or time.sleep(200))\n"
        "def app():\n    early = Early()\n    early.add(lambda: [program])\n"
        "    with early.opened():\n        early.begin()\n        begun.wait()\n"
        "    print('it failed', end='')\n    sys.exit(1)\n"
        "cli.app = app\nmain()"
    )
    (ended,) = at_terminal(tiny, {"words": [sys.executable, "-c", code]})
    assert ended.code == 1
    assert ended.seconds < 60
    assert "it failed" in ended.text


def test_libraries_are_not_interrupted_while_they_are_loaded(monkeypatch):
    monkeypatch.setattr(interrupts, "_received", [])
    loaded = []

    def load():
        with interrupts.held():
            with interrupts.held():
                interrupts._interrupt(signal.SIGINT, None)
                loaded.append("a library")
            loaded.append("what imports it")

    with pytest.raises(KeyboardInterrupt):
        load()
    assert loaded == ["a library", "what imports it"]
