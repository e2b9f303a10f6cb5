"""Preparing, finding and reading data sets, with a builder of the tests' own that reads ``<class>/*.png``."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fer_bench.data import records
from fer_bench.data.images import encode_png
from fer_bench.data.place import config_name
from fer_bench.data.prepare import find_prepared, prepare
from fer_bench.errors import DataError, FerBenchError, PluginError
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import DatasetSpec

MODULE = '''
"""A data set for tests; a module of its own, so that other processes can import it."""
import os, sys, time
from pathlib import Path
from pydantic import Field
from fer_bench.data.builder import FerBuilder
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import DatasetParams, DatasetSpec, Sample

class Params(DatasetParams):
    pace_s: float = Field(0.0, json_schema_extra={"view": True})
    upper: bool = False
    note: str = Field("", json_schema_extra={"view": True})
    tag: str = ""

class Folder(FerBuilder):
    def read(self, root, faults):
        Path(self.params.note or os.devnull).open("a").write("read\\n")
        for path in sorted(root.glob("*/*")):
            time.sleep(self.params.pace_s)
            name = path.relative_to(root).as_posix()
            label = path.parent.name
            yield Sample(
                id=name.upper() if self.params.upper else name,
                image=path, label=label, split="train" if path.stem < "5" else "test",
                subject=path.stem[:1], sequence="s", groups={"tone": "dark"} if label == "sad" else {})

class Plan(FerBuilder):
    """Yields what the test put into SAMPLES."""
    SAMPLES = []
    def read(self, root, faults):
        for sample in self.SAMPLES:
            if isinstance(sample, Exception):
                raise sample
            yield sample

def component(builder="Folder", **values):
    spec = DatasetSpec(
        name="drawn-set", title="drawn", builder=f"drawn_set:{builder}", labels=("happy", "sad"), identity="yes",
        licence="none", citation="none", access="Draw it." if builder == "Folder" else "", splits=("train", "test"),
        expected_counts=values.pop("expected", {}), params=Params)
    return Component(spec, Params(**values), Plugin(name="tests", distribution="fer-bench-tests", version="1"))

if __name__ == "__main__":
    import fer_bench.data.prepare as module
    print("started", flush=True)
    prepared = module.prepare(component(pace_s=float(sys.argv[2]), note=sys.argv[3]), Path(sys.argv[1]))
    print(prepared.fingerprint, "tensorflow" in sys.modules, "jax" in sys.modules)
'''


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The module ``drawn_set``, importable here and in other processes."""
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "drawn_set.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "drawn_set", raising=False)
    import drawn_set

    yield drawn_set
    sys.modules.pop("drawn_set", None)


@pytest.fixture
def data_dir(tmp_path):
    """Ten pictures of 6 x 5 pixels, five a class, every second in colour."""
    return draw_images(tmp_path / "data")


