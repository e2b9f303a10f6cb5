"""What a data set's labels are worth, as tables and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

import numpy as np

from fer_bench.evaluation.annotators import Agreement
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import annotator_check
from fer_bench.reports.label_check import LabelCheck, MethodCheck, PartScore, list_suspects
from fer_bench.reports.table import Cell, Column, Field, Table, numbers, percent, span, tabulate, texts
from fer_bench.sizes import number_of

NOTES = (
    "Confident learning (Northcutt et al. 2021) on the mean of all methods' predictions of images that they did not "
    "train on. It counts an image that is only hard as wrong: with an accuracy of 85 % it is near the truth, with 50 % "
    "it says some 45 % where no label is wrong. The intervals of labels are for other people. Look at a suspect before "
    "you change its label.",
    "Intervals of methods are those of the board: in cross-validation also for other people to train on. Without the "
    "suspects every score rises, since the methods themselves chose them. What counts is whether the order changes.",
)
VOTES = (
    "An annotator is drawn at random from those of an image. No method can be above the ceiling. An annotator against "
    "the labels is a little too high, since each took part in the label.",
)


def to_suspects(checks: Sequence[LabelCheck]) -> Table:
    """Return a row for each suspect of each data set, the clearest of a data set first."""
    columns = (*texts("dataset", "id", "label", "suggested"), *numbers("p_label", "margin", "annotators"))
    return Table(columns=columns, rows=tuple(astuple(one) for check in checks for one in list_suspects(check)))


def record(check: LabelCheck) -> dict[str, Any]:
    """Return everything as plain JSON."""
    wrong = check.noise.wrong_by_class
    return {
        "dataset": check.dataset,
        "images": len(check.ids),
        "wrong": {"estimate": check.noise.wrong, "low": float(check.wrong[0]), "high": float(check.wrong[1])},
        "classes": [
            {
                "label": name,
                "images": int((check.labels == label).sum()),
                "wrong": None if np.isnan(wrong[label]) else float(wrong[label]),
                "interval": None if np.isnan(bounds[0]) else bounds.tolist(),
                "truly": dict(zip(check.classes, check.noise.joint[label].tolist(), strict=True)),
            }
            for label, (name, bounds) in enumerate(zip(check.classes, check.wrong_by_class, strict=True))
        ],
        "methods": [asdict(method) for method in check.methods],
        "left_out": list(check.left_out),
        "ceiling": None if check.ceiling is None else asdict(check.ceiling),
        "annotators": [asdict(one) for one in check.annotators],
        "annotator_against_labels": None if check.labelled is None else asdict(check.labelled),
        "suspects": [asdict(one) for one in list_suspects(check)],
    }


def to_tables(check: LabelCheck) -> list[Table]:
    """Return the labels by class, the methods with and without suspects, and what annotators reach."""
    low, high = 100 * check.wrong
    accuracy = STANDARD["accuracy"].score(check.labels, check.probabilities)
    title = (
        f"Labels of {check.dataset}, {number_of(len(check.ids), 'image')}: at most "
        f"{100 * check.noise.wrong:.1f} % are wrong "
        f"({low:.1f} to {high:.1f}), {number_of(len(check.noise.suspects), 'suspect')}; the methods "
        "together reach an accuracy of "
        f"{100 * accuracy:.1f} %"
    )
    left_out = [f"Left out, since it tested other images: {name}." for name in check.left_out]
    tables = [
        tabulate(range(len(check.classes)), _class_fields(check), title, [NOTES[0]]),
        tabulate(
            check.methods, _method_fields(check), "UAR in percent, with and without suspects", [NOTES[1], *left_out]
        ),
    ]
    if check.soft is not None and check.labelled is not None and check.ceiling is not None:
        scores = [("ceiling: the best answers", check.ceiling), ("an annotator, against the labels", check.labelled)]
        scores += [(method.name, method.annotator) for method in check.methods if method.annotator]
        fields: tuple[Field[tuple[str, Agreement]], ...] = (
            (Column("answers"), lambda pair: pair[0]),
            (Column("accuracy %", "number"), lambda pair: percent(pair[1].accuracy)),
            (Column("UAR %", "number"), lambda pair: percent(pair[1].uar)),
        )
        tables.append(tabulate(scores, fields, "Against an annotator drawn at random", VOTES))
    return [*tables, annotator_check.to_table(check.annotators)] if check.annotators else tables


def _class_fields(check: LabelCheck) -> tuple[Field[int], ...]:
    joint, images = check.noise.joint, np.bincount(check.labels, minlength=len(check.classes))
    wrong = check.noise.wrong_by_class

    def mostly(label: int) -> Cell:
        others = joint[label].copy()
        others[label] = 0
        return check.classes[int(others.argmax())] if others.any() else ""

    def interval(label: int) -> Cell:
        low, high = check.wrong_by_class[label]
        return None if np.isnan(low) else span(low, high)

    return (
        (Column("label"), lambda label: check.classes[label]),
        (Column("images", "number"), lambda label: int(images[label])),
        (
            Column("wrong, at most %", "number", "lower"),
            lambda label: None if not images[label] else percent(wrong[label]),
        ),
        (Column("95 % interval", "number"), interval),
        (Column("mostly truly"), mostly),
    )


def _method_fields(check: LabelCheck) -> tuple[Field[MethodCheck], ...]:
    def score(name: str) -> Field[MethodCheck]:
        def cell(method: MethodCheck) -> Cell:
            part: PartScore | None = getattr(method, name)
            if part is None or part.value is None:
                return None
            return percent(part.value.estimate, (part.value.low, part.value.high))

        return Column(TITLES[name], "number", "higher", optional=name not in ("everything", "kept")), cell

    def tier(name: str) -> Field[MethodCheck]:
        return Column("tier"), lambda method: getattr(method, name).tier

    shown = [score("everything"), tier("everything"), score("kept"), tier("kept")]
    shown += [score("agreed"), score("doubtful")] if check.soft is not None else []
    return ((Column("backbone, strategy"), lambda method: method.name), *shown)


TITLES = {"everything": "all", "kept": "without suspects", "agreed": "agreed", "doubtful": "doubtful"}
