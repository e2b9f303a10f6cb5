"""The kinds of damage that ``run --corrupt`` does to test images, and the numbers behind their five severities.

The idea is that of D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (ICLR 2019, arXiv:1903.12261), section 3. Their severities are for pictures of 224 pixels that show
objects; these are for crops of faces, which may have 48 pixels: lengths are shares of the image's shorter side, so that
the same part of a face is lost at every size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fer_bench import brackets
from fer_bench.errors import FerBenchError, bullet_list, did_you_mean

VERSION = 1
"""Raise it in a commit after which a corruption gives other pixels: stored predictions of corrupted images no longer
count then. Those of clean images stay."""
SEVERITIES = (1, 2, 3, 4, 5)
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of corruption.

    Attributes:
        number: of the kind, part of what is drawn for an image; never used for another kind.
        what: it does, for the documents.
        unit: of the numbers, for the documents.
        levels: the numbers of each severity.
        part: of the face that is hidden, ``eyes`` or ``mouth``; empty if the kind needs no landmarks.
    """

    number: int
    what: str
    unit: str
    levels: tuple[tuple[float, ...], ...]
    part: str = ""


def _one(*values: float) -> tuple[tuple[float, ...], ...]:
    return tuple((value,) for value in values)


CELLS = _one(32, 24, 16, 12, 8)
KINDS: Mapping[str, Kind] = {
    "gaussian-noise": Kind(
        number=0, what="normal noise", unit="standard deviation, grey levels", levels=_one(5, 10, 18, 26, 38)
    ),
    "shot-noise": Kind(
        number=1,
        what="Poisson noise of few photons",
        unit="photons of a white pixel",
        levels=_one(250, 120, 60, 30, 15),
    ),
    "impulse-noise": Kind(
        number=2,
        what="pixels that become black or white",
        unit="share of the pixels",
        levels=_one(0.01, 0.03, 0.06, 0.1, 0.17),
    ),
    "defocus-blur": Kind(
        number=3,
        what="mean over a disc",
        unit="radius, share of the shorter side",
        levels=_one(0.02, 0.03, 0.04, 0.055, 0.07),
    ),
    "motion-blur": Kind(
        number=4,
        what="mean over a line of random direction",
        unit="length, share of the shorter side",
        levels=_one(0.03, 0.05, 0.08, 0.12, 0.16),
    ),
    "jpeg": Kind(number=5, what="compression as JPEG, chroma halved", unit="quality", levels=_one(50, 30, 20, 12, 7)),
    "brightness": Kind(
        number=6, what="overexposure: an amount is added", unit="grey levels", levels=_one(20, 35, 50, 70, 95)
    ),
    "contrast": Kind(
        number=7,
        what="differences from the image's mean shrink",
        unit="factor",
        levels=_one(0.75, 0.5, 0.35, 0.22, 0.12),
    ),
    "pixelate": Kind(number=8, what="a mosaic of equal squares", unit="squares along the shorter side", levels=CELLS),
    "low-light": Kind(
        number=9,
        what="a dark image with the noise of its sensor",
        unit="factor; standard deviation, grey levels",
        levels=((0.6, 2), (0.45, 3), (0.32, 4), (0.22, 5), (0.14, 6)),
    ),
    "occluded-eyes": Kind(
        number=10,
        what="a black bar over both eyes",
        unit="width; height, in distances between the eyes",
        levels=((1, 0.3), (1.25, 0.4), (1.5, 0.5), (1.75, 0.6), (2, 0.7)),
        part="eyes",
    ),
    "occluded-mouth": Kind(
        number=11,
        what="a black bar over the mouth",
        unit="width; height, in distances between the eyes",
        levels=((0.8, 0.3), (1, 0.45), (1.2, 0.6), (1.4, 0.75), (1.6, 0.9)),
        part="mouth",
    ),
    "crop-jitter": Kind(
        number=12,
        what="the crop is shifted in a random direction and zoomed in or out at random",
        unit="shift, share of the shorter side; largest zoom, logarithm",
        levels=((0.03, 0.03), (0.06, 0.06), (0.1, 0.1), (0.14, 0.14), (0.18, 0.18)),
    ),
    "rotation": Kind(
        number=13,
        what="rotation around the middle, to either side",
        unit="degrees",
        levels=_one(5, 10, 15, 20, 30),
    ),
    "downscaling": Kind(
        number=14,
        what="a small image, enlarged again",
        unit="pixels of the small image's shorter side",
        levels=CELLS,
    ),
}
"""Name -> kind, in the order of reports."""


@dataclass(frozen=True, order=True)
class Corruption:
    """A kind of corruption at one severity.

    Attributes:
        kind: one of `KINDS`.
        severity: 1, mild, to 5.
        seed: of what is drawn for an image; severities of one seed draw alike.
    """

    kind: str
    severity: int
    seed: int = 0

    @property
    def series(self) -> str:
        """The kind as the user types it; its severities are one series."""
        return self.kind if self.seed == 0 else f"{self.kind}[seed={self.seed}]"

    def __str__(self) -> str:
        seed = f",seed={self.seed}" if self.seed else ""
        return f"{self.kind}[severity={self.severity}{seed}]"


def parse(texts: Iterable[str]) -> tuple[Corruption, ...]:
    """Return the corruptions that texts name, each once, in the order of `KINDS` and by severity.

    Args:
        texts: each ``all`` or a name of `KINDS`, perhaps with ``[severity=3]`` or ``[seed=1]``; without a severity all
            five are meant.

    Raises:
        FerBenchError: a name is unknown, or a number is out of range; all faults at once.
    """
    corruptions: set[Corruption] = set()
    faults: list[str] = []
    for text in texts:
        try:
            corruptions |= _read(text)
        except FerBenchError as error:
            faults.append(str(error))
    if faults:
        raise FerBenchError(f"These corruptions cannot be made:\n{bullet_list(faults)}")
    return in_order(corruptions)


def in_order(corruptions: Iterable[Corruption]) -> tuple[Corruption, ...]:
    """Return corruptions in the order of reports: by seed, kind and severity."""
    order = list(KINDS)
    return tuple(sorted(corruptions, key=lambda one: (one.seed, order.index(one.kind), one.severity)))


def _read(text: str) -> set[Corruption]:
    name, values = brackets.read("corruption", text)
    if name != ALL and name not in KINDS:
        raise FerBenchError(f"{name!r} is no kind of corruption. {did_you_mean(name, [ALL, *KINDS])}")
    if unknown := [parameter for parameter in values if parameter not in ("severity", "seed")]:
        raise FerBenchError(f"{text!r}: parameter {unknown[0]!r}. {did_you_mean(unknown[0], ['severity', 'seed'])}")
    severities = [_whole(text, values, "severity", 1, len(SEVERITIES))] if "severity" in values else [*SEVERITIES]
    seed = _whole(text, values, "seed", 0, 2**32 - 1) if "seed" in values else 0
    return {Corruption(kind, severity, seed) for kind in (KINDS if name == ALL else [name]) for severity in severities}


def _whole(text: str, values: Mapping[str, object], name: str, least: int, most: int) -> int:
    value = values[name]
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and least <= int(value[:11]) <= most):
        raise FerBenchError(f"{text!r}: {name} is {value!r}; expected a whole number from {least} to {most}")
    return int(value)
