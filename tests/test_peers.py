"""The side-by-side runner: its statistics by hand, and every program on a few drawn faces."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from messages import says
from tiny_run import invoke

from fer_bench.results.store import Store

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"


def load(monkeypatch, name):
    monkeypatch.syspath_prepend(str(PEERS))
    spec = importlib.util.spec_from_file_location(f"peers_{name}", PEERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table(monkeypatch):
    return load(monkeypatch, "table")


@pytest.fixture
def work(monkeypatch):
    return load(monkeypatch, "work")


@pytest.fixture
def runner(monkeypatch):
    return load(monkeypatch, "run")


def rounds_of(table, seconds, predictions=None):
    """Return rounds from program -> its seconds in each round."""
    count = len(next(iter(seconds.values())))
    return [
        {name: table.Run(name, values[i], 0, (predictions or {}).get(name)) for name, values in seconds.items()}
        for i in range(count)
    ]


def test_the_ratio_is_the_median_of_ratios_within_rounds(table):
    # The second round ran on a busy machine: all of it is ten times slower, and the ratio is not.
    rounds = rounds_of(table, {"ours": [1.0, 10.0, 2.0], "peer": [4.0, 40.0, 4.0]})
    assert table.median_ratio(rounds, "peer", "ours") == 4.0


def test_a_round_in_which_a_program_failed_does_not_count(table):
    rounds = rounds_of(table, {"ours": [1.0, 1.0, 1.0], "peer": [4.0, None, 8.0]})
    assert table.median_ratio(rounds, "peer", "ours") == 6.0
    rounds[1]["peer"] = table.Run("peer", None, 0, None, "no memory")
    text = table.to_markdown("probe", rounds, ["ours"], np.arange(4), None)
    assert text.splitlines()[3] == "| peer | 6.0 | 6.00 | 2 | - | - | - |"
    assert text.splitlines()[-1] == "peer: no memory"
    failed = [{"ours": rounds[0]["ours"], "peer": rounds[1]["peer"]}]
    assert (
        table.to_markdown("x", failed, ["ours"], np.arange(4), None).splitlines()[3].startswith("| peer | failed | - |")
    )


def test_the_table_of_a_processor_holds_the_ratio_of_each_round(monkeypatch, table):
    processor = load(monkeypatch, "processor")
    monkeypatch.setitem(processor.PROGRAMS, "full", ["ours-steps", "torch-float32", "keras"])
    seconds = {"ours-steps": [10.0, 20.0, 10.0], "torch-float32": [15.0, 24.0, 13.0], "keras": [30.0, None, 50.0]}
    _, _, *rows = processor.to_markdown({"full": rounds_of(table, seconds)}).splitlines()
    assert rows == [
        "| full | 10.0, 20.0, 10.0 | PyTorch float32 | 1.30 | 1.50, 1.20, 1.30 |",
        "| full | 10.0, 20.0, 10.0 | Keras | 4.00 | 3.00, failed, 5.00 |",
    ]


def test_the_table_holds_medians_ratios_and_accuracies(table):
    labels = np.arange(400) % 4
    half = np.where(np.arange(400) < 200, labels, (labels + 1) % 4)
    seconds = {"ours": [1.0, 3.0, 2.0], "peer": [20.0, 30.0, 50.0]}
    rounds = rounds_of(table, seconds, {"ours": labels, "peer": half})
    head, _, ours, peer = table.to_markdown("probe", rounds, ["ours"], labels, None).splitlines()
    assert head.split(" | ")[0] == "| probe"
    assert ours == "| ours | 2.0 | 1.00 | 3 | 100.0 | 100.0 to 100.0 | - |"
    cells = [cell.strip() for cell in peer.split("|")[1:-1]]
    assert cells[:5] == ["peer", "30.0", "20.00", "3", "50.0"]
    low, high = map(float, cells[5].split(" to "))
    # The normal interval of 200 hits in 400 is 50 +- 4.9 points; equal rounds make it no narrower.
    assert low == pytest.approx(45.1, abs=0.6)
    assert high == pytest.approx(54.9, abs=0.6)
    assert re.fullmatch(r"-50\.0 \(-5[45]\.\d to -4[56]\.\d\)", cells[6])


def test_a_run_for_its_accuracy_alone_has_no_seconds(table):
    run = table.Run("ours", None, 0, np.arange(8) % 2, "note")
    assert "| ours | - | - | 0 | 100.0 |" in table.to_markdown("x", [{"ours": run}], ["ours"], np.arange(8) % 2, None)


def test_accuracy_is_the_mean_of_all_rounds(table):
    labels = np.arange(8) % 2
    rounds = [{"ours": table.Run("ours", 1.0, 0, p)} for p in (labels, 1 - labels)]
    assert "| 50.0 |" in table.to_markdown("x", rounds, ["ours"], labels, None)


def test_a_sample_is_extrapolated_and_marked(table):
    phases = [
        {"name": "head", "images": 64, "seconds": 2.0, "whole_images": 6400},
        {"name": "predict", "images": 32, "seconds": 0.5, "whole_images": 320},
    ]
    answer = {"program": "1.0", "start_s": 3.0, "phases": phases, "predictions": None}
    run = table.run_of(answer, "Peer", elapsed=11.0)
    assert (run.program, run.seconds, run.timed) == ("Peer (1.0)", 3 + 200 + 5, 96)
    text = table.to_markdown("x", [{"ours": table.Run("ours", 2.0, 0, None), "p": run}], ["ours"], np.arange(4), None)
    assert text.splitlines()[3] == "| p | ~208.0 | 104.00 | 1 | - | - | - |"
    assert says(text.splitlines()[-1], "~ p: ", "96 images")


def test_a_whole_run_counts_all_of_its_process(table):
    phases = [{"name": "head", "images": 64, "seconds": 2.0, "whole_images": 64}]
    answer = {"program": "1.0", "start_s": 3.0, "phases": phases, "predictions": [0, 1]}
    run = table.run_of(answer, "Peer", elapsed=11.0)
    assert (run.seconds, run.timed) == (11.0, 0)


def test_a_sample_warms_up_outside_of_its_timing(work, monkeypatch):
    # A batch of 4 takes 2 s, so 7 s hold 14 images: three batches, after one that compiles and one that sets the pace.
    options = SimpleNamespace(seconds=7.0, started=0.0, batch=4)
    task = work.Work(np.zeros((100, 1, 1, 1)), np.arange(100) % 2, np.arange(100) % 5, options)
    clock, seen = [0.0], []
    monkeypatch.setattr(work.time, "perf_counter", lambda: clock[0])

    def run(rows, epochs):
        seen.append((len(rows), epochs))
        clock[0] += len(rows) / 2

    train = np.flatnonzero(task.fold != 0)
    task.time("head", train, run, epochs=10)
    assert seen == [(4, 1), (4, 1), (12, 1)]
    assert task.phases == [work.Phase("head", 12, 6.0, 80 * 10 * 5)]


def test_every_second_round_runs_backwards_and_a_warm_run_follows_its_cold_one(runner):
    programs = ["ours", "ours-again", "keras", "torch"]
    assert runner.order_of(programs, 0) == programs
    assert runner.order_of(programs, 1) == ["torch", "keras", "ours", "ours-again"]


def test_a_round_that_would_pass_the_budget_is_not_begun(runner, monkeypatch):
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(runner, "start", lambda name, *_: runner.Run(name, 1.0, 0, None))
    options = runner.parse(["--budget-minutes", "2", "--rounds", "9", "--programs", "ours"])
    # Each look at the clock is 40 s later, and a round has two: the third would end after 120 s.
    assert len(runner.run_rounds(options, None)) == 1


def test_a_program_that_fails_is_a_run_and_not_the_end(runner, monkeypatch, tmp_path):
    from programs import Place, start

    options = runner.parse(["--programs", "ours", "--dataset", "no-such-data"])
    run = start("ours", options, Place(tmp_path, None, 7), 0)
    assert run.seconds is None
    assert "no-such-data" in run.note


def test_a_program_that_does_not_exist_is_named(runner, capsys):
    with pytest.raises(SystemExit) as caught:
        runner.parse(["--programs", "caffe"])
    assert caught.value.code == 2
    assert "['caffe']" in capsys.readouterr().err


@pytest.mark.slow
def test_the_runner_prints_fer_bench_alone_where_no_peer_is_installed(runner, monkeypatch, tmp_path, capsys):
    """In one process, so that libraries are imported once; ``tox run -e peers`` starts the processes."""

    hits = []

    def call(words, minutes):
        assert invoke(*map(str, words[words.index("run") :])).exit_code == 0
        for cell in Store(words[words.index("--runs-dir") + 1]).cells()[0]:
            table = cell.table().to_pandas()
            chances = table[[f"p{index}" for index in range(len(cell.record.dataset.classes))]].to_numpy()
            hits.extend(chances.argmax(1) == table["label"])
        return 1.0

    monkeypatch.setattr("programs.call", call)
    size = ("--limit", "21", "--size", "71", "--folds", "2", "--rounds", "1", "--strategy", "knn[k=3]")
    runner.main([*size, "--programs", "ours,ours-again", "--results", str(tmp_path / "runs.jsonl")])
    printed = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ")[0] for line in printed]
    assert rows[2:4] == ["| fer-bench, empty cache", "| fer-bench, again"]
    records = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [record["program"] for record in records] == ["fer-bench, empty cache", "fer-bench, again"]
    cold, warm = (line.split(" | ")[-3] for line in printed[2:4])
    assert cold == warm, "both runs predict the same"
    assert len(hits) == 2 * 21
    assert cold == f"{100 * np.mean(hits):.1f}"
