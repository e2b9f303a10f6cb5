"""Metrics of plugins: used by name, held against their spec, contained when they fail."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import says
from test_results import UNKNOWN, make_cell, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.installed import find_metric, load_metrics
from fer_bench.registry import Registry
from fer_bench.results.outcomes import Provenance
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


def test_labels_of_shared_answers_favour_no_class(write_plugin):
    write_plugin("extra", METRICS)
    halves = np.array([[0.5, 0.5], [0.5, 0.5], [0.3, 0.7]])
    hits = find_metric("hits")
    assert hits.score(np.array([0, 0, 1]), halves) == hits.score(np.array([1, 1, 1]), halves) == pytest.approx(2 / 3)


@pytest.fixture
def store(tmp_path, write_plugin):
    write_plugin("extra", METRICS)
    store = Store(tmp_path / "runs")
    for strategy, predicted in (("good", (0, 0, 1, 1)), ("poor", (0, 1, 1, 0))):
        result = make_result((0, 0, 1, 1), predicted, ids=list("abcd"))
        store.write(make_cell(strategy=strategy), result, Provenance(python="3"))
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
    assert says(told, "'doubt'", "'extra'", "ZeroDivisionError: no doubt")
    assert says(told, "'wild'", "'extra'", "2.0", "0.0", "1.0")
    assert "make_gone" in told
    assert says(told, "'uar'", "'extra'", "core")
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
    assert says(told, "'later'", "'leaver'", "SystemExit: leaves later")


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


WANTING = """
    import numpy as np
    from fer_bench import hookimpl
    from fer_bench.specs import MetricSpec

    @hookimpl
    def fer_bench_metrics():
        def spec(name, **rest):
            return MetricSpec(name=name, title=name, metric=f"wanting:{name}", higher_is_better=True, **rest)
        return [
            spec("agreement", soft_labels=True, needs="labels"),
            spec("fairness", groups=True, needs="labels"),
            spec("both", soft_labels=True, groups=True),
            spec("careless", groups=True, needs="labels"),
        ]

    def agreement(params):
        return lambda true, predicted, *, soft_labels: (soft_labels[range(len(true)), predicted]).mean()

    def fairness(params):
        def least(true, predicted, *, groups):
            sex = groups["sex"]
            groups = [float((true == predicted)[sex == name].mean()) for name in set(sex) if name]
            return min(groups, default=float((true == predicted).mean()))
        return least

    def careless(params):
        return lambda true, predicted, *, groups: min((true == predicted)[groups["sex"] == "man"])

    def both(params):
        def both(true, probabilities, *, soft_labels, groups):
            assert soft_labels.shape == probabilities.shape and soft_labels.dtype == np.float64
            assert all(names.shape == true.shape and names.dtype == object for names in groups.values())
            return 1 - np.abs(soft_labels - probabilities).max(axis=1).mean()
        return both
"""


def write_votes(store: Store, strategy: str, predicted: tuple[int, ...], **more) -> None:
    """Store four samples, of a woman, two men and somebody unknown, with the votes of annotators."""
    result = make_result((0, 0, 1, 1), predicted, ids=list("abcd"))
    votes = {"soft0": np.float32([1, 0.75, 0.25, 0]), "soft1": np.float32([0, 0.25, 0.75, 1])}
    sex = {"group:sex": pd.Categorical(["woman", "man", "man", None])}
    store.write(
        make_cell(strategy=strategy, **more),
        replace(result, predictions=result.predictions.assign(**sex, **votes)),
        UNKNOWN,
    )


def test_metrics_get_soft_labels_and_groups_where_they_ask_for_them(tmp_path, write_plugin):
    write_plugin("wanting", WANTING)
    store = Store(tmp_path / "runs")
    write_votes(store, "good", (0, 0, 1, 1))
    write_votes(store, "poor", (0, 1, 1, 0))
    rows = {
        row["strategy"]: row
        for row in json.loads(board(store, "--metric", "agreement", "--format", "json").stdout)["rows"]
    }
    # Votes for what was answered: (1 + 3/4 + 3/4 + 1) / 4 and (1 + 1/4 + 3/4 + 0) / 4; men are right in 2 and 1 of 2.
    assert rows["good"]["scores"]["agreement"]["mean"] == 3.5 / 4
    assert rows["poor"]["scores"]["agreement"]["mean"] == 2 / 4
    assert (rows["good"]["scores"]["fairness"]["mean"], rows["poor"]["scores"]["fairness"]["mean"]) == (1, 0.5)
    assert {"both", "uar"} < rows["good"]["scores"].keys()
    low, high = (rows["poor"]["interval"][end] for end in ("low", "high"))
    assert low < 2 / 4 < high
    result = CliRunner().invoke(app, ["compare", "good", "poor", "--runs-dir", str(store.runs_dir), "--format", "json"])
    document = json.loads(result.stdout)
    assert document["metrics"]["agreement"]["difference"] == -1.5 / 4
    assert document["metrics"]["fairness"]["difference"] == -0.5
    assert all(fault.startswith("Metric 'careless' of plugin 'wanting' failed") for fault in document["faults"])


def test_where_the_data_lack_what_a_metric_asks_for_it_is_left_out(tmp_path, write_plugin):
    write_plugin("wanting", WANTING)
    store = Store(tmp_path / "runs")
    for strategy, predicted in (("good", (0, 0, 1, 1)), ("poor", (0, 1, 1, 0))):
        store.write(make_cell(strategy=strategy), make_result((0, 0, 1, 1), predicted, ids=list("abcd")), UNKNOWN)
    result = board(store, "--format", "json")
    assert not {"agreement", "fairness", "both"} & json.loads(result.stdout)["rows"][0]["scores"].keys()
    assert "agreement" not in result.stderr
    error = board(store, "--metric", "both").exception
    assert says(str(error), "'both'", "'wanting'", "soft labels", "groups")
    result = CliRunner().invoke(app, ["compare", "good", "poor", "--runs-dir", str(store.runs_dir), "--format", "json"])
    assert json.loads(result.stdout)["faults"] == []
    assert "agreement" not in json.loads(result.stdout)["metrics"]


def test_the_rules_of_metrics_give_soft_labels_and_groups(write_plugin):
    write_plugin("wanting", WANTING)
    found = {(finding.item, finding.rule): finding.found for finding in check("wanting") if finding.status == "failed"}
    assert {item for item, _ in found} == {"careless"}
    assert says(found["careless", "bears-missing-classes"], "no group", "'careless'")
