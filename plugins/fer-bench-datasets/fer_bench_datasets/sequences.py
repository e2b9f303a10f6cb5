"""Choose frames of sequences that go from a neutral face to the apex of an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .layout import Source


def choose_frames(source: Source, folder: Path, frames: Sequence[Path], label: str) -> Iterator[tuple[Path, str]]:
    """Yield the first frames as neutral and the last ones as ``label``; no frame is taken twice.

    A sequence with too few frames gives fewer, with a notice.

    Args:
        source: the data set, with parameters ``last`` and ``neutral``.
        folder: of the sequence.
        frames: in order of time.
        label: what the sequence ends in.
    """
    last, neutral = source.params.last, source.params.neutral
    if len(frames) < neutral + last:
        source.notices.append(
            f"{source.name(folder)!r} has {len(frames)} frames, too few for the first {neutral} and the last {last}"
        )
    for path in frames[:neutral]:
        yield path, "neutral"
    for path in frames[neutral:][-last:]:
        yield path, label
