"""Tables as Markdown, of GitHub's kind."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fer_bench.foreign import one_line
from fer_bench.reports.table import Table, titles_of, words

_MARKUP = re.compile(r"[\\`*_{}\[\]<>|#&~$]|:(?=//)|(?<=[wW]{3})\.")
"""What Markdown reads as markup, or as the beginning of an address."""

_LIST = re.compile(r"^(\d*)([-+.)])")
"""What would begin a list within a list."""


def write(tables: Sequence[Table], heading: str = "") -> str:
    """Return a heading and a section a table, of the level below; notes are lists."""
    blocks = [f"# {escape(heading)}"] if heading else []
    shown = titles_of(tables)
    for table in tables:
        if table.title:
            blocks.append(f"## {escape(table.title)}")
        if table.columns:
            marks = ["---:" if column.kind == "number" else "---" for column in table.columns]
            lines = [[escape(column.title) for column in table.columns], marks]
            lines += [[escape(words(cell)) for cell in row] for row in table.rows]
            blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        if notes := table.below(shown):
            blocks.append("\n".join(f"- {_note(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Return ``text`` as one line that Markdown shows as it is, within a line or a cell."""
    marked = _MARKUP.sub(r"\\\g<0>", one_line(text))
    return re.sub(r"(?<=\S)@", "<!-- -->@", marked)  # No backslash keeps a mail address from becoming a link.


def _note(text: str) -> str:
    return _LIST.sub(r"\g<1>\\\g<2>", escape(text))
