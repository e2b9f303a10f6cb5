"""The class of all commands, and of the groups that hold them."""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from fer_bench import paths
from fer_bench.errors import reword, suggest


class Command(TyperCommand):
    """A command of fer-bench: it reads every path in one way, and names a value that is not allowed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a leading ``~`` is the home folder in every path."""
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _explain(error, given)
            raise
        assert self.callback is not None
        for name, hint in get_type_hints(inspect.unwrap(self.callback)).items():
            value = ctx.params.get(name)
            if hint is Path or Path in get_args(hint):
                several = isinstance(value, list | tuple)
                read = [paths.parse(each) for each in (value if several else [value]) if each is not None]
                ctx.params[name] = read if several else next(iter(read), None)
        return rest


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
        yield
    finally:
        if not gc.get_freeze_count():  # once a process: what is garbage at this moment stays
            gc.freeze()
        gc.enable()


class App(typer.Typer):
    """A group of commands, each a `Command`."""

    def command(self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any) -> Any:
        """Return a decorator that adds a function as a command; see `typer.Typer.command`."""
        return super().command(name, cls=cls or Command, **settings)