def draw_images(data_dir: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("happy", "sad"):
        folder = data_dir / "manual" / "drawn-set" / label
        folder.mkdir(parents=True)
        for number in (1, 2, 3, 7, 8):
            shape = (6, 5, 3) if number % 2 else (6, 5)
            (folder / f"{number}.png").write_bytes(encode_png(rng.integers(0, 256, shape, np.uint8)))
    return data_dir


def manual(data_dir: Path) -> Path:
    return data_dir / "manual" / "drawn-set"


def faults_of(dataset: Component[DatasetSpec], data_dir: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        prepare(dataset, data_dir)
    assert not list(data_dir.rglob("prepared.json"))
    return [line.strip(" -") for line in str(caught.value).splitlines()[1:]]


def test_prepares_and_reads_back(drawn, data_dir):
    dataset = drawn.component()
    assert find_prepared(dataset, data_dir) is None
    prepared = prepare(dataset, data_dir)
    assert prepared.name == "drawn-set"
    assert prepared.labels == ("happy", "sad")
    assert prepared.counts == {"train": {"happy": 3, "sad": 3}, "test": {"happy": 2, "sad": 2}}
    assert len(prepared) == 10
    samples = prepared.samples
    columns = ["id", "label", "split", "subject", "sequence", "group:tone", "sha256", "width", "height", "channels"]
    assert list(samples.columns) == columns
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


def test_written_folder(drawn, data_dir):
    prepared = prepare(drawn.component(), data_dir)
    assert prepared.folder == data_dir / "prepared" / "drawn-set" / "default" / "1.0.0"
    summary = json.loads((prepared.folder / "prepared.json").read_text())
    assert summary["schema"] == 2
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


def test_second_time_is_a_no_op_and_pickles(drawn, data_dir):
    note = data_dir / "note"
    dataset = drawn.component(note=str(note))
    first = prepare(dataset, data_dir)
    first.images(np.array([0]))
    again = pickle.loads(pickle.dumps(prepare(dataset, data_dir)))
    assert note.read_text() == "read\n"
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.images(np.array([3]))[0], first.images(np.array([3]))[0])


def test_prepares_again_when_files_or_parameters_change(drawn, data_dir):
    dataset = drawn.component()
    first = prepare(dataset, data_dir).fingerprint
    (manual(data_dir) / "sad" / "8.png").write_bytes(encode_png(np.zeros((6, 5), np.uint8)))
    second = prepare(dataset, data_dir)
    assert second.fingerprint != first
    assert second.images(np.array([9]))[0].max() == 0
    other = prepare(drawn.component(upper=True), data_dir)
    assert other.folder.parent.name == "upper-true-" + other.folder.parent.name[-8:]
    assert other.samples["id"][0] == "HAPPY/1.PNG"
    shutil.rmtree(manual(data_dir))
    assert prepare(dataset, data_dir).fingerprint == second.fingerprint


def test_another_package_of_the_same_name_is_not_mistaken(drawn, data_dir):
    dataset = drawn.component()
    prepare(dataset, data_dir)
    theirs = Component(dataset.spec, dataset.params, Plugin(name="x", distribution="other-package", version="1"))
    assert find_prepared(theirs, data_dir) is None


def test_fingerprint_is_of_content_only(drawn, data_dir, tmp_path):
    first = prepare(drawn.component(), data_dir).fingerprint
    moved = draw_images(tmp_path / "elsewhere, with 'quotes'")
    assert prepare(drawn.component(), moved).fingerprint == first
    (manual(moved) / "sad" / "8.png").rename(manual(moved) / "happy" / "9.png")
    assert prepare(drawn.component(), moved).fingerprint != first


def test_parquet_gives_the_same(drawn, data_dir, tmp_path, monkeypatch):
    first = prepare(drawn.component(), data_dir)
    monkeypatch.setattr(records.platform, "system", lambda: "Windows")
    other = draw_images(tmp_path / "windows")
    for number in range(400):  # TFDS's Parquet writer works in batches of 100.
        shutil.copy(manual(other) / "sad" / "1.png", manual(other) / "sad" / f"1{number:03d}.png")
    second = prepare(drawn.component(), other)
    assert list(second.folder.glob("*parquet*"))
    assert not list(second.folder.glob("*array_record*"))
    assert len(second) == 410
    assert second.verify() == []
    np.testing.assert_array_equal(second.images(np.array([409]))[0], first.images(np.array([9]))[0])


def test_shards_are_cut_by_size(drawn, data_dir, monkeypatch):
    monkeypatch.setattr(records, "SHARD_BYTES", 600)
    prepared = prepare(drawn.component(), data_dir)
    assert len(list(prepared.folder.glob("*array_record-*-of-*"))) > 2
    assert prepared.verify() == []
    assert len(prepared.images(np.arange(10))) == 10


def test_all_faults_at_once(drawn, data_dir):
    root = manual(data_dir)
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
    lines = faults_of(drawn.component(), data_dir)
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


def test_folder_that_is_a_link_itself_is_fine(drawn, data_dir):
    real = data_dir / "real"
    manual(data_dir).rename(real)
    manual(data_dir).symlink_to(real)
    assert len(prepare(drawn.component(), data_dir)) == 10


def test_linked_subfolder_is_refused(drawn, data_dir):
    (manual(data_dir) / "sad").rename(data_dir / "sad")
    (manual(data_dir) / "sad").symlink_to(data_dir / "sad")
    lines = faults_of(drawn.component(), data_dir)
    assert len(lines) == 5
    assert "symbolic link" in lines[0]


def test_faults_of_samples(drawn, data_dir):
    from fer_bench.specs import Sample

    picture = encode_png(np.zeros((2, 2), np.uint8))
    drawn.Plan.SAMPLES = [
        Sample(id="a", image=picture, label="happy"),
        Sample(id="a", image=picture, label="sad"),
        Sample(id="", image=picture, label="sad"),
        Sample(id="c", image=picture, label=""),
        Sample(id="d", image=Path("x.png"), label="sad"),
        Sample(id="e\udcff", image=picture, label="sad"),
        Sample(id="line\nbreak", image=b"", label="joy"),
    ]
    lines = faults_of(drawn.component("Plan"), data_dir)
    assert [line.split(": ")[0] for line in lines] == [
        "'a'",
        "sample 3 has an empty id",
        "'c'",
        "'x.png'",
        "'e\\udcff'",
        "'line\\nbreak'",
        "'line\\nbreak'",
    ]
    assert "duplicate id" in lines[0]
    assert "not valid UTF-8" in lines[4]


def test_no_sample_is_a_fault(drawn, data_dir):
    drawn.Plan.SAMPLES = []
    assert faults_of(drawn.component("Plan"), data_dir) == ["there is no sample at all"]


def test_failing_builders(drawn, data_dir):
    drawn.Plan.SAMPLES = [ZeroDivisionError("oops")]
    with pytest.raises(PluginError, match=r"drawn_set\.Plan.*ZeroDivisionError: oops"):
        prepare(drawn.component("Plan"), data_dir)
    drawn.Plan.SAMPLES = [DataError("both layouts")]
    with pytest.raises(DataError, match="both layouts"):
        prepare(drawn.component("Plan"), data_dir)
    drawn.Plan.SAMPLES = [PermissionError(13, "Permission denied", "labels.csv")]
    assert faults_of(drawn.component("Plan"), data_dir) == ["'labels.csv': cannot be read: Permission denied"]
    for builder in ("Params", "Missing"):
        with pytest.raises(PluginError, match="drawn_set"):
            prepare(drawn.component(builder), data_dir)


def test_missing_data(drawn, tmp_path):
    with pytest.raises(DataError, match=r"'drawn-set' is not there: expected it in .*manual/drawn-set'\. Draw it\."):
        prepare(drawn.component(), tmp_path)
    manual(tmp_path).mkdir(parents=True)
    with pytest.raises(DataError, match="is not there"):
        prepare(drawn.component(), tmp_path)


def test_unwritable_folder(drawn, data_dir):
    (data_dir / "prepared").write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match=r"Cannot write the prepared data set 'drawn-set'.*--data-dir"):
        prepare(drawn.component(), data_dir)


