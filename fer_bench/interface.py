"""The version of the interface that a plugin was written for, read without importing it.

A plugin says it as ``FER_BENCH_INTERFACE = 1`` at the top level of the module that its entry point names; without it,
version 1. A plugin for a later version may import names that are not there yet, so the source is read, not the module.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from fer_bench.specs import INTERFACE_VERSION
from fer_bench.syntax import parse

CONSTANT = "FER_BENCH_INTERFACE"


def declared_version(module: str) -> int:
    """Return the version that the module called ``module`` declares.

    Raises:
        TypeError: it declares something else than a whole number.
        ImportError: a package above it cannot be imported.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return 1
    for statement in parse(Path(spec.origin).read_bytes()).body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign):
            targets, value = [statement.target], statement.value
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == CONSTANT for target in targets):
            version = value.value if isinstance(value, ast.Constant) else None
            if type(version) is not int:
                raise TypeError(f"{CONSTANT} in {module!r} is not a whole number such as {INTERFACE_VERSION}")
            return version
    return 1


def mismatch(version: int) -> str:
    """Return in words why a plugin for ``version`` does not fit this host, or nothing where it does."""
    if version > INTERFACE_VERSION:
        advice = "upgrade fer-bench"
    elif version < INTERFACE_VERSION:
        advice = "upgrade the plugin"
    else:
        return ""
    return f"needs version {version} of the plugin interface; this fer-bench has {INTERFACE_VERSION}: {advice}"
