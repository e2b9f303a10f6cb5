"""The audit on pictures whose copies are known; its figures on FER2013 stand in docs/results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli import app


@pytest.fixture
def data_dir(tmp_path):
    """A manifest of eight pictures: three of one face, two of another, two blank ones, a tiny one."""
    folder = tmp_path / "data" / "manual" / "manifest"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 255, (40, 30), np.uint8) for _ in range(2))
    Image.fromarray(one).save(folder / "one.png")
    Image.fromarray(one).convert("RGB").save(folder / "one in colour.bmp")
    Image.fromarray(one).save(folder / "one again.tiff")
    Image.fromarray(two).save(folder / "two.png")
    Image.fromarray(two).save(folder / "two again.png")
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(folder / "black.png")
    Image.fromarray(np.full((40, 30, 3), (9, 8, 7), np.uint8)).save(folder / "brown.png")
    Image.fromarray(two[:20]).save(folder / "tiny.png")
    rows = [
        *("one.png,happy,train,anna", "one in colour.bmp,happy,train,anna", "one again.tiff,happy,test,anna"),
        *("two.png,sad,train,ben", "two again.png,fear,val,ben", "black.png,sad,train,cleo"),
        *("brown.png,happy,train,", "tiny.png,fear,test,dora"),
    ]
    (folder / "manifest.csv").write_text("path,label,split,subject\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "data"


def test_every_kind_of_finding(data_dir):
    result = CliRunner().invoke(app, ["data", "audit", "manifest", "--data-dir", str(data_dir), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["manifest"]
    assert found["samples"] == 8
    assert found["duplicates"] == [["one.png", "one in colour.bmp", "one again.tiff"], ["two.png", "two again.png"]]
    assert found["redundant"] == 3
    assert found["conflicting"] == [["two.png", "two again.png"]]
    copies = {(entry["split"], entry["in"]): entry["images"] for entry in found["copies"]}
    assert copies == {
        ("test", "train"): 1,
        ("train", "test"): 2,
        ("train", "val"): 1,
        ("val", "train"): 1,
        ("test", "val"): 0,
        ("val", "test"): 0,
    }
    assert found["blank"] == ["black.png", "brown.png"]
    assert found["tiny"] == ["tiny.png"]
    assert found["subjects_in_splits"] == {"anna": ["test", "train"], "ben": ["train", "val"]}


def test_the_table_counts_them(data_dir):
    result = CliRunner().invoke(app, ["data", "audit", "manifest", "--data-dir", str(data_dir)])
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["redundant", "exact", "copies", "3"] in lines
    assert ["images", "of", "train", "with", "an", "exact", "copy", "in", "test", "2"] in lines
    assert ["blank", "images", "2"] in lines
