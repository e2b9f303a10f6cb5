"""The numbers of every module that moves a prediction, and that a change of each such module is seen.

They keep `fer_bench.numerics.NUMERICS` honest, which stands for the core's code in the identity of a cell.
"""

from __future__ import annotations

import dataclasses
import os
from importlib.metadata import version
from typing import Any

import pytest
from goldens import record
from goldens.mutating import Mutation, mutated
from goldens.mutations import MUTATIONS
from goldens.table import HELD, MOVES_NOTHING, goldens, modules
from packaging.requirements import Requirement

from fer_bench.numerics import NUMERICS
from fer_bench.specs import GradientPhase

ADVICE = """The core gives other numbers than it did. Either correct the change, or, if the numbers are meant:
  - raise NUMERICS in fer_bench/numerics.py and say why in CHANGELOG.md;
  - write the file anew: FER_BENCH_WRITE_GOLDEN=1 pytest tests/goldens, and commit it."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    then = record.read()
    if os.environ.get("FER_BENCH_WRITE_GOLDEN"):
        now = {name: record.compute(name, tmp_path_factory.mktemp("golden")) for name in goldens()}
        record.write(NUMERICS, renewed(then, now, NUMERICS))
    return record.read()


def renewed(then: dict[str, Any], now: dict[str, Any], numerics: int) -> dict[str, Any]:
    """Return what is to be stored: under the same version, what is stored already stays and only new goldens come in.

    Raises:
        ValueError: a stored golden is another now, under the same version.
    """
    if then["numerics"] != numerics:
        return now
    kept = {name: entry["values"] for name, entry in then["goldens"].items() if name in now}
    changed = [name for name in kept if changes(then["goldens"][name], now[name])]
    if changed:
        raise ValueError(f"NUMERICS is still {numerics}, but these goldens changed: {', '.join(changed)}")
    return {**now, **{name: {**now[name], "values": values} for name, values in kept.items()}}


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return record.differences(then["values"], now["values"], then["tolerance"])


@pytest.mark.parametrize("name", goldens())
def test_the_numbers_are_what_they_were(name, stored, tmp_path):
    assert name in stored["goldens"], f"{name} is not in {record.FILE.name}.\n{ADVICE}"
    if needs := record.find(name).needs:
        needed = Requirement(needs)
        if version(needed.name) not in needed.specifier:
            pytest.skip(f"these numbers need {needs}; here is {version(needed.name)}")
    now = record.compute(name, tmp_path)
    found = changes(stored["goldens"][name], now)
    assert not found, "\n".join([f"{name} has changed.", ADVICE, "", *found])
    assert now["tolerance"] == stored["goldens"][name]["tolerance"]


def test_the_file_belongs_to_this_version_and_holds_these_goldens(stored):
    assert stored["numerics"] == NUMERICS, ADVICE
    assert sorted(stored["goldens"]) == goldens()


def chosen() -> list[Mutation]:
    """Return one mutation for each module, and one for each golden that those do not try."""
    of_modules = {mutation.module: mutation for mutation in reversed(MUTATIONS)}.values()
    tried = {mutation.golden for mutation in of_modules}
    of_goldens = {mutation.golden: mutation for mutation in reversed(MUTATIONS) if mutation.golden not in tried}
    return [*of_modules, *of_goldens.values()]


ALL = pytest.mark.skipif("FER_BENCH_TEST_ALL" not in os.environ, reason="'tox run -e exhaustive' tries all")


@pytest.mark.parametrize(
    "mutation", [one if one in chosen() else pytest.param(one, marks=ALL) for one in MUTATIONS], ids=str
)
def test_a_change_of_behaviour_fails_its_golden(mutation: Mutation, stored, tmp_path):
    with mutated(mutation) as changed_record:
        now = changed_record.compute(mutation.golden, tmp_path)
    assert changes(stored["goldens"][mutation.golden], now)


def test_every_module_has_a_golden_or_a_reason_to_have_none():
    named = [*HELD, *MOVES_NOTHING]
    assert len(named) == len(set(named))
    assert modules() | {"labels"} == set(named)


def test_every_mutation_changes_a_text_of_its_module():
    for mutation in MUTATIONS:
        compile(mutation.apply(), str(mutation.path), "exec")


def test_every_module_and_golden_has_a_mutation():
    tried = {(mutation.module, mutation.golden) for mutation in MUTATIONS}
    for module, names in HELD.items():
        assert any((module, name) in tried for name in names), module
    assert {name for _, name in tried} == set(goldens())
    assert all(golden in HELD[module] for module, golden in tried)


def test_every_option_of_a_gradient_phase_has_a_golden():
    from goldens.of_learning import PHASES

    usual = {field.name: field.default for field in dataclasses.fields(GradientPhase)}
    for name, default in usual.items():
        assert any(getattr(phase, name) != default for phase in PHASES.values()), name
    assert {name for phase in PHASES.values() for name in phase.augment} == {"affine", "colour", "erase"}


@pytest.mark.parametrize(
    ("then", "now", "tolerance", "differ"),
    [
        ([1.0, 2.0], [1.0, 2.01], 0.01, False),
        ([1.0, 2.0], [1.0, 2.03], 0.01, True),
        ([1.0, 2.0], [1.0], 0.01, True),
        ([1, 2], [1, 3], 9.0, True),
        (["a", None], ["a", "b"], 9.0, True),
        ([0.0, 1.0], [0.0, float("nan")], 9.0, True),
    ],
)
def test_numbers_differ_by_more_than_their_tolerance_and_texts_at_all(then, now, tolerance, differ):
    assert bool(record.differences({"x": then}, {"x": now}, tolerance)) == differ


def test_the_file_is_not_written_anew_under_the_same_version():
    def entry(number: float) -> dict[str, Any]:
        return {"tolerance": 0.1, "values": {"x": [number]}}

    then = {"numerics": 3, "goldens": {"a": entry(1.0), "gone": entry(1.0)}}
    assert renewed(then, {"a": entry(1.05), "b": entry(2.0)}, 3) == {"a": entry(1.0), "b": entry(2.0)}
    assert renewed(then, {"a": entry(5.0)}, 4) == {"a": entry(5.0)}
    with pytest.raises(ValueError, match=r"still 3.*: a$"):
        renewed(then, {"a": entry(5.0)}, 3)
