"""A picture of the copies that an audit found, for the eye to judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fer_bench.data.audit import Audit
from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError

MOST = 60
"""Groups that are drawn, those with conflicting labels first, then near copies, then other exact copies."""
ACROSS = 6
"""Images of a group that are drawn."""
TILE, TEXT, MARGIN = 96, 26, 6
HEAD = 120


def draw_sheet(audit: Audit, prepared: Prepared) -> tuple[Image.Image, int]:
    """Return the picture, one group of copies a row with the id and label of each image, and how many were left out."""
    conflicting = [("other labels", group) for group in audit.conflicting]
    near = [("near copies", pair) for pair in audit.near]
    exact = [("exact copies", group) for group in audit.duplicates if group not in audit.conflicting]
    groups = [*conflicting, *near, *exact]
    shown = groups[:MOST]
    width = HEAD + max((min(len(group), ACROSS) for _, group in shown), default=1) * (TILE + MARGIN) + MARGIN
    row_height = TILE + TEXT + MARGIN
    sheet = Image.new("RGB", (width, max(1, len(shown)) * row_height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    samples = prepared.samples
    rows = dict(zip(samples["id"].astype(str), range(len(samples)), strict=True))
    labels = samples["label"].to_numpy()
    for place, (kind, group) in enumerate(shown):
        top = MARGIN + place * row_height
        more = f"\n{len(group)} images" if len(group) > ACROSS else ""
        pen.text((MARGIN, top), kind + more, fill="black")
        numbers = np.array([rows[name] for name in group[:ACROSS]])
        for column, (row, image) in enumerate(zip(numbers, prepared.images(numbers), strict=True)):
            left = HEAD + column * (TILE + MARGIN)
            picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
            sheet.paste(picture.resize((TILE, TILE), Image.Resampling.NEAREST), (left, top))
            name, label = group[column], prepared.labels[labels[row]]
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
