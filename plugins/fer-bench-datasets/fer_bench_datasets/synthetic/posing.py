"""What the action units do to a face: from an identity and intensities to the geometry that is drawn.

The displacements follow the appearance changes that the FACS manual (Ekman, Friesen & Hager, 2002) gives for each unit.
"""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench_datasets.synthetic.actions import UNITS, Actions
from fer_bench_datasets.synthetic.anatomy import Identity


@dataclass(frozen=True, kw_only=True, slots=True)
class Brow:
    """Height of the brow at its inner end, middle and outer end, and how far from the middle line it begins."""

    inner: float
    middle: float
    outer: float
    start: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Eye:
    """Lid heights above and below the line between the corners, and how far the upper lid peaks towards the nose."""

    upper: float
    lower: float
    peak: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Mouth:
    """The mouth in face units.

    Attributes:
        v: height of its centre.
        width: half its width.
        lift: how far the corners lie above the centre; negative when they droop.
        gap_upper: how far the upper lip's lower edge lies above the closed line.
        gap_lower: how far the lower lip's upper edge lies below it.
        flatness: 0 for a rounded opening, 1 for a square one.
        upper: thickness of the upper lip.
        lower: thickness of the lower lip.
        curl: how far the upper lip is pulled up beside its middle.
        teeth: how much of the opening the upper teeth fill, 0 to 1.
        lower_teeth: the same of the lower teeth.
    """

    v: float
    width: float
    lift: float
    gap_upper: float
    gap_lower: float
    flatness: float
    upper: float
    lower: float
    curl: float
    teeth: float
    lower_teeth: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Relief:
    """Strengths in [0, 1] of the furrows and bulges that actions add to those of age."""

    forehead: float
    forehead_sides: float
    frown: float
    nose: float
    folds: float
    fold_reach: float
    crow: float
    cheek: float
    pouch: float
    chin: float
    droop: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """A face in the act: both sides alike but for the gains that ``pose_face`` was given."""

    brows: tuple[Brow, Brow]
    eyes: tuple[Eye, Eye]
    mouth: Mouth
    relief: Relief
    chin: float
    nose_lift: float
    nose_flare: float


def _pose_brow(identity: Identity, a: Actions) -> Brow:
    base = identity.eye_v - identity.brow_gap
    lowered = 0.12 * a[4] * (1.0 - 0.55 * a[1])
    slant = identity.brow_slant
    return Brow(
        inner=base + slant - 0.145 * a[1] - 0.02 * a[2] + lowered + 0.05 * a[9],
        middle=base - identity.brow_arch - 0.05 * a[1] - 0.105 * a[2] + 0.075 * a[4] * (1.0 - 0.4 * a[1]) + 0.03 * a[9],
        outer=base - slant + 0.02 - 0.125 * a[2] + 0.035 * a[4] + 0.02 * a[1] * (1.0 - a[2]) + 0.015 * a[6],
        start=identity.brow_inner - 0.05 * a[4] - 0.015 * a[9],
    )


def _pose_eye(identity: Identity, a: Actions) -> Eye:
    upper = identity.lid_upper * (
        1.0 + 0.68 * a[5] + 0.1 * a[2] - 0.38 * a[7] - 0.25 * a[6] - 0.35 * a[9] - 0.12 * a[4]
    )
    lower = identity.lid_lower * (1.0 + 0.25 * a[5] - 0.55 * a[7] - 0.85 * a[6] - 0.55 * a[9])
    shut = 1.0 - 0.93 * a[43]
    return Eye(upper=max(0.012, upper * shut), lower=max(0.002, lower * (0.4 + 0.6 * shut)),
               peak=0.35 * a[1] * (1.0 - 0.5 * a[2]) - 0.45 * a[4] * (1.0 - a[1]))  # fmt: skip


