"""What plugin authors import does not change unseen: names and signatures are held against a file."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import os
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "public.txt"
PUBLIC = (
    "fer_bench",
    "fer_bench.errors",
    "fer_bench.labels",
    "fer_bench.specs",
    "fer_bench.hookspecs",
    "fer_bench.data.builder",
    "fer_bench.keeping.published",
    "fer_bench.tasks.splitting",
    "fer_bench.testing.conformance",
    "fer_bench.testing.layouts",
)
"""The modules whose public names are a promise; all others may change between any two versions."""
ADVICE = f"""The public interface has changed. If that is meant:
  - raise INTERFACE_VERSION in fer_bench/specs/params.py where a plugin that was written for the former one would break;
  - say so in CHANGELOG.md;
  - write the file anew: FER_BENCH_WRITE_GOLDEN=1 pytest {Path(__file__).name}, and commit it."""


def describe(module_name: str) -> Iterator[str]:
    """Yield one line for each public name of a module, and for each field and method of a class."""
    module = importlib.import_module(module_name)
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and (getattr(value, "__module__", None) == module_name or name.isupper() or isinstance(value, types.UnionType))
    ]
    for name in sorted(getattr(module, "__all__", own)):
        value, path = getattr(module, name), f"{module_name}.{name}"
        if inspect.isclass(value):
            yield f"class {path}({', '.join(base.__name__ for base in value.__bases__)})"
            yield from (f"    {line}" for line in _members(value))
        elif inspect.isfunction(value):
            yield f"def {path}{inspect.signature(value)}"
        elif isinstance(value, int) or (isinstance(value, str) and name.isupper()):
            yield f"{path} = {value!r}"
        elif isinstance(value, types.UnionType):
            yield f"{path} = {' | '.join(part.__name__ for part in value.__args__)}"
        else:
            yield path


def _members(value: type) -> Iterator[str]:
    defaults = {}
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.default is not dataclasses.MISSING:
                defaults[field.name] = f" = {field.default!r}"
            elif field.default_factory is not dataclasses.MISSING:
                defaults[field.name] = " = …"
    fields = getattr(value, "model_fields", {})
    defaults |= {name: f" = {field.default!r}" for name, field in fields.items() if not field.is_required()}
    for name, annotation in inspect.get_annotations(value).items():
        if not name.startswith("_") and name != "model_config":
            yield f"{name}: {annotation}{_stable(defaults.get(name, ''))}"
    for name, member in sorted(vars(value).items()):
        function: Any = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if inspect.isfunction(function) and not name.startswith("_"):
            yield f"{name}{inspect.signature(function)}"


def _stable(text: str) -> str:
    """Return a default in which a class is its name, without the module that defines it."""
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)


def test_the_public_interface_is_what_it_was():
    now = [line for module in PUBLIC for line in describe(module)]
    if os.environ.get("FER_BENCH_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text("\n".join(now) + "\n", encoding="utf-8")
    then = GOLDEN.read_text(encoding="utf-8").splitlines()
    changes = [
        line for line in difflib.unified_diff(then, now, lineterm="", n=0) if line[0] in "+-" and line[1] not in "+-"
    ]
    assert not changes, "\n".join([ADVICE, "", *changes])


@pytest.mark.parametrize(
    "line",
    [
        "class fer_bench.specs.BackboneSpec(object)",
        "    image_input: ImageInput = ImageInput(channels=3, value_range=(-1.0, 1.0), resize='linear')",
        "    input_size: int = 224",
        "def fer_bench.hookspecs.fer_bench_run_end(ok: 'int', failed: 'int', runs_dir: 'Path') -> 'None'",
        "    read(self, root: 'Path | None', faults: 'Faults') -> 'Iterator[Sample]'",
        "fer_bench.specs.INTERFACE_VERSION = 1",
    ],
)
def test_names_fields_defaults_and_signatures_are_held(line):
    assert line in GOLDEN.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "package",
    ["fer_bench", *(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/fer_bench_*/__init__.py"))],
)
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()
