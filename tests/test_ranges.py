"""Every number that a user may set states both ends of its range: they are tried, and what lies beyond is refused."""

from __future__ import annotations

import json

import pytest
from campaign.ranges import Number, numbers, parameters
from messages import says
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.networks import passes
from fer_bench.registry import Registry
from fer_bench.results.store import Store

REGISTRY = Registry.load()
PARAMETERS = list(parameters(REGISTRY))
SETTINGS = list(numbers(RunConfig))
DATA = "synthetic[n=14,size=16]"
DEPENDS = {"gradual-unfreeze[stages=1000]", "discriminative-lr[stages=1000]"}
"""Ends that the rest of a run decides about: a backbone has fewer stages."""
LARGEST_K = "knn[k=100000]"
"""More neighbours than training samples."""


MEAN = {"arcface", "adaface"}
"""Families whose embedding takes one size of input, and whose mean takes all."""
SPACE = {"strategy": "linear-probe", "parameters": {"c": [0.1, 1.0]}}
SEARCHED = {"inner", "trials"}
"""Settings of a search."""


def ids(value: object) -> str | None:
    return value.name if isinstance(value, Number) else None


def invoke(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit | FerBenchError):
        raise result.exception
    return result


def test_both_ends_are_stated():
    owners = [(name, number) for _, name, number in PARAMETERS] + [("RunConfig", number) for number in SETTINGS]
    assert [(owner, number.name) for owner, number in owners if None in (number.low, number.high)] == []
    assert len(PARAMETERS) > 100
    assert len(SETTINGS) == 9


@pytest.mark.parametrize(("kind", "name", "number"), PARAMETERS, ids=ids)
def test_the_ends_of_a_parameter_are_taken_and_what_lies_beyond_is_refused(kind, name, number):
    beside = ",features=mean" if number.name == "input_size" and name.partition("-")[0] in MEAN else ""
    for value in (number.low, number.high):
        taken = REGISTRY.find(kind, f"{name}[{number.name}={value!r}{beside}]")
        assert getattr(taken.params, number.name) == value
    for value in number.beyond():
        with pytest.raises(FerBenchError) as raised:
            REGISTRY.find(kind, f"{name}[{number.name}={value!r}{beside}]")
        assert says(str(raised.value), repr(name.split("/")[-1]), number.name)


@pytest.mark.parametrize("number", SETTINGS, ids=ids)
def test_the_ends_of_a_setting_are_taken_and_what_lies_beyond_is_refused(number):
    beside = {"search": [SPACE]} if number.name in SEARCHED else {}
    for value in (number.low, number.high):
        assert getattr(RunConfig.build(None, {number.name: value, **beside}), number.name) == value
    for value in number.beyond():
        with pytest.raises(FerBenchError) as raised:
            RunConfig.build(None, {number.name: value, **beside})
        assert says(str(raised.value), number.name)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> list[str]:
    """Return options that share data, cache and runs."""
    folder = tmp_path_factory.mktemp("ranges")
    return [part for name in ("data", "cache", "runs") for part in (f"--{name}-dir", str(folder / name))]


@pytest.mark.parametrize("number", SETTINGS, ids=ids)
def test_the_ends_of_a_setting_are_planned_or_refused_in_one_message(number, place, tmp_path):
    (tmp_path / "space.yaml").write_text(json.dumps(SPACE), encoding="utf-8")
    option = f"--{number.name.replace('_', '-')}"
    for value in (number.low, number.high):
        command = ["run"] if number.name == "cache_limit" else ["plan", "--no-probe"]
        data = "synthetic[n=28,size=16]" if number.name in SEARCHED else DATA
        command += ["--dataset", data, "--backbone", "mini-xception"]
        other = ["--protocol", "repeated-kfold"] if number.name == "repeats" else ["--protocol", "kfold"]
        folds = [] if number.name == "folds" else ["--folds", "2"]
        other += ["--search", str(tmp_path / "space.yaml")] if number.name in SEARCHED else []
        other += ["--inner", "2"] if number.name == "trials" else []
        done = invoke(*command, option, str(value), *folds, *other, *place)
        # The data may be too few for it; that is said before anything is trained.
        assert done.exit_code == 0 or says(str(done.exception), str(value)[:4]), done.output
    for value in number.beyond():
        done = invoke(command[0], "--dataset", DATA, option, str(value), *place)
        message = str(done.exception) + done.output
        assert done.exit_code != 0
        assert number.name in message or option in message


def _strategies() -> list[str]:
    return [
        f"{name}[{number.name}={value!r}]"
        for kind, name, number in PARAMETERS
        if kind == "strategy"
        for value in (number.low, number.high)
    ]


def test_the_ends_of_strategies_are_planned_or_refused_in_one_message(place):
    fit = [text for text in _strategies() if text not in DEPENDS and text != LARGEST_K]
    options = [part for text in fit for part in ("--strategy", text)]
    few = ["--protocol", "kfold", "--folds", "2"]
    planned = invoke(
        "plan",
        "--no-probe",
        "--dataset",
        "synthetic[n=42,size=16]",
        "--backbone",
        "mini-xception",
        *few,
        *options,
        *place,
    )
    assert planned.exit_code == 0, planned.output
    for text in DEPENDS:
        refused = invoke("plan", "--dataset", DATA, "--backbone", "mini-xception", *few, "--strategy", text, *place)
        assert says(str(refused.exception), repr(text), "mini-xception")


def test_strategies_that_need_more_training_samples_than_a_fold_has_are_refused_before_any_work(place):
    """Two folds of 28 images of seven classes train on 14, two of each class."""
    texts = ("knn[k=14]", "knn[k=15]", LARGEST_K, "svm", "linear-probe")
    options = [part for text in texts for part in ("--strategy", text)]
    few = ["--protocol", "kfold", "--folds", "2", "--backbone", "mini-xception"]
    message = str(invoke("run", "--dataset", "synthetic[n=28,size=16]", *few, *options, *place).exception)
    assert says(message, "'knn[k=15]'", "15", "14", repr(LARGEST_K), "100,000", "'svm'", "3", "2")
    assert "k=14" not in message
    assert "linear-probe" not in message


@pytest.mark.slow
def test_what_is_planned_at_the_ends_of_convex_strategies_and_sizes_runs(small, place, tmp_path, monkeypatch):
    cheap = [text for text in _strategies() if text.startswith(("linear-probe", "knn", "svm")) and text != LARGEST_K]
    options = [part for text in cheap for part in ("--strategy", text)]
    common = ["--protocol", "kfold", "--folds", "2", *place[:4], "--runs-dir", str(tmp_path)]
    ran = invoke("run", "--dataset", "synthetic[n=42,size=16]", "--backbone", "tiny", *options, *common)
    sizes = [part for side in (32, 1024) for part in ("--backbone", f"mini-xception[input_size={side}]")]
    monkeypatch.setattr(passes, "BATCH", 1)  # not 32 images of 1024 pixels for four
    assert invoke("run", "--dataset", DATA, "--labels", "happiness,sadness", *sizes, *common).exit_code == 0
    cells, _ = Store(tmp_path).cells()
    assert [cell.error for cell in cells if not cell.ok] == []
    assert ran.exit_code == 0
