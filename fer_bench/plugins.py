"""Discover plugins, load each in isolation, and say of each what it brings or why it failed.

The only module that uses pluggy's manager. A broken plugin becomes a `Plugin` with its error; the others keep working.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pluggy
from pydantic import ConfigDict, TypeAdapter

from fer_bench import builtin, hookspecs
from fer_bench.about import OWN_PACKAGES, PROJECT, __version__
from fer_bench.containment import contained, watched
from fer_bench.errors import FerBenchError, PluginError, did_you_mean
from fer_bench.interface import declared_version, mismatch
from fer_bench.specs import (
    INTERFACE_VERSION,
    BackboneSpec,
    DatasetSpec,
    ExecutorSpec,
    MetricSpec,
    ProtocolSpec,
    StrategySpec,
)

Kind = Literal["dataset", "protocol", "backbone", "strategy", "metric", "executor"]
Item = DatasetSpec | ProtocolSpec | BackboneSpec | StrategySpec | MetricSpec | ExecutorSpec

ITEM_HOOKS: Mapping[str, tuple[Kind, type[Item]]] = {
    "fer_bench_datasets": ("dataset", DatasetSpec),
    "fer_bench_protocols": ("protocol", ProtocolSpec),
    "fer_bench_backbones": ("backbone", BackboneSpec),
    "fer_bench_strategies": ("strategy", StrategySpec),
    "fer_bench_metrics": ("metric", MetricSpec),
    "fer_bench_executors": ("executor", ExecutorSpec),
}
"""Hook -> the kind of item it returns and the item's class; the other hooks are events."""

CORE = "fer-bench"
"""Name and distribution of the plugin that fer-bench itself is; `SELECT_VARIABLE` does not turn it off."""
SELECT_VARIABLE = "FER_BENCH_PLUGINS"
ITEM_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PLUGIN_NAME = re.compile(r"[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*")
_ANY = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))
METRIC_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One installed plugin: what it brings, or why it does not work.

    Attributes:
        name: of its entry point.
        distribution: the installed package, and its ``version``.
        hooks: names of the hooks it implements.
        items: (kind, spec) of everything it brings.
        status: ``ok``, ``failed`` or ``off`` (not selected by ``FER_BENCH_PLUGINS``).
        error: why it failed; empty otherwise.
        module: that its entry point names.
        interface: the version of the interface that it was written for.
        notes: what loading it did to the process, such as printing; see `fer_bench.containment`.
    """

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    items: tuple[tuple[Kind, Item], ...] = ()
    status: Literal["ok", "failed", "off"] = "ok"
    error: str = ""
    module: str = ""
    interface: int = INTERFACE_VERSION
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plugins:
    """All installed plugins, and the event hooks of those that work."""

    all: tuple[Plugin, ...]
    manager: pluggy.PluginManager

    def __iter__(self) -> Iterator[Plugin]:
        return iter(self.all)

    def listen(self, listener: object, name: str) -> None:
        """Tell an object of events that has methods marked as `hookimpl`; messages about it call it ``name``."""
        self.manager.register(listener, name)

    def ask(self, hook: str, **arguments: object) -> object:
        """Return the first answer of a working plugin to a hook that is not None, or None.

        Raises:
            FerBenchError: a plugin raised one, for the user to read.
            PluginError: a plugin raised something else.
        """
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                with contained():
                    answer = implementation.function(**{name: arguments[name] for name in implementation.argnames})
            except (FerBenchError, KeyboardInterrupt):
                raise
            except BaseException as error:  # a panic of native code is no Exception
                raise PluginError(
                    f"Plugin {implementation.plugin_name!r} failed in {hook}: {_describe(error)}"
                ) from error
            if answer is not None:
                return answer
        return None

    def notify(self, hook: str, **arguments: object) -> list[str]:
        """Call an event hook on every working plugin; return a message for each that raised, and for what it did.

        A reporter must never end a run, so its errors are returned, not raised; what it prints must not reach stdout.
        """
        errors: list[str] = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            accepted = {name: arguments[name] for name in implementation.argnames}
            notes: list[str] = []
            try:
                with contained() as notes:
                    implementation.function(**accepted)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a panic of native code is no Exception
                errors.append(f"plugin {implementation.plugin_name!r} failed in {hook}: {_describe(error)}")
            errors += [f"plugin {implementation.plugin_name!r} in {hook}: {note}" for note in notes]
        return errors


def load_plugins() -> Plugins:
    """Load what fer-bench itself brings, and every plugin of the entry-point group ``fer_bench``, each in isolation.

    Raises:
        FerBenchError: ``FER_BENCH_PLUGINS`` names a plugin that is not installed.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    entry_points = _discover()
    selected = _selection(name for name, _ in entry_points)
    plugins = [_core(manager)]
    for name, entry_point in entry_points:
        package = entry_point.dist
        plugin = Plugin(
            name=name,
            distribution=package.name if package else "",
            version=package.version if package else "",
            module=entry_point.module,
        )
        first = next((other for other in plugins if other.name == name), None)
        if selected is not None and name not in selected:
            plugin = replace(plugin, status="off")
        elif first is not None:
            error = f"a plugin {name!r} from {first.distribution!r} is loaded already"
            plugin = replace(plugin, status="failed", error=error)
        else:
            plugin = _load(manager, plugin, entry_point)
        plugins.append(plugin)
    return Plugins(tuple(plugins), manager)


