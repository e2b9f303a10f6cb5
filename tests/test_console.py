"""What every command prints: consoles of other encodings, a closed or full stdout, read-only folders."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from campaign.command import command
from messages import says
from rich.cells import cell_len
from test_gate import write_runs as write_rows
from tiny_run import BASE, invoke, start
from written import FORMATS

from fer_bench import console
from fer_bench.errors import FerBenchError
from fer_bench.reports.formats import terminal
from fer_bench.reports.table import Column, Table, texts
from fer_bench.reports.table import words as as_text
from fer_bench.results.store import Store

PROGRAMS = 39
"""That a first run of a convex head and of two gradient phases compiles, at most; each is a file of the cache."""
PART = [word.replace("squares", "squares[split=train]") for word in BASE]
TRAINING = [
    ["run", *BASE, "--folds", "2", "--protocol", "kfold"],
    ["inflation", *PART, "--folds", "2"],
    ["replay", "CELL"],
    ["baseline", "freeze", "--runs-dir", "rows-é", "--output", "base-é"],
]
PRINTING = [
    ["run", *BASE, "--folds", "2"],
    ["run", *BASE, "--folds", "2", "--json"],
    ["plan", "--no-probe", *BASE, "--folds", "2"],
    ["plan", "--no-probe", *BASE, "--folds", "2", "--json"],
    *(["leaderboard", "--format", form] for form in FORMATS),
    *(["leaderboard", "--columns", what] for what in ("cost", "groups", "soft")),
    ["inflation", *PART, "--folds", "2", "--json"],
    *(["show", "CELL", *options] for options in ([], ["--json"])),
    *(["compare", "CELL", "CELL", "--format", form] for form in ("terminal", "md", "json")),
    ["check", "--baseline", "base-é", "--runs-dir", "rows-é"],
    *(["data", *words] for words in (["list"], ["list", "squares"], ["status"], ["verify", "squares"])),
    *(["data", *words, "--json"] for words in (["list"], ["status"], ["audit", "squares"])),
    *(["data", "audit", "squares"], ["weights", "list"], ["cache", "status"], ["cache", "status", "--json"]),
    *(["plugins", "list", *options] for options in ([], ["--json"])),
    *(["--help"], ["--version"], ["show", "no-such-ß"]),
]
TABLES = [
    *(["leaderboard", "--columns", what] for what in ("scores", "cost", "groups", "soft", "variance", "calibration")),
    *(["plan", *BASE, "--folds", "2"], ["inflation", *PART, "--folds", "2"], ["compare", "CELL", "CELL"]),
    *(["check", "--baseline", "base-é", "--runs-dir", "rows-é"], ["power", "--units", "40"]),
    *(["data", *words] for words in (["list"], ["list", "squares"], ["status"], ["verify", "squares"])),
    *(["data", "audit", "squares"], ["plugins", "list"], ["plugins", "check", "squares"], ["cache", "status"]),
]
FAILS = {"show no-such-ß": 2}


@pytest.mark.slow
def test_every_command_prints_on_consoles_of_any_encoding(tiny):
    write_rows(tiny / "rows-é", text="gesichter-ä-日本")
    for encoding in ("ascii", "cp1252"):
        shown: dict[str, str] = {}
        for words in [*(TRAINING if encoding == "ascii" else []), *PRINTING]:
            cells = tiny / "runs" / "cells"
            words = [next(cells.iterdir()).name if word == "CELL" else word for word in words]
            name = " ".join(words)
            done = command(*words, encoding=encoding).ends_in(FAILS.get(name, 0))
            assert done.out or name in FAILS, name
            if "json" in words[-1]:
                assert done.out.isascii()
                json.loads(done.out)
            shown[name] = done.out + done.err
        assert ("+-" if encoding == "ascii" else "±") in shown["leaderboard --format terminal"]
        assert "\\u65e5\\u672c" in shown["check --baseline base-é --runs-dir rows-é"]
        assert "no-such-" in shown["show no-such-ß"]
    check_names_at_every_width(next(cells.iterdir()).name)


def check_names_at_every_width(cell):
    """Print every table of every command at 80 and 40 columns: no line is longer, and no name of a row is cut."""
    write = terminal.write
    written: list[int] = []

    def check(tables, width, encoding):
        text = write(tables, width, encoding)
        assert max(map(cell_len, text.splitlines())) <= width, text
        for table in tables:
            for name in {as_text(row[0]) for row in table.rows if len(as_text(row[0])) <= width}:
                assert any(name in line for line in text.splitlines()), (name, text)
        written.append(width)
        return text

    with mock.patch.object(terminal, "write", check):
        for width in (80, 40):
            with mock.patch.dict(os.environ, COLUMNS=str(width)):
                for given in TABLES:
                    command(*(cell if word == "CELL" else word for word in given)).ends_in(0, 1)
    assert len(written) == 2 * len(TABLES)


@pytest.mark.parametrize("words", [["plugins", "list"], ["plugins", "list", "--json"], ["--help"]])
def test_a_full_stdout_ends_in_a_message(words):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        run = [sys.executable, "-m", "fer_bench", *words]
        done = subprocess.run(run, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "Cannot print" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "| head -c 1"])
def test_closed_streams_end_in_no_traceback(closed, tmp_path):
    """Nothing that is opened later takes the place of a closed stream."""
    line = f"'{sys.executable}' -m fer_bench plugins list --json {closed}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_in_a_process_of_its_own_warns_of_nothing_and_the_next_compiles_nothing(tiny, monkeypatch):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    command = ["run", *BASE, "--strategy", "steps", "--folds", "2"]

    def programs() -> dict[Path, int]:
        """Return the size of each program that was compiled and is kept."""
        return {file: file.stat().st_size for file in Path(os.environ["FER_BENCH_CACHE_DIR"]).glob("xla/*/*-cache")}

    _, err = start(tiny, *command).communicate(timeout=300)
    assert says(err, "4 cells ok", "fer-bench leaderboard --format html", "fer-bench compare", "fer-bench show")
    assert "warning" not in err
    compiled = programs()
    assert len(compiled) <= PROGRAMS
    torn = min(compiled)  # as by a killed process or a full disk
    os.truncate(torn, compiled[torn] // 2)
    _, err = start(tiny, *command, "--runs-dir", "again").communicate(timeout=300)
    assert says(err, "4 cells ok")
    assert "warning" not in err
    now = programs()
    assert now.pop(torn) > compiled.pop(torn) // 2
    assert now == compiled


class Terminal(io.StringIO):
    """A stream to a terminal of 40 columns."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


