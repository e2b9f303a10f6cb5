"""Every adapter on a drawn copy of every layout, whole and spoiled."""

from __future__ import annotations

import shutil

import pytest
from layout_copies import manual, read, refuse
from messages import says

from fer_bench.data.prepare import prepare
from fer_bench.labels import canonical
from fer_bench.testing.layouts import DEFECTS, LAYOUTS, count_files, spoil

MANIFESTS = {"manifest", "empathic"}
"""Their table lies in the data set's folder and nowhere below, and is of one form."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(component, tmp_path, layout):
    truths = LAYOUTS[layout](manual(tmp_path, layout))
    assert len(set(truths)) == len(truths)
    before = count_files(tmp_path / "manual")
    prepared = prepare(component(layout.partition("/")[0]), tmp_path)
    assert read(prepared) == set(truths)
    assert count_files(tmp_path / "manual") == before
    spec = prepared.spec
    if spec.labels:
        known = {canonical(name) or name for name in spec.labels}
        assert {canonical(label) or label for label in prepared.labels} <= known
    if spec.splits:
        assert set(prepared.samples["split"]) <= {*spec.splits, ""}
    if spec.identity != "maybe":
        assert all(bool(subject) == (spec.identity != "no") for subject in prepared.samples["subject"])


def test_declared_numbers_are_those_that_are_compared(component, tmp_path):
    compared: dict[str, list[object]] = {}
    params = {"ferplus/csv": ("", "[protocol=argmax]"), "kdef/flat": ("", "[angle=all]")}
    params["affectnet/original"] = ("", "[classes=7]")
    for layout in LAYOUTS:
        name = layout.partition("/")[0]
        root = tmp_path / layout
        LAYOUTS[layout](root)
        for text in params.get(layout, ("",)):
            dataset = component(name + text)
            builder = dataset.resolve(dataset.spec.builder)(
                spec=dataset.spec, params=dataset.params, root=root, data_dir=tmp_path / "out", config="default"
            )
            compared.setdefault(name, []).append(builder.expected_counts(frozenset(dataset.spec.splits[:3])))
    for name, found in compared.items():
        spec = component(name).spec
        declared = list(spec.variants.values()) or [spec.expected_counts]
        assert all(counts in found for counts in declared), name
        assert all(counts in declared for counts in found), name


@pytest.mark.parametrize("layout", ["rafdb/folders", "kdef/folders", "jaffe/pictures"])
def test_layout_below_folders_of_its_own(component, tmp_path, layout):
    truths = LAYOUTS[layout](manual(tmp_path, layout) / "archive" / "DATASET")
    assert read(prepare(component(layout.partition("/")[0]), tmp_path)) == set(truths)


@pytest.mark.parametrize("name", DEFECTS)
def test_defect(component, tmp_path, name):
    layout = DEFECTS[name].layout
    messages = spoil(manual(tmp_path, layout), name)
    text = refuse(component, tmp_path, layout.partition("/")[0])
    for message in messages:
        assert message in text


@pytest.mark.parametrize("name", sorted({layout.partition("/")[0] for layout in LAYOUTS}))
def test_wrong_archive(component, tmp_path, name):
    root = tmp_path / "manual" / name
    root.mkdir(parents=True)
    (root / "something.zip").write_bytes(b"PK")
    text = refuse(component, tmp_path, name)
    assert says(text, f"no {name}", "expected ", "There is 'something.zip'")
    assert component(name).spec.access in text


@pytest.mark.parametrize("name", sorted({layout.partition("/")[0] for layout in LAYOUTS}))
def test_folder_of_another_data_set(component, tmp_path, copies, name):
    # FER+ holds FER2013's own file.
    kin = {name, "ferplus"} if name == "fer2013" else MANIFESTS if name in MANIFESTS else {name}
    strangers = [layout for layout in LAYOUTS if layout.partition("/")[0] not in kin]
    for number, layout in enumerate(strangers):
        data_dir = tmp_path / str(number)
        shutil.copytree(copies[layout][0], data_dir / "manual" / name)
        text = refuse(component, data_dir, name)
        assert says(text, f"no {name}", "expected ") or "nothing was prepared" in text, layout


def test_folders_that_differ_in_case(component, tmp_path):
    root = manual(tmp_path, "rafdb")
    LAYOUTS["rafdb/folders"](root)
    (root / "TRAIN").mkdir()
    assert says(refuse(component, tmp_path, "rafdb"), "'TRAIN' and 'train'", "twice")


def test_list_that_leads_out(component, tmp_path):
    root = manual(tmp_path, "rafdb")
    LAYOUTS["rafdb/original"](root)
    (root / "EmoLabel").rename(tmp_path / "EmoLabel")
    (root / "EmoLabel").symlink_to(tmp_path / "EmoLabel")
    assert says(refuse(component, tmp_path, "rafdb"), "leads out of", f"'{tmp_path / 'EmoLabel'}")
