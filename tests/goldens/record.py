"""What a golden is: a named function of small fixed inputs, whose numbers a file keeps."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "goldens.json"
DIGITS = 6
"""Significant digits that the file keeps."""

Values = Mapping[str, Any]
"""Name -> a list of numbers, which may differ by the tolerance, or texts and whole numbers, which may not."""


@dataclass(frozen=True)
class Golden:
    """A golden.

    Attributes:
        function: computes the values; it may write into the folder that it is given.
        tolerance: largest difference of a floating-point number, as a share of the largest number beside it.
        needs: a package and the versions of it that give these numbers; empty if all do.
    """

    function: Callable[[Path], Values]
    tolerance: float
    needs: str


GOLDENS: dict[str, Golden] = {}


def golden(tolerance: float = 0.0, needs: str = "") -> Callable[[Callable[[Path], Values]], Callable[[Path], Values]]:
    """Return a decorator that adds a function of a module ``of_<area>`` to `GOLDENS`, as ``<area>.<its name>``."""

    def add(function: Callable[[Path], Values]) -> Callable[[Path], Values]:
        area = function.__module__.rpartition("of_")[2]
        GOLDENS[f"{area}.{function.__name__}"] = Golden(function, tolerance, needs)
        return function

    return add


def summary(array: Any) -> list[float]:
    """Return mean, root mean square and two weighted means of an array, which tell in which order its numbers lie."""
    x = np.asarray(array, np.float64).ravel()
    at = np.arange(1, len(x) + 1)
    numbers = [x.mean(), np.sqrt((x**2).mean()), (x * np.cos(at)).mean() * 2, (x * np.sin(0.37 * at)).mean() * 2]
    return [float(f"{number:.{DIGITS}g}") for number in numbers]


def rounded(array: Any) -> list[float]:
    """Return the numbers of an array as the file keeps them."""
    return [float(f"{number:.{DIGITS}g}") for number in np.asarray(array, np.float64).ravel()]


def find(name: str) -> Golden:
    """Return a golden by its name."""
    importlib.import_module(f"goldens.of_{name.partition('.')[0]}")
    return GOLDENS[name]


def compute(name: str, folder: Path) -> dict[str, Any]:
    """Return tolerance and values of a golden as the file gives them."""
    golden = find(name)
    return json.loads(json.dumps({"tolerance": golden.tolerance, "values": golden.function(folder)}))


def differences(then: Values, now: Values, tolerance: float) -> list[str]:
    """Return one line for each value that is another than it was."""
    lines = [f"{name}: is gone" for name in then if name not in now]
    lines += [f"{name}: is new" for name in now if name not in then]
    for name in then:
        if name in now and not _same(then[name], now[name], tolerance):
            lines.append(f"{name}: was {then[name]}, is {now[name]}")
    return lines


def _same(then: Any, now: Any, tolerance: float) -> bool:
    if not (isinstance(then, list) and any(isinstance(number, float) for number in then)):
        return then == now
    if not isinstance(now, list) or len(now) != len(then):
        return False
    return bool(np.abs(np.subtract(then, now)).max() <= tolerance * np.abs(then).max())


def read() -> dict[str, Any]:
    """Return the content of the file: ``numerics``, and under ``goldens`` tolerance and values of each."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"numerics": 0, "goldens": {}}


def write(numerics: int, goldens: Mapping[str, Any]) -> None:
    """Write the file, a line a value, so that a change is easy to read."""
    lines = [f'{{\n  "numerics": {numerics},\n  "goldens": {{']
    for number, (name, entry) in enumerate(sorted(goldens.items())):
        lines.append(f'    "{name}": {{\n      "tolerance": {json.dumps(entry["tolerance"])},\n      "values": {{')
        values = [f"        {json.dumps(key)}: {json.dumps(value)}" for key, value in entry["values"].items()]
        lines.append(",\n".join(values))
        lines.append("      }\n    }" + ("," if number + 1 < len(goldens) else ""))
    FILE.write_text("\n".join([*lines, "  }\n}"]) + "\n", encoding="utf-8")
