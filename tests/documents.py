"""The code blocks of a document, and the smaller commands by which tests run them.

A comment before a block says what becomes of it: ``<!-- not run: reason -->``, ``<!-- tested by tests/… -->``,
``<!-- planned: reason -->`` runs ``plan`` where it says ``run``, ``<!-- file: path -->`` writes it,
``<!-- plugin: name -->`` installs it as a plugin's module.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "results").glob("*.md")),
]

LANGUAGES = {"sh", "python", "yaml", "toml", "csv", "text"}
NOT_RUN = {
    r"(\S*/)?pip install|python3 -m venv|\. \S*activate": "CI installs packages, tests/test_scaffold.py new ones",
    r"(\S*/)?tox ": "an environment of its own",
    r"fer-bench --install-completion": "tests/test_help.py does, in a home of its own",
    r"fer-bench (run|plan) --config recipes/|fer-bench matrix": "tests/test_inflation.py runs them",
    r"fer-bench plugins check": "tests/test_tutorial.py and tests/test_conformance_*.py check each kind",
    r"git ": "the reader's repository",
    r"pytest --fer-baseline": "tests/test_gate.py runs it",
    r"python benchmarks/": "minutes to hours",
}
"""Lines of shell blocks that no test of a document runs, each with its reason."""

GRID = ("run", "plan", "inflation", "matrix")
TINY_FACES = "n=70,size=32,subjects=10"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the directive before it (``not run``, ``file``, …) with its value, and its text."""

    language: str
    directive: str
    value: str
    code: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    found = []
    pattern = r"(?:<!-- (not run|planned|tested by|file|plugin):? (.*?) -->\n+)?^```(\S*)[^\n]*\n(.*?)^```$"
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        directive, value, language, code = (part or "" for part in match.groups())
        found.append(Block(language, directive, value, code, text[: match.start(3)].count("\n") + 1))
    return found


def command_lines(code: str) -> list[str]:
    """Return the lines of a shell block, continued ones joined, without those that are comments or blank."""
    lines = re.sub(r"\\\n\s*", " ", code).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def make_small(line: str, ids: tuple[str, str]) -> list[str]:
    """Return the words of a fer-bench command on a small network, few faces and two folds.

    Args:
        line: as the document shows it.
        ids: of two cells, in place of those that documents show.
    """
    words = shlex.split(line.replace("…", ""), comments=True)[1:]
    words = [{"3f2a": ids[0], "77c0": ids[1]}.get(word, word) for word in words]
    if words[0] in ("compare", "power"):  # Rows on frozen features cost nothing.
        words = [{"finetune": "knn"}.get(word, word) for word in words]
    if words[0] not in GRID:
        return words
    options: list[tuple[str, ...]] = []
    rest = words[1:]
    while rest:
        option = rest.pop(0)
        options.append((option, rest.pop(0)) if rest and not rest[0].startswith("--") else (option,))
    given = {option[0] for option in options}
    small = [_small(*option) for option in options]
    if "--backbone" not in given:
        small.append(("--backbone", "tiny"))
    if "--config" in given and "--strategy" not in given:
        small.append(("--strategy", "linear-probe"))
    if not given & {"--config", "--dataset"}:
        small.append(("--dataset", f"synthetic[{TINY_FACES}]"))
    if "--config" in given:
        small.append(("--limit", "70"))
    small += [("--folds", "2"), ("--seeds", "0")] if words[0] in ("run", "plan") else [("--folds", "2")]
    if words[0] == "plan":
        small.append(("--no-probe",))
    return [words[0], *(word for option in dict.fromkeys(small) for word in option)]


def _small(option: str, *value: str) -> tuple[str, ...]:
    if option == "--backbone":
        return option, _small_network(*value)
    if option in ("--dataset", "--train-on", "--train-with") and value[0].startswith("synthetic"):
        kept = [part for part in value[0].partition("[")[2].rstrip("]").split(",") if part.startswith("domain")]
        return option, f"synthetic[{','.join([*kept, TINY_FACES])}]"
    smaller = {"--limit": "42", "--folds": "2", "--seeds": "0"}
    return (option, smaller[option]) if option in smaller else (option, *value)


def _small_network(text: str) -> str:
    return "tiny" if re.match(r"(mini-xception|xception|my-net)\b", text) else text