def test_full_disk(drawn, data_dir, monkeypatch):
    def fail(*_):
        raise RuntimeError("write() failed: No space left on device")

    adapter = records.file_adapters.ADAPTER_FOR_FORMAT[records.file_adapters.FileFormat.ARRAY_RECORD]
    monkeypatch.setattr(adapter, "write_examples", fail)
    with pytest.raises(FerBenchError, match="No space left on device"):
        prepare(drawn.component(), data_dir)
    assert [path.name for path in (data_dir / "prepared" / "drawn-set" / "default").iterdir()] == [".1.0.0.lock"]


def test_published_counts_are_compared(drawn, data_dir):
    expected = {"train": {"happy": 3, "sad": 4}, "test": {"happy": 2, "sad": 2}, "extra": {"happy": 9, "sad": 0}}
    prepared = prepare(drawn.component(expected=expected), data_dir)
    assert prepared.warnings == (
        "split 'train' has 6 samples, 7 are published: sad 3 for 4",
        "split 'extra' is missing: 9 samples are published",
    )


def test_progress(drawn, data_dir):
    calls = []
    prepare(drawn.component(), data_dir, lambda done, total: calls.append((done, total)))
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
def test_config_names(drawn, values, name):
    import re

    assert re.fullmatch(name, config_name(drawn.component(**values)))


