"""A picture of the copies that an audit found, for the eye to judge."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.audit.audit import Audit
from fer_bench.audit.copies import SIDE, thumbnail
from fer_bench.audit.near import correlate
from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError
from fer_bench.sizes import number_of

MOST = 60
"""Groups that are drawn, of each kind as many; what one kind has not, the others get."""
TALL = 20
"""Groups below each other."""
ACROSS = 6
"""Images of a group that are drawn."""
COMPARED = 4096
"""Pairs of near copies, in file order, of which the least alike are drawn."""
TILE, TEXT, MARGIN = 96, 64, 6
LINES = 3, 2
"""Below a tile, at most: of the name and of the label."""
FONT = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
HEAD = 120


@dataclass(frozen=True)
class Group:
    """Images that belong together.

    Attributes:
        kind: what they are to each other.
        members: each the data set and the row of an image.
    """

    kind: str
    members: Sequence[tuple[Prepared, int]]


def draw_sheet(
    audit: Audit, prepared: Prepared, elsewhere: Sequence[tuple[str, Prepared, Array]] = ()
) -> tuple[Image.Image, int]:
    """Return the picture, one group of copies a row with the id and label of each image, and how many were left out.

    Near copies are drawn with the correlation of their thumbnails, the least alike first.

    Args:
        audit: what was found.
        prepared: the data set.
        elsewhere: name of another data set, that data set, and (m, 2) rows of the one and of the other that are near
            copies.
    """
    rows = dict(zip(prepared.samples["id"].astype(str), range(len(prepared.samples)), strict=True))

    def own(kind: str, groups: Sequence[Sequence[str]]) -> list[Group]:
        return [Group(kind, [(prepared, rows[name]) for name in group]) for group in groups]

    exact = [group for group in audit.duplicates if group not in audit.conflicting]
    kinds = [
        *(near_groups(f"near, in\n{_lines(name, 1)[0]}", prepared, other, pairs) for name, other, pairs in elsewhere),
        own("other labels", audit.conflicting),
        near_groups("near copies", prepared, prepared, audit.near),
        own("exact copies", exact),
    ]
    shown = [group for kind, number in zip(kinds, shares([*map(len, kinds)]), strict=True) for group in kind[:number]]
    across = max((min(len(group.members), ACROSS) for group in shown), default=1)
    width, height = HEAD + across * (TILE + MARGIN) + MARGIN, TILE + TEXT + MARGIN
    columns = max(1, -(-len(shown) // TALL))
    tall = max(1, -(-len(shown) // columns))
    sheet = Image.new("RGB", (columns * width, tall * height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for place, group in enumerate(shown):
        column, row = divmod(place, tall)
        _draw_group(sheet, pen, group, (column * width + MARGIN, MARGIN + row * height))
    return sheet, sum(map(len, kinds)) - len(shown)


def shares(sizes: Sequence[int]) -> list[int]:
    """Return how many groups of each kind are drawn: as many of each as there are, or as there is room for."""
    shares = [0] * len(sizes)
    while sum(shares) < min(MOST, sum(sizes)):
        open_to = [kind for kind, size in enumerate(sizes) if shares[kind] < size]
        least = min(open_to, key=lambda kind: shares[kind])
        shares[least] += 1
    return shares


def near_groups(kind: str, first: Prepared, second: Prepared, pairs: Array) -> list[Group]:
    """Return a group for each of (m, 2) rows of the two data sets, the least alike first."""
    pairs = pairs[:COMPARED]
    thumbnails = np.stack([_thumbnails(first, pairs[:, 0]), _thumbnails(second, pairs[:, 1])], axis=1)
    alike = correlate(thumbnails.reshape(-1, SIDE, SIDE), np.arange(2 * len(pairs)).reshape(-1, 2))
    return [
        Group(f"{kind}\ncorrelation {alike[at]:.3f}", [(first, int(pairs[at, 0])), (second, int(pairs[at, 1]))])
        for at in np.argsort(alike, kind="stable")
    ]


def _thumbnails(prepared: Prepared, rows: Array) -> Array:
    """Return (m, SIDE, SIDE) uint8."""
    return np.array([thumbnail(image) for image in prepared.images(rows)], np.uint8).reshape(-1, SIDE, SIDE)


def _draw_group(sheet: Image.Image, pen: ImageDraw.ImageDraw, group: Group, corner: tuple[int, int]) -> None:
    left, top = corner
    more = f"\n{number_of(len(group.members), 'image')}" if len(group.members) > ACROSS else ""
    pen.text((left, top), group.kind + more, fill="black", font=_font())
    for number, (source, row) in enumerate(group.members[:ACROSS]):
        x = left - MARGIN + HEAD + number * (TILE + MARGIN)
        (image,) = source.images(np.array([row]))
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
        fitted = ImageOps.contain(picture, (TILE, TILE), Image.Resampling.NEAREST)
        sheet.paste(fitted, (x + (TILE - fitted.width) // 2, top + (TILE - fitted.height) // 2))
        name, label = str(source.samples["id"].iloc[row]), source.labels[source.samples["label"].iloc[row]]
        lines = [line for text, most in zip((name, label), LINES, strict=True) for line in _lines(text, most)]
        pen.text((x, top + TILE), "\n".join(lines), fill="black", font=_font())


def write_sheet(sheet: Image.Image, file: Path) -> None:
    """Write the picture.

    Raises:
        FerBenchError: the file cannot be written, or its ending names no format of pictures.
    """
    form, content = Image.registered_extensions().get(file.suffix.lower()), io.BytesIO()
    try:
        if form is None:
            raise ValueError(f"unknown file extension: {file.suffix}")
        sheet.save(content, form)
    except (OSError, ValueError) as error:
        raise FerBenchError(
            f"Cannot write the picture sheet {str(file)!r}: {error}. Name a file such as copies.png."
        ) from None
    atomic.write_file(file, content.getvalue(), "the picture sheet")


def _lines(text: str, most: int) -> list[str]:
    """Return a name in lines that fit below a tile; of a longer one the end, which tells images of one folder apart.

    Letters that the font lacks are written as escapes, since boxes are all alike.
    """
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    remaining = "".join(sign if ord(sign) in _signs() else sign.encode("unicode_escape").decode() for sign in plain)
    lines: list[str] = []
    while remaining and len(lines) < most:
        start = len(remaining)
        while start and _font().getlength(remaining[start - 1 :]) <= TILE:
            start -= 1
        lines.insert(0, remaining[start:])
        remaining = remaining[:start]
    while remaining and _font().getlength(f"…{lines[0]}") > TILE:
        lines[0] = lines[0][1:]
    return [f"…{lines[0]}", *lines[1:]] if remaining else lines


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Return matplotlib's DejaVu Sans: Pillow's own font has no Cyrillic, Greek or Arabic letters."""
    return ImageFont.truetype(FONT, 10)


@functools.cache
def _signs() -> frozenset[int]:
    """Return the code points that the font has."""
    return frozenset(FT2Font(FONT).get_charmap())
