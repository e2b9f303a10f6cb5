"""A picture of the copies that an audit found, for the eye to judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fer_bench.data.audit import Audit
from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError

Array = np.ndarray[Any, Any]

MOST = 60
"""Groups that are drawn, those with conflicting labels first, then near copies, then other exact copies."""
ACROSS = 6
"""Images of a group that are drawn."""
TILE, TEXT, MARGIN = 96, 26, 6
HEAD = 120


def draw_sheet(
    audit: Audit, prepared: Prepared, elsewhere: Sequence[tuple[str, Prepared, Array]] = ()
) -> tuple[Image.Image, int]:
    """Return the picture, one group of copies a row with the id and label of each image, and how many were left out.

    Args:
        audit: what was found.
        prepared: the data set.
        elsewhere: name of another data set, that data set, and (m, 2) rows of the one and of the other that are near
            copies.
    """
    rows = dict(zip(prepared.samples["id"].astype(str), range(len(prepared.samples)), strict=True))
    own: list[tuple[str, list[str]]] = [
        *(("other labels", group) for group in audit.conflicting),
        *(("near copies", pair) for pair in audit.near),
        *(("exact copies", group) for group in audit.duplicates if group not in audit.conflicting),
    ]
    groups = [
        *(
            (f"near, in\n{_end(name)}", [(prepared, a), (other, b)])
            for name, other, near in elsewhere
            for a, b in near.tolist()
        ),
        *((kind, [(prepared, rows[name]) for name in group]) for kind, group in own),
    ]
    # Copies in other data sets are drawn beside those within, however many there are of either.
    crossing = len(groups) - len(own)
    shown = [*groups[: max(MOST // 2, MOST - len(own))][:crossing], *groups[crossing:]][:MOST]
    width = HEAD + max((min(len(group), ACROSS) for _, group in shown), default=1) * (TILE + MARGIN) + MARGIN
    row_height = TILE + TEXT + MARGIN
    sheet = Image.new("RGB", (width, max(1, len(shown)) * row_height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (kind, group) in enumerate(shown):
        top = MARGIN + place * row_height
        more = f"\n{len(group)} images" if len(group) > ACROSS else ""
        pen.text((MARGIN, top), kind + more, fill="black")
        for column, (source, row) in enumerate(group[:ACROSS]):
            left = HEAD + column * (TILE + MARGIN)
            (image,) = source.images(np.array([row]))
            picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
            sheet.paste(picture.resize((TILE, TILE), Image.Resampling.NEAREST), (left, top))
            name, label = str(source.samples["id"].iloc[row]), source.labels[source.samples["label"].iloc[row]]
            pen.text((left, top + TILE), f"{_end(name)}\n{_end(label)}", fill="black")
    return sheet, len(groups) - len(shown)


def write_sheet(sheet: Image.Image, file: Path) -> None:
    """Write the picture.

    Raises:
        FerBenchError: the file cannot be written, or its ending names no format of pictures.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file)
    except (OSError, ValueError) as error:
        raise FerBenchError(
            f"Cannot write the picture sheet {str(file)!r}: {error}. Name a file such as copies.png."
        ) from None


def _end(text: str) -> str:
    """Return the end of a name, which tells images of one folder apart, in characters that the font has."""
    plain = text.encode("ascii", "replace").decode()
    return plain if len(plain) <= 15 else "..." + plain[-12:]