def _pose_mouth(identity: Identity, a: Actions) -> Mouth:
    thinned = max(0.25, 1.0 - 0.6 * a[23] - 0.7 * a[24])
    parted = min(1.0, a[25] + a[26])
    return Mouth(
        v=identity.mouth_v - 0.02 * a[12] - 0.03 * a[17] - 0.02 * a[9] - 0.02 * a[10] + 0.015 * a[26],
        width=identity.mouth_width
        * (1.0 + 0.36 * a[12] + 0.3 * a[20] + 0.06 * a[10] - 0.16 * a[23] - 0.08 * a[24] - 0.26 * a[26] * (1.0 - a[12]))
        * (1.0 - 0.08 * a[15] - 0.08 * a[17]),
        lift=identity.mouth_curve + 0.185 * a[12] - 0.13 * a[15] - 0.045 * a[17] - 0.03 * a[20] - 0.03 * a[10],
        gap_upper=0.022 * a[25] + 0.03 * a[10] * parted + 0.02 * a[9] * parted + 0.035 * a[26],
        gap_lower=0.035 * a[25] + 0.05 * a[12] * a[25] + 0.05 * a[16] * parted + 0.02 * a[20] * parted + 0.22 * a[26],
        flatness=min(1.0, 0.7 * a[20] + 0.5 * a[16] + 0.4 * a[10] + 0.3 * a[12]),
        upper=identity.lip_upper * thinned * (1.0 - 0.3 * a[12] - 0.2 * a[20] - 0.15 * a[10]),
        lower=identity.lip_lower * thinned * (1.0 - 0.2 * a[12] - 0.2 * a[20] + 0.25 * a[16] + 0.15 * a[17]),
        curl=0.05 * a[10] + 0.025 * a[9],
        teeth=min(1.0, 0.25 + 0.8 * a[12] + 0.8 * a[10] + 0.5 * a[20] + 0.4 * a[9])
        * (1.0 - 0.5 * a[26] * (1.0 - a[12])),
        lower_teeth=min(1.0, 0.8 * a[16] + 0.35 * a[20]),
    )


def _pose_relief(identity: Identity, a: Actions) -> Relief:
    return Relief(
        forehead=min(1.0, identity.forehead_lines + 0.75 * a[1]),
        forehead_sides=min(1.0, identity.forehead_lines + 0.75 * a[2]),
        frown=min(1.0, identity.frown_lines + 0.85 * a[4] + 0.2 * a[9]),
        nose=0.95 * a[9],
        folds=min(1.0, identity.folds + 0.6 * a[12] + 0.55 * a[10] + 0.45 * a[9] + 0.15 * a[15]),
        fold_reach=0.09 * a[12] + 0.04 * a[10] + 0.06 * a[20],
        crow=min(1.0, 0.3 * identity.forehead_lines + 0.7 * a[6]),
        cheek=min(1.0, 0.8 * a[6] + 0.5 * a[12] + 0.35 * a[9]),
        pouch=min(1.0, identity.bags + 0.5 * a[6] + 0.4 * a[7] + 0.3 * a[9]),
        chin=0.9 * a[17] + 0.2 * a[24],
        droop=0.9 * a[15] + 0.3 * a[17],
    )


def pose_face(identity: Identity, actions: Actions, imbalance: float = 0.0) -> Geometry:
    """Return the face of ``identity`` with ``actions``.

    Args:
        identity: the person.
        actions: intensity in [0, 1] of every unit of ``actions.UNITS``; absent ones are 0.
        imbalance: in [-1, 1]: how much stronger brows and lids act on the left of the picture than on the right.

    Example:
        >>> from fer_bench_datasets.synthetic.anatomy import sample_identity
        >>> from fer_bench_datasets.synthetic.stream import Stream
        >>> someone = sample_identity(Stream(0), 1.0)
        >>> pose_face(someone, {12: 1.0}).mouth.lift > pose_face(someone, {}).mouth.lift
        True
    """
    a = {unit: actions.get(unit, 0.0) for unit in UNITS}
    left = {unit: min(1.0, value * (1.0 + imbalance)) for unit, value in a.items()}
    right = {unit: min(1.0, value * (1.0 - imbalance)) for unit, value in a.items()}
    return Geometry(
        brows=(_pose_brow(identity, left), _pose_brow(identity, right)),
        eyes=(_pose_eye(identity, left), _pose_eye(identity, right)),
        mouth=_pose_mouth(identity, a),
        relief=_pose_relief(identity, a),
        chin=identity.chin + 0.13 * a[26] - 0.02 * a[17],
        nose_lift=0.045 * a[9] + 0.015 * a[10],
        nose_flare=1.0 + 0.2 * a[9] + 0.08 * a[12] + 0.08 * a[10],
    )
