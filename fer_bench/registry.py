"""From a name that a user types, ``xception[input_size=149]``, to a spec with checked parameters."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import ValidationError

from fer_bench import brackets
from fer_bench.about import OWN_PACKAGES, PACKAGE_OF
from fer_bench.containment import contained
from fer_bench.digests import sha256_of
from fer_bench.errors import FerBenchError, MissingError, PluginError, PluginWarning, bullet_list, did_you_mean
from fer_bench.plugins import Item, Kind, Plugin, Plugins, load_plugins
from fer_bench.privacy import hide
from fer_bench.sizes import number_of
from fer_bench.specs import (
    BackboneSpec,
    DatasetSpec,
    ExecutorSpec,
    MetricSpec,
    Params,
    ProtocolSpec,
    StrategySpec,
    resolve,
)

SpecT = TypeVar("SpecT", bound=Item)
PLURALS: dict[Kind, str] = {
    "dataset": "data sets",
    "protocol": "protocols",
    "backbone": "backbones",
    "strategy": "strategies",
    "metric": "metrics",
    "executor": "executors",
}


@dataclass(frozen=True)
class Component(Generic[SpecT]):
    """What a user asked for by a name: its spec, its parameters, and the plugin that brings it."""

    spec: SpecT
    params: Params
    plugin: Plugin

    def __str__(self) -> str:
        """Return the shortest text that names it: parameters at their defaults are left out."""
        changed = ",".join(f"{name}={brackets.write(value)}" for name, value in self.changed().items())
        return f"{self.spec.name}[{changed}]" if changed else self.spec.name

    def changed(self) -> dict[str, Any]:
        """Return the parameters that differ from their defaults, by name, sorted.

        One that follows from the others is left out, such as the size of the input of the model that ``name`` names.
        """
        values, kind = self._values(), type(self.params)
        defaults = kind().model_dump(mode="json")
        changed = {name: values[name] for name in sorted(values) if values[name] != defaults[name]}
        for name in list(changed) if len(changed) > 1 else ():
            others = {other: getattr(self.params, other) for other in changed if other != name}
            with contextlib.suppress(ValidationError, FerBenchError):
                if kind.model_validate(others).model_dump() == self.params.model_dump():
                    del changed[name]
        return changed

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return it with other values of some parameters.

        Raises:
            pydantic.ValidationError: a value is not allowed.
        """
        set_by_user = self.params.model_dump(include=self.params.model_fields_set)
        return replace(self, params=type(self.params).model_validate({**set_by_user, **values}))

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of it: package, version, name and every parameter; of files their content.

        Raises:
            FerBenchError: a file that a parameter names cannot be read.
        """
        files = {name: file_sha256(path) for name, path in self.files().items()}
        return {
            "name": self.spec.name,
            "package": self.plugin.distribution,
            "version": self.plugin.version,
            "params": self._values(),
            **({"files": files} if files else {}),
        }

    def files(self) -> dict[str, Path]:
        """Return the files that parameters name, by parameter."""
        return {
            name: Path(value) for name in marked(type(self.params), "file") if (value := getattr(self.params, name))
        }

    def _values(self) -> dict[str, Any]:
        """Return the parameters as plain JSON that people share.

        A path goes by its last part, for the folders above it mean nothing on another machine; of other texts that a
        user set, folders, user names and secrets are hidden.
        """
        values, defaults = self.params.model_dump(mode="json"), type(self.params)().model_dump(mode="json")
        paths = marked(type(self.params), "file", "folder")
        return {
            name: value if value == defaults[name] else Path(value).name if name in paths else hide(value)
            for name, value in values.items()
        }

    def resolve(self, reference: str) -> Callable[..., Any]:
        """Import what the spec refers to; an error names the plugin.

        Raises:
            PluginError: it cannot be imported.
        """
        return self.call(f"load {reference!r} of {self.spec.name!r}", resolve, reference)

    def ask(self, what: str, reference: str) -> Any:
        """Return what a function that the spec refers to makes of the parameters; errors are as in `call`."""
        return self.call(what, self.resolve(reference), self.params)

    def call(self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call a function of the plugin; what it does to the process is undone, and told as a `PluginWarning`.

        Args:
            what: is done, for the error: ``build backbone 'net'``.
            function: to be called.
            *arguments: of it.
            **keywords: of it.

        Raises:
            FerBenchError: it raised one, for the user to read.
            PluginError: it raised something else, or wanted to end the process; the message names the plugin.
        """
        where = f"Plugin {self.plugin.name!r}"
        try:
            with contained() as notes:
                result = function(*arguments, **keywords)
        except (FerBenchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic of native code is no Exception
            raise PluginError(f"{where} failed to {what}: {type(error).__name__}: {error}") from error
        for note in notes:
            warnings.warn(f"{where}, asked to {what}, {note}", PluginWarning, stacklevel=2)
        return result


class Registry:
    """Everything that the working plugins bring, by kind and name."""

    def __init__(self, plugins: Plugins):
        self.plugins = plugins
        self._items: dict[Kind, dict[str, tuple[Plugin, Item]]] = {kind: {} for kind in PLURALS}
        for plugin in plugins:
            for kind, item in plugin.items:
                self._items[kind][f"{plugin.distribution}/{item.name}"] = plugin, item

    @classmethod
    def load(cls) -> Self:
        """Return a registry of all installed plugins."""
        return cls(load_plugins())

    def specs(self, kind: Kind) -> list[tuple[str, Plugin, Item]]:
        """Return (name to type, plugin, spec) of all items of ``kind``, sorted; clashing names are qualified."""
        items = self._items[kind]
        bare = [item.name for _, item in items.values()]
        return sorted(
            (
                item.name if bare.count(item.name) == 1 or plugin.distribution in OWN_PACKAGES else qualified,
                plugin,
                item,
            )
            for qualified, (plugin, item) in items.items()
        )

    def dataset(self, text: str) -> Component[DatasetSpec]:
        """Return the data set that ``text`` names, ``name[param=value,…]``."""
        return cast("Component[DatasetSpec]", self.find("dataset", text))

    def datasets(self, texts: Iterable[str]) -> list[Component[DatasetSpec]]:
        """Return several data sets as `dataset` does.

        Raises:
            FerBenchError: some cannot be used; all of them in one message, with what they have in common said once.
        """
        components: list[Component[DatasetSpec]] = []
        faults: dict[str, list[str]] = {}
        for text in dict.fromkeys(texts):
            try:
                components.append(self.dataset(text))
            except FerBenchError as error:
                what, _, advice = str(error).partition(". ")
                faults.setdefault(advice, []).append(what)
        if faults:
            lines = [f"{'; '.join(what)}. {advice}" if advice else "; ".join(what) for advice, what in faults.items()]
            raise FerBenchError("\n".join(lines))
        return components

    def protocol(self, text: str, settings: Mapping[str, Any]) -> Component[ProtocolSpec]:
        """Return the protocol that ``text`` names, ``name[param=value,…]``.

        Args:
            text: as a user typed it.
            settings: of the run, for parameters that the brackets do not give; None gives nothing.
        """
        return cast("Component[ProtocolSpec]", self.find("protocol", text, settings))

    def backbone(self, text: str) -> Component[BackboneSpec]:
        """Return the backbone that ``text`` names, ``name[param=value,…]``."""
        return cast("Component[BackboneSpec]", self.find("backbone", text))

    def strategy(self, text: str) -> Component[StrategySpec]:
        """Return the strategy that ``text`` names, ``name[param=value,…]``."""
        return cast("Component[StrategySpec]", self.find("strategy", text))

    def metric(self, text: str) -> Component[MetricSpec]:
        """Return the metric that ``text`` names, ``name[param=value,…]``."""
        return cast("Component[MetricSpec]", self.find("metric", text))

    def executor(self, text: str) -> Component[ExecutorSpec]:
        """Return the executor that ``text`` names, ``name[param=value,…]``."""
        return cast("Component[ExecutorSpec]", self.find("executor", text))

    def find(self, kind: Kind, text: str, settings: Mapping[str, Any] | None = None) -> Component[Item]:
        """Return the component of ``kind`` that ``text`` names, with its parameters checked.

        Args:
            kind: of the component.
            text: ``name[param=value,…]``.
            settings: of the run, for parameters that take one; see `fer_bench.specs.ProtocolSpec`.

        Raises:
            FerBenchError: unknown or ambiguous name, unknown parameter, or a value that is not allowed.
        """
        plugin, spec, values = self.read(kind, text)
        unknown = [name for name in values if name not in spec.params.model_fields]
        if unknown:
            raise FerBenchError(
                f"{kind.capitalize()} {spec.name!r} has no parameter {unknown[0]!r}. "
                + did_you_mean(unknown[0], spec.params.model_fields)
            )
        from_run = {name: (settings or {}).get(setting) for name, setting in settings_of(spec.params).items()}
        values = {**{name: value for name, value in from_run.items() if value is not None}, **values}
        try:
            params = cast("Params", brackets.validate(spec.params, values))
        except ValidationError as error:
            faults = [brackets.describe_fault(fault) for fault in error.errors()]
            raise FerBenchError(f"Parameters of {kind} {spec.name!r} are not valid:\n{bullet_list(faults)}") from None
        return _by_params(Component(spec, params, plugin))

    def read(self, kind: Kind, text: str) -> tuple[Plugin, Item, dict[str, Any]]:
        """Return what ``text`` names, and the values in its brackets before anything checks or uses them.

        Raises:
            FerBenchError: the text has another form; unknown or ambiguous name.
        """
        name, values = brackets.read(kind, text)
        base, _, value = name.rpartition("/")[2].partition("-")
        if name not in self._names(kind) and (base := name.partition(f"-{value}")[0]) in self._names(kind):
            plugin, item = self._lookup(kind, base)
            if isinstance(item, BackboneSpec) and item.named_by and value:
                return plugin, item, {item.named_by: value, **values}
        return *self._lookup(kind, name), values

    def _names(self, kind: Kind) -> set[str]:
        """Return the names of all items of a kind, with and without their packages."""
        return {name for qualified, (_, item) in self._items[kind].items() for name in (qualified, item.name)}

    def qualify(self, kind: Kind, text: str, package: str) -> str:
        """Return ``text`` with its package before the name, where ``package`` brings that name; else as it is."""
        return qualified if (qualified := f"{package}/{text}").partition("[")[0] in self._items[kind] else text

    def _lacks(self, distribution: str) -> bool:
        return all(plugin.distribution != distribution for plugin in self.plugins)

    def _lookup(self, kind: Kind, name: str) -> tuple[Plugin, Item]:
        items = self._items[kind]
        if name in items:
            return items[name]
        matches = [qualified for qualified, (_, item) in items.items() if item.name == name]
        own = [qualified for qualified in matches if items[qualified][0].distribution in OWN_PACKAGES]
        for unique in (matches, own):
            if len(unique) == 1:
                return items[unique[0]]
        if matches:
            raise FerBenchError(
                f"{number_of(len(matches), 'package brings', 'packages bring')} a {kind} {name!r}; say "
                f"which: {', '.join(sorted(matches))}."
            )
        package = PACKAGE_OF.get(name) or PACKAGE_OF.get(name.partition("-")[0])
        if kind == "backbone" and package and self._lacks(package):
            raise MissingError(f"Backbone {name!r} is in the package {package}: pip install {package}")
        names = {item.name for _, item in items.values()}
        message = f"Unknown {kind} {name!r}. {did_you_mean(name, names)}"
        if kind == "dataset" and Path(name).is_dir():
            message = f"{name!r} is a folder; name it as 'folder[path={brackets.write(name)}]'."
        broken = [plugin.name for plugin in self.plugins if plugin.status == "failed"]
        if broken:
            message += f" Broken plugins: {', '.join(broken)}; see 'fer-bench plugins list'."
        raise FerBenchError(message)


def _by_params(component: Component[Item]) -> Component[Item]:
    """Return a component whose spec says what it says for these parameters; see `BackboneSpec.by_params`.

    Raises:
        PluginError: the plugin raised, or names a field that a spec does not have.
    """
    spec = component.spec
    if not isinstance(spec, BackboneSpec) or not spec.by_params:
        return component
    function = component.resolve(spec.by_params)
    what = f"say what depends on the parameters of {str(component)!r}"
    adapted = component.call(what, lambda: dataclasses.replace(spec, **function(component.params)))
    return Component(adapted, component.params, component.plugin)


def settings_of(params: type[Params]) -> dict[str, str]:
    """Return the parameters that take a setting of the run, each with the setting's name."""
    return {name: str(setting) for name, extra in _extras(params).items() if (setting := extra.get("setting"))}


def marked(params: type[Params], *marks: str) -> list[str]:
    """Return the parameters whose ``json_schema_extra`` has one of some marks.

    They are ``file``, ``folder``, ``code`` of a user's own, and ``view`` of what is prepared.
    """
    return [name for name, extra in _extras(params).items() if any(map(extra.get, marks))]


def _extras(params: type[Params]) -> dict[str, dict[str, Any]]:
    """Return what each parameter's ``json_schema_extra`` says."""
    extras = {name: field.json_schema_extra for name, field in params.model_fields.items()}
    return {name: cast("dict[str, Any]", extra) for name, extra in extras.items() if isinstance(extra, dict)}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file that a parameter names, in hexadecimal digits.

    Raises:
        FerBenchError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise FerBenchError(f"Cannot read {str(path)!r}: {error.strerror}.") from None
