"""How a method does by group: scores with intervals, differences to all, classes, and the certificate of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.certificate import GroupDifference, Verdict, compare_groups_to_all
from fer_bench.evaluation.groups import pick_alike
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.reports.standing import PERCENT
from fer_bench.reports.table import Column, Field, Shown, Table, tabulate
from fer_bench.results.predictions import Predictions
from fer_bench.results.rows import MethodRow

FEWEST_IMAGES = 30
"""Images that a group needs to be shown."""
NOTE = (
    "Difference: score of the group minus that of all, on the classes that most groups have; each end of its range is "
    "a 95 % bound for all groups of the table at once. PASS: a shortfall of the margin is excluded; FAIL: it is shown; "
    "UNDERPOWERED: neither. Needed: subjects of the group with which a group that is no worse passes in 80 % of cases."
)


@dataclass(frozen=True, kw_only=True)
class AttributeCheck:
    """The groups of one attribute, or of two together.

    Attributes:
        attribute: its name, or two with ``x`` between.
        groups: those that are large enough.
        small: groups with too few subjects, which the certificate leaves out.
        classes: class -> the group whose recall of it is lowest beside all, where that can be told.
    """

    attribute: str
    groups: tuple[GroupDifference, ...]
    small: tuple[str, ...]
    classes: dict[str, GroupDifference]

    @property
    def verdict(self) -> Verdict:
        """FAIL where a group fails, PASS where all pass, else UNDERPOWERED."""
        return _join([group.verdict for group in self.groups])


@dataclass(frozen=True, kw_only=True)
class GroupCheck:
    """A row by group.

    Attributes:
        name: of the row.
        margin: the shortfall that matters.
        fewest: subjects that a group needs.
        metric: of the scores.
        attributes: those with two large groups or more.
    """

    name: str
    margin: float
    fewest: int
    metric: Metric
    attributes: tuple[AttributeCheck, ...]

    @property
    def verdict(self) -> Verdict:
        """Of all attributes together."""
        return _join([attribute.verdict for attribute in self.attributes])


def check_groups(row: MethodRow, metric: Metric, margin: float, fewest: int) -> GroupCheck:
    """Return how a row does by each attribute, and by two attributes together.

    Args:
        row: with predictions.
        metric: of the scores.
        margin: the shortfall that matters, in the metric's unit.
        fewest: subjects that a group needs for the certificate.

    Raises:
        FerBenchError: the row has no predictions, or no attribute with two groups that are large enough.
    """
    predictions = row.predictions
    if predictions is None:
        raise FerBenchError(f"{row.name}: all of its cells failed or are damaged.")
    columns = dict(predictions.groups)
    columns |= {
        f"{one} x {two}": _cross(columns[one], columns[two]) for one, two in combinations(predictions.groups, 2)
    }
    checks = [_check(predictions, row, name, column, metric, margin, fewest) for name, column in columns.items()]
    attributes = tuple(check for check in checks if check is not None)
    if not attributes:
        known = ", ".join(predictions.groups) or "none"
        raise FerBenchError(
            f"{row.name}: no attribute has two groups of {fewest} subjects with {FEWEST_IMAGES} images of the same "
            f"classes. Attributes of these images: {known}. Take more images, or a smaller --fewest."
        )
    return GroupCheck(name=row.name, margin=margin, fewest=fewest, metric=metric, attributes=attributes)


def _cross(one: tuple[list[str], Array], two: tuple[list[str], Array]) -> tuple[list[str], Array]:
    """Return the groups of two attributes together; a sample that lacks either has none."""
    (first, codes), (second, others) = one, two
    names = [f"{name}, {other}" for name in first for other in second]
    return names, np.where((codes >= 0) & (others >= 0), codes * len(second) + others, -1)


def _check(
    predictions: Predictions,
    row: MethodRow,
    attribute: str,
    column: tuple[list[str], Array],
    metric: Metric,
    margin: float,
    fewest: int,
) -> AttributeCheck | None:
    names, codes = column
    held = {code: predictions.take(np.flatnonzero(codes == code)) for code in range(len(names)) if code in codes}
    large = [code for code, part in held.items() if part.n_units >= max(fewest, 2) and part.n_samples >= FEWEST_IMAGES]
    rows = np.flatnonzero(np.isin(codes, large))
    if len(large) > 1:
        rows = rows[pick_alike(predictions.labels[rows], codes[rows])[0]]
    kept = [code for code in large if bool((codes[rows] == code).any())]
    if len(kept) < 2:
        return None
    part, members = predictions.take(rows), {names[code]: codes[rows] == code for code in kept}
    classes: dict[str, GroupDifference] = {}
    for label, title in enumerate(row.experiment.dataset.classes):
        inside = np.flatnonzero(part.labels == label)
        of_class = {name: member[inside] for name, member in members.items()}
        if compared := _compare(STANDARD["accuracy"], part.take(inside), of_class, margin):
            classes[title] = min(compared, key=lambda group: group.difference)
    return AttributeCheck(
        attribute=attribute,
        groups=tuple(_compare(metric, part, members, margin)),
        small=tuple(names[code] for code in held if code not in kept),
        classes=classes,
    )


def _compare(metric: Metric, part: Predictions, members: Mapping[str, Array], margin: float) -> list[GroupDifference]:
    """Return how each group differs from all of ``part``; nothing where one of them is a single subject, or none."""
    units = part.sample if part.units is None else part.units
    if any(len(np.unique(units[member])) < 2 for member in members.values()):
        return []
    groups = tuple(members.items())
    training = part.training.astype(np.int64)
    return compare_groups_to_all(metric, part.labels, part.probabilities, training, units, groups, margin=margin)


def _join(verdicts: Sequence[Verdict]) -> Verdict:
    return "FAIL" if "FAIL" in verdicts else "UNDERPOWERED" if "UNDERPOWERED" in verdicts else "PASS"


def to_tables(check: GroupCheck) -> list[Table]:
    """Return a table for each attribute, and one of classes."""
    tables: list[Table] = []
    for attribute in check.attributes:
        small = f"Left out, with fewer than {check.fewest} subjects: {', '.join(attribute.small)}."
        title = f"{check.name}, by {attribute.attribute}: {attribute.verdict}"
        tables.append(tabulate(attribute.groups, _group_fields(check), title, [small] if attribute.small else []))
        if attribute.classes:
            worst = tuple(attribute.classes.items())
            tables.append(tabulate(worst, CLASS_FIELDS, f"Lowest recall of each class, by {attribute.attribute}"))
    last = tables[-1]
    return [*tables[:-1], Table(last.title, last.columns, last.rows, (*last.notes, NOTE))]


def record(check: GroupCheck) -> dict[str, Any]:
    """Return it as plain JSON."""
    return {
        "row": check.name,
        "verdict": check.verdict,
        "metric": check.metric.name,
        "margin": check.margin,
        "fewest": check.fewest,
        "attributes": [{**asdict(attribute), "verdict": attribute.verdict} for attribute in check.attributes],
    }


def _range(group: GroupDifference, scale: float = 100) -> Shown:
    text = f"{scale * group.difference:+.1f} ({scale * group.low:+.1f} to {scale * group.high:+.1f})"
    return Shown(text, group.difference)


def _group_fields(check: GroupCheck) -> tuple[Field[GroupDifference], ...]:
    scale = 100 if check.metric.name in PERCENT else 1
    title = f"{check.metric.title} %" if scale == 100 else check.metric.title
    return (
        (Column("group"), lambda group: group.name),
        (Column("subjects", "number"), lambda group: group.units),
        (Column("predictions", "number", optional=True), lambda group: group.samples),
        (Column(title, "number"), lambda group: Shown(f"{scale * group.value:.1f}", group.value)),
        (Column("difference", "number"), lambda group: _range(group, scale)),
        (Column("verdict"), lambda group: group.verdict),
        (Column("needed", "number"), lambda group: group.needed),
    )


CLASS_FIELDS: tuple[Field[tuple[str, GroupDifference]], ...] = (
    (Column("class"), lambda pair: pair[0]),
    (Column("group"), lambda pair: pair[1].name),
    (Column("recall %", "number"), lambda pair: Shown(f"{100 * pair[1].value:.1f}", pair[1].value)),
    (Column("difference", "number"), lambda pair: _range(pair[1])),
)
