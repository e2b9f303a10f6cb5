"""The commands that help texts and documents show: found in a text, and parsed without running them."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer

from fer_bench.cli import app

COMMAND = typer.main.get_command(app)


def subcommands(command: Any = COMMAND, path: str = "") -> dict[str, Any]:
    """Return every command that does something, by its words."""
    if not hasattr(command, "commands"):
        return {path: command}
    return {
        k: v for name, sub in command.commands.items() for k, v in subcommands(sub, f"{path} {name}".strip()).items()
    }


def examples(text: str) -> list[str]:
    """Return the commands that stand in a text, lines that end in a backslash joined."""
    return re.findall(r"^\s*(fer-bench .*)$", re.sub(r"\\\n\s*", " ", text), re.MULTILINE)


def parse(line: str) -> str:
    """Parse a command without running it and return its words, as ``data list``; raises where it does not parse."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    if words[0].startswith("-"):
        options = {option for parameter in COMMAND.params for option in parameter.opts}
        assert words[0] in options, f"there is no option {words[0]}"
        return ""
    command, names = COMMAND, []
    while hasattr(command, "commands"):
        names.append(words.pop(0))
        assert names[-1] in command.commands, f"there is no command {' '.join(names)!r}"
        command = command.commands[names[-1]]
    command.make_context(" ".join(names), words)
    return " ".join(names)
