"""What is computed as on an accelerator, in bfloat16, is as good as in float32 on a CPU, within its interval.

pytest benchmarks/test_accuracy.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.evaluation.intervals import bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.networks import devices, forward
from fer_bench.results.store import Store

CLASSES = [f"p{index}" for index in range(7)]


def predictions(folder, precision, strategy):
    """Run a strategy on drawn faces at 71 pixels; return one row an image, ordered by id."""
    options = ["--limit", "140", "--backbone", "xception[input_size=71]", "--folds", "2", "--precision", precision]
    folders = ["--runs-dir", str(folder / precision), "--cache-dir", str(folder / f"{precision}-cache")]
    done = CliRunner().invoke(app, ["run", "--quiet", *options, "--strategy", strategy, *folders])
    assert done.exit_code == 0, done.output
    cells, _ = Store(folder / precision).cells()
    assert {cell.record.backbone.precision for cell in cells} == {precision}
    return pd.concat([cell.table().to_pandas() for cell in cells]).sort_values("id", ignore_index=True)


def hold_accuracy(folder, monkeypatch, strategy):
    """Compare a run in float32 with one in bfloat16 that computes as an accelerator does: accuracies agree."""
    exact = predictions(folder, "float32", strategy)
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    monkeypatch.setattr(forward, "SIZES", (32,))  # a CPU need not fill a GPU
    rounded = predictions(folder, "bfloat16", strategy)
    np.testing.assert_array_equal(exact["id"], rounded["id"])
    labels, groups = exact["label"].to_numpy(), exact["group"].to_numpy()
    scores, rounded_scores = exact[CLASSES].to_numpy(), rounded[CLASSES].to_numpy()
    assert not np.array_equal(scores, rounded_scores), "bfloat16 rounds: equal bits mean that the option does nothing"
    accuracy = STANDARD["accuracy"]
    interval = bootstrap_interval(accuracy, labels, scores, groups)
    assert interval.low > 1 / 7, "a model at chance would pass whatever the precision does"
    assert interval.low <= accuracy.compute(labels, rounded_scores) <= interval.high


@pytest.mark.parametrize("strategy", ["linear-probe", "finetune[epochs=3]"])
def test_accuracy_as_on_an_accelerator(tmp_path, monkeypatch, benchmark, strategy):
    benchmark.pedantic(hold_accuracy, (tmp_path, monkeypatch, strategy), rounds=1)
