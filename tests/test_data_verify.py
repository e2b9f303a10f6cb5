"""Prepared data against what is published, and against what happened to them since."""

from __future__ import annotations

import json

import drawn_set
import numpy as np
import pytest
from messages import says

from fer_bench.data.prepare import find_prepared, prepare
from fer_bench.errors import DataError


@pytest.fixture
def data_dir(tmp_path):
    return drawn_set.draw_images(tmp_path / "data")


def test_published_counts_are_compared(data_dir):
    expected = {"train": {"happy": 3, "sad": 4}, "test": {"happy": 2, "sad": 2}, "extra": {"happy": 9, "sad": 0}}
    prepared = prepare(drawn_set.component(expected=expected), data_dir)
    train, extra = prepared.warnings
    assert says(train, "'train'", "6 samples", "7", "sad 3 for 4")
    assert says(extra, "'extra'", "missing", "9 samples")


def test_verify_finds_damage(data_dir):
    prepared = prepare(drawn_set.component(), data_dir)
    table = prepared.samples.copy()
    table.loc[3, "sha256"] = "0" * 64
    table.loc[4, "subject"] = "nobody"
    table["group:tone"] = table["group:tone"].astype(str)
    table.loc[5, "group:tone"] = "light"
    table.to_parquet(prepared.folder / "samples.parquet")
    found = find_prepared(drawn_set.component(), data_dir)
    assert [line.split(" differs")[0] for line in found.verify()] == [
        "'happy/7.png': the image",
        "'happy/8.png': the subject",
        "'sad/1.png': a group",
    ]
    table.iloc[:9].to_parquet(prepared.folder / "samples.parquet")
    assert "10 records, 9 rows" in find_prepared(drawn_set.component(), data_dir).verify()[0]
    (prepared.folder / "samples.parquet").write_bytes(b"PAR1 no")
    assert "samples.parquet cannot be read" in find_prepared(drawn_set.component(), data_dir).verify()[0]


def test_damaged_records(data_dir):
    prepared = prepare(drawn_set.component(), data_dir)
    (shard,) = prepared.folder.glob("*array_record*")
    content = bytearray(shard.read_bytes())
    at = content.index(b"IDAT")
    content[at : at + 40] = bytes(40)
    shard.write_bytes(content)
    faults = find_prepared(drawn_set.component(), data_dir).verify()
    assert len(faults) == 1
    shard.unlink()
    assert "damaged" in find_prepared(drawn_set.component(), data_dir).verify()[0]
    with pytest.raises(DataError, match="Delete that folder"):
        find_prepared(drawn_set.component(), data_dir).images(np.array([0]))
    (prepared.folder / "prepared.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        find_prepared(drawn_set.component(), data_dir)


TABLE_EDITS = {
    "one label": lambda table: table.assign(label=[0, 0, 0, 1, 0, 1, 1, 1, 1, 1]),
    "all labels": lambda table: table.assign(label=1 - table["label"]),
    "the order": lambda table: table.sort_values("sha256", ignore_index=True),
    "subjects": lambda table: table.assign(subject="x"),
    "a split": lambda table: table.assign(split="train"),
    "rows": lambda table: table.iloc[:9],
}


@pytest.mark.parametrize("what", TABLE_EDITS)
def test_prepared_data_that_changed_are_not_used(data_dir, what):
    prepared = prepare(drawn_set.component(), data_dir)
    TABLE_EDITS[what](prepared.samples).to_parquet(prepared.folder / "samples.parquet", index=False)
    with pytest.raises(DataError, match=r"damaged: samples\.parquet was changed"):
        prepare(drawn_set.component(), data_dir)
    assert find_prepared(drawn_set.component(), data_dir).verify()


def test_every_edit_of_the_summary_is_seen(data_dir):
    """A field that is gone, null, or another of its kind; a format or parameters that differ mean other data."""
    prepared = prepare(drawn_set.component(), data_dir)
    file = prepared.folder / "prepared.json"
    whole = file.read_text()
    edits = 0
    for name, value in json.loads(whole).items():
        if name in ("schema", "params", "package", "source"):
            continue
        others = {str: "0" * 64, int: 7, list: ["other"], dict: {"other": 1}}
        for other in (None, others[type(value)], "gone"):
            summary = json.loads(whole)
            summary[name] = other
            if other == "gone":
                del summary[name]
            file.write_text(json.dumps(summary))
            with pytest.raises(DataError, match="damaged: "):
                prepare(drawn_set.component(), data_dir)
            assert find_prepared(drawn_set.component(), data_dir).verify(), (name, other)
            edits += 1
    assert edits >= 27
    file.write_text(whole)
    assert find_prepared(drawn_set.component(), data_dir).verify() == []


def test_an_image_that_was_swapped_is_not_read(data_dir):
    prepared = prepare(drawn_set.component(), data_dir)
    (shard,) = prepared.folder.glob("*array_record*")
    content = bytearray(shard.read_bytes())
    at = content.index(b"IDAT") + 20
    content[at] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="damaged: "):
        prepare(drawn_set.component(), data_dir).images(np.arange(10))
