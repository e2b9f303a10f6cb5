from __future__ import annotations

import contextlib
import random

import pytest
from messages import says

from fer_bench.errors import FerBenchError, PluginError
from fer_bench.registry import Registry
from fer_bench.specs import StrategyParams

CODE = """
    from typing import Literal
    from fer_bench import hookimpl
    from fer_bench.specs import Params, StrategySpec
    from pydantic import Field

    class P(Params):
        rate: float = Field(0.1, gt=0)
        stages: tuple[str, ...] = ()
        mode: Literal["fast", "slow"] = "fast"
        note: str = ""
        stage: str | int = -2

    @hookimpl
    def fer_bench_strategies():
        return [StrategySpec(name="tune", summary="", plan="MODULE:plan", params=P)]
"""


@pytest.fixture
def registry(write_plugin):
    write_plugin("alpha", CODE)
    return Registry.load()


def test_parameters_are_parsed_checked_and_printed_canonically(registry):
    component = registry.strategy(" tune[ rate=0.5, stages=[b1, b2],note='a, b [c]' ] ")
    assert component.params.model_dump() == {
        "rate": 0.5,
        "stages": ("b1", "b2"),
        "mode": "fast",
        "note": "a, b [c]",
        "stage": -2,
        "calibrate": "none",
        "views": "image",
        "aggregate": "none",
    }
    assert str(component) == 'tune[note="a, b [c]",rate=0.5,stages=["b1", "b2"]]'
    assert registry.strategy(str(component)).params == component.params
    assert str(registry.strategy("tune[rate=0.1]")) == "tune"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tuen", ("strategy 'tuen'", "'tune'?")),
        ("tune[raet=1]", ("parameter 'raet'", "'rate'?")),
        ("tune[rate=-1]", ("rate: ", "0", "got -1")),
        ("tune[rate=fast]", ("rate: ", "number", "got 'fast'")),
        ("tune[mode=medium]", ("mode: ", "'fast' or 'slow'", "got 'medium'")),
        ("tune[rate]", ("Cannot read 'rate'",)),
        ("tune[rate=1,rate=2]", ("given twice",)),
        ("tune[rate=1", ("Cannot read strategy 'tune[rate=1'",)),
        ("tune[rate={]", ("Cannot read", "'rate'")),
        ("tune[rate=!!float x]", ("Cannot read", "'rate'")),
        ("tune[rate=&a 1]", ("Cannot read", "'rate'")),
        ("tune[stages=[[[[[a]]]]]]", ("Cannot read", "'stages'")),
        ("tune[stages=" + "[" * 1000 + "]" * 1000 + "]", ("Cannot read", "'stages'")),
        ("tune[note='open]", ("Cannot read", "'note'")),
        ("tune[stages=[a,b]", ("Cannot read",)),
        ("tune[stages=[a b][c]]", ("Cannot read",)),
        ("tune[rate=" + "9" * 5000 + "]", ("5,011 characters",)),
        ("tune[" + "," * 30_000 + "]", ("characters",)),
        ("tune[" + "," * 3000 + "]", ("expected param=value",)),
        ("tune[rate=2024-01-01]", ("rate: ", "number")),
        ("tune[rate=1,]", ("comma",)),
        ("tune[rate=null]", ("rate: ", "number", "got None")),
    ],
)
def test_what_a_user_types_wrong_is_named(registry, text, parts):
    with pytest.raises(FerBenchError) as caught:
        registry.strategy(text)
    assert says(str(caught.value), *parts)


@pytest.mark.parametrize(
    ("typed", "note"),
    [
        ("2024", "2024"), ("no", "no"), ("1e3", "1e3"), ("0x1F", "0x1F"), ("null", "null"), ("true", "true"),
        ("2024-01-01", "2024-01-01"), ("two words", "two words"), ("'it''s, [so]'", "it's, [so]"), ('"\\u00e9"', "é"),
        ("", ""), ("\'7\'", "7"), ("x:y b.csv", "x:y b.csv"), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_a_parameter_decides_of_which_type_a_word_is(registry, typed, note):
    component = registry.strategy(f"tune[note={typed},rate=2]")
    own = component.params.model_dump(exclude=set(StrategyParams.model_fields))
    assert own == {"rate": 2.0, "stages": (), "mode": "fast", "note": note, "stage": -2}
    assert registry.strategy(str(component)).params == component.params


@pytest.mark.parametrize(("typed", "stage"), [("-3", -3), ("block1", "block1"), ("'-3'", "-3")])
def test_a_parameter_that_takes_both_gets_a_number_where_one_is_spelled(registry, typed, stage):
    component = registry.strategy(f"tune[stage={typed}]")
    assert component.params.stage == stage
    assert registry.strategy(str(component)).params == component.params


def test_what_is_written_is_read_back(registry):
    draw = random.Random(0)
    for _ in range(200):
        note, *stages = ("".join(draw.choices("[]',=\"ab1é \nnul", k=draw.randrange(9))) for _ in range(3))
        component = registry.strategy("tune").with_values({"note": note, "stages": stages})
        assert registry.strategy(str(component)).params == component.params


def test_any_text_is_read_or_refused_in_words(registry):
    draw, refused = random.Random(1), 0
    for _ in range(500):
        text = "tune[" + "".join(draw.choices(["[", "]", "'", '"', ",", "=", "note", "stages", "b1", " "], k=8)) + "]"
        with contextlib.suppress(FerBenchError):
            registry.strategy(text)
            refused -= 1
        refused += 1
    assert refused > 400


def test_all_wrong_values_are_reported_at_once(registry):
    with pytest.raises(FerBenchError) as caught:
        registry.strategy("tune[rate=0,mode=x]")
    assert "rate:" in str(caught.value)
    assert "mode:" in str(caught.value)


def test_a_name_that_two_packages_bring_must_be_qualified(write_plugin):
    write_plugin("alpha", CODE)
    write_plugin("beta", CODE)
    registry = Registry.load()
    assert registry.strategy("beta/tune").plugin.name == "beta"
    with pytest.raises(FerBenchError, match=r"strategy 'tune'.*alpha/tune.*beta/tune"):
        registry.strategy("tune")
    assert [name for name, _, _ in registry.specs("strategy")] == ["alpha/tune", "beta/tune"]


def test_an_unknown_name_mentions_broken_plugins(write_plugin):
    write_plugin("bad", "1 / 0")
    with pytest.raises(FerBenchError, match=r"backbone 'net'.*\bbad\b"):
        Registry.load().backbone("net")


def test_a_reference_that_cannot_be_imported_names_the_plugin(registry):
    component = registry.strategy("tune")
    with pytest.raises(PluginError, match=r"'alpha'.*'MODULE:plan'.*'tune'.*ModuleNotFoundError"):
        component.resolve(component.spec.plan)
    with pytest.raises(PluginError, match="ValueError"):
        component.resolve("no-colon")
