"""What makes two rows of one name different: other code, or another question."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeVar, cast

from fer_bench.results.canonical import Json, to_json
from fer_bench.results.outcomes import Provenance
from fer_bench.results.records import ComponentRecord, Experiment

ComponentT = TypeVar("ComponentT", bound=ComponentRecord)
CODE = {
    "version": "",
    "code_sha256": "",
    "data_sha256": "",
    "engine_sha256": "",
    "plan_sha256": "",
    "weights_sha256": None,
    "stages": (),
    "image_input": None,
}
"""Fields of a component's record that its plugin decides, and no user -> what stands there for none."""

DATA = frozenset({"fingerprint", "n", "samples_sha256", "classes"})
"""Fields of a data set's record that its images and labels decide."""

COMPONENTS = ("dataset", "backbone", "strategy")
WORDS = {
    "text": "",
    "code_sha256": "code",
    "cpu": "processor",
    "data_sha256": "files",
    "engine_sha256": "code of the core",
    "environment": "variables",
    "fingerprint": "images and labels",
    "ignores": "not kept apart",
    "image_input": "input",
    "jax": "settings of jax",
    "key": "key of hashed names",
    "memory_bytes": "memory",
    "n": "images",
    "pairs_of": "two folds left out of",
    "params": "parameters",
    "plan_sha256": "plan",
    "platform": "system",
    "samples_sha256": "ids of images",
    "splits_sha256": "images of each fold",
    "synthetic": "drawn by a program",
    "together": "trained at once",
    "trained_with": "also trains",
    "version": "package version",
    "weights_sha256": "weights",
    "xla_flags": "flags of XLA",
}
"""Fields of records and of their provenance -> what people call them, where that is another word."""
SHOWN = 40
"""Characters of a value that are shown."""
EXPLAINING = ("code", "python", "jax", "device", "cpu", "platform", "xla_flags", "environment", "distributions")
"""Parts of a provenance that may explain other predictions, the likeliest first. Cells say their settings and seeds;
the command and the memory of a machine explain none."""


def without_code(experiment: Experiment) -> Experiment:
    """Return an experiment without what the code of core and plugins decides.

    Of two for which it is the same, one is an older version.
    """
    dataset = _without_code(experiment.dataset)
    return replace(
        experiment,
        numerics=None,
        dataset=replace(dataset, trained_with=tuple(_without_code(other) for other in dataset.trained_with)),
        backbone=_without_code(experiment.backbone),
        strategy=_without_code(experiment.strategy),
    )


def _without_code(component: ComponentT) -> ComponentT:
    return replace(component, **{name: none for name, none in CODE.items() if hasattr(component, name)})


def explain(then: Experiment, now: Experiment) -> list[str]:
    """Return in words why a stored row is not the one that is asked for, each reason once; nothing if it is."""
    records = [{"numerics": experiment.numerics, **to_json(experiment)} for experiment in (then, now)]
    reasons: dict[str, None] = {}
    for name, old, new in differences(*records):
        part, _, path = name.partition(".")
        field = path.partition(".")[0]
        if then.numerics is None and (name == "numerics" or (part in COMPONENTS and field in CODE)):
            reasons["of an older format"] = None
        elif part in COMPONENTS and field in CODE:
            reasons[_changed(field, old, new, getattr(now, part))] = None
        elif part == "dataset" and field in DATA:
            reasons["other data"] = None
        else:
            reasons[f"{name.rpartition('.')[2]} {write_value(old, SHOWN)}, now {write_value(new, SHOWN)}"] = None
    return list(reasons)


def _changed(field: str, old: object, new: object, component: ComponentRecord) -> str:
    """Return what a plugin changed."""
    if field == "version":
        return f"{component.package} {old}, now {new}"
    if field == "plan_sha256":
        return f"plan of {component.name} changed"
    kinds = {"data_sha256": "files", "weights_sha256": "weights"}
    return f"{kinds.get(field, 'code')} of plugin {component.package} changed"


def write_value(value: object, longest: int | None = None) -> str:
    """Return a value of a record as text: the first 12 digits of a sha256, and at most ``longest`` characters."""
    text = "nothing" if value is None else str(value)
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:12]
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def flatten(value: object, prefix: str = "") -> dict[str, object]:
    """Return a nested record as dotted name -> value.

    Example:
        >>> flatten({"a": {"b": 1}, "c": 2})
        {'a.b': 1, 'c': 2}
    """
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    parts: dict[str, object] = {}
    for key, part in cast("dict[str, object]", value).items():
        parts |= flatten(part, f"{prefix}.{key}" if prefix else key)
    return parts


def differences(first: Json, second: Json) -> list[tuple[str, object, object]]:
    """Return (dotted name, first, second) of every field that differs, in the order of the first record."""
    a, b = flatten(first), flatten(second)
    return [
        (name, a.get(name), b.get(name)) for name in [*a, *(n for n in b if n not in a)] if a.get(name) != b.get(name)
    ]


def explain_by_provenance(then: Provenance, now: Provenance) -> list[tuple[str, object, object]]:
    """Return what `differences` does, part by part, of what may explain other predictions."""
    first, second = to_json(then), to_json(now)
    parts = (differences({part: first.get(part)}, {part: second.get(part)}) for part in EXPLAINING)
    return [difference for part in parts for difference in part]
