"""Versions, ranges and addresses of a release agree, and the workflows of GitHub run commands of tox.ini."""

from __future__ import annotations

import configparser
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PACKAGES = {
    file.parent.name if file.parent != ROOT else "fer-bench": tomllib.loads(file.read_text(encoding="utf-8"))
    for file in [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]
}
PROJECTS = {name: package["project"] for name, package in PACKAGES.items()}


def commands_of(job: dict[str, Any]) -> list[str]:
    """Return the commands of a job, each once for every value of its matrix."""
    commands = [step["run"] for step in job["steps"] if "run" in step]
    for name, values in job.get("strategy", {}).get("matrix", {}).items():
        commands = [re.sub(rf"\${{{{ *matrix\.{name} *}}}}", value, text) for text in commands for value in values]
    return commands


def test_all_packages_and_the_citation_have_one_version_and_one_repository():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert len(PROJECTS) == 9
    assert {project["version"] for project in PROJECTS.values()} == {citation["version"]}
    assert {project["urls"]["Source"] for project in PROJECTS.values()} == {citation["repository-code"]}
    assert all(project["authors"] == PROJECTS["fer-bench"]["authors"] for project in PROJECTS.values())


@pytest.mark.parametrize("name", PACKAGES)
def test_the_architecture_gives_a_reason_for_every_dependency(name: str):
    project, groups = PROJECTS[name], PACKAGES[name].get("dependency-groups", {})
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values(), *groups.values()]
    needs = {Requirement(text).name for text in itertools.chain(*lists) if isinstance(text, str)}
    reasons = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    unnamed = {need for need in needs if not re.search(rf"(?<![\w-]){need}(?![\w-])", reasons, re.IGNORECASE)}
    assert {need for need in unnamed if not need.startswith("fer-bench")} == set()


@pytest.mark.parametrize("name", sorted(set(PROJECTS) - {"fer-bench"}))
def test_a_plugin_takes_this_core_and_no_core_of_the_next_minor_version(name: str):
    (core,) = [need for text in PROJECTS[name]["dependencies"] if (need := Requirement(text)).name == "fer-bench"]
    major, minor, _ = map(int, PROJECTS["fer-bench"]["version"].split("."))
    assert core.specifier.contains(f"{major}.{minor}.0")
    assert not core.specifier.contains(f"{major}.{minor + 1}.0")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_commands_of_tox_with_few_rights_and_a_time_limit(file: Path):
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for command in commands_of(job):
            if command != "pip install tox tox-uv":
                environments = re.fullmatch(r"tox run(?:-parallel --parallel-live)? -e ([a-z,]+)(?: -- .*)?", command)
                assert environments, f"{file.name}: {command}"
                assert all(f"testenv:{name}" in tox for name in environments[1].split(",")), command


def test_ci_on_github_runs_what_the_own_ci_runs_on_the_oldest_and_the_newest_python():
    own = re.search(r"tox run.* -e .*", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]["tests"]
    assert own
    assert own[0] in commands_of(job)
    lowest, highest = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECTS["fer-bench"]["requires-python"]).groups()
    assert job["strategy"]["matrix"]["python"] == [f"3.{lowest}", f"3.{int(highest) - 1}"]


def test_contributors_are_told_of_every_environment_of_tox():
    sections = configparser.ConfigParser(interpolation=None)
    sections.read(ROOT / "tox.ini")
    environments = {name.removeprefix("testenv:") for name in sections.sections() if name.startswith("testenv:")}
    named = re.findall(r"[\w-]+", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert environments - set(named) == set()


def test_a_tag_of_another_version_publishes_nothing(tmp_path: Path):
    command = [sys.executable, "tests/check_packages.py", "--tag", "v9.8.7", "--output", str(tmp_path / "dist")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "v9.8.7" in done.stderr
    assert done.stderr.count(PROJECTS["fer-bench"]["version"]) == len(PROJECTS)
    assert not (tmp_path / "dist").exists()
