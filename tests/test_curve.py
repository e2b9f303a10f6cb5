"""Shares of the training part and the power law through their scores: by hand, simulated, and as a command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from drawn_views import make_view
from messages import says
from tiny_run import BASE, invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.learning_curve import fit_learning_curve
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.registry import Registry
from fer_bench.reports.curve import find_curves
from fer_bench.results.find import find_row
from fer_bench.results.store import Store
from fer_bench.tasks import protocols
from fer_bench.tasks.fractions import shrink_training
from fer_bench.tasks.task import Task


def split_of(task: Task, protocol: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FER_BENCH_PLUGINS", "")
    config = RunConfig(protocol=protocol, folds=4)
    return protocols.split(protocols.choose(config, task, Registry.load())[0], task, config, 3)


@pytest.mark.parametrize("protocol", ["kfold", "group-kfold"])
def test_a_share_lies_within_a_larger_one_and_keeps_subjects_whole(protocol, monkeypatch):
    rng = np.random.default_rng(0)
    subjects = [f"p{rng.integers(25)}" for _ in range(300)]
    task = Task((make_view(rng.integers(2, size=300).tolist(), subjects),))
    split = split_of(task, protocol, monkeypatch)
    shares = {share: shrink_training(split, task, share) for share in (0.2, 0.5, 1.0)}
    assert shares[1.0] is split
    assert [one.text for one in shares.values()] == [f"{protocol}[train=0.2]", f"{protocol}[train=0.5]", protocol]
    assert len({one.sha256 for one in shares.values()}) == 3
    for whole, half, fifth in zip(split.folds, shares[0.5].folds, shares[0.2].folds, strict=True):
        assert (half.test == whole.test).all()
        assert not (fifth.train & ~half.train).any()
        assert not (half.train & ~whole.train).any()
        for fold, share in ((half, 0.5), (fifth, 0.2)):
            largest = max(np.bincount(task.groups)) if protocol == "group-kfold" else 1
            assert 0 <= fold.train.sum() - share * whole.train.sum() < largest + 2
            if protocol == "group-kfold":
                taken = np.unique(task.groups[fold.train])
                assert (fold.train == (whole.train & np.isin(task.groups, taken))).all()
            else:
                assert np.bincount(task.labels[fold.train]).min() > 0.9 * share * 0.4 * whole.train.sum()


def test_a_share_without_some_class_is_refused(monkeypatch):
    task = Task((make_view([0] * 12 + [1] * 4, [f"p{i // 4}" if i < 12 else f"q{i}" for i in range(16)]),))
    split = split_of(task, "group-kfold", monkeypatch)
    with pytest.raises(FerBenchError) as caught:
        shrink_training(split, task, 0.05)
    assert says(str(caught.value), "--train-fraction 0.05", "'faces'")


def answers(error: float, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of two classes and answers of which a share is wrong in each."""
    true = np.arange(n) % 2
    wrong = np.arange(n) // 2 < round(error * n / 2)
    return true, np.eye(2)[np.where(wrong, 1 - true, true)]


def test_the_power_law_by_hand():
    # Errors 0.4, 0.2 and 0.1 at 100, 200 and 400 images: each doubling halves the error.
    law = fit_learning_curve([100, 200, 400], [measure(STANDARD["uar"], *answers(error)) for error in (0.4, 0.2, 0.1)])
    assert law.fit == pytest.approx([math.log(40), -1])
    assert law.misfit == pytest.approx(0)
    assert law.predict(800)[0] == pytest.approx(0.95)
    assert law.gain(400)[0] == pytest.approx(0.05)
    assert law.slope_interval()[0] < -1 < law.slope_interval()[1]
    off = fit_learning_curve([100, 200, 400], [measure(STANDARD["uar"], *answers(error)) for error in (0.4, 0.1, 0.1)])
    assert off.misfit > 0.1
    wide, narrow = (law.slope_interval()[1] - law.slope_interval()[0] for law in (off, law))
    assert wide > 2 * narrow
    with pytest.raises(ValueError, match="two training sizes"):
        fit_learning_curve([100, 100], [measure(STANDARD["uar"], *answers(0.4))] * 2)


def test_the_command_fits_the_rows_of_a_run(tiny):
    done = invoke("run", *BASE, "--folds", "2", "--train-fraction", "0.5,1", "--json")
    protocols = {row["protocol"] for row in json.loads(done.stdout)["rows"]}
    assert protocols == {"group-kfold[train=0.5]", "group-kfold"}
    again = invoke("run", *BASE, "--folds", "2", "--train-fraction", "0.5,1")
    assert says(again.stderr, "Next", "fer-bench curve")
    invoke("run", *BASE, "--folds", "2", "--json")
    assert len(list((tiny / "runs" / "cells").iterdir())) == 4, "a share of 1 is the run without shares"
    for name, text in (("group-kfold", "group-kfold"), ("group-kfold[train=0.5]", "group-kfold[train=0.5]")):
        assert find_row(Store(Path("runs")), f"{name} probe").experiment.protocol.text == text
    fitted = invoke("curve", "--json", "--figure", "curve.svg")
    assert says(fitted.stderr, "curve.svg")
    (curve,) = json.loads(fitted.stdout)["curves"]
    assert [point["training_images"] for point in curve["points"]] == [pytest.approx(22.5, abs=5), 45]
    assert (tiny / "curve.svg").read_text().count("training images")
    assert says(invoke("curve").stdout, "net, probe", "squares", "training images", "45")
    with pytest.raises(FerBenchError) as caught:
        find_curves([], STANDARD["uar"])
    assert says(str(caught.value), "--train-fraction")
