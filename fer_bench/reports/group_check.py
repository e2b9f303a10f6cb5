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
from fer_bench.evaluation.group_scores import measure_group_scores
from fer_bench.evaluation.groups import pick_alike
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.opportunity import GroupGap, measure_group_gap
from fer_bench.reports.comparison import cross
from fer_bench.reports.standing import scale_of, title_of
from fer_bench.reports.table import Cell, Column, Field, Shown, Table, percent, tabulate
from fer_bench.results.predictions import Predictions
from fer_bench.results.rows import MethodRow

RECALL = STANDARD["accuracy"]
"""On the images of one class."""
FEWEST_IMAGES = 30
"""Images that a group needs to be shown."""
AGREED = 0.8
"""Share of an image's annotators who must agree for the image to count as agreed."""
DOUBT = "annotators' doubt"
"""The attribute by which images are agreed or doubtful; it groups images, not people, and decides no verdict."""
NOTE = (
    "Score: with its 95 % interval, by itself. Difference: score of the group minus that of all, on the classes that "
    "most groups have; each end of its range is a 95 % bound for all groups of the table at once. PASS: a shortfall of "
    "the margin is excluded; FAIL: it is shown; UNDERPOWERED: neither. Needed: with how many of them a "
    "group that is no worse passes in 80 % of cases."
)
CLASS_NOTE = (
    "Gap: by how much the recall of a class differs between the groups at most (equal opportunity), with a 95 % "
    f"interval, of groups with {FEWEST_IMAGES} images of the class."
)


@dataclass(frozen=True, kw_only=True)
class ClassCheck:
    """The recall of a class by group: each against all, and the largest gap between two."""

    groups: tuple[GroupDifference, ...]
    gap: GroupGap


@dataclass(frozen=True)
class _Terms:
    """What `check_groups` is asked."""

    metric: Metric
    margin: float
    fewest: int
    alpha: float


@dataclass(frozen=True, kw_only=True)
class AttributeCheck:
    """The groups of one attribute, or of two together.

    Attributes:
        attribute: its name, or two with ``x`` between.
        groups: those that are large enough.
        intervals: group -> the ends of the 95 % interval of its score, by itself; none where some seed did not test
            one of them.
        small: groups with too few units, which the certificate leaves out.
        classes: class -> its recall by group, where two groups have enough images of it.
    """

    attribute: str
    groups: tuple[GroupDifference, ...]
    intervals: dict[str, tuple[float, float]]
    small: tuple[str, ...]
    classes: dict[str, ClassCheck]

    @property
    def verdict(self) -> Verdict | None:
        """FAIL where a group fails, PASS where all pass, else UNDERPOWERED; None where it does not group people."""
        return None if self.attribute == DOUBT else _join([group.verdict for group in self.groups])


@dataclass(frozen=True, kw_only=True)
class GroupCheck:
    """A row by group.

    Attributes:
        name: of the row.
        margin: the shortfall that matters.
        fewest: units that a group needs.
        metric: of the scores.
        unit: what is drawn at random, such as ``subjects``.
        attributes: those with two large groups or more.
    """

    name: str
    margin: float
    fewest: int
    metric: Metric
    unit: str
    attributes: tuple[AttributeCheck, ...]

    @property
    def verdict(self) -> Verdict | None:
        """Of all attributes together; None where no attribute groups people."""
        verdicts: list[Verdict] = [one.verdict for one in self.attributes if one.verdict is not None]
        return _join(verdicts) if verdicts else None


