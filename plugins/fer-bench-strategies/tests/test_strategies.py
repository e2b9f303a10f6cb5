"""Every strategy plans what its name says, and runs from the command line on real images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fer_bench_strategies.readout import make_knn
from hurry import in_a_hurry
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.learning import rules
from fer_bench.learning.plans import make_plan
from fer_bench.registry import Registry
from fer_bench.specs import ConvexPhase, GradientPhase, Rule

hurried = in_a_hurry()

STAGES = ("a", "b", "c", "d")
SHAPES = {f"{stage}/{leaf}": shape for stage in STAGES for leaf, shape in (("kernel", (8, 8)), ("norm/scale", (8,)))}
SHAPES |= {"head/kernel": (8, 2), "head/bias": (2,)}
GRADIENT = ["finetune", "gradual-unfreeze", "discriminative-lr", "full", "bitfit", "lora", "lp-ft", "scratch"]


def plan(text: str):
    return make_plan(Registry.load().strategy(text))


def rates(phase: GradientPhase) -> dict[str, float]:
    found = rules.assign(phase, STAGES, SHAPES)
    return {name: rule.rate if rules.learns(rule, SHAPES[name]) else 0 for name, rule in found.items()}


@pytest.mark.parametrize("name", GRADIENT)
def test_each_covers_every_parameter_and_trains_the_head(name):
    for phase in plan(name).phases:
        if isinstance(phase, GradientPhase):
            assert rates(phase)["head/kernel"] > 0


def test_finetune_trains_the_head_and_then_the_last_stages_too():
    head, phase = plan("finetune").phases
    assert isinstance(head, ConvexPhase)
    assert [rates(phase)[f"{stage}/kernel"] for stage in STAGES] == [0, 0, 1, 1]
    _, phase = plan("finetune[from_stage=b]").phases
    assert [rates(phase)[f"{stage}/kernel"] for stage in STAGES] == [0, 1, 1, 1]


def test_gradual_unfreezing_moves_the_boundary_down():
    _, *phases = plan("gradual-unfreeze[stages=3]").phases
    found = [rules.boundary(rules.assign(phase, STAGES, SHAPES), STAGES, SHAPES) for phase in phases]
    assert found == [3, 2, 1]


def test_lower_stages_learn_more_slowly():
    _, phase = plan("discriminative-lr[stages=3,decay=2]").phases
    assert [rates(phase)[f"{stage}/kernel"] for stage in STAGES] == [0, 0.25, 0.5, 1]


def test_bitfit_trains_norms_and_biases_alone():
    _, phase = plan("bitfit").phases
    assert {name.partition("/")[2] for name, rate in rates(phase).items() if rate == 1} == {"norm/scale"}


def test_lora_and_scratch():
    _, phase = plan("lora[rank=4]").phases
    assert {rule.rank for rule in phase.rules if not rule.head} == {0, 4}
    assert not plan("scratch").pretrained
    assert plan("full[patience=2]").validation == 0.1
    assert plan("full").validation == 0
    assert Rule(head=True, rate=10.0) in phase.rules


def test_changes_of_images_are_named_one_or_many():
    assert plan("finetune[augment=affine]").phases[1].augment == ("affine",)
    phase = plan("finetune[augment=[colour,erase],mixup=0.2]").phases[1]
    assert (phase.augment, phase.mixup, phase.cutmix) == (("colour", "erase"), 0.2, 0.0)
    with pytest.raises(FerBenchError, match="augment"):
        plan("finetune[augment=blur]")
    with pytest.raises(FerBenchError, match="mixup and cutmix"):
        plan("finetune[mixup=0.2,cutmix=1]")


@pytest.mark.parametrize("weights", ["distance", "uniform"])
def test_the_nearest_neighbours_by_angle_vote_by_their_distance(weights):
    rng = np.random.default_rng(0)
    known, asked, labels = rng.normal(size=(24, 4)), rng.normal(size=(9, 4)), np.arange(24) % 3
    sizes = rng.uniform(0.1, 10, (24, 1))  # which an angle does not have
    said = make_knn(5, weights).fit(known * sizes, labels).predict_proba(asked)
    for one, chances in zip(asked, said, strict=True):
        cosine = known @ one / np.linalg.norm(known, axis=1) / np.linalg.norm(one)
        nearest = np.argsort(-cosine)[:5]
        votes = 1 / np.sqrt(2 - 2 * cosine[nearest]) if weights == "distance" else np.ones(5)
        np.testing.assert_allclose(chances, np.bincount(labels[nearest], votes, 3) / votes.sum(), rtol=1e-6)


@pytest.mark.slow
def test_all_run_from_an_image_to_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    names = ("knn[k=5]", "svm", "finetune[batch=16,epochs=2,patience=1]")
    options = ("--dataset", "synthetic[n=105]", "--folds", "2", "--json")
    options += ("--backbone", "mini-xception[input_size=48]")
    asked = [part for name in names for part in ("--strategy", name)]
    result = CliRunner().invoke(app, ["run", *options, *asked])
    assert result.exit_code == 0, result.output
    rows = [row for row in json.loads(result.stdout)["rows"] if row["strategy"] != "majority-class"]
    assert [row["cells"] for row in rows] == [{"ok": 2, "failed": 0}] * 3
    # A shortcut from 64 to 128 channels, two separable convolutions, three norms, and a head on nine taps of each.
    block4 = 64 * 128 + (9 * 64 + 64 * 128) + (9 * 128 + 128 * 128) + 2 * 3 * 128
    assert {row["trained_parameters"] for row in rows if "finetune" in row["strategy"]} == {block4 + 7 * (9 * 128 + 1)}
    # So few drawn faces tell no strategy from another; that the stages train shows in the loss.
    histories = [pd.read_csv(file) for file in tmp_path.glob("runs/cells/*/history.csv")]
    histories = [history[history["phase"] == "finetune"] for history in histories]
    tuned = [history["loss"].to_numpy() for history in histories if len(history)]
    assert len(tuned) == 2
    assert all(loss[-1] < loss[0] for loss in tuned if len(loss) > 1)
    assert any(len(loss) > 1 for loss in tuned)


def test_a_stage_that_is_not_there_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "--strategy", "finetune[from_stage=block99]"])
    assert "no stage 'block99'" in str(result.exception)
    assert not list((tmp_path / "runs").glob("cells/*"))
