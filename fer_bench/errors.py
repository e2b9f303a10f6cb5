"""The errors that a user can cause and correct; anything else that escapes is a bug of ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


class FerBenchError(Exception):
    """Something a user can correct: one message, exit code 2, no traceback.

    The message says what happened with the value, what was expected, and what to do.
    """


class DataError(FerBenchError):
    """Data that cannot be used as it lies on disk; the message lists every fault found."""


class MissingError(FerBenchError):
    """A library or weights that a backbone needs are not on this machine; the message lists every way to get them."""


class PluginError(FerBenchError):
    """A plugin broke its contract or failed; the message names the plugin."""


class PluginWarning(UserWarning):
    """A plugin did something to the process that was undone; the message names the plugin."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest of ``known``, or lists them all if none is near.

    Example:
        >>> did_you_mean("xcepton", ["xception", "vgg16"])
        "Did you mean 'xception'?"
    """
    names = sorted(set(known))
    if near := suggest(name, names):
        return near
    if not names:
        return "None is available."
    return f"Known: {', '.join(repr(known_name) for known_name in names)}."


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest of ``known``; empty if none is near."""
    near = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(repr(match) for match in near)}?" if near else ""


_REWORDED = {
    "(?=greater|less)": "expected a number ",
    "a valid integer.*": "expected a whole number",
    "a valid number.*": "expected a number",
    "a valid boolean.*": "expected true or false",
    "a valid string": "expected a text",
    "a valid (tuple|list|set)": "expected a list",
    "": "expected ",
}
"""How pydantic says what was expected, after ``Input should be``, and how fer-bench does."""


def reword(kind: str, message: str) -> str:
    """Return what pydantic says of a value, in the words of fer-bench's messages.

    Args:
        kind: type of the fault, as in ``ValidationError.errors()``.
        message: its text.

    Example:
        >>> reword("greater_than", "Input should be greater than 0")
        'expected a number greater than 0'
    """
    fixed = {"missing": "is missing", "extra_forbidden": "is not known here"}
    if kind in fixed:
        return fixed[kind]
    message = re.sub(r"^(Value error|Assertion failed), ", "", message)
    for pattern, words in _REWORDED.items():
        message = re.sub(f"^Input should be {pattern}", words, message)
    return message


def bullet_list(lines: Sequence[str], most: int = 50) -> str:
    """Return ``lines`` as an indented list, cut after ``most`` with a count of the rest."""
    bullets = [f"  - {line}" for line in lines[:most]]
    if len(lines) > most:
        bullets.append(f"  … and {len(lines) - most} more")
    return "\n".join(bullets)