def check_groups(row: MethodRow, metric: Metric, margin: float, fewest: int, alpha: float = 0.05) -> GroupCheck:
    """Return how a row does by each attribute, by two attributes together, and by its annotators' doubt.

    Args:
        row: with predictions.
        metric: of the scores.
        margin: the shortfall that matters, in the metric's unit.
        fewest: subjects that a group needs for the certificate, or images where no subject is known.
        alpha: error rate of each end of all bounds of an attribute.

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
    if predictions.soft is not None:
        columns[DOUBT] = ["agreed", "doubtful"], (predictions.soft.max(axis=1) < AGREED).astype(np.int32)
    terms = _Terms(metric, margin, fewest, alpha)
    checks = [_check(predictions, row, name, column, terms) for name, column in columns.items()]
    attributes = tuple(check for check in checks if check is not None)
    if not attributes:
        if not columns:
            raise FerBenchError(
                f"{row.name}: the data name no groups of people, such as sex or age. Add a column for each to a table "
                "of the pictures; 'fer-bench data init FOLDER' writes one."
            )
        available = ", ".join(predictions.groups) or "none"
        raise FerBenchError(
            f"{row.name}: no attribute has two groups of {fewest} {predictions.unit_word} with {FEWEST_IMAGES} images "
            f"of the same classes. Attributes of these images: {available}. Take more images, or a smaller --fewest."
        )
    unit = predictions.unit_word
    return GroupCheck(name=row.name, margin=margin, fewest=fewest, metric=metric, unit=unit, attributes=attributes)


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
    terms: _Terms,
) -> AttributeCheck | None:
    names, codes = column
    fewest = max(terms.fewest, 2)
    parts = {code: predictions.take(np.flatnonzero(codes == code)) for code in range(len(names)) if code in codes}
    large = [code for code, part in parts.items() if part.n_units >= fewest and part.n_samples >= FEWEST_IMAGES]
    rows = np.flatnonzero(np.isin(codes, large))
    if len(large) > 1:
        rows = rows[pick_alike(predictions.labels[rows], codes[rows])[0]]
    tested = [code for code in large if bool((codes[rows] == code).any())]
    if len(tested) < 2:
        return None
    part, members = predictions.take(rows), {names[code]: codes[rows] == code for code in tested}
    classes: dict[str, ClassCheck] = {}
    for label, title in enumerate(row.experiment.dataset.classes):
        inside = np.flatnonzero(part.labels == label)
        of_class = {name: member[inside] for name, member in members.items()}
        if checked := _check_class(part.take(inside), of_class, terms):
            classes[title] = checked
    return AttributeCheck(
        attribute=attribute,
        groups=tuple(_compare(terms.metric, part, members, terms)),
        intervals=_find_intervals(row, part, members, terms),
        small=tuple(names[code] for code in parts if code not in tested),
        classes=classes,
    )


def _find_intervals(
    row: MethodRow, part: Predictions, members: Mapping[str, Array], terms: _Terms
) -> dict[str, tuple[float, float]]:
    whole = part if row.predictions is None else row.predictions
    crossed = cross(row.experiment.protocol.folds, row.done, whole)
    columns = part.labels, part.probabilities, part.training.astype(np.int64), part.unit_codes, part.split
    scores = measure_group_scores(terms.metric, *columns, tuple(members.items()), crossed)
    if scores is None:
        return {}
    each = {name: algorithm_interval(one, crossed) for name, one in scores.groups.items()}
    return {name: (one.low, one.high) for name, one in each.items()}


def _check_class(part: Predictions, members: Mapping[str, Array], terms: _Terms) -> ClassCheck | None:
    """Return the recall of a class by group, of ``part``, its images; None where fewer than two groups have enough."""
    units = part.unit_codes
    enough = {
        name: member
        for name, member in members.items()
        if len(np.unique(part.sample[member])) >= FEWEST_IMAGES and len(np.unique(units[member])) > 1
    }
    if len(enough) < 2:
        return None
    rows = np.flatnonzero(np.any(list(enough.values()), axis=0))
    part, enough = part.take(rows), {name: member[rows] for name, member in enough.items()}
    columns = part.labels, part.probabilities, part.training.astype(np.int64), part.unit_codes
    gap = measure_group_gap(RECALL, *columns, tuple(enough.items()), alpha=terms.alpha)
    return ClassCheck(groups=tuple(_compare(RECALL, part, enough, terms)), gap=gap)


def _compare(metric: Metric, part: Predictions, members: Mapping[str, Array], terms: _Terms) -> list[GroupDifference]:
    """Return how each group differs from all of ``part``."""
    columns = part.labels, part.probabilities, part.training.astype(np.int64), part.unit_codes
    return compare_groups_to_all(metric, *columns, tuple(members.items()), margin=terms.margin, alpha=terms.alpha)


def _join(verdicts: Sequence[Verdict]) -> Verdict:
    return "FAIL" if "FAIL" in verdicts else "UNDERPOWERED" if "UNDERPOWERED" in verdicts else "PASS"


def to_tables(check: GroupCheck) -> list[Table]:
    """Return a table for each attribute, and one of classes."""
    tables: list[Table] = []
    for attribute in check.attributes:
        small = f"Left out, with fewer than {check.fewest} {check.unit}: {'; '.join(attribute.small)}."
        title = f"{check.name}, by {attribute.attribute}: {attribute.verdict or 'no verdict, it groups no people'}"
        tables.append(
            tabulate(attribute.groups, _group_fields(check, attribute), title, [small] if attribute.small else [])
        )
        if attribute.classes:
            checks = tuple(attribute.classes.items())
            tables.append(tabulate(checks, CLASS_FIELDS, f"Recall of each class, by {attribute.attribute}"))
    notes = (NOTE, CLASS_NOTE) if any(attribute.classes for attribute in check.attributes) else (NOTE,)
    return [*tables, Table(notes=notes)]


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


def _group_fields(check: GroupCheck, attribute: AttributeCheck) -> tuple[Field[GroupDifference], ...]:
    scale, title = scale_of(check.metric), title_of(check.metric)

    def score(group: GroupDifference) -> Cell:
        return percent(group.value, attribute.intervals.get(group.name), scale=scale)

    def difference(group: GroupDifference) -> Cell:
        return percent(group.difference, (group.low, group.high), scale=scale, sign="+")

    fields: tuple[Field[GroupDifference], ...] = (
        (Column("group"), lambda group: group.name),
        (Column(check.unit, "number"), lambda group: group.units),
        (Column("predictions", "number", optional=True), lambda group: group.samples),
        (Column(title, "number", optional=True), score),
        (Column("difference", "number"), difference),
    )
    if attribute.verdict is None:
        return fields
    verdict: Field[GroupDifference] = (Column("verdict"), lambda group: group.verdict)
    return (*fields, verdict, (Column(f"{check.unit} needed", "number"), lambda group: group.needed))


def _recall(check: ClassCheck, name: str) -> Shown:
    """Return the name of a group and its recall."""
    value = next(group.value for group in check.groups if group.name == name)
    return Shown(f"{name} {100 * value:.1f}", value)


def _gap(check: ClassCheck) -> Cell:
    return percent(check.gap.value, (check.gap.low, check.gap.high))


CLASS_FIELDS: tuple[Field[tuple[str, ClassCheck]], ...] = (
    (Column("class"), lambda pair: pair[0]),
    (Column("lowest recall %"), lambda pair: _recall(pair[1], pair[1].gap.lowest)),
    (Column("highest recall %"), lambda pair: _recall(pair[1], pair[1].gap.highest)),
    (Column("gap", "number"), lambda pair: _gap(pair[1])),
)