def _core(manager: pluggy.PluginManager) -> Plugin:
    """Return what fer-bench itself brings, by the same hooks as any other plugin."""
    hooks = _register(manager, CORE, builtin)
    items = _items(builtin, hooks)
    return Plugin(
        name=CORE, distribution=CORE, version=__version__, hooks=hooks, items=items, module="fer_bench.builtin"
    )


def _load(manager: pluggy.PluginManager, plugin: Plugin, entry_point: importlib.metadata.EntryPoint) -> Plugin:
    """Return ``plugin`` with what it brings, or with its error; a failed one leaves nothing in ``manager``."""
    # Broad on purpose: an entry point runs foreign code, and even SystemExit must not end the host.
    with watched() as notes:
        try:
            plugin = replace(plugin, interface=declared_version(plugin.module))
            if (wrong := mismatch(plugin.interface)) or (wrong := _wrong_name(plugin.name)):
                return replace(plugin, status="failed", error=wrong)
            module = entry_point.load()
            hooks = _register(manager, plugin.name, module)
            plugin = replace(plugin, hooks=hooks, items=_items(module, hooks))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of native code is no Exception
            if manager.has_plugin(plugin.name):
                manager.unregister(name=plugin.name)
            plugin = replace(plugin, status="failed", error=_describe(error))
    return replace(plugin, notes=tuple(notes))


def _wrong_name(name: str) -> str:
    if PLUGIN_NAME.fullmatch(name):
        return ""
    return f"its entry point is named {name!r}; a name is letters and digits, joined by '-', '_' or '.'"


def installed() -> Iterator[tuple[str, str]]:
    """Yield name and version of each installed distribution; of a version that is not known, an empty text.

    What was half removed has no metadata: Python gives empty ones, and the package ``importlib_metadata``, which takes
    Python's place once any library imports it, raises.
    """
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(FileNotFoundError):
            metadata = distribution.metadata
            if metadata["Name"]:
                yield str(metadata["Name"]), str(metadata["Version"] or "")


def _discover() -> list[tuple[str, importlib.metadata.EntryPoint]]:
    """Return (name, entry point) of the group in an order that does not depend on ``sys.path``.

    Of two of one name the first is loaded, so those of fer-bench's own packages come first: nothing may displace them.
    """
    entry_points = [
        (entry_point.name, entry_point)
        for distribution in importlib.metadata.distributions()
        for entry_point in distribution.entry_points
        if entry_point.group == PROJECT
    ]
    unique = {(name, ep.value, ep.dist.name if ep.dist else ""): (name, ep) for name, ep in entry_points}
    return [unique[key] for key in sorted(unique, key=lambda key: (key[0], key[2] not in OWN_PACKAGES, key))]


