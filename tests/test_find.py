"""One way to name rows, options that choose them, and `rm`, which removes what they name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_result
from tiny_run import invoke

from fer_bench.errors import FerBenchError
from fer_bench.executors.removal import remove
from fer_bench.registry import Registry
from fer_bench.results.filters import Filters
from fer_bench.results.find import find_cells, find_row
from fer_bench.results.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    for backbone in ("net[size=8]", "mini-net"):
        for strategy in ("probe", "probe-2"):
            store.write(make_cell(backbone=backbone, strategy=strategy), make_result(), UNKNOWN)
    store.write(make_cell(seed=1, backbone="mini-net"), failed(), UNKNOWN)
    return store


@pytest.mark.parametrize("text", ["net probe", "net[size=8], probe", "net[size=8] / probe", "NET  /  Probe"])
def test_words_of_a_name_mean_whole_names_before_parts_of_them(store, text):
    assert find_row(store, text).experiment.backbone.text == "net[size=8]"
    assert find_row(store, text).experiment.strategy.text == "probe"


def test_a_name_without_parameters_means_the_row_without_them_where_there_is_one(store):
    assert find_row(store, "net / probe").experiment.backbone.text == "net[size=8]"
    store.write(make_cell(backbone="net", strategy="probe"), make_result(), UNKNOWN)
    assert find_row(store, "net / probe").experiment.backbone.text == "net"


def test_every_name_that_a_board_prints_names_its_row(store):
    board = invoke("leaderboard", "--runs-dir", str(store.runs_dir), "--format", "csv").stdout.splitlines()
    heads, *lines = (line.split(",") for line in board)
    rows = [dict(zip(heads, line, strict=True)) for line in lines]
    methods = [(row["backbone"], row["strategy"]) for row in rows if row["backbone"]]
    assert len(methods) == 4
    for backbone, strategy in methods:
        experiment = find_row(store, f"{backbone} {strategy}").experiment
        assert (experiment.backbone.text, experiment.strategy.text) == (backbone, strategy)


def test_a_name_that_is_nearly_right_is_offered(store):
    with pytest.raises(FerBenchError, match=r"'mini-nett'.*Did you mean 'mini-net'"):
        find_row(store, "mini-nett")
    with pytest.raises(FerBenchError, match="--backbone 'mini-nett': Did you mean 'mini-net'"):
        find_cells(store, (), Filters(backbone=("mini-nett",), dataset=("face",)))


def test_options_choose_rows_with_and_without_parameters(store):
    for name in ("net", "net[size=8]"):
        cells = find_cells(store, (), Filters(backbone=(name,)))
        assert {cell.record.backbone.text for cell in cells} == {"net[size=8]"}
    assert len(find_cells(store, ("probe",), Filters(backbone=("net", "mini-net"), strategy=("probe",)))) == 3
    runs = ["--runs-dir", str(store.runs_dir), "--backbone", "mini-net"]
    assert "net[size=8]" not in invoke("leaderboard", *runs).stdout
    assert says(invoke("compare", "probe", "probe-2", *runs).stdout, "mini-net / probe", "mini-net / probe-2")
    shown = invoke("show", "probe", *runs, "--strategy", "probe").stdout
    assert says(shown, "mini-net / probe", "seed 0", "ok", "seed 1", "ValueError: no")
    with pytest.raises(FerBenchError, match="--all"):
        invoke("replay", "--runs-dir", str(store.runs_dir))


def test_rm_lists_before_it_removes(store):
    runs = ["--runs-dir", str(store.runs_dir)]
    listed = invoke("rm", "--failed", *runs).stdout
    assert says(listed, "mini-net / probe", "1", "--yes")
    assert len(store.cells()[0]) == 5
    assert invoke("rm", "--failed", "--yes", *runs).exit_code == 0
    assert [cell.ok for cell in store.cells()[0]] == [True] * 4
    assert invoke("rm", "net probe", "--yes", *runs).exit_code == 0
    assert len(store.cells()[0]) == 3
    assert not list((store.runs_dir / "cells").glob(".*"))
    with pytest.raises(FerBenchError, match="--failed"):
        invoke("rm", "--yes", *runs)


def test_a_cell_at_which_a_process_works_stays(store):
    cells = find_cells(store, ("mini-net probe",))
    code = f"""
from pathlib import Path
from fer_bench.executors.leases import Leases
with Leases(Path({str(store.runs_dir)!r})) as leases, leases.take({cells[0].id[:16]!r}) as taken:
    print(taken, flush=True)
    input()
"""
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "True\n"
    removed = remove(store, cells)
    worker.communicate("\n")
    assert removed.cells == cells[1:]
    assert says(removed.kept[0], cells[0].id[:8], str(worker.pid))
    assert cells[0].folder.is_dir()
    assert remove(store, cells[:1]).cells == cells[:1]


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_are_removed_and_not_what_they_point_to(store, tmp_path):
    one, other = find_cells(store, ("mini-net probe",))
    elsewhere = tmp_path / "elsewhere"
    one.folder.rename(elsewhere)
    one.folder.symlink_to(elsewhere)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (other.folder / "link").symlink_to(kept)
    assert len(remove(store, [one, other]).cells) == 2
    assert len(list(elsewhere.iterdir())) > 2
    assert (kept / "file").exists()
    assert not one.folder.exists()
    assert not one.folder.is_symlink()


def test_unknown_data_sets_are_one_message(site):
    names = [f"x{number}" for number in range(9)]
    registry = Registry.load()
    with pytest.raises(FerBenchError) as raised:
        registry.datasets([*names, "x0"])
    message = str(raised.value)
    assert says(message, *(f"'{name}'" for name in names))
    assert len(message.splitlines()) == 1
