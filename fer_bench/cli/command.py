"""The class of all commands, and of the groups that hold them."""

from __future__ import annotations

import atexit
import gc
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from fer_bench import interrupts, paths
from fer_bench.errors import reword, suggest


class CommandGroup(TyperGroup):
    """A group of commands, which the help of a group above describes by a whole sentence."""

    def get_short_help_str(self, limit: int = sys.maxsize) -> str:
        """Return the first sentence of the help; it wraps, and is not cut where a line ends."""
        return super().get_short_help_str(sys.maxsize)


class Command(TyperCommand):
    """A command of fer-bench: paths are read in one way, values that are not allowed are named, and
    its help shows options in groups with placeholders.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; options have placeholders that say what they take."""
        params = super().get_params(ctx)
        assert self.callback is not None
        hints = get_type_hints(inspect.unwrap(self.callback))
        for parameter in params:
            if parameter.param_type_name == "option" and parameter.metavar is None and parameter.name in hints:
                parameter.metavar = placeholder(parameter.name, hints[parameter.name])
        return params

    def get_short_help_str(self, limit: int = sys.maxsize) -> str:
        """Return the first sentence of the help; it wraps, and is not cut where a line ends."""
        return super().get_short_help_str(sys.maxsize)

    def group_of(self, parameter: Any) -> str:
        """Return the heading under which the help shows an option."""
        return getattr(parameter, "rich_help_panel", None) or "Options"

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options under the headings of their groups."""
        groups: dict[str, list[Any]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                names, words = record
                if argument := parameter.param_type_name == "argument":
                    names = names.partition(" <")[0]  # the type of Python
                groups.setdefault("Arguments" if argument else self.group_of(parameter), []).append((names, words))
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a leading ``~`` is the home folder in every path."""
        arguments = list(args)
        try:
            remaining = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _explain(error, arguments)
            raise
        assert self.callback is not None
        for name, hint in get_type_hints(inspect.unwrap(self.callback)).items():
            value = ctx.params.get(name)
            if hint is Path or Path in get_args(hint):
                several = isinstance(value, list | tuple)
                places = [paths.parse(each) for each in (value if several else [value]) if each is not None]
                ctx.params[name] = places if several else next(iter(places), None)
        return remaining


def _explain(error: typer.BadParameter, args: list[str]) -> str:
    """Return what was expected of an option, the value that was given, and the nearest that is allowed."""
    message = reword("", error.message)
    if choice := re.fullmatch(r"'(.*)' is not one of (.*)\.", message):
        near = suggest(choice[1], re.findall(r"'([^']*)'", choice[2]))
        return f"{message} {near}".rstrip()
    for name in getattr(error.param, "opts", ()):
        for place, arg in enumerate(args):
            if arg == name and place + 1 < len(args):
                return f"{message}, got {args[place + 1]!r}."
            if arg.startswith(f"{name}="):
                return f"{message}, got {arg.removeprefix(f'{name}=')!r}."
    return message


@contextmanager
def imports() -> Iterator[None]:
    """Do the imports of a command within the block, and never look for garbage among what they made.

    They make a million objects, and Python would look through all of them several times: a sixth of the time.
    """
    gc.disable()
    try:
        with interrupts.held():
            yield
    finally:
        _freeze()
        gc.enable()


def keep_all(context: typer.Context) -> None:
    """Look for no garbage until a command ends, nor on leaving: of many cells are a million objects, all of which stay.

    Training looks for it all the same, see `collector`.
    """
    gc.disable()
    context.call_on_close(gc.enable)  # for tests, which call commands in their own process
    atexit.register(gc.freeze)


@cache
def _freeze() -> None:
    """Freeze what there is, once a process: what is garbage at this moment stays."""
    gc.freeze()


def placeholder(name: str, hint: Any) -> str | None:
    """Return what stands for the value of an option; None for switches, and where typer shows the choices."""
    kinds = {hint, *get_args(hint)}
    if int in kinds:
        return "N"
    if float in kinds:
        return "X"
    if Path in kinds:
        return "DIR" if name.endswith("dir") else "FILE"
    return name.rpartition("_")[2].upper() if str in kinds else None


class App(typer.Typer):
    """A group of commands: each is a `Command`, and the help is that of a `CommandGroup`."""

    def __init__(self, **settings: Any):
        super().__init__(cls=CommandGroup, **settings)

    def command(self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any) -> Any:
        """Return a decorator that adds a function as a command; see `typer.Typer.command`."""
        return super().command(name, cls=cls or Command, **settings)
