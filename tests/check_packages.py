"""Build the core and every plugin, look into the wheels, and run the demo from them in an empty environment.

The packages that ``fer-bench new`` writes, and that of the tutorial, are installed with what they declare alone, beside
the core, and tested.

    tox run -e packages
    tox run -e packages -- --tag v0.1.0 --output dist    # a release: refuses other versions, keeps the files

Nothing of the tree is on the path of that environment, and it lies outside of the tree.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = ("backbone", "dataset", "protocol", "strategy", "metric")
DEMO = ["--backbone", "xception[input_size=71]", "--dataset", "synthetic[n=70]", "--folds", "2"]


def build(project: Path, output: Path) -> Path:
    """Build a wheel by way of the source distribution, as an index would be given both; return the wheel."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(output), str(project)], check=True)
    name = project.name.replace("-", "_") if project != ROOT else "fer_bench"
    (wheel,) = output.glob(f"{name}-[0-9]*.whl")
    return wheel


def faults_of(wheel: Path) -> list[str]:
    """Return what is wrong with what a wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    unwanted = {"tests", "benchmarks", "docs"}
    # The templates of 'fer-bench new' hold tests that are no tests of ours.
    own = [name for name in names if "/templates/" not in name]
    found = [f"{wheel.name} holds {name}" for name in own if unwanted & set(name.split("/")[:-1])]
    for wanted in ("py.typed", "licenses/LICENSE", "entry_points.txt"):
        if not any(name.endswith(wanted) for name in names):
            found.append(f"{wheel.name} lacks {wanted}")
    return found


def environment_in(folder: Path) -> dict[str, str]:
    """Return the variables of a process that keeps data and caches in ``folder`` and knows nothing of the tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FER_BENCH"))}
    return kept | {"FER_BENCH_DATA_DIR": str(folder / "data"), "FER_BENCH_CACHE_DIR": str(folder / "cache")}


def new_environment(folder: Path, wheels: list[Path]) -> Path:
    """Install wheels into an empty environment; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *map(str, wheels)], check=True)
    return python


def check_new_packages(core: Path, folder: Path) -> None:
    """Install and test a new package of every kind, and the tutorial's, with the core and what they declare alone."""
    folder.mkdir()
    python, environment = new_environment(folder / "venv", [core]), environment_in(folder)
    packages = [Path(shutil.copytree(ROOT / "docs" / "tutorial" / "fer-bench-edges", folder / "fer-bench-edges"))]
    for kind in KINDS:
        subprocess.run(
            [str(python.with_name("fer-bench")), "new", kind, f"my-{kind}"], check=True, cwd=folder, env=environment
        )
        packages.append(folder / f"fer-bench-my-{kind}")
    for package in packages:
        # As their READMEs say; pip of Debian 12 knows no dependency groups.
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-e", ".[test]"], check=True, cwd=package)
        subprocess.run([str(python), "-m", "pytest", "-q"], check=True, cwd=package, env=environment)


def run_demo(python: Path, folder: Path) -> None:
    """Run the demo outside of the tree, and look at the leaderboard."""
    environment = environment_in(folder)

    def fer_bench(*arguments: str) -> str:
        command = [str(python.with_name("fer-bench")), *arguments]
        done = subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        return done.stdout

    plugins = json.loads(fer_bench("plugins", "list", "--json"))
    assert all(plugin["status"] == "ok" for plugin in plugins), plugins
    fer_bench("run", *DEMO, "--strategy", "linear-probe", "--quiet")
    rows = json.loads(fer_bench("leaderboard", "--format", "json"))["rows"]
    assert [row["cells"] for row in rows if not row["baseline"]] == [{"ok": 2, "failed": 0}], rows
    print(fer_bench("leaderboard"))


def other_versions(projects: list[Path], tag: str) -> list[str]:
    """Return the projects whose version is not the tag's, each with its version."""
    versions = {path: tomllib.loads((path / "pyproject.toml").read_text())["project"]["version"] for path in projects}
    return [f"{path.name} has version {version}" for path, version in versions.items() if f"v{version}" != tag]


def main() -> None:
    """Do all of it; exit 1 with what is wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tag", help="refuse other versions than this tag's, such as v0.1.0")
    parser.add_argument("--output", type=Path, help="keep the distributions in this folder")
    options = parser.parse_args()
    projects = [ROOT, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
    if options.tag and (others := other_versions(projects, options.tag)):
        raise SystemExit("\n".join([f"The tag is {options.tag}:", *others]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheels = [build(project, folder / "dist") for project in projects]
        files = sorted(map(str, (folder / "dist").iterdir()))
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
        if faults := [fault for wheel in wheels for fault in faults_of(wheel)]:
            raise SystemExit("\n".join(faults))
        (folder / "empty").mkdir()
        run_demo(new_environment(folder / "venv", wheels), folder / "empty")
        check_new_packages(wheels[0], folder / "new")
        if options.output:
            shutil.copytree(folder / "dist", options.output, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