def _selection(available: Iterable[str]) -> set[str] | None:
    """Return the names in ``FER_BENCH_PLUGINS``, or None if it is not set."""
    text = os.environ.get(SELECT_VARIABLE)
    if text is None:
        return None
    names = {name.strip() for name in text.split(",") if name.strip()}
    available = set(available)
    for name in sorted(names - available):
        raise FerBenchError(
            f"{SELECT_VARIABLE} names a plugin {name!r} that is not installed. {did_you_mean(name, available)}"
        )
    return names


def _register(manager: pluggy.PluginManager, name: str, module: object) -> tuple[str, ...]:
    """Register a plugin and return the names of its hooks; raise if any of them is not what the host expects."""
    declared = {hook for hook in vars(hookspecs) if hook.startswith(f"{PROJECT}_")}
    for attribute, value in inspect.getmembers(module):
        if not attribute.startswith(f"{PROJECT}_") or not callable(value):
            continue
        if not hasattr(value, f"{PROJECT}_impl"):
            raise TypeError(f"function {attribute!r} is not decorated with @fer_bench.hookimpl")
    manager.register(module, name)
    hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or []))
    for hook in hooks:
        if hook not in declared:
            raise TypeError(f"{hook!r} is not a hook of fer-bench. {did_you_mean(hook, declared)}")
    if not hooks:
        raise TypeError(
            f"{getattr(module, '__name__', module)!r} implements no hook of fer-bench: {', '.join(sorted(declared))}"
        )
    return hooks


def _items(module: object, hooks: Iterable[str]) -> tuple[tuple[Kind, Item], ...]:
    """Call the plugin's item hooks and check what they return."""
    items: list[tuple[Kind, Item]] = []
    for hook in hooks:
        if hook not in ITEM_HOOKS:
            continue
        kind, expected = ITEM_HOOKS[hook]
        function: Callable[[], object] = getattr(module, hook)
        returned = function()
        if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
            raise TypeError(f"{hook} returned {type(returned).__name__}, expected an iterable of {expected.__name__}")
        for item in returned:
            if not isinstance(item, expected):
                raise TypeError(f"{hook} returned an item of type {type(item).__name__}, expected {expected.__name__}")
            form, joint = (METRIC_NAME, "_") if kind == "metric" else (ITEM_NAME, "-")
            if not form.fullmatch(item.name):
                raise ValueError(
                    f"{hook} returned a {kind} named {item.name!r}; "
                    f"a name is lower-case letters and digits, in words joined by {joint!r}"
                )
            if isinstance(item, BackboneSpec) and (odd := [stage for stage in item.stages if not stage.isidentifier()]):
                raise ValueError(f"backbone {item.name!r} has stages that are not Python identifiers: {odd}")
            _check_defaults(kind, item)
            if any((kind, item.name) == (other_kind, other.name) for other_kind, other in items):
                raise ValueError(f"{hook} returned two items named {item.name!r}")
            items.append((kind, item))
    return tuple(items)


def _check_defaults(kind: Kind, item: Item) -> None:
    """Raise ValueError unless all parameters of an item have defaults that are plain JSON, as cells store them."""
    for name, field in item.params.model_fields.items():
        if field.is_required():
            raise ValueError(f"{kind} {item.name!r}: parameter {name!r} has no default; give it one")
        default = field.get_default(call_default_factory=True)
        try:
            json.dumps(_ANY.dump_python(default, mode="json"), allow_nan=False)
        except (ValueError, TypeError):  # pydantic's serialization errors are ValueErrors
            raise ValueError(
                f"{kind} {item.name!r}: parameter {name!r} has the default {repr(default)[:60]}, no plain JSON; "
                "expected text, finite numbers, booleans, None, and lists or mappings of them"
            ) from None


def _describe(error: BaseException) -> str:
    """Return ``error`` as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
