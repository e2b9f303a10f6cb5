"""Metrics of plugins: used by name, held against their spec, contained when they fail."""

from __future__ import annotations

import json

import pytest
from test_results import make_cell, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.installed import find_metric, load_metrics
from fer_bench.registry import Registry
from fer_bench.results.store import Store
from fer_bench.testing.conformance import check

METRICS = """
    from fer_bench import hookimpl
    from fer_bench.specs import MetricSpec, Params

    class Weight(Params):
        weight: float = 1.0

    @hookimpl
    def fer_bench_metrics():
        def spec(name, **rest):
            return MetricSpec(name=name, title=name.title(), metric=f"extra:make_{name}", higher_is_better=True, **rest)
        return [spec("hits", needs="labels", params=Weight), spec("doubt"), spec("wild"), spec("gone"), spec("uar")]

    def make_hits(params):
        return lambda true, predicted: params.weight * (true == predicted).mean()

    def make_doubt(params):
        def doubt(true, probabilities):
            raise ZeroDivisionError("no doubt")
        return doubt

    def make_wild(params):
        return lambda true, probabilities: 2.0

    make_uar = make_wild
"""


@pytest.fixture
def store(tmp_path, write_plugin):
    write_plugin("extra", METRICS)
    store = Store(tmp_path / "runs")
    for strategy, predicted in (("good", (0, 0, 1, 1)), ("poor", (0, 1, 1, 0))):
        result = make_result((0, 0, 1, 1), predicted, ids=list("abcd"))
        store.write(make_cell(strategy=strategy), result, {"python": "3"})
    return store


def board(store: Store, *options: str):
    return CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(store.runs_dir), *options])


def test_a_metric_of_a_plugin_orders_the_board_and_stands_in_the_formats(store):
    result = board(store, "--metric", "hits", "--format", "json")
    assert result.exit_code == 0, result.exception
    good, *_, poor = json.loads(result.stdout)["rows"]
    assert (good["strategy"], good["metric"]) == ("good", "hits")
    assert good["scores"]["hits"]["mean"] == 1
    assert poor["scores"]["hits"]["mean"] == 0.5
    assert "hits_mean" in board(store, "--format", "csv").stdout.splitlines()[0]
    assert "Hits" in board(store, "--metric", "hits").stdout
    halved = json.loads(board(store, "--metric", "hits[weight=0.5]", "--format", "json").stdout)
    assert halved["rows"][0]["scores"]["hits"]["mean"] == 0.5


def test_a_failing_metric_is_left_out_and_named(store):
    result = board(store)
    assert result.exit_code == 0
    told = " ".join(result.output.split())
    assert "Metric 'doubt' of plugin 'extra' failed: ZeroDivisionError: no doubt" in told
    assert "Metric 'wild' of plugin 'extra' returned 2.0; it declares 0.0 to 1.0." in told
    assert "make_gone" in told
    assert "Metric 'uar' of plugin 'extra' has the name of a metric of the core" in told
    scores = json.loads(board(store, "--format", "json").stdout)["rows"][0]["scores"]
    assert {"hits", "uar"} < scores.keys()
    assert not {"doubt", "wild"} & scores.keys()


def test_metrics_that_exit_are_contained_and_named(store, write_plugin):
    write_plugin(
        "leaver",
        """
        from fer_bench import hookimpl
        from fer_bench.specs import MetricSpec

        @hookimpl
        def fer_bench_metrics():
            return [
                MetricSpec(name=name, title=name, metric=f"leaver:{name}", higher_is_better=True)
                for name in ("at_once", "later")
            ]

        def at_once(params):
            raise SystemExit("leaves at once")

        def later(params):
            return lambda true, probabilities: exit("leaves later")
        """,
    )
    result = board(store)
    assert result.exit_code == 0
    told = " ".join(result.output.split())
    assert "leaves at once" in told
    assert "Metric 'later' of plugin 'leaver' failed: SystemExit: leaves later" in told


def test_a_board_cannot_be_ordered_by_a_failing_metric(store):
    error = board(store, "--metric", "doubt").exception
    assert isinstance(error, FerBenchError)
    assert "Metric 'doubt' of plugin 'extra' failed" in str(error)


def test_metrics_are_found_by_name(store):
    assert find_metric("uar").origin == ""
    assert find_metric("hits").origin == "extra"
    with pytest.raises(FerBenchError, match="Did you mean 'hits'"):
        find_metric("hitz")
    with pytest.raises(FerBenchError, match="has no parameter 'wait'"):
        find_metric("hits[wait=2]")
    assert len(load_metrics(Registry.load())[1]) == 2


def test_the_comparison_takes_metrics_of_plugins(store):
    result = CliRunner().invoke(app, ["compare", "good", "poor", "--runs-dir", str(store.runs_dir), "--format", "json"])
    document = json.loads(result.stdout)
    assert document["metrics"]["hits"]["difference"] == -0.5
    assert [fault.split(":")[0] for fault in document["faults"]] == [
        "Metric 'doubt' of plugin 'extra' failed",
        "Metric 'wild' of plugin 'extra' returned 2.0; it declares 0.0 to 1.0.",
    ]


def test_the_rules_of_metrics_find_what_is_wrong(store):
    failed = {finding.item: set() for finding in check("extra")}
    for finding in check("extra"):
        if finding.status == "failed":
            failed[finding.item].add(finding.rule)
    assert failed["hits"] == set()
    assert failed["wild"] == {"is-a-number-in-its-range"}
    assert failed["doubt"] == {"is-a-number-in-its-range"}
