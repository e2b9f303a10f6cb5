"""Tables as LaTeX; the document needs the package booktabs and UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from fer_bench.foreign import defuse, one_line
from fer_bench.reports.table import Table, words

_PRINTED = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}


def write(tables: Sequence[Table]) -> str:
    """Return a ``table`` environment each, captioned by its title; notes are comments."""
    blocks: list[str] = []
    for table in tables:
        if table.columns:
            kinds = "".join("r" if column.kind == "number" else "l" for column in table.columns)
            rows = [_row([words(cell) for cell in row]) for row in table.rows]
            blocks += [
                "\\begin{table}\n\\centering\n\\caption{" + escape(table.title) + "}",
                "\\begin{tabular}{" + kinds + "}\n\\toprule",
                _row([column.title for column in table.columns]),
                *("\\midrule", *rows, "\\bottomrule\n\\end{tabular}\n\\end{table}\n"),
            ]
        blocks += [f"% {defuse(one_line(note))}" for note in table.notes]
    return "\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Return ``text`` as one line that LaTeX prints as it is; a bracket or star is never read as an option."""
    printed = "".join(_PRINTED.get(sign, sign) for sign in one_line(text))
    return printed.replace("--", "-{}-").replace("--", "-{}-").replace("::", ":{}:")  # a ligature; a command of CI


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"
