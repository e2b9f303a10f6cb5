"""What is wrong with data on disk, with an adapter or with the disk itself: all of it is said, nothing stays."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import drawn_set
import numpy as np
import pytest
from messages import says

from fer_bench.data import files, names, records
from fer_bench.data.images import encode_png
from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError, FerBenchError, PluginError
from fer_bench.specs import Sample


@pytest.fixture
def data_dir(tmp_path):
    return drawn_set.draw_images(tmp_path / "data")


def test_all_faults_at_once(data_dir):
    root = drawn_set.manual(data_dir)
    whole = (root / "happy" / "1.png").read_bytes()
    (root / "happy" / "1.png").write_bytes(b"")
    (root / "happy" / "2.png").write_bytes(whole[: len(whole) // 2])
    (root / "happy" / "3.png").write_bytes(b"<html>")
    (root / "happyy").mkdir()
    (root / "happyy" / "4.png").write_bytes(whole)
    (root / "sad" / "5.png").mkdir()
    (root / "sad" / "6.png").symlink_to(root / "nowhere.png")
    outside = data_dir / "private.png"
    outside.write_bytes(whole)
    (root / "sad" / "9.png").symlink_to(outside)
    os.mkfifo(root / "sad" / "91.png")
    lines = drawn_set.faults_of(drawn_set.component(), data_dir)
    assert len(lines) == 8
    expected = {
        "happy/1.png": "is empty (0 bytes)",
        "happy/2.png": "truncated or corrupt",
        "happy/3.png": "not an image of a known format",
        "happyy/4.png": "'happyy', which the data set does not have. Did you mean 'happy'?",
        "sad/5.png": "is a folder",
        "sad/6.png": "is missing",
        "sad/9.png": "leads out of the data set's folder through a symbolic link",
        "sad/91.png": "device or pipe",
    }
    for name, what in expected.items():
        assert any(name in line and what in line for line in lines), (name, lines)


def test_folder_that_is_a_link_itself_is_fine(data_dir):
    real = data_dir / "real"
    drawn_set.manual(data_dir).rename(real)
    drawn_set.manual(data_dir).symlink_to(real)
    assert len(prepare(drawn_set.component(), data_dir)) == 10


def test_linked_subfolder_is_refused(data_dir):
    (drawn_set.manual(data_dir) / "sad").rename(data_dir / "sad")
    (drawn_set.manual(data_dir) / "sad").symlink_to(data_dir / "sad")
    (line,) = drawn_set.faults_of(drawn_set.component(), data_dir)
    assert says(line, "5 times", "symbolic link")


def test_faults_of_samples(data_dir):
    picture = encode_png(np.zeros((2, 2), np.uint8))
    drawn_set.Plan.SAMPLES = [
        Sample(id="a", image=picture, label="happy"),
        Sample(id="a", image=picture, label="sad"),
        Sample(id="", image=picture, label="sad"),
        Sample(id="c", image=picture, label=""),
        Sample(id="d", image=Path("x.png"), label="sad"),
        Sample(id="e\udcff", image=picture, label="sad"),
        Sample(id="line\nbreak", image=b"", label="joy"),
    ]
    lines = drawn_set.faults_of(drawn_set.component("Plan"), data_dir)
    assert [line.split(": ")[0].split(" has ")[0] for line in lines] == [
        "'a'",
        "sample 3",
        "'c'",
        "'x.png'",
        "'e\\udcff'",
        "'line\\nbreak'",
        "'line\\nbreak'",
    ]
    assert "duplicate id" in lines[0]
    assert "not valid UTF-8" in lines[4]


def test_no_sample_is_a_fault(data_dir):
    drawn_set.Plan.SAMPLES = []
    (line,) = drawn_set.faults_of(drawn_set.component("Plan"), data_dir)
    assert "no sample" in line


def test_failing_builders(data_dir, monkeypatch):
    drawn_set.Plan.SAMPLES = [ZeroDivisionError("oops")]
    with pytest.raises(PluginError, match=r"drawn_set\.Plan.*ZeroDivisionError: oops"):
        prepare(drawn_set.component("Plan"), data_dir)
    drawn_set.Plan.SAMPLES = [DataError("both layouts")]
    with pytest.raises(DataError, match="both layouts"):
        prepare(drawn_set.component("Plan"), data_dir)
    drawn_set.Plan.SAMPLES = [PermissionError(13, "Permission denied", "labels.csv")]
    assert drawn_set.faults_of(drawn_set.component("Plan"), data_dir) == [
        "'labels.csv': cannot be read: Permission denied"
    ]
    monkeypatch.setattr(drawn_set.Plan, "labels", lambda self, root, faults: {}["sad"])
    with pytest.raises(PluginError, match=r"drawn_set\.Plan.*KeyError: 'sad'"):
        prepare(drawn_set.component("Plan"), data_dir)
    for builder in ("Params", "Missing"):
        with pytest.raises(PluginError, match="drawn_set"):
            prepare(drawn_set.component(builder), data_dir)


def test_missing_data(tmp_path):
    with pytest.raises(DataError, match=r"'drawn-set'.*manual/drawn-set'.*Draw it\."):
        prepare(drawn_set.component(), tmp_path)
    drawn_set.manual(tmp_path).mkdir(parents=True)
    with pytest.raises(DataError, match="is not there"):
        prepare(drawn_set.component(), tmp_path)


def test_unwritable_folder(data_dir):
    (data_dir / "prepared").write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match=r"Cannot write.*'drawn-set'.*--data-dir"):
        prepare(drawn_set.component(), data_dir)


def test_full_disk(data_dir, monkeypatch):
    def fail(*_):
        raise RuntimeError("write() failed: No space left on device")

    adapter = records.file_adapters.ADAPTER_FOR_FORMAT[records.file_adapters.FileFormat.ARRAY_RECORD]
    monkeypatch.setattr(adapter, "write_examples", fail)
    with pytest.raises(FerBenchError, match="No space left"):
        prepare(drawn_set.component(), data_dir)
    assert [path.name for path in (data_dir / "prepared" / "drawn-set" / "default").iterdir()] == [".1.0.0.lock"]


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Jos\u00e9") for form in ("NFC", "NFD"))


def test_names_in_two_unicode_forms_are_one(tmp_path):
    picture = encode_png(np.zeros((2, 2), np.uint8))
    assert COMPOSED != DECOMPOSED
    drawn_set.Plan.SAMPLES = [
        Sample(id=f"{name} {number}", image=picture, label="sad", subject=name, sequence=name, groups={name: name})
        for number, name in enumerate((COMPOSED, DECOMPOSED))
    ]
    prepared = prepare(drawn_set.component("Plan"), tmp_path)
    assert prepared.samples["id"].tolist() == [f"{COMPOSED} 0", f"{COMPOSED} 1"]
    assert set(prepared.samples["subject"]) == set(prepared.samples["sequence"]) == {COMPOSED}
    assert prepared.groups == (COMPOSED,)
    drawn_set.Plan.SAMPLES = [Sample(id=name, image=picture, label="sad") for name in (COMPOSED, DECOMPOSED)]
    (line,) = drawn_set.faults_of(drawn_set.component("Plan"), tmp_path / "ids")
    assert "duplicate id" in line


def test_a_file_is_there_in_whichever_unicode_form_it_is_named(tmp_path):
    folder = drawn_set.manual(tmp_path) / DECOMPOSED
    folder.mkdir(parents=True)
    (folder / f"{COMPOSED}.png").write_bytes(encode_png(np.zeros((2, 2), np.uint8)))
    # The table names folder and file in the other form each.
    path = Path(COMPOSED, f"{DECOMPOSED}.png")
    for image in (path, drawn_set.manual(tmp_path) / path):
        data = files.DataFolder(drawn_set.manual(tmp_path))
        data.check(image)
        assert data.read(image).startswith(b"\x89PNG")
    with pytest.raises(files.FileError, match="is missing"):
        data.read(Path(COMPOSED, "b\u00e9.png"))


def test_names_that_look_alike_are_warned_of(tmp_path):
    picture = encode_png(np.zeros((2, 2), np.uint8))
    people = ("anna", "Anna", "ann a", "ben", "be\u200bn", "\uff43leo", "cleo", "dora", "")
    drawn_set.Plan.SAMPLES = [
        Sample(id=f"{number}", image=picture, label="sad", subject=name, groups={"land": name[:1]})
        for number, name in enumerate(people)
    ]
    people, lands = (text for text in prepare(drawn_set.component("Plan"), tmp_path).warnings if "look alike" in text)
    assert people.startswith("subjects ")
    for pair in ("'Anna' and 'ann a' and 'anna'", r"'ben' and 'be\u200bn'", r"'cleo' and '\uff43leo'"):
        assert pair in people
    assert "dora" not in people
    assert "'land'" in lands
    assert names.nearly_equal({"subjects": ["p1", "p2", "P10"]}) == []


@pytest.mark.parametrize("field", ["id", "label", "split", "subject", "sequence", "groups"])
def test_nul_in_any_name_is_a_fault(tmp_path, field):
    whole = {"id": "a", "label": "sad", field: {"g": "a\0b"} if field == "groups" else "a\0b"}
    drawn_set.Plan.SAMPLES = [Sample(image=encode_png(np.zeros((2, 2), np.uint8)), **whole)]
    assert any("NUL" in line for line in drawn_set.faults_of(drawn_set.component("Plan"), tmp_path))
