"""Read a YAML file strictly: what can be read in two ways, or is given twice, is a fault with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fer_bench.errors import FerBenchError, bullet_list

LARGEST = 1_000_000
"""Bytes of a file."""
DEEPEST = 10
"""Collections within collections."""
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?|[-+]?\.[0-9]+([eE][-+]?[0-9]{1,3})?")
_DOUBTFUL = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(file: Path, what: str = "configuration", example: str = "datasets: [synthetic]") -> dict[Any, Any]:
    """Return the mapping that a file holds; an empty file holds none.

    Args:
        file: to read.
        what: it is, in messages.
        example: of a key with its value, likewise.

    Raises:
        FerBenchError: the file cannot be read or is too large, is no YAML or no mapping, or has a key twice, an anchor
            or alias, a merge, a tag, a number that is not plainly decimal, or collections that are too deep; all
            faults at once, each with its line.
    """
    text = read_text(file, what, LARGEST)
    try:
        faults = _event_faults(text)
        node: Any = None if faults else yaml.compose(text, yaml.SafeLoader)
        faults += [] if node is None else _node_faults(node, "")
        values = None if faults else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise FerBenchError(f"{str(file)!r} is not valid YAML: {' '.join(str(error).split())[:500]}") from None
    if faults:
        raise FerBenchError(
            f"{str(file)!r} can be read in more than one way:\n{bullet_list(list(dict.fromkeys(faults)))}"
        )
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise FerBenchError(f"{str(file)!r} holds a {type(values).__name__}; expected keys such as {example!r}.")
    return values


def read_text(file: Path, what: str, largest: int) -> str:
    """Return what a file of a user holds, which may be a pipe.

    Args:
        file: its path.
        what: it is, in a word or two.
        largest: bytes that it may have.

    Raises:
        FerBenchError: it cannot be read, is too large or is no text.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(largest + 1)
        if len(content) > largest:
            raise FerBenchError(f"{str(file)!r} is larger than {largest:,} bytes, which no {what} is.")
        return content.decode("utf-8")
    except OSError as error:
        raise FerBenchError(f"Cannot read the {what} {str(file)!r}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise FerBenchError(f"{str(file)!r} is no text in UTF-8: {error.reason} at byte {error.start}.") from None


def compose_texts(text: str, file: Path) -> Any:
    """Return what YAML holds with every scalar as it is written: ``no``, ``0012`` and ``1:30`` are texts.

    Raises:
        FerBenchError: it is no YAML, or its collections are too deep.
    """
    try:
        if faults := _event_faults(text, only_depth=True):
            raise FerBenchError(f"{str(file)!r} cannot be read:\n{bullet_list(faults)}")
        return yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise FerBenchError(f"{str(file)!r} is not valid YAML: {' '.join(str(error).split())[:500]}") from None


def _event_faults(text: str, *, only_depth: bool = False) -> list[str]:
    """Return what must not reach the composer, which recurses and multiplies."""
    faults: list[str] = []
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        line = event.start_mark.line + 1
        if not only_depth and (isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)):
            faults.append(f"line {line}: anchors and aliases are not read; write the value out")
        if not only_depth and (tag := getattr(event, "tag", None)):
            faults.append(f"line {line}: the tag {tag!r} is not read; leave it out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                return [*faults, f"line {line}: more than {DEEPEST} lists and mappings within one another"]
        depth -= isinstance(event, yaml.CollectionEndEvent)
    return faults


def _node_faults(node: yaml.Node, key: str) -> list[str]:
    """Return what is doubtful in a value and below; ``key`` is where it stands."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if node.tag in _DOUBTFUL and not _NUMBER.fullmatch(node.value):
            return [f"line {line}: {key} is {node.value[:40]!r}; write a decimal number, or quotes around a text"]
        return []
    if isinstance(node, yaml.SequenceNode):
        return [fault for part in node.value for fault in _node_faults(part, key)]
    faults: list[str] = []
    seen: dict[str, int] = {}
    for name, value in node.value:
        place, text = name.start_mark.line + 1, str(name.value)[:80]
        if name.tag == _MERGE:
            faults.append(f"line {place}: merges ('<<') are not read; write the keys out")
        elif not isinstance(name, yaml.ScalarNode):
            faults.append(f"line {place}: a key is a word")
        elif text in seen:
            faults.append(f"line {place}: {text!r} is given in line {seen[text]}, too")
        seen.setdefault(text, place)
        faults += _node_faults(value, repr(text))
    return faults
