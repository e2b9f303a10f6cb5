"""Files that parameters name are found again by content, whatever backbone names them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from messages import says

from fer_bench import memos
from fer_bench.errors import FerBenchError, MissingError
from fer_bench.keeping import named_files
from fer_bench.keeping.named_files import Places
from fer_bench.registry import Registry, marked

REGISTRY = Registry.load()
NAMING = {name: files for name, _, spec in REGISTRY.specs("backbone") if (files := marked(spec.params, "file"))}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return a function that writes the files of a backbone, and returns its text as recorded, files and digests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()

    def make(name):
        files = {one: tmp_path / "nets" / f"{one} of mine.bin" for one in NAMING[name]}
        for one, file in files.items():
            file.write_text(f"{one} of {name}")
        digests = {one: hashlib.sha256(file.read_bytes()).hexdigest() for one, file in files.items()}
        values = ",".join(f"{one}='/home/alice/{file.name}'" for one, file in files.items())
        return f"{name}[{values}]", files, digests

    return make


def places_of(text):
    return REGISTRY.read("backbone", text)[2]


def test_every_backbone_that_names_files_is_tried():
    assert {"card"} <= set(NAMING["onnx"]) & set(NAMING["keras-model"])
    assert set(NAMING["torch"]) == {"card", "weights"}


@pytest.mark.parametrize("name", NAMING)
def test_recorded_files_are_found_by_content_where_they_are_told_or_were(name, recorded, tmp_path):
    text, files, digests = recorded(name)
    told = Places(REGISTRY, [tmp_path / "nets"], tmp_path / "cache", "It")
    expected = {one: str(file) for one, file in files.items()}
    assert places_of(told.locate("backbone", text, digests)) == expected
    asked = Places(REGISTRY, [], tmp_path / "cache", "It")
    with pytest.raises(MissingError) as missing:
        asked.locate("backbone", text, digests)
    facts = [fact for one in files for fact in (one, f"{one} of mine.bin", digests[one])]
    assert all(fact in str(missing.value) for fact in (*facts, "It", str(tmp_path), "--files-in"))
    named_files.remember(files, digests, tmp_path / "cache")
    assert places_of(asked.locate("backbone", text, digests)) == expected
    assert memos.FOLDERS.count(named_files.KIND) == 1, "'cache clear --all' forgets them"


def test_another_file_of_that_name_does_not_count_and_is_told(recorded, tmp_path):
    text, files, digests = recorded("onnx")
    named_files.remember(files, digests, tmp_path / "cache")
    files["card"].write_text("changed")
    places = Places(REGISTRY, [], tmp_path / "cache", "It")
    with pytest.raises(MissingError) as missing:
        places.locate("backbone", text, digests)
    changed = hashlib.sha256(b"changed").hexdigest()
    assert says(str(missing.value), digests["card"], str(files["card"]), changed)
    with pytest.raises(MissingError, match="not recorded"):
        places.locate("backbone", text, {})
    with pytest.raises(FerBenchError, match="'gone' is no folder"):
        Places(REGISTRY, [Path("gone")], tmp_path / "cache", "It").locate("backbone", text, digests)
    assert places.locate("backbone", "onnx", {}) == "onnx", "nothing is named"
