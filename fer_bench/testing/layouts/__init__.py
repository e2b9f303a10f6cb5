"""Small, valid copies of the layouts in which facial-expression data sets lie on disk, with drawn faces.

No data set is needed to test an adapter, and nobody's portrait is used::

    truths = LAYOUTS["rafdb/original"](tmp_path / "manual" / "rafdb")

Each writer returns what an adapter has to read, in any order. `DAMAGES` spoil any layout that holds picture files, and
`DEFECTS` are those that certain data sets are known or likely to have; each returns a piece of the message that it has
to lead to.
"""

from __future__ import annotations

from fer_bench.testing.layouts.damages import DAMAGES
from fer_bench.testing.layouts.defects import DEFECTS, spoil
from fer_bench.testing.layouts.drawing import EXPRESSIONS, Truth, Writer, count_files, draw_face, list_pictures
from fer_bench.testing.layouts.spoiling import Defect
from fer_bench.testing.layouts.table import LAYOUTS

__all__ = [
    "DAMAGES",
    "DEFECTS",
    "EXPRESSIONS",
    "LAYOUTS",
    "Defect",
    "Truth",
    "Writer",
    "count_files",
    "draw_face",
    "list_pictures",
    "spoil",
]
