"""``fer-bench plan``: a time for every row, and what is missing, before a run."""

from __future__ import annotations

import json

import pytest
from messages import says
from tiny_run import BASE, invoke
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError


@pytest.mark.slow
def test_plan_measures_what_never_ran_and_stores_nothing(tiny):
    grid = [*BASE, "--strategy", "steps"]
    assert says(invoke("plan", "--no-probe", *grid).stdout, "net, probe", "not known", "2 rows")
    probed = invoke("plan", *grid)
    assert says(probed.stderr, "measuring net / probe", "64 images", "measuring net / steps")
    assert len([line for line in probed.stdout.splitlines() if "net, " in line]) == 2, "one line a row"
    assert says(probed.stdout, "squares", "net, probe", " of ", "net, steps", "0 of 10")
    assert not (tiny / "runs").exists()
    forecast = json.loads(invoke("plan", "--no-probe", *grid, "--json").stdout)
    assert all(row["seconds"] > 0 for row in forecast["rows"])
    assert forecast["seconds"] > 0
    invoke("run", *BASE)
    assert says(invoke("plan", "--no-probe", *grid).stdout, "net, probe", " s", "images")


def test_plan_finds_backbones_that_cannot_be_built(tiny):
    faults = ["--backbone", "net[fault=build]", "--backbone", "net[fault=stages]"]
    with pytest.raises(FerBenchError) as caught:
        invoke("plan", *BASE, *faults)
    assert says(str(caught.value), "2 backbones", "net[fault=build]", "weights are gone", "net[fault=stages]", "lacks")
    assert invoke("plan", "--no-probe", *BASE, *faults).exit_code == 0


def test_plan_counts_what_each_strategy_needs(tiny):
    base = [part for part in BASE if part not in ("--strategy", "probe")]
    text = invoke("plan", "--no-probe", *base, "--folds", "3", "--strategy", "steps", "--strategy", "probe").stdout
    # 90 images for the features of both. Phases of 8 epochs train the first stage, so they keep nothing and run from
    # the image; each of 3 folds trains on 60.
    assert "90 images" in text
    forecast = json.loads(invoke("plan", "--no-probe", *base, "--folds", "3", "--strategy", "steps", "--json").stdout)
    assert forecast["training"] == [
        {"strategy": "steps", "phase": phase, "from": "the image", "samples": 1440} for phase in ("first", "second")
    ]


def test_without_a_data_set_the_first_line_says_that_faces_are_drawn(tiny):
    words = ["plan", "--backbone", "net", "--strategy", "no-such"]
    first = CliRunner().invoke(app, words).stderr.splitlines()[0]
    assert says(first, "--dataset", "drawn", "--dataset 'folder[path=")
    assert "drawn" not in CliRunner().invoke(app, [*words, "--dataset", "squares"]).stderr
