from __future__ import annotations

import pytest

from fer_bench.errors import FerBenchError, PluginError
from fer_bench.registry import Registry

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
    assert component.params.model_dump() == {"rate": 0.5, "stages": ("b1", "b2"), "mode": "fast", "note": "a, b [c]"}
    assert str(component) == 'tune[note="a, b [c]",rate=0.5,stages=["b1", "b2"]]'
    assert registry.strategy(str(component)).params == component.params
    assert str(registry.strategy("tune[rate=0.1]")) == "tune"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tuen", "Unknown strategy 'tuen'. Did you mean 'tune'?"),
        ("tune[raet=1]", "no parameter 'raet'. Did you mean 'rate'?"),
        ("tune[rate=-1]", "rate: Input should be greater than 0, got -1"),
        ("tune[rate=fast]", "rate: Input should be a valid number"),
        ("tune[mode=medium]", "mode: Input should be 'fast' or 'slow', got 'medium'"),
        ("tune[rate]", "Cannot read 'rate'"),
        ("tune[rate=1,rate=2]", "given twice"),
        ("tune[rate=1", "Cannot read strategy 'tune[rate=1'"),
        ("tune[rate={]", "Cannot read the value of 'rate'"),
    ],
)
def test_what_a_user_types_wrong_is_named(registry, text, message):
    with pytest.raises(FerBenchError) as caught:
        registry.strategy(text)
    assert message in str(caught.value)


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