def test_a_terminal_gets_lines_that_break_between_words_and_commands_whole(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
    monkeypatch.setattr(sys, "stdout", Terminal())
    text = "fer-bench: A sentence of forty columns and more.\n  - an item of as many columns, and one more"
    command = "  fer-bench leaderboard --format html --output board.html"
    console.echo(f"{text}\n{command}")
    console.echo(f"{command}   # as a page")
    lines = sys.stdout.getvalue().splitlines()
    *lines, comment, commented = lines
    assert (comment, commented) == ("  # as a page", command)
    assert " ".join(lines).split() == f"{text}\n{command}".split()
    assert [line for line in lines if len(line) > 40] == [command]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 0, 2, 4, 2]


def test_a_table_that_is_too_wide_leaves_out_columns_that_say_nothing_first():
    columns = (*texts("name", "remarks", "kind"), Column("where", optional=True))
    table = Table("", columns, (("a" * 20, "", "k", "b" * 20), ("c", "-", "k", None)))
    assert terminal.write([table], 70).split()[:4] == ["name", "remarks", "kind", "where"]
    left_out = terminal.write([table], 52).splitlines()
    assert (left_out[0].split(), left_out[-1].rpartition(": ")[2]) == (["name", "kind", "where"], "remarks.")
    assert terminal.write([table], 16).splitlines()[:3] == ["a" * 16, "a" * 4, "  kind: k"]


def test_a_finished_run_shows_its_board_from_a_folder_that_is_read_only(tiny, monkeypatch):
    arguments = ["run", *BASE, "--folds", "2"]
    first = invoke(*arguments)

    def refuse(self: Store) -> None:
        raise FerBenchError("read-only")

    monkeypatch.setattr(Store, "ensure_writable", refuse)
    assert invoke(*arguments).stdout == first.stdout
    with pytest.raises(FerBenchError, match="read-only"):
        invoke(*arguments, "--seeds", "1")
