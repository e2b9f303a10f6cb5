"""Soft labels, boxes and attributes: from a sample to the table of predictions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import says
from test_results import UNKNOWN, make_cell, make_measures

from fer_bench.data.builder import FerBuilder, encode_png
from fer_bench.data.checks import check_samples
from fer_bench.data.faults import Faults
from fer_bench.data.index import IndexWriter, read_index, write_index
from fer_bench.data.prepare import find_prepared, old_format, prepare
from fer_bench.data.prepared import SCHEMA
from fer_bench.errors import DataError, FerBenchError
from fer_bench.evaluation.calibration import soft_accuracy, soft_kl
from fer_bench.executors.grid import check_labels
from fer_bench.learning.material import Material
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Result, Store
from fer_bench.specs import DatasetSpec, GradientPhase, Plan, Rule, Sample
from fer_bench.tasks.soft_labels import map_soft_labels
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import select

LABELS = ("happy", "sad", "contempt", "joy", "fear")
PICTURE = encode_png(np.zeros((2, 2), np.uint8))

VOTES = [
    ("happy", {"happy": 3, "sad": 1}),
    ("happy", {"joy": 5, "contempt": 5}),
    ("sad", {"contempt": 2}),
    ("sad", {"sad": 0.5, "happy": 0.25, "contempt": 0.25}),
    ("contempt", {"contempt": 1}),
]


class Voted(FerBuilder):
    """Five images and what three or more people saw in them."""

    samples: tuple[Sample, ...] = tuple(
        Sample(
            id=str(number),
            image=PICTURE,
            label=label,
            groups={"age": ("young", "old")[number % 2]},
            soft_label=votes,
            box=(number, 0, number + 2, 2) if number else None,
        )
        for number, (label, votes) in enumerate(VOTES)
    )

    def read(self, root, faults):
        yield from self.samples


def component() -> Component[DatasetSpec]:
    spec = DatasetSpec(
        name="voted",
        title="",
        builder=f"{__name__}:Voted",
        labels=LABELS,
        identity="no",
        licence="",
        citation="",
    )
    return Component(spec, spec.params(), Plugin(name="tests", distribution="tests", version="1"))


@pytest.fixture
def prepared(tmp_path):
    return prepare(component(), tmp_path)


def test_votes_and_boxes_are_kept(prepared):
    soft = prepared.soft_labels(np.array([3, 0]))
    assert soft.dtype == np.float32
    assert soft.tolist() == [[0.25, 0.5, 0.25, 0, 0], [0.75, 0.25, 0, 0, 0]]
    boxes = prepared.samples[["box:left", "box:top", "box:right", "box:bottom"]]
    assert boxes.to_numpy().tolist()[:2] == [[0, 0, 0, 0], [1, 0, 3, 2]]
    assert prepared.groups == ("age",)
    assert isinstance(prepared.samples["group:age"].dtype, pd.CategoricalDtype)
    assert prepared.verify() == []


def test_verify_compares_votes_and_boxes(prepared, tmp_path):
    table = prepared.samples.copy()
    table.loc[1, "soft:joy"] = 0.25
    table.loc[2, "box:top"] = 9
    table.to_parquet(prepared.folder / "samples.parquet")
    faults = find_prepared(component(), tmp_path).verify()
    assert [line.split(" differs")[0] for line in faults] == ["'1': the soft label", "'2': the box"]


def test_fingerprint_depends_on_votes_and_not_on_boxes(prepared, tmp_path, monkeypatch):
    first = Voted.samples
    with monkeypatch.context() as patch:
        patch.setattr(Voted, "samples", (*first[:-1], replace(first[-1], box=(0, 0, 1, 1))))
        assert prepare(component(), tmp_path / "boxes").fingerprint == prepared.fingerprint
    monkeypatch.setattr(Voted, "samples", (*first[:-1], replace(first[-1], soft_label={"contempt": 2, "sad": 1})))
    assert prepare(component(), tmp_path / "votes").fingerprint != prepared.fingerprint


def test_votes_follow_the_label_set(prepared):
    native = select(component(), prepared, None)
    assert native.soft_labels.tolist() == prepared.soft_labels(np.arange(5)).tolist()
    codes = np.array([0, 1, -1, 0, 2])  # Of happiness, sadness and fear; contempt has no place.
    mapped = map_soft_labels(native.soft_labels[:4], codes, np.array([0, 0, 1, 1]), 3)
    np.testing.assert_allclose(mapped, [[0.75, 0.25, 0], [1, 0, 0], [0, 1, 0], [1 / 3, 2 / 3, 0]], rtol=1e-6)


def test_training_gets_votes_where_it_asks_for_them(prepared):
    task = Task((select(component(), prepared, None),))

    def nothing(*_):
        raise AssertionError

    material = Material(
        labels=task.labels,
        classes=len(task.classes),
        class_names=task.classes,
        answers=(),
        features=nothing,
        inputs=nothing,
        backbone=nothing,
        begin=nothing,
        advance=nothing,
        soft_labels=lambda: task.soft_labels,
    )
    np.testing.assert_array_equal(material.targets("hard").argmax(1), task.labels)
    np.testing.assert_array_equal(material.targets("soft")[0], [0.75, 0.25, 0, 0, 0])
    with pytest.raises(ValueError, match="with soft labels"):
        replace(material, soft_labels=lambda: None).targets("soft")


def test_a_part_without_votes_gives_each_class_all(prepared, tmp_path, monkeypatch):
    view = select(component(), prepared, None)
    monkeypatch.setattr(Voted, "samples", tuple(replace(sample, soft_label={}) for sample in Voted.samples))
    plain = select(component(), prepare(component(), tmp_path / "plain"), None)
    assert Task((plain,)).soft_labels is None
    assert "soft0" not in Task((plain, view)).describe(np.arange(5))
    rules = (Rule(), Rule(head=True))
    plans = {
        labels: Plan(phases=(GradientPhase(name="p", rules=rules, epochs=1, labels=labels),))
        for labels in ("hard", "soft")
    }
    check_labels(plans["hard"], "own", Task((plain,)))
    check_labels(plans["soft"], "own", Task((view,)))
    with pytest.raises(FerBenchError, match=r"'own'.*soft labels.*'voted'"):
        check_labels(plans["soft"], "own", Task((plain,)))
    both = Task((view, plain)).soft_labels
    assert both[:5].tolist() == view.soft_labels.tolist()
    assert both[5:].tolist() == np.eye(5)[[0, 0, 1, 1, 2]].tolist()


def test_stored_predictions_alone_give_soft_and_group_scores(prepared, tmp_path):
    task = Task((select(component(), prepared, None),))
    store, cells = Store(tmp_path / "runs"), []
    for fold, rows in enumerate(np.split(np.arange(4), 2)):
        table = task.describe(rows)
        for index in range(5):
            table[f"p{index}"] = np.float32([0.5, 0.5, 0, 0, 0][index])
        cell = make_cell(fold, classes=[str(index) for index in range(5)])
        result = Result("ok", "", make_measures([1] * 5), table, pd.DataFrame({"phase": []}))
        cells.append(store.write(cell, result, UNKNOWN))
    predictions, _, _ = read_predictions(cells)
    names, codes = predictions.groups["age"]
    assert [names[code] for code in codes.tolist()] == ["young", "old", "young", "old"]
    soft, answers = predictions.soft, predictions.probabilities
    # Each answer is a tie of the first two classes, which share it.
    assert soft_accuracy(soft, answers) == ((0.75 + 0.25) / 2 + 0 + 0 + (0.25 + 0.5) / 2) / 4
    assert soft_kl(soft[:1], answers[:1]) == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    stored = pd.read_feather(store.folder(cells[0].id) / "predictions.feather")
    assert isinstance(stored["group:age"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({}, ("no soft label",)),
        ({"happyy": 1}, ("'happyy'", "'happy'?")),
        ({"happy": -1, "sad": 2}, ("{'happy': -1, 'sad': 2}", "from 0")),
        ({"happy": float("nan")}, ("{'happy': nan}", "from 0")),
        ({"happy": 0}, ("soft label", "above 0")),
    ],
)
def test_votes_that_are_none(tmp_path, monkeypatch, change, parts):
    monkeypatch.setattr(Voted, "samples", (Voted.samples[0], replace(Voted.samples[1], soft_label=change)))
    with pytest.raises(DataError) as caught:
        prepare(component(), tmp_path)
    (line,) = str(caught.value).splitlines()[1:]
    assert says(line, "'1': ", *parts)
    assert not list(tmp_path.rglob("prepared.json"))


def test_other_formats_are_named_and_prepared_again(prepared, tmp_path):
    summary = json.loads((prepared.folder / "prepared.json").read_text())
    (prepared.folder / "prepared.json").write_text(json.dumps({**summary, "schema": 1}))
    assert find_prepared(component(), tmp_path) is None
    assert says(old_format(component(), tmp_path), "format 1", f"format {SCHEMA}")
    assert prepare(component(), tmp_path).summary["schema"] == SCHEMA
    assert old_format(component(), tmp_path) == ""


def test_blocks_of_the_index_with_different_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_bench.data.index.BLOCK", 2)
    writer = IndexWriter(LABELS)
    samples = [*Voted.samples[:4], replace(Voted.samples[4], groups={"sex": "F"})]
    for checked in check_samples(samples, None, LABELS, Faults()):
        writer.add(checked)
    write_index(writer.table(), tmp_path / "samples.parquet")
    table = read_index(tmp_path / "samples.parquet")
    assert table["group:age"].tolist() == ["young", "old", "young", "old", ""]
    assert table["group:sex"].tolist() == ["", "", "", "", "F"]
    assert table["soft:contempt"].tolist() == [0, 0.5, 1, 0.25, 1]
    assert table["box:left"].tolist() == [0, 1, 2, 3, 4]
