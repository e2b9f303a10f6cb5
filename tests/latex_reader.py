"""Reads the subset of LaTeX that a leaderboard may consist of, as LaTeX would, and refuses all else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PRINTED = {
    **{rf"\{sign}": sign for sign in "&%$#_{}"},
    r"\textbackslash": "\\",
    r"\textasciitilde": "~",
    r"\textasciicircum": "^",
    r"\textless": "<",
    r"\textgreater": ">",
    r"\textbar": "|",
    r"\textasciigrave": "`",
    r"\textquotesingle": "'",
}
TOKEN = re.compile(r"\\[A-Za-z]+ *|\\.|.", re.DOTALL)


@dataclass
class Table:
    """A ``table`` environment: what its caption and the cells of its rows print."""

    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)


def read(text: str) -> list[Table]:
    """Return the tables of a document's body.

    Raises:
        ValueError: LaTeX would stop, or print something else than the text.
    """
    text = re.sub(r"(?<!\\)((?:\\\\)*)%[^\n]*\n?", r"\1", text)
    found = re.split(r"\\begin\{table\}\n", text)
    if found[0].strip():
        raise ValueError(f"text outside of tables: {found[0]!r}")
    return [_table(part) for part in found[1:]]


def _table(text: str) -> Table:
    match = re.fullmatch(
        r"\\centering\n\\caption\{(?P<caption>.*)\}\n\\label\{tab:[a-z0-9-]+\}\n\\begin\{tabular\}\{(?P<columns>[lr]+)\}\n"
        r"\\toprule\n(?P<head>.*)\\midrule\n(?P<body>.*)\\bottomrule\n\\end\{tabular\}\n\\end\{table\}\s*",
        text,
        re.DOTALL,
    )
    if match is None:
        raise ValueError(f"not a table: {text!r}")
    caption = _cells(match["caption"], ends=False)
    rows = _cells(match["head"]) + _cells(match["body"])
    wrong = [row for row in rows if len(row) != len(match["columns"])]
    if wrong:
        raise ValueError(f"{match['columns']!r} has {len(match['columns'])} columns; not so {wrong}")
    return Table(caption[0][0], rows)


def _cells(text: str, ends: bool = True) -> list[list[str]]:
    """Return what the rows print; with ``ends`` each of them ends in a double backslash."""
    rows, depth, math = [[""]], 0, False
    tokens = [token.rstrip(" ") if token[0] == "\\" and token[1].isalpha() else token for token in TOKEN.findall(text)]
    for place, token in enumerate(tokens):
        if token == r"\\":
            after = next((later for later in tokens[place + 1 :] if not later.isspace()), "")
            if not ends or depth or math or after in ("[", "*"):
                raise ValueError(rf"\\ followed by {after!r} at depth {depth} in {text!r}")
            rows.append([""])
        elif token == "$":
            math = not math
        elif token == r"\pm" and math:
            rows[-1][-1] += "±"
        elif token == r"\textbf" and tokens[place + 1 : place + 2] == ["{"]:
            pass
        elif token in PRINTED:
            rows[-1][-1] += PRINTED[token]
        elif token in "{}":
            depth += 1 if token == "{" else -1
            if depth < 0:
                raise ValueError(f"a brace too many in {text!r}")
        elif token == "&" and ends and not depth and not math:
            rows[-1].append("")
        elif token in "#_^~&%" or token[0] == "\\" or (math and not token.isspace()):
            raise ValueError(f"{token!r} in {text!r}")
        elif token in "`'" or (token == "-" and tokens[place + 1 : place + 2] == ["-"]):
            raise ValueError(f"{token!r} is printed as another sign in {text!r}")
        else:
            rows[-1][-1] += token
    if depth or math:
        raise ValueError(f"not closed: {text!r}")
    if ends and "".join(rows.pop()).strip():
        raise ValueError(f"the last row does not end: {text!r}")
    return [[" ".join(cell.split()) for cell in row] for row in rows]
