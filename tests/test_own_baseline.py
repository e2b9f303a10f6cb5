"""fer-bench's own gate: a linear probe on ImageNet features against what it was when `tests/baseline` was frozen.

docs/gate.md says how to renew it where a change is meant.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli import app

BASELINE = Path(__file__).parent / "baseline"
RUN = ["--dataset", "synthetic[n=882,subjects=126,size=48]", "--backbone", "xception[input_size=71]"]
RUN += ["--strategy", "linear-probe", "--folds", "3"]
MARGIN = "0.05"
"""What 126 subjects can settle."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    places = ["--data-dir", str(folder / "data"), "--cache-dir", str(folder / "cache")]
    done = CliRunner().invoke(app, ["run", *RUN, *places, "--runs-dir", str(folder / "runs")])
    assert done.exit_code == 0, done.output
    return folder / "runs"


def check(runs: Path):
    return CliRunner().invoke(app, ["check", "--baseline", str(BASELINE), "--runs-dir", str(runs), "--margin", MARGIN])


@pytest.mark.slow
def test_the_probe_has_not_got_worse(runs):
    checked = check(runs)
    assert checked.exit_code == 0, checked.output
    assert "PASS" in checked.stdout
    options = ["--fer-baseline", BASELINE, "--fer-runs-dir", runs, "--fer-margin", MARGIN, "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *map(str, options), str(Path(__file__).with_name("test_sizes.py"))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BASELINE.parent.parent, timeout=300)
    assert done.returncode == 0, done.stdout
    listed = subprocess.run([*command, "--collect-only"], capture_output=True, text=True, cwd=BASELINE.parent.parent)
    assert "fer-baseline[synthetic" in listed.stdout


@pytest.mark.slow
def test_a_probe_that_is_ten_points_worse_fails(runs, tmp_path):
    """A quarter of the right answers become wrong, in files that match their checksums."""
    worse = tmp_path / "runs"
    shutil.copytree(runs, worse)
    for file in worse.glob("cells/*/predictions.feather"):
        table = pd.read_feather(file)
        columns = [f"p{k}" for k in range(7)]
        values = table[columns].to_numpy().copy()
        right = values.argmax(1) == table["label"].to_numpy()
        spoilt = right & (np.cumsum(right) % 4 == 0)
        values[spoilt] = np.roll(values[spoilt], 1, axis=1)
        table.assign(**dict(zip(columns, values.T, strict=True))).to_feather(file)
        sums = json.loads((file.parent / "checksums.json").read_text())
        sums[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (file.parent / "checksums.json").write_text(json.dumps(sums))
    checked = check(worse)
    assert checked.exit_code == 1, checked.output
    assert "FAIL" in checked.stdout
