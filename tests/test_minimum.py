"""The lowest versions that are tested are those that the packages declare."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def test_the_constraints_are_the_lowest_versions_declared():
    declared: dict[str, set[str]] = {}
    for file in [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]:
        for text in tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]:
            requirement = Requirement(text)
            lowest = [part.version for part in requirement.specifier if part.operator == ">="]
            if not requirement.name.startswith("fer-bench"):
                assert len(lowest) == 1, f"{file.parent.name}: {text!r} says no lowest version"
                declared.setdefault(requirement.name.lower(), set()).update(lowest)
    assert {name: versions for name, versions in declared.items() if len(versions) > 1} == {}
    expected = [f"{name}=={versions.pop()}" for name, versions in sorted(declared.items())]
    assert (ROOT / "tests" / "minimum.txt").read_text(encoding="utf-8").splitlines() == expected
