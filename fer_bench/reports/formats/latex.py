"""Tables as LaTeX, in UTF-8; a comment says which packages the document loads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fer_bench.foreign import defuse, one_line
from fer_bench.reports.table import Table, titles_of, words

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

_JOINT = re.compile(r"\{\[\}|\\_|(?<=[^ ])[=,/](?=[^ ])")


def write(tables: Sequence[Table], *, narrow: bool = False) -> str:
    """Return a ``table`` environment each, captioned by its title, with a label by its number; notes are comments.

    Args:
        tables: to write.
        narrow: fit one column of text: small type, and names are broken into lines.
    """
    packages = ("array", "booktabs", "tabularx") if narrow else ("booktabs",)
    blocks = [r"% Load: \usepackage{" + ", ".join(packages) + "}"]
    form, start = ("tabularx", r"\small\begin{tabularx}{\linewidth}") if narrow else ("tabular", r"\begin{tabular}")
    shown = titles_of(tables)
    for number, table in enumerate(tables, 1):
        if table.columns:
            kinds = "".join("r" if column.kind == "number" else "l" for column in table.columns)
            kinds = kinds.replace("l", r">{\raggedright\arraybackslash}X", 1) if narrow else kinds
            rows = [
                _row([words(cell) for cell in row], narrow, strong=place in table.strong)
                for place, row in enumerate(table.rows)
            ]
            blocks += [
                "\\begin{table}\n\\centering\n\\caption{" + escape(table.title) + "}",
                f"\\label{{tab:fer-bench-{number}}}",
                f"{start}{{{kinds}}}\n\\toprule",
                _row([column.title for column in table.columns]),
                *("\\midrule", *rows, f"\\bottomrule\n\\end{{{form}}}\n\\end{{table}}\n"),
            ]
        blocks += [f"% {defuse(one_line(note))}" for note in table.below(shown)]
    return "\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Return ``text`` as one line that LaTeX prints as it is; a bracket or star is never read as an option."""
    printed = "".join(_PRINTED.get(sign, sign) for sign in one_line(text))
    return printed.replace("--", "-{}-").replace("--", "-{}-").replace("::", ":{}:")  # a ligature; a command of CI


def _row(cells: Sequence[str], breaks: bool = False, *, strong: bool = False) -> str:
    """Return a row; with ``breaks`` a line may end after what joins the parts of a name."""
    texts = [_JOINT.sub(r"\g<0>\\allowbreak{}", escape(cell)) if breaks else escape(cell) for cell in cells]
    return " & ".join(f"\\textbf{{{text}}}" if strong else text for text in texts) + r" \\"
