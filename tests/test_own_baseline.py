"""fer-bench's own gate: a linear probe on ImageNet features against what it was when `tests/baseline` was frozen.

It is the workflow of docs/gate.md as it stands, through the action of the repository. docs/gate.md also says how to
renew the baseline where a change is meant.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from documents import blocks
from messages import says
from typer.testing import CliRunner

from fer_bench.cli import app

BASELINE = Path(__file__).parent / "baseline"
ROOT = BASELINE.parent.parent


def read_workflow() -> list[dict[str, Any]]:
    """Return the steps of the workflow of docs/gate.md."""
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    (block,) = (block for block in blocks(text) if block.language == "yaml")
    (job,) = yaml.safe_load(block.code)["jobs"].values()
    assert job["timeout-minutes"] <= 60
    return job["steps"]


def read_action(step: dict[str, Any]) -> tuple[list[tuple[str, dict[str, str]]], dict[str, str]]:
    """Return the commands of the action, each with the variables that a step of a workflow gives it, and its inputs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert {*step["with"]} <= {*action["inputs"]}
    inputs = {name: str(step["with"].get(name, one.get("default"))) for name, one in action["inputs"].items()}
    commands = []
    for part in action["runs"]["steps"]:
        if "run" in part:
            assert "${{" not in part["run"], "an input within a script could bring commands of its own"
            named = {key: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text)[1] for key, text in part["env"].items()}
            commands.append((part["run"], {key: inputs[name] for key, name in named.items()}))
    return commands, inputs


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A checkout in which the workflow has run, with what its steps printed."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(BASELINE, folder / "tests" / "baseline")
    project = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    checkout, gate = read_workflow()
    assert checkout["uses"].startswith("actions/checkout@")
    assert f"https://github.com/{gate['uses']}" == f"{project['repository-code']}@v{project['version']}"
    (install, _), *commands = read_action(gate)[0]
    assert "pip install" in install, "no test loads packages; `tox run -e packages` installs them"
    summary = folder / "summary.md"
    places = {"FER_BENCH_DATA_DIR": str(folder / "data"), "FER_BENCH_CACHE_DIR": str(folder / "cache")}
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    for command, variables in commands:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command],
            cwd=folder, capture_output=True, text=True, env={**os.environ, **places, **github, **variables},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert "| PASS | synthetic" in summary.read_text(encoding="utf-8")
    return folder


def options() -> list[str]:
    """Return the options of ``check`` in the workflow."""
    return read_action(read_workflow()[1])[1]["check"].split()


def check(runs: Path):
    given = options()
    given[given.index("--baseline") + 1] = str(BASELINE)
    return CliRunner().invoke(app, ["check", *given, "--runs-dir", str(runs)])


def test_a_run_that_takes_too_long_is_ended_and_told(tmp_path):
    ((run, variables),) = [one for one in read_action(read_workflow()[1])[0] if "timeout" in one[0]]
    assert int(variables["MINUTES"]) <= 60
    stub = tmp_path / "fer-bench"
    stub.write_text("#!/bin/bash\nexec sleep 60\n")
    stub.chmod(0o755)
    environment = {**os.environ, **variables, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MINUTES": "0.005"}
    done = subprocess.run(["bash", "-e", "-c", run], capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 124
    assert done.stdout.startswith("::error title=fer-bench::")
    assert says(done.stdout, "0.005 minutes", "'minutes'")


@pytest.mark.slow
def test_the_probe_has_not_got_worse(workspace):
    runs, margin = workspace / "runs", options()[options().index("--margin") + 1]
    options_of_pytest = ["--fer-baseline", BASELINE, "--fer-runs-dir", runs, "--fer-margin", margin]
    options_of_pytest += ["-p", "no:cacheprovider"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        *map(str, options_of_pytest),
        str(Path(__file__).with_name("test_sizes.py")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BASELINE.parent.parent, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "fer-baseline[synthetic" in done.stdout


@pytest.mark.slow
def test_a_probe_that_is_ten_points_worse_fails(workspace, tmp_path):
    """A quarter of the right answers become wrong, in files that match their checksums."""
    worse = tmp_path / "runs"
    shutil.copytree(workspace / "runs", worse)
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
    assert says(checked.stdout, "FAIL", "classes that fell", "subjects that fell", " more", "freeze", "--forget-oldest")
