"""The main job with the real plugins and weights: is the embedded data set hard enough to tell methods apart?"""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.data.prepare import prepare
from fer_bench.registry import Registry
from fer_bench.tasks import protocols
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import select

BACKBONE = "xception[input_size=71]"


def _raw_pixels(dataset: str, data_dir) -> float:
    """Return the accuracy of logistic regression on 32 x 32 grey pixels, on the same subject-disjoint folds."""
    component = Registry.load().dataset(dataset)
    view = select(component, prepare(component, data_dir), None)
    images = np.stack(view.prepared.images(view.rows)).astype(np.float64).mean(axis=3)
    n, size, _ = images.shape
    pixels = images.reshape(n, 32, size // 32, 32, size // 32).mean(axis=(2, 4)).reshape(n, -1)
    predicted = np.empty(n, int)
    protocol = Registry.load().protocol("group-kfold[folds=5]", {})
    for fold in protocols.split(protocol, Task((view,)), RunConfig(), 0).folds:
        test = fold.test
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, solver="newton-cg", tol=0.01))
        predicted[test] = probe.fit(pixels[~test], view.labels[~test]).predict(pixels[test])
    return float(accuracy_score(view.labels, predicted))


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "least"), [("lab", 0.45), ("wild", 0.38)])
def test_the_linear_probe_lands_in_its_band_and_raw_pixels_clearly_below(domain, least, tmp_path):
    dataset = f"synthetic[domain={domain},n=420]"
    folders = [
        "--data-dir",
        str(tmp_path / "data"),
        "--cache-dir",
        str(tmp_path / "cache"),
        "--runs-dir",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, ["run", "--dataset", dataset, "--backbone", BACKBONE, "--json", *folders])
    assert result.exit_code == 0, result.output
    probe, majority = json.loads(result.stdout)["rows"]
    assert (probe["protocol"], probe["synthetic"], probe["converged"]) == ("group-kfold", True, True)
    assert least < probe["scores"]["accuracy"]["mean"] < 0.85
    assert majority["scores"]["uar"]["mean"] == pytest.approx(1 / 7)
    assert _raw_pixels(dataset, tmp_path / "data") < probe["scores"]["accuracy"]["mean"] - 0.1
