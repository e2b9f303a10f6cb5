"""The options that follow from `RunConfig`: declared there once, made into options when a command is asked for.

Only then is pydantic imported, so that the first help stays quick.
"""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from fer_bench.cli.command import Command, placeholder
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.config import Option, RunConfig

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with these settings; options override it.")
]
_SETTINGS = "fer_bench.settings"
"""Where a context keeps the settings that were given."""


class SettingsCommand(Command):
    """A command with options for some settings of a run, which `make_config` reads; its function does not name them."""

    settings: tuple[str, ...] = ()
    """Of `RunConfig`; empty takes all."""
    without: tuple[str, ...] = ()
    """Settings that it does not take."""

    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """The options by their settings."""
        from fer_bench.config import RunConfig

        names = [name for name in self.settings or RunConfig.model_fields if name not in self.without]
        return dict(zip(names, _make(tuple(names)), strict=True))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of settings, then those of the function."""
        return [*self.options.values(), *super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, and keep settings apart from what the function takes."""
        remaining = super().parse_args(ctx, args)
        ctx.meta[_SETTINGS] = {name: ctx.params.pop(name) for name in self.options}
        return remaining

    def group_of(self, parameter: Any) -> str:
        """Return the heading under which the help shows an option: settings have theirs."""
        return option_of(parameter.name).group if parameter.name in self.options else super().group_of(parameter)


def command_for(*settings: str, without: tuple[str, ...] = ()) -> type[SettingsCommand]:
    """Return a class of commands that take some settings, or all, as options."""
    return type("SettingsCommand", (SettingsCommand,), {"settings": settings, "without": without})


def option_of(setting: str) -> Option:
    """Return how the command line takes a setting of `RunConfig`."""
    from fer_bench.config import Option, RunConfig

    return next(part for part in RunConfig.model_fields[setting].metadata if isinstance(part, Option))


def make_config(context: typer.Context, config: Path | None = None) -> tuple[RunConfig, ...]:
    """Return the runs of a command: those of a configuration file with its options laid over each.

    Args:
        context: of a `SettingsCommand`.
        config: the file; None takes the defaults.
    """
    from fer_bench.config import RunConfig

    unset = (None, (), [])
    settings = {name: value for name, value in settings_of(context).items() if value not in unset}
    for name in ("face_thresholds", "train_fraction"):
        if text := settings.get(name):
            settings[name] = text.split(",")
    for name in ("seeds", "split_seeds"):
        if (seeds := settings.get(name)) is not None:
            settings[name] = parse_seeds(seeds, f"--{name.replace('_', '-')}")
    return RunConfig.read(config, settings)


def settings_of(context: typer.Context) -> dict[str, Any]:
    """Return the settings that a command was given, by name; those that were not given are None or empty."""
    return context.meta[_SETTINGS]


def parse_seeds(text: str, option: str) -> tuple[int, ...]:
    """Return the seeds in ``"0,1,2"``, the value of an option.

    Raises:
        FerBenchError: something in it is not a whole number.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise FerBenchError(f"{option} {text[:80]!r} is not a list of whole numbers; write it as 0,1,2.") from None


@functools.cache
def _make(names: tuple[str, ...]) -> list[Any]:
    """Return an option for each of some settings, as typer makes them of a function's parameters."""

    def settings(**values: Any) -> None:
        del values

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation_of(name))
        for name in names
    ]
    vars(settings)["__signature__"] = inspect.Signature(parameters)
    settings.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(settings)
    by_name = {parameter.name: parameter for parameter in typer.main.get_command(app).params}
    return [by_name[name] for name in names]


def annotation_of(setting: str) -> Any:
    """Return the annotation from which typer makes the option of a setting."""
    from fer_bench.config import RunConfig

    field, option = RunConfig.model_fields[setting], option_of(setting)
    several, default = isinstance(field.default, tuple), field.default
    words = option.default or (",".join(map(str, default)) if several else str(default))
    suffix = "" if words == "none" and default != "none" else f"  [default: {words}]"
    choices = "|".join(get_args(field.annotation)) if get_origin(field.annotation) is Literal else ""
    kind = str if option.metavar or several else _kind(field.annotation)
    name = option.name or f"--{setting.replace('_', '-')}"
    return Annotated[
        list[str] | None if option.metavar and several else kind | None,
        typer.Option(
            *([f"{name}/--no-{name[2:]}"] if kind is bool else [name]),
            help=f"{field.description}{suffix}",
            metavar=option.metavar or choices or placeholder(setting, kind),
            envvar=option.variable,
        ),
    ]


def _kind(annotation: Any) -> type:
    """Return what the option of a setting takes: a number, a path, a switch, or text that `RunConfig` reads."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    plain = [get_args(part)[0] if get_origin(part) is Annotated else part for part in parts]
    return next((kind for kind in (bool, int, float, Path) if kind in plain), str)
