"""The lowest versions that are tested are those that the packages declare."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def _lowest(texts: Iterable[str]) -> dict[str, set[str]]:
    """Return package -> the lowest versions that requirements allow."""
    lowest: dict[str, set[str]] = {}
    for requirement in map(Requirement, texts):
        versions = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        if not requirement.name.startswith("fer-bench"):
            assert len(versions) == 1, f"{requirement} says no lowest version"
            lowest.setdefault(requirement.name.lower(), set()).update(versions)
    return lowest


def test_the_constraints_are_the_lowest_versions_declared():
    """Of what packages depend on, and of what only the core's extras need and the tests install."""
    files = [ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")]
    core, *plugins = (tomllib.loads(file.read_text(encoding="utf-8")) for file in files)
    declared = _lowest(chain(*(file["project"]["dependencies"] for file in [core, *plugins])))
    extras = _lowest(chain(*core["project"]["optional-dependencies"].values()))
    tested = _lowest(core["dependency-groups"]["test"])
    declared |= {name: extras[name] for name in (extras.keys() & tested.keys()) - declared.keys()}
    assert {name: versions for name, versions in declared.items() if len(versions) > 1} == {}
    expected = [f"{name}=={versions.pop()}" for name, versions in sorted(declared.items())]
    assert (ROOT / "tests" / "minimum.txt").read_text(encoding="utf-8").splitlines() == expected
