"""Choose frames of sequences that go from a neutral face to the apex of an expression."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_bench.sizes import number_of

from .layout import LayoutSource


def choose_frames(
    source: LayoutSource, folder: Path, frames: Sequence[Path], label: str, begin: int
) -> Iterator[tuple[Path, str]]:
    """Yield the first frames as neutral and the last ones as ``label``; no frame is taken twice.

    A sequence with too few frames gives fewer, with a notice. One whose beginning is missing gives no neutral frame,
    with a notice: what comes first in it may show the expression already.

    Args:
        source: the data set, with parameters ``last`` and ``neutral``.
        folder: of the sequence.
        frames: in order of time.
        label: what the sequence ends in.
        begin: number of the first frame, which ends its file's name.
    """
    last, neutral = source.params.last, source.params.neutral
    number = re.search(r"\d+$", frames[0].stem) if frames else None
    if neutral and frames and (number is None or int(number[0]) != begin):
        source.notices.append(
            f"{source.name(folder)!r} begins with {frames[0].name!r} instead of frame {begin}, so nothing in it is "
            "taken as neutral"
        )
        neutral = 0
    if len(frames) < neutral + last:
        source.notices.append(
            f"{source.name(folder)!r} has {number_of(len(frames), 'frame')}, too few for the first "
            f"{neutral} and the last {last}"
        )
    for path in frames[:neutral]:
        yield path, "neutral"
    for path in frames[neutral:][-last:]:
        yield path, label
