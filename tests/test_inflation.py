"""What leaking folds add to the score, and the table of who trains on whom, through the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from messages import says
from PIL import Image
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import uar
from fer_bench.reports import inflation
from fer_bench.results.store import Store

METHOD = ["--backbone", "net", "--strategy", "probe"]
OWN = [*METHOD, "--dataset", "squares", "--folds", "3"]


def test_inflation_pairs_each_protocol_with_its_twin(tiny, site):
    file = site / "tiny_data.py"
    file.write_text(file.read_text(encoding="utf-8").replace("% 9", "% 25"), encoding="utf-8")  # some stand in both
    result = invoke("inflation", *OWN, "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["rows"]
    assert [(row["protocol"], row["twin"], row["ignores"]) for row in rows] == [
        ("kfold", "group-kfold", ["subject"]),
        ("official[test=test]", "official[test=test,leak_free=true]", ["subject"]),
    ]
    assert [row["images"] for row in rows] == [90, 30]
    counts = {
        cell.record.protocol.text: sum(cell.measures.train_counts)
        for cell in Store(tiny / "runs").cells()[0]
        if cell.record.protocol.name == "official"
    }
    assert counts == {"official[test=test]": 60, "official[test=test,leak_free=true]": 45}  # five of twenty leave


def test_inflation_of_a_file_of_settings(tiny):
    file = tiny / "grid.yaml"
    file.write_text(
        "{backbones: [net], strategies: [probe], folds: 3, runs: ["
        "{datasets: ['squares[split=train]'], protocol: kfold}, {datasets: ['squares[split=train]'], protocol: loso}, "
        "{datasets: ['squares[split=train]'], protocol: cross, train_on: ['squares[split=test]']}]}"
    )
    result = invoke("inflation", "--config", str(file), "--json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["rows"]
    assert (row["protocol"], row["twin"], row["images"]) == ("kfold", "group-kfold", 60)
    file.write_text("{datasets: [squares], protocol: cross, train_on: ['squares[split=test]']}")
    with pytest.raises(FerBenchError, match="only runs of 'cross'"):
        invoke("inflation", "--config", str(file))


def test_inflation_does_without_official_folds_where_one_part_is_left(tiny):
    result = invoke("inflation", *METHOD, "--dataset", "squares[split=train]", "--folds", "3", "--json")
    assert result.exit_code == 0
    assert [row["protocol"] for row in json.loads(result.stdout)["rows"]] == ["kfold"]
    assert says(result.stderr, "official", "'train'")


def test_inflation_of_kfold_is_the_difference_of_pooled_scores(tiny):
    for protocol in ("kfold", "group-kfold"):
        assert invoke("run", *OWN, "--protocol", protocol).exit_code == 0
    cells, _ = Store(tiny / "runs").cells()
    (row,) = inflation.measure(cells)
    scores = {}
    for protocol in ("kfold", "group-kfold"):
        tables = [cell.table().to_pandas() for cell in cells if cell.record.protocol.name == protocol]
        true = np.concatenate([table["label"] for table in tables])
        guess = np.concatenate([table[["p0", "p1", "p2"]].to_numpy().argmax(1) for table in tables])
        scores[protocol] = uar(true, guess)
    assert (row.leaky, row.honest) == pytest.approx((scores["kfold"], scores["group-kfold"]))
    assert row.difference.value == pytest.approx(scores["kfold"] - scores["group-kfold"])
    assert (row.images, row.difference.units) == (90, 9)
    assert inflation.measure([cell for cell in cells if cell.record.protocol.name == "kfold"]) == []
    assert says(invoke("leaderboard").stdout, "(ignores subjects", "flatter)")


def test_inflation_counts_people_and_seeds(tmp_path):
    """Ten people, two images each, one more right by the leaky folds of each seed: 1, 2 and 3 images of 20."""
    store, labels = Store(tmp_path), [n % 2 for n in range(20)]
    for seed in (0, 1, 2):
        for name, ignores, wrong in (("kfold", ("subject",), 3 - seed), ("group-kfold", (), 4)):
            result = make_result(labels, [label ^ (n < wrong) for n, label in enumerate(labels)])
            result.predictions["group"] = [f"subject:{n // 2}" for n in range(20)]
            cell = make_cell(0, seed)
            store.write(replace(cell, protocol=replace(cell.protocol, name=name, ignores=ignores)), result, UNKNOWN)
    (row,) = inflation.measure(store.cells()[0])
    assert (row.leaky, row.honest) == pytest.approx((18 / 20, 16 / 20))
    assert row.difference.value == pytest.approx(2 / 20)
    assert row.difference.seed_error == pytest.approx(np.std([1 / 20, 2 / 20, 3 / 20], ddof=1) / np.sqrt(3))
    assert (row.difference.units, row.difference.seeds, row.difference.test) == (10, 3, "two variances")


def test_the_matrix_trains_on_rows_and_tests_on_columns(tiny, site):
    file = site / "tiny_data.py"
    file.write_text(file.read_text(encoding="utf-8").replace(" % 9", ""), encoding="utf-8")  # nobody stands in both
    names = ["squares[split=train]", "squares[split=test]"]
    given = [*METHOD, "--folds", "2", "--dataset", names[0], "--dataset", names[1]]
    result = invoke("matrix", *given, "--format", "json", "--heat-map", "map.svg")
    assert result.exit_code == 0
    (matrix,) = json.loads(result.stdout)["matrices"]
    found = {(cell["trained_on"], cell["tested_on"]): cell for cell in matrix["cells"]}
    assert [found[a, b]["n"] for a in names for b in names] == [60, 30, 60, 30]
    assert {pair: cell["protocol"] for pair, cell in found.items() if cell["protocol"] != "cross"} == {
        (name, name): "group-kfold" for name in names
    }
    gaps = {(gap["trained_on"], gap["tested_on"]): gap for gap in matrix["gaps"]}
    assert set(gaps) == {tuple(names), tuple(names[::-1])}
    for (trained, tested), gap in gaps.items():
        assert gap["uar"]["value"] == pytest.approx(found[trained, tested]["uar"] - found[trained, trained]["uar"])
        assert gap["foreign"]["value"] == pytest.approx(found[trained, tested]["uar"] - found[tested, tested]["uar"])
    assert "<svg" in (tiny / "map.svg").read_text(encoding="utf-8")
    assert invoke("matrix", *given, "--format", "md", "--heat-map", "map.png").stdout.count("| squares") == 8
    assert Image.open(tiny / "map.png").width > 100
    rows = list(
        csv.DictReader(io.StringIO(invoke("matrix", *given, "--labels", "Light,dark", "--format", "csv").stdout))
    )
    assert [(row["tested_on"], row["labels"], row["n"]) for row in rows] == [
        (names[number], "dark,light", n) for number, n in ((0, "40"), (1, "20")) * 2
    ]


def test_a_recipe_runs_all_its_runs_and_prints_the_twins(tiny):
    (tiny / "recipe.yaml").write_text(
        "backbones: [net]\nstrategies: [probe]\nfolds: 3\ndatasets: [squares]\n"
        "runs:\n- protocol: kfold\n- protocol: group-kfold\n"
    )
    out = invoke("run", "--config", "recipe.yaml").stdout
    assert "squares (synthetic): kfold (ignores subjects" in out
    assert "protocol flatters" in out


@pytest.mark.parametrize("name", ["nasri2020", "nasri2020-synthetic"])
def test_shipped_recipes_are_valid(name):
    from pathlib import Path

    runs = RunConfig.read(Path(__file__).parents[1] / "recipes" / f"{name}.yaml", {})
    assert {run.protocol for run in runs} == {"kfold", "group-kfold", "cross"}
    assert {run.labels for run in runs} == {"basic-7"}
    assert {run.strategies for run in runs} == {("linear-probe", "finetune")}
