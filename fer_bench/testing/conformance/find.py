"""From a name to the rules that it has to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

from fer_bench import paths
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.plugins import Kind, Plugin
from fer_bench.registry import Component, Registry
from fer_bench.specs import BackboneSpec
from fer_bench.testing.conformance.rules import Case, Finding, Suite


def find_suites(
    name: str,
    *,
    registry: Registry | None = None,
    data_dir: Path | None = None,
    write: Callable[[Path], object] | None = None,
) -> list[Suite[Any]]:
    """Return the rules for a plugin and everything that it brings, or for one item.

    Args:
        name: of a plugin as in ``fer-bench plugins list``, or of an item with or without parameters, as in
            ``xception[input_size=71]``.
        registry: of the plugins; all that are installed if not given.
        data_dir: where data sets lie; the user's own folder if not given.
        write: writes a small copy of a data set to a folder, which is checked instead of the data in ``data_dir``.

    Raises:
        FerBenchError: neither a plugin nor an item has this name, or a parameter is wrong.
    """
    registry = registry or Registry.load()
    folder = data_dir or paths.data_dir()
    for plugin in registry.plugins:
        if plugin.name == name:
            items = [registry.find(kind, f"{plugin.distribution}/{item.name}") for kind, item in plugin.items]
            return [
                _of_plugin(plugin),
                *(
                    _of_item(kind, item, registry, folder, write)
                    for (kind, _), item in zip(plugin.items, items, strict=True)
                ),
            ]
    components = list(_components(registry, name))
    if not components:
        names = {plugin.name for plugin in registry.plugins}
        names |= {item.name for plugin in registry.plugins for _, item in plugin.items}
        raise FerBenchError(
            f"No plugin, data set, protocol, backbone, strategy, metric or executor is called {name!r}. "
            f"{did_you_mean(name, names)}"
        )
    return [_of_item(kind, component, registry, folder, write) for kind, component in components]


def cases(name: str, *, data_dir: Path | None = None, write: Callable[[Path], object] | None = None) -> list[Case]:
    """Return a case for each rule, to be checked by a parametrised test.

    Args:
        name: of a plugin or an item, as `find_suites` takes it.
        data_dir: where data sets lie.
        write: writes a small copy of a data set to a folder.

    Example::

        @pytest.mark.parametrize("case", cases("my-net[input_size=32]"), ids=str)
        def test_keeps_the_rules(case):
            case.check()
    """
    return [case for suite in find_suites(name, data_dir=data_dir, write=write) for case in suite.cases()]


def check(name: str, *, data_dir: Path | None = None, write: Callable[[Path], object] | None = None) -> list[Finding]:
    """Return the findings of every rule for a plugin or an item; see `find_suites`."""
    return [case.run() for case in cases(name, data_dir=data_dir, write=write)]


def _components(registry: Registry, text: str) -> Iterator[tuple[Kind, Component[Any]]]:
    """Yield every item that ``text`` names, of all kinds."""
    name = text.partition("[")[0].strip()
    for kind in cast("tuple[Kind, ...]", get_args(Kind)):
        for unique, plugin, item in registry.specs(kind):
            is_named = isinstance(item, BackboneSpec) and item.named_by and name.startswith(f"{item.name}-")
            if is_named or name in (unique, item.name, f"{plugin.distribution}/{item.name}"):
                yield kind, registry.find(kind, text)
                break


def _of_plugin(plugin: Plugin) -> Suite[Plugin]:
    from fer_bench.testing.conformance.plugin import RULES

    return Suite(plugin.name, "plugin", plugin.name, plugin, RULES)


def _of_item(
    kind: Kind,
    component: Component[Any],
    registry: Registry,
    data_dir: Path,
    write: Callable[[Path], object] | None,
) -> Suite[Any]:
    # Each kind imports what it needs: a data set is checked without flax, a failed plugin without jax.
    if kind == "backbone":
        from fer_bench.testing.conformance import backbone, backbone_subject, extractor

        subject = backbone_subject.BackboneSubject(component)
        rules = extractor.RULES if component.spec.frozen_only else backbone.RULES
    elif kind == "dataset":
        from fer_bench.testing.conformance import dataset

        subject, rules = dataset.DatasetSubject(component, data_dir, write), dataset.RULES
    elif kind == "protocol":
        from fer_bench.testing.conformance import protocol

        subject, rules = protocol.ProtocolSubject(component, registry), protocol.RULES
    elif kind == "metric":
        from fer_bench.testing.conformance import metric

        subject, rules = component, metric.RULES
    elif kind == "executor":
        from fer_bench.testing.conformance import executor

        subject, rules = component, executor.RULES
    else:
        from fer_bench.testing.conformance import strategy

        subject, rules = strategy.StrategySubject(component), strategy.RULES
    return Suite(component.plugin.name, kind, str(component), cast("Any", subject), cast("Any", rules))