def test_verify_finds_damage(drawn, data_dir):
    prepared = prepare(drawn.component(), data_dir)
    table = prepared.samples.copy()
    table.loc[3, "sha256"] = "0" * 64
    table.loc[4, "subject"] = "nobody"
    table["group:tone"] = table["group:tone"].astype(str)
    table.loc[5, "group:tone"] = "light"
    table.to_parquet(prepared.folder / "samples.parquet")
    found = find_prepared(drawn.component(), data_dir)
    assert [line.split(" differs")[0] for line in found.verify()] == [
        "'happy/7.png': the image",
        "'happy/8.png': the subject",
        "'sad/1.png': a group",
    ]
    table.iloc[:9].to_parquet(prepared.folder / "samples.parquet")
    assert "10 records, 9 rows" in find_prepared(drawn.component(), data_dir).verify()[0]
    (prepared.folder / "samples.parquet").write_bytes(b"PAR1 no")
    assert "samples.parquet cannot be read" in find_prepared(drawn.component(), data_dir).verify()[0]


def test_damaged_records(drawn, data_dir):
    prepared = prepare(drawn.component(), data_dir)
    (shard,) = prepared.folder.glob("*array_record*")
    content = bytearray(shard.read_bytes())
    at = content.index(b"IDAT")
    content[at : at + 40] = bytes(40)
    shard.write_bytes(content)
    faults = find_prepared(drawn.component(), data_dir).verify()
    assert len(faults) == 1
    shard.unlink()
    assert "damaged" in find_prepared(drawn.component(), data_dir).verify()[0]
    with pytest.raises(DataError, match="Delete that folder"):
        find_prepared(drawn.component(), data_dir).images(np.array([0]))
    (prepared.folder / "prepared.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        find_prepared(drawn.component(), data_dir)


def start(drawn, data_dir: Path, pace_s: float, note: Path) -> subprocess.Popen[str]:
    script = Path(drawn.__file__)
    command = [sys.executable, str(script), str(data_dir), str(pace_s), str(note)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(script.parent), *filter(None, sys.path)])}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=data_dir
    )


def wait_for(condition, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_two_processes_prepare_once(drawn, data_dir):
    notes = [data_dir / "first", data_dir / "second"]
    processes = [start(drawn, data_dir, 0.1, note) for note in notes]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(note.exists() for note in notes) == 1
    fingerprints = {out.split()[1] for out, _ in outputs}
    assert fingerprints == {prepare(drawn.component(), data_dir).fingerprint}
    # Neither TensorFlow nor jax is loaded, and nothing but our own lines is printed.
    for out, err in outputs:
        assert out.split()[2:] == ["False", "False"]
        assert err == ""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_process_leaves_nothing_that_counts(drawn, data_dir):
    note = data_dir / "note"
    process = start(drawn, data_dir, 0.5, note)
    wait_for(note.exists)
    process.kill()
    process.communicate(timeout=60)
    folder = data_dir / "prepared" / "drawn-set" / "default"
    assert list(folder.glob(".preparing-*")), "it was killed while preparing"
    assert find_prepared(drawn.component(), data_dir) is None
    assert prepare(drawn.component(), data_dir).verify() == []
    assert sorted(path.name for path in folder.iterdir()) == [".1.0.0.lock", "1.0.0"]


def test_no_network(drawn, data_dir, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    prepared = prepare(drawn.component(), data_dir)
    prepared.images(np.array([0]))
    assert records.gcs_utils.gcs_dataset_info_files("drawn_set/default/1.0.0") is None


def test_nothing_is_printed(drawn, data_dir, capfd):
    prepare(drawn.component(), data_dir).images(np.array([0]))
    assert capfd.readouterr() == ("", "")
