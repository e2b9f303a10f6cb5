"""What is or may be wrong with certain data sets."""

from __future__ import annotations

from pathlib import Path

from fer_bench.testing.layouts import defects_posed, defects_tables, defects_wild
from fer_bench.testing.layouts.spoiling import Defect
from fer_bench.testing.layouts.table import LAYOUTS

DEFECTS: dict[str, Defect] = {**defects_tables.DEFECTS, **defects_wild.DEFECTS, **defects_posed.DEFECTS}
"""What is or may be wrong with certain data sets."""


def spoil(root: Path, name: str) -> tuple[str, ...]:
    """Write the layout of the defect ``name`` to ``root``, spoil it and return what an adapter has to say."""
    defect = DEFECTS[name]
    LAYOUTS[defect.layout](root)
    defect.spoil(root)
    return defect.messages
