"""Protocols of plugins: found by name, told from the core's, held against their spec, part of a cell's identity."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import says
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GroupKFold, cross_val_score
from tiny_run import BASE, invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.executors.grid import expand
from fer_bench.executors.progress import TerminalReporter
from fer_bench.registry import Registry
from fer_bench.tasks.splitting import Samples, make_splitter

QUIET = TerminalReporter(quiet=True)
PROTOCOLS = """
    from fer_bench import FerBenchError, hookimpl
    from fer_bench.specs import Params, ProtocolSpec
    from pydantic import Field

    class TurnParams(Params):
        folds: int = Field(5, ge=2, json_schema_extra={"setting": "folds"})
        first: int = 0

    @hookimpl
    def fer_bench_protocols():
        return [
            ProtocolSpec(name="turns", summary="", splitter="dealer:make_turns", params=TurnParams, seeded=False),
            ProtocolSpec(name="leaky", summary="", splitter="dealer:make_leaky"),
            ProtocolSpec(name="clever", summary="", settle="dealer:settle"),
            ProtocolSpec(name="lost", summary="", settle="dealer:settle_lost"),
            ProtocolSpec(name="refusing", summary="", splitter="dealer:refuse"),
            ProtocolSpec(name="kfold", summary="", splitter="dealer:refuse"),
        ]

    def make_turns(params, samples, seed):
        from sklearn.model_selection import GroupKFold
        return GroupKFold(params.folds)

    def make_leaky(params, samples, seed):
        from sklearn.model_selection import KFold
        return KFold(3, shuffle=True, random_state=seed)

    def settle(params, samples):
        return "turns", {"first": len(samples.known)}, "being clever"

    def settle_lost(params, samples):
        return "turns", {"folds": 1}, "by mistake"

    def refuse(params, samples, seed):
        raise FerBenchError(f"{samples.name} is refused")
"""


@pytest.fixture
def dealer(tiny, write_plugin):
    write_plugin("dealer", PROTOCOLS)
    return tiny


def records(folder):
    return [json.loads(file.read_text()) for file in sorted((folder / "runs" / "cells").glob("*/cell.json"))]


def test_a_run_uses_the_protocol_of_a_plugin_and_its_cells_name_it(dealer):
    run = invoke("run", *BASE, "--protocol", "turns", "--folds", "3", "--json")
    assert run.exit_code == 0
    (row, _) = json.loads(run.stdout)["rows"]
    assert (row["protocol"], row["folds"], row["cells"]) == ("turns[first=0]", 3, {"ok": 3, "failed": 0})
    (protocol,) = {json.dumps(record["protocol"], sort_keys=True) for record in records(dealer)}
    protocol = json.loads(protocol)
    assert (protocol["package"], protocol["version"], protocol["params"]) == ("dealer", "1.0", {"folds": 3, "first": 0})
    assert (protocol["folds"], protocol["ignores"]) == (3, [])
    assert len(protocol["code_sha256"]) == 64


def test_brackets_beat_settings_and_another_parameter_is_another_cell(dealer):
    for text in ("turns[folds=2]", "turns[folds=2,first=1]"):
        assert invoke("run", *BASE, "--protocol", text, "--folds", "3", "--json").exit_code == 0
    assert sorted(record["protocol"]["text"] for record in records(dealer)) == [
        *["turns[first=0]"] * 2,
        *["turns[first=1]"] * 2,
    ]


def test_a_cell_of_a_protocol_of_the_core_records_what_it_always_did(dealer):
    config = RunConfig(
        backbones=("net",), datasets=("squares",), strategies=("probe",), folds=2, protocol="repeated-kfold[repeats=2]"
    )  # fmt: skip
    (block,) = expand(config, Registry.load(), dealer / "data", dealer / "cache", QUIET).blocks
    assert len(block.jobs) == 4
    for protocol in (job.cell.record()["protocol"] for job in block.jobs):
        assert len(protocol.pop("splits_sha256")) == 64
        assert protocol == {
            "name": "repeated-kfold", "text": "repeated-kfold[repeats=2]", "ignores": ["subject"], "folds": 4,
        }  # fmt: skip


def test_a_plugin_displaces_no_protocol_of_the_core_and_is_reached_by_its_package(dealer):
    registry = Registry.load()
    assert registry.protocol("kfold", {}).plugin.distribution == "fer-bench"
    assert registry.protocol("dealer/kfold", {}).plugin.distribution == "dealer"
    assert {"kfold", "dealer/kfold", "turns"} <= {name for name, _, _ in registry.specs("protocol")}


@pytest.mark.parametrize(
    ("protocol", "error", "parts"),
    [
        ("leaky", PluginError, ("'leaky'", "'dealer'", "fold 0", "'squares'", "9 groups")),
        ("lost", PluginError, ("'dealer'", "'lost'", "'turns'", "{'folds': 1}")),
        ("refusing", FerBenchError, ("squares is refused",)),
        ("turn", FerBenchError, ("'turn'", "'turns'?")),
        ("turns[folds=1]", FerBenchError, ("folds: ", "2", "got 1")),
    ],
)
def test_what_a_protocol_does_wrong_ends_the_run_with_its_name(dealer, protocol, error, parts):
    with pytest.raises(error) as caught:
        invoke("run", *BASE, "--protocol", protocol, "--folds", "3")
    assert says(str(caught.value), *parts)
    assert not (dealer / "runs" / "cells").exists() or records(dealer) == []


def test_a_protocol_may_settle_on_another_one_by_what_the_data_know(dealer):
    plan = invoke("plan", "--no-probe", *BASE, "--protocol", "clever", "--folds", "3", "--json")
    assert {cell["protocol"]["text"] for cell in json.loads(plan.stdout)["cells"]} == {"turns[first=1]"}
    assert "being clever" in invoke("plan", "--no-probe", *BASE, "--protocol", "clever", "--folds", "3").output


def test_a_splitter_is_of_use_outside(dealer):
    labels, people = np.arange(60) % 3, np.arange(60) // 6
    samples = Samples(name="mine", classes=("a", "b", "c"), labels=labels, groups=people, known=("subject",))
    splitter = make_splitter(Registry.load().protocol("turns[folds=5]", {}), samples, 0)
    scores = cross_val_score(DummyClassifier(), labels[:, None], labels, groups=people, cv=splitter)
    assert len(scores) == 5
    expected = [test.tolist() for _, test in GroupKFold(5).split(labels, labels, people)]
    assert [test.tolist() for _, test in splitter.split(labels, labels, people)] == expected


def test_the_list_of_plugins_shows_their_protocols(dealer):
    rows = {row["name"]: row for row in json.loads(invoke("plugins", "list", "--json").stdout)}
    brought = [item["name"] for item in rows["fer-bench"]["items"] if item["kind"] == "protocol"]
    assert brought == ["auto", "kfold", "group-kfold", "repeated-kfold", "loso", "official", "cross"]
    assert rows["dealer"]["hooks"] == ["fer_bench_protocols"]
