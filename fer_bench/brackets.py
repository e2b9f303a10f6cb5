"""The text by which a user names a component, ``name[param=value,…]``: how it is read and written.

A value is a bare word, a text in single or double quotes, or a list of values in brackets. The parameters decide of
which type a word is, so that ``[name=2024]`` and ``[name=no]`` are texts where texts are wanted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fer_bench.errors import FerBenchError, reword, suggest

LONGEST = 4096
"""Characters of the whole text."""
DEEPEST = 4
"""Lists within lists."""
SHOWN = 80
_COMPONENT = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<params>.*)\])?", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[\[\],])|'(?P<single>(?:[^']|'')*)'|(?P<double>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<word>[^\s\[\],'"{}&*!|>%@`](?:[^\[\],'"{}]*[^\s\[\],'"{}])?))\s*""",
    re.DOTALL,
)
_NAME = re.compile(r"\s*([^=,\[\]]*?)\s*=")
_BARE = re.compile(r"[\w./-]+")
_DOUBTFUL = re.compile(r"null|true|false|yes|no|on|off|[-+.]?\d[\d_.:eE+-]*", re.IGNORECASE)
"""Texts that look like something else, which are written in quotes: the id of a cell holds what is written."""


class Word(str):
    """A value without quotes, whose type the parameter decides."""

    __slots__ = ()


def read(kind: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the values in ``name[param=value,…]``; each a text, a `Word` or a list of these.

    Raises:
        FerBenchError: the text has another form, or is too long or too deep.
    """
    if len(text) > LONGEST:
        raise FerBenchError(f"A {kind} of {len(text):,} characters, {cut(text)}: at most {LONGEST:,} are read.")
    match = _COMPONENT.fullmatch(text.strip())
    if match is None:
        raise FerBenchError(f"Cannot read {kind} {cut(text)}; write it as name or name[param=value,param=value].")
    params, place = match["params"] or "", 0
    values: dict[str, Any] = {}
    while params[place:].strip() if not values else place < len(params):
        assignment = _NAME.match(params, place)
        if assignment is None or not assignment[1]:
            part = params[place:].partition(",")[0].strip()
            raise FerBenchError(f"Cannot read {cut(part)} in {kind} {cut(text)}; expected param=value.")
        name = assignment[1]
        if name in values:
            raise FerBenchError(f"Parameter {name!r} is given twice in {kind} {cut(text)}.")
        values[name], end = _value(params, assignment.end(), 0)
        if end is None or (end < len(params) and params[end] != ","):
            raise FerBenchError(
                f"Cannot read the value of {name!r} in {kind} {cut(text)}: write a word, a text in quotes or a list "
                f"such as [a,b], lists within lists {DEEPEST} deep at most."
            )
        place = end + 1
        if place == len(params):
            raise FerBenchError(f"{kind.capitalize()} {cut(text)} ends in a comma; take it away.")
    return match["name"].strip(), values


def validate(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Return the parameters that ``values`` of `read` give.

    A word is what it spells, a number, ``true`` or ``null``, or a text where the parameter does not take that.

    Raises:
        ValidationError: a value is not allowed.
    """
    spelled = {name: _map(value, _spelled) for name, value in values.items()}
    try:
        return model.model_validate(spelled)
    except ValidationError as error:
        failed = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        texts = {name: _map(values[name], str) for name in failed & values.keys()}
        try:
            return model.model_validate({**spelled, **texts})
        except ValidationError as second:
            wants_text = any(fault["type"] == "string_type" for fault in error.errors())
            raise (second if wants_text else error) from None


def write(value: object) -> str:
    """Return a value as `read` reads it back."""
    bare = isinstance(value, str) and _BARE.fullmatch(value) and not _DOUBTFUL.fullmatch(value)
    return str(value) if bare else json.dumps(value, ensure_ascii=False)


def rewrite(kind: str, text: str, values: Mapping[str, str]) -> str:
    """Return the text of a component with other values of some parameters."""
    name, before = read(kind, text)
    texts = {parameter: value if isinstance(value, Word) else write(value) for parameter, value in before.items()}
    texts |= {parameter: write(value) for parameter, value in values.items()}
    return f"{name}[{','.join(f'{parameter}={value}' for parameter, value in texts.items())}]" if texts else name


def cut(text: str) -> str:
    """Return a text in quotes, its middle left out where it is long."""
    return repr(text if len(text) <= SHOWN else f"{text[: SHOWN - 20]} … {text[-10:]}")


def _value(text: str, start: int, depth: int) -> tuple[object, int | None]:
    """Return the value at ``start`` and where it ends; None for the end where there is no value."""
    token = _TOKEN.match(text, start)
    if token is None:
        return "", start if not text[start:].strip() or text[start:].lstrip().startswith(",") else None
    if token["word"] is not None:
        return Word(token["word"]), token.end()
    if token["single"] is not None:
        return token["single"].replace("''", "'"), token.end()
    if token["double"] is not None:
        try:
            return json.loads(token["double"], strict=False), token.end()
        except ValueError:
            return "", None
    if token["mark"] == ",":
        return "", token.start("mark")
    if token["mark"] == "]" or depth == DEEPEST:
        return "", None
    parts: list[object] = []
    end: int | None = token.end()
    while end is not None:
        closing = _TOKEN.match(text, end)
        if closing is not None and closing["mark"] == "]" and not parts:
            return parts, closing.end()
        part, end = _value(text, end, depth + 1)
        parts.append(part)
        if end is None or end >= len(text) or text[end] not in ",]":
            return parts, None
        if text[end] == "]":
            after = _TOKEN.match(text, end)
            return parts, after.end() if after else None
        end += 1
    return parts, None


def _map(value: object, function: Callable[[Word], object]) -> object:
    if isinstance(value, list):
        return [_map(part, function) for part in value]
    return function(value) if isinstance(value, Word) else value


def _spelled(word: Word) -> object:
    """Return what a word spells in JSON, or the text."""
    try:
        return json.loads(word)
    except ValueError:
        return str(word)


def describe_fault(fault: ErrorDetails, most: int = 200) -> str:
    """Return a fault of pydantic's in one line: where, what is wrong, and the value if that does not name it.

    Args:
        fault: of ``ValidationError.errors()``.
        most: characters that are shown of a value.
    """
    what, where = reword(fault["type"], fault["msg"]), " ".join(map(str, fault["loc"]))
    if not where:
        return what
    if fault["type"] == "missing":
        return f"{where}: {what}"
    value = repr(fault["input"])
    if fault["type"] == "literal_error" and (near := suggest(str(fault["input"]), re.findall(r"'([^']*)'", what))):
        return f"{where}: {what}, got {value[:most]}. {near}"
    values = list(map(repr, fault["input"])) if isinstance(fault["input"], list | tuple) else []
    named = "|".join(map(re.escape, [value, *values]))
    mention = re.search(rf"(?<![\w.])({named})(?![\w.])", what)
    return f"{where}: {what}" if mention else f"{where}: {what}, got {value[:most]}{' …' * (len(value) > most)}"
