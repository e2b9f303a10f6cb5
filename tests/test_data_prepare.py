"""Preparing a data set and reading it back: what is written, where, and when it is written anew."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import shutil
import socket

import drawn_set
import numpy as np
import pytest

from fer_bench.data import records
from fer_bench.data.images import encode_png
from fer_bench.data.place import config_name
from fer_bench.data.prepare import find_prepared, prepare
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.tasks.view import select


@pytest.fixture
def data_dir(tmp_path):
    return drawn_set.draw_images(tmp_path / "data")


def test_prepares_and_reads_back(data_dir):
    dataset = drawn_set.component()
    assert find_prepared(dataset, data_dir) is None
    prepared = prepare(dataset, data_dir)
    assert prepared.name == "drawn-set"
    assert prepared.labels == ("happy", "sad")
    assert prepared.counts == {"train": {"happy": 3, "sad": 3}, "test": {"happy": 2, "sad": 2}}
    assert len(prepared) == 10
    samples = prepared.samples
    texts = ["split", "subject", "sequence", "group:tone", "sha256", "content"]
    assert list(samples.columns) == ["id", "label", *texts, "width", "height", "channels"]
    assert samples["id"].tolist()[:2] == ["happy/1.png", "happy/2.png"]
    assert samples["label"].tolist() == [0] * 5 + [1] * 5
    assert samples["group:tone"].tolist() == [""] * 5 + ["dark"] * 5
    assert samples.loc[1, ["subject", "width", "height", "channels"]].tolist() == ["2", 5, 6, 1]
    rows = np.array([9, 0, 0, 4])
    rng = np.random.default_rng(0)
    originals = [rng.integers(0, 256, (6, 5, 3) if n % 2 else (6, 5, 1), np.uint8) for n in (1, 2, 3, 7, 8) * 2]
    for row, image in zip(rows, prepared.images(rows), strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, originals[row])
    assert prepared.images(np.array([], int)) == []
    assert prepared.verify() == []


def test_written_folder(data_dir):
    prepared = prepare(drawn_set.component(), data_dir)
    assert prepared.folder == data_dir / "prepared" / "drawn-set" / "default" / "1.0.0"
    summary = json.loads((prepared.folder / "prepared.json").read_text())
    # What this format holds: a folder of an earlier one lacks fields, so other fields need another number.
    fields = "counts digest files fingerprint labels name package params place samples schema source"
    assert (summary["schema"], " ".join(sorted(summary))) == (5, f"{fields} version versions warnings")
    assert summary["versions"]["fer-bench-tests"] == "1"
    assert str(data_dir) not in "".join(
        path.read_bytes().decode("latin-1") for path in prepared.folder.iterdir() if path.is_file()
    )
    # Another program that knows TFDS reads it without our code.
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(prepared.folder).as_data_source(
        "images", decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert source[7]["id"] == b"sad/3.png"
    assert source[7]["label"] == 1


def test_second_time_is_a_no_op_and_pickles(data_dir):
    note = data_dir / "note"
    dataset = drawn_set.component(note=str(note))
    first = prepare(dataset, data_dir)
    first.images(np.array([0]))
    again = pickle.loads(pickle.dumps(prepare(dataset, data_dir)))
    assert note.read_text() == "read\n"
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.images(np.array([3]))[0], first.images(np.array([3]))[0])


def test_prepares_again_when_files_or_parameters_change(data_dir):
    dataset = drawn_set.component()
    first = prepare(dataset, data_dir).fingerprint
    (drawn_set.manual(data_dir) / "sad" / "8.png").write_bytes(encode_png(np.zeros((6, 5), np.uint8)))
    second = prepare(dataset, data_dir)
    assert second.fingerprint != first
    assert second.images(np.array([9]))[0].max() == 0
    other = prepare(drawn_set.component(upper=True), data_dir)
    assert other.folder.parent.name == "upper-true-" + other.folder.parent.name[-8:]
    assert other.samples["id"][0] == "HAPPY/1.PNG"
    shutil.rmtree(drawn_set.manual(data_dir))
    assert prepare(dataset, data_dir).fingerprint == second.fingerprint


def test_another_package_of_the_same_name_is_not_mistaken(data_dir):
    dataset = drawn_set.component()
    prepare(dataset, data_dir)
    theirs = Component(dataset.spec, dataset.params, Plugin(name="x", distribution="other-package", version="1"))
    assert find_prepared(theirs, data_dir) is None


def test_fingerprint_is_of_content_only(data_dir, tmp_path):
    first = prepare(drawn_set.component(), data_dir).fingerprint
    moved = drawn_set.draw_images(tmp_path / "elsewhere, with 'quotes'")
    assert prepare(drawn_set.component(), moved).fingerprint == first
    (drawn_set.manual(moved) / "sad" / "8.png").rename(drawn_set.manual(moved) / "happy" / "9.png")
    assert prepare(drawn_set.component(), moved).fingerprint != first


def test_names_and_order_of_images_are_of_the_samples_and_not_of_the_fingerprint(data_dir):
    """What a file is called and where it comes in order is of a copy: cells know it, the fingerprint does not."""
    dataset, identities = drawn_set.component(), list[dict[str, object]]()
    sad = drawn_set.manual(data_dir) / "sad"
    (sad / "1a.png").write_bytes(encode_png(np.zeros((6, 5), np.uint8)))
    for change in (None, ("1.png", "1b.png"), ("1a.png", "1.png"), ("1b.png", "1a.png")):  # in the end, swapped
        if change:
            (sad / change[0]).rename(sad / change[1])
        identities.append(select(dataset, prepare(dataset, data_dir), None).identity())
    for one, other in itertools.combinations(identities, 2):
        assert {name for name in one if one[name] != other[name]} == {"samples_sha256"}


def test_parquet_gives_the_same(data_dir, tmp_path, monkeypatch):
    first = prepare(drawn_set.component(), data_dir)
    monkeypatch.setattr(records.platform, "system", lambda: "Windows")
    other = drawn_set.draw_images(tmp_path / "windows")
    for number in range(400):  # TFDS's Parquet writer works in batches of 100.
        shutil.copy(drawn_set.manual(other) / "sad" / "1.png", drawn_set.manual(other) / "sad" / f"1{number:03d}.png")
    second = prepare(drawn_set.component(), other)
    assert list(second.folder.glob("*parquet*"))
    assert not list(second.folder.glob("*array_record*"))
    assert len(second) == 410
    assert second.verify() == []
    np.testing.assert_array_equal(second.images(np.array([409]))[0], first.images(np.array([9]))[0])


def test_shards_are_cut_by_size(data_dir, monkeypatch):
    monkeypatch.setattr(records, "SHARD_BYTES", 600)
    prepared = prepare(drawn_set.component(), data_dir)
    assert len(list(prepared.folder.glob("*array_record-*-of-*"))) > 2
    assert prepared.verify() == []
    assert len(prepared.images(np.arange(10))) == 10


def test_progress(data_dir):
    calls = []
    prepare(drawn_set.component(), data_dir, lambda done, total: calls.append((done, total)))
    assert calls == [(number, None) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, r"default"),
        ({"pace_s": 1.0}, r"default"),
        ({"tag": "a.b-c"}, r"tag-a\.b-c"),
        ({"tag": "A b/../c"}, r"tag-a-b-\.\.-c-[0-9a-f]{8}"),
        ({"tag": "a b/../c"}, r"tag-a-b-\.\.-c-[0-9a-f]{8}"),
        ({"tag": "n" * 300}, r"tag-n{56}-[0-9a-f]{8}"),
    ],
)
def test_config_names(values, name):
    assert re.fullmatch(name, config_name(drawn_set.component(**values)))


def test_no_network(data_dir, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    prepared = prepare(drawn_set.component(), data_dir)
    prepared.images(np.array([0]))
    assert records.gcs_utils.gcs_dataset_info_files("drawn_set/default/1.0.0") is None


def test_nothing_is_printed(data_dir, capfd):
    prepare(drawn_set.component(), data_dir).images(np.array([0]))
    assert capfd.readouterr() == ("", "")
