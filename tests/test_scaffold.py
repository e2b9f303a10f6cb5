"""``fer-bench new`` writes packages that install, keep the rules and run before their author changes a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from messages import says
from packaging.requirements import Requirement
from PIL import Image
from tiny_run import BASE, invoke
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.scaffold import TEMPLATES, create
from fer_bench.testing.conformance import check
from fer_bench.testing.layouts import draw_face

KINDS = ("backbone", "dataset", "protocol", "strategy", "metric")


def install(folder: Path, site: Path) -> None:
    """Build a wheel and unpack it into a folder of packages.

    As an installer would, but without the network and without pip, which not every environment has.
    """
    (wheel,) = WheelBuilder(str(folder)).build(directory=str(folder / "dist"), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.startswith("tests")]
        archive.extractall(site)


def write_faces(root: Path) -> None:
    """Write what a new data set reads: eight pictures a label."""
    for label, expression in {"happy": "happiness", "neutral": "neutral", "sad": "sadness"}.items():
        (root / label).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(draw_face(expression, number)).save(root / label / f"person{number}_1.png")


@pytest.fixture
def environment(tmp_path) -> tuple[Path, Path]:
    """A fresh environment that sees what this one has: its Python and its folder of packages."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"), site


@pytest.mark.slow
def test_new_packages_of_all_kinds_install_keep_the_rules_and_run(environment, tmp_path):
    """In one environment, since starting Python takes longest: the package of each kind is used by the one run.

    The rules that packages keep are checked below; ``tox run -e packages`` runs the tests of all of them.
    """
    python, site = environment
    for kind in KINDS:
        made = CliRunner().invoke(app, ["new", kind, f"my-{kind}", "--output", str(tmp_path)])
        assert made.exit_code == 0, made.output
        assert str(tmp_path / f"fer-bench-my-{kind}") in made.stdout
        install(tmp_path / f"fer-bench-my-{kind}", site)
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "FER_BENCH_PLUGINS")}
    variables |= {
        "FER_BENCH_DATA_DIR": str(tmp_path / "data"),
        "FER_BENCH_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PLATFORMS": "cpu",
    }

    def call(*command: str) -> str:
        done = subprocess.run([python, *command], cwd=tmp_path, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    folder = "fer-bench-my-metric/tests"
    tests = call("-m", "pytest", "-rA", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), folder)
    assert "PASSED fer-bench-my-metric/tests/test_metric.py" in tests
    write_faces(tmp_path / "data" / "manual" / "my-dataset")
    fer_bench = ("-c", "from fer_bench.cli import main; main()")
    mine = [part for kind in KINDS[:3] for part in (f"--{kind}", f"my-{kind}")]
    said = call(*fer_bench, "run", *mine, "--strategy", "my-strategy[epochs=1]", "--folds", "2", "--json")
    (row,) = (row for row in json.loads(said)["rows"] if not row["baseline"])
    assert all(row[kind].startswith(f"my-{kind}") for kind in KINDS[:4])
    assert row["cells"] == {"ok": 2, "failed": 0}
    board = json.loads(call(*fer_bench, "leaderboard", "--metric", "my_metric", "--format", "json"))
    assert all(0 <= row["scores"]["my_metric"]["mean"] <= 1 for row in board["rows"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_keeps_the_rules_and_runs_without_the_others(kind, tiny, site):
    install(create(kind, f"alone-{kind}", tiny, {}), site)
    write_faces(tiny / "data" / "manual" / "alone-dataset")
    findings = check(f"alone-{kind}")
    assert len(findings) > 3
    assert [str(finding) for finding in findings if finding.status == "failed"] == []
    mine = dict(zip(BASE[::2], BASE[1::2], strict=True))
    if kind != "metric":  # a metric is computed of every row
        mine[f"--{kind}"] = f"alone-{kind}"
    assert invoke("run", *(part for pair in mine.items() for part in pair), "--folds", "2").exit_code == 0
    board = json.loads(invoke("leaderboard", "--format", "json").stdout)
    (row,) = (row for row in board["rows"] if not row["baseline"])
    assert row["cells"] == {"ok": 2, "failed": 0}
    assert f"alone_{kind}" in row["scores"] if kind == "metric" else row[kind].startswith(f"alone-{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_complete_and_lean(kind, tmp_path):
    folder = create(kind, "my-idea", tmp_path, {})
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml"}
    wanted |= {"fer_bench_my_idea/__init__.py", "fer_bench_my_idea/py.typed", f"tests/test_{kind}.py"}
    assert wanted <= files
    workflow = yaml.safe_load((folder / ".github/workflows/test.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert "${{ matrix.python }}" in str(steps)
    extras = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (installed,) = [step["run"] for step in steps if step.get("run", "").startswith("pip install")]
    assert installed == "pip install '.[test]'", "pip reads dependency groups since 25.1 only"
    assert [Requirement(text).name for text in extras["test"]] == ["pytest"]
    assert not [file for file in files if "{{" in (folder / file).read_text().replace("${{ matrix", "")]
    for file in folder.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
    code = "import sys, fer_bench_my_idea; print(sorted({'jax', 'numpy', 'tensorflow_datasets'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", "a name is lower-case letters and digits"),
        ("a/b", "a name is lower-case letters and digits"),
        ("My-Net", "a name is lower-case letters and digits"),
        ("", "a name is lower-case letters and digits"),
        ("a" * 300, "300"),
        ("class", "keyword of Python"),
        ("json", "module of Python"),
        ("finetune", "a strategy 'finetune'"),
    ],
)
def test_a_bad_name_is_refused(name, message, tmp_path):
    result = CliRunner().invoke(app, ["new", "strategy", name, "--output", str(tmp_path)])
    assert says(str(result.exception), repr(name), message)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_installed_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["new", "backbone", "datasets", "--output", str(tmp_path)])
    assert "the package 'fer-bench-datasets' is installed" in str(result.exception)


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "fer-bench-my-idea").mkdir()
    result = CliRunner().invoke(app, ["new", "strategy", "my-idea", "--output", str(tmp_path)])
    assert "is there already" in str(result.exception)
    assert list((tmp_path / "fer-bench-my-idea").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["new", "strategy", "my-idea", "--output", str(tmp_path / "file")])
    assert "Cannot write" in str(result.exception)


def test_every_template_is_shipped_as_text():
    assert {path.name for path in TEMPLATES.iterdir()} == {"common", *KINDS}
    assert all(path.suffix == ".jinja" for path in TEMPLATES.rglob("*") if path.is_file())
