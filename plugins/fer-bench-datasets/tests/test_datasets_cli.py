"""``fer-bench data`` with the data sets of this package."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from messages import says
from typer.testing import CliRunner

from fer_bench.cli.data import app
from fer_bench.errors import DataError, FerBenchError
from fer_bench.testing.layouts.drawing import save_face

SMALL = "synthetic[n=7,size=16]"


@pytest.fixture
def call(component, tmp_path, monkeypatch):
    """Run ``fer-bench data …`` on a data folder of its own; return what it prints, raise what it raises."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), env={"FER_BENCH_DATA_DIR": str(tmp_path)})
        if isinstance(result.exception, FerBenchError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_list(call):
    assert "fer2013" in call("list")
    rows = {row["name"]: row for row in json.loads(call("list", "--json"))}
    assert rows["synthetic"]["synthetic"]
    assert rows["synthetic"]["access"] == "built in"
    assert rows["synthetic"]["params"]["domain"] == "wild"
    assert rows["fer2013"]["labels"][0] == "angry"
    assert rows["fer2013"]["published_images"] == 35_887
    assert rows["manifest"]["published_images"] is None


def test_list_says_all_that_is_declared(call):
    out = " ".join(call("list", "affectnet[release=2021]", "affwild2").split())
    for text in (
        *("disgust -> disgust", "training (train), validation (test)", "published, release=2021 training: 287,651"),
        *("training: 283,901 (neutral 74,874, happy 134,415,", "arXiv:1708.03985", "the head of a laboratory signs"),
        *("other -> none", "something stands for the person"),
    ):
        assert text in out
    (row,) = json.loads(call("list", "ferplus", "--json"))
    assert row["roles"] == {"training": "train", "publictest": "validation", "privatetest": "test"}
    assert sum(row["published"]["protocol=argmax"]["privatetest"].values()) == 3_573
    assert "980 to 4,900" in call("list")


def test_list_names_every_layout_and_release_that_has_numbers_of_its_own(call):
    table = {line.split()[0]: line for line in call("list").splitlines() if line.strip()}
    rows = {row["name"]: row for row in json.loads(call("list", "--json"))}
    published = {
        "ckplus": {"raw": 1_308, "ck48": 981, "csv": 920},
        "affectnet": {
            "release=original": 291_651,
            "release=original,classes=7": 287_401,
            "release=2021": 291_650,
            "release=plus": 420_299,
        },
        "ferplus": {"protocol=majority": 31_412, "protocol=argmax": 35_710},
        "kdef": {"angle=straight": 980, "angle=all": 4_900},
    }
    for name, numbers in published.items():
        declared = rows[name]["published"]
        found = {text: sum(sum(of.values()) for of in parts.values()) for text, parts in declared.items()}
        assert found == numbers
        assert f"{min(numbers.values()):,} to {max(numbers.values()):,}" in table[name]
        assert all(f"published, {text}" in " ".join(call("list", name).split()) for text in numbers)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ckplus", ("'cohn-kanade-images' and 'Emotion'", "CK+48", "'ckextended.csv'")),
        ("affectnet", ("'training.csv', 'validation.csv'", "'train_set' and 'val_set'", "'human_annotated'")),
        ("fer2013", ("'fer2013.csv' or 'icml_face_data.csv'", "the folders 'train' and 'test'")),
        ("rafdb", ("'EmoLabel'", "'train' and 'test'", "'1'")),
        ("kdef", ("'AF01/AF01AFS.JPG'", "in one folder")),
    ],
)
def test_list_says_what_to_put_there_for_every_layout(call, name, texts):
    said = " ".join(call("list", name).split())
    assert all(text in said for text in texts)


def test_prepare_status_verify(call, tmp_path):
    states = {row["dataset"]: row["state"] for row in json.loads(call("status", "--json"))}
    assert states.pop("synthetic") == "ready to prepare"
    assert {states.pop("folder"), states.pop("manifest")} == {"no path given"}
    assert {"empathic", "fer2013", "rafdb"} < set(states)
    assert set(states.values()) == {"missing"}
    out = call("prepare", SMALL)
    assert "7 images prepared, fingerprint " in out
    (row,) = json.loads(call("status", "--json", SMALL))
    assert row["state"] == "prepared"
    assert row["samples"] == 7
    assert row["bytes"] == sum(path.stat().st_size for path in Path(row["prepared_dir"]).iterdir())
    assert row["fingerprint"][:12] in out
    assert "synthetic[n=7,size=16]" in call("status", SMALL), "rich must not read the brackets as markup"
    out = call("verify", SMALL)
    assert "7 images verified" in out
    assert ["all", "7", *"1111111"] in [line.split() for line in out.splitlines()]


def test_a_folder_becomes_a_manifest(call, tmp_path, monkeypatch):
    faces = tmp_path / "my faces"
    for label in ("happy", "bored"):
        for name in ("P1_0.png", "P2_0.png", "x.png"):
            save_face(faces / label / name, "fear", len(label), 16)
    monkeypatch.chdir(tmp_path)
    out = call("init", r"folder[path=my faces,subject=^(P\d)_]")
    assert says(out, "6 rows", "path, label, subject", "fer-bench data prepare 'manifest[path=\"my faces\"]'")
    assert (faces / "manifest.csv").read_bytes().splitlines()[:4] == [
        *(b"path,label,subject", b"bored/P1_0.png,bored,P1", b"bored/P2_0.png,bored,P2", b"bored/x.png,bored,")
    ]
    out = call("prepare", "manifest[path=my faces]")
    assert says(out, "bored 3, happiness 3", "2, with 2 images each; 2 images without one", "splits", "none")
    with pytest.raises(FerBenchError) as caught:
        call("init", "my faces")
    assert says(str(caught.value), "manifest.csv'", "there already")
    (faces / "manifest.csv").rename(faces / "Manifest.TSV")
    with pytest.raises(FerBenchError, match=r"Manifest\.TSV"):
        call("init", "my faces")
    (faces / "Manifest.TSV").unlink()
    (faces / os.fsdecode(b"happy/\xff.png")).write_bytes((faces / "happy" / "x.png").read_bytes())
    with pytest.raises(FerBenchError, match="UTF-8"):
        call("init", "my faces")
    assert not (faces / "manifest.csv").exists()
    with pytest.raises(DataError, match="no folder"):
        call("init", "elsewhere")


def test_a_folder_of_pictures_is_no_data_folder(call, tmp_path):
    for part in ("train", "test"):
        for label in ("happy", "sad"):
            save_face(tmp_path / "faces" / part / label / "1.png", "fear", 0, 16)
    for folder in (tmp_path / "faces", tmp_path / "faces" / "train"):
        for words in (("prepare", SMALL), ("status",)):
            with pytest.raises(DataError) as caught:
                call(*words, "--data-dir", str(folder))
            assert says(str(caught.value), "--data-dir", repr(str(folder)), f"--dataset 'folder[path={folder}]'")
        assert not (folder / "prepared").exists()
    call("prepare", SMALL, "--data-dir", str(tmp_path))


def test_a_folder_is_no_name_of_a_data_set(call, tmp_path, monkeypatch):
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FerBenchError) as caught:
        call("prepare", "faces")
    assert "'folder[path=faces]'" in str(caught.value)


def test_verify_counts(call, tmp_path):
    call("prepare", SMALL)
    (summary,) = (tmp_path / "prepared").rglob("prepared.json")
    summary.write_text(summary.read_text().replace('"fear": 1', '"fear": 2'))
    with pytest.raises(DataError, match=r"prepared\.json was changed"):
        call("verify", SMALL)


def test_status_says_what_to_do(call, tmp_path):
    out = call("status", "fer2013").replace("\n", "")
    assert str(tmp_path / "manual" / "fer2013") in out
    assert "icml_face_data.csv" in out


def test_data_dir_option_wins(call, tmp_path):
    call("prepare", SMALL, "--data-dir", str(tmp_path / "other"))
    assert (tmp_path / "other" / "prepared" / "synthetic").is_dir()


def test_one_failure_does_not_hide_the_others(call, tmp_path):
    with pytest.raises(DataError) as caught:
        call("prepare", "empathic", SMALL, "manifest")
    assert str(caught.value).startswith("2 of 3 data sets failed.")
    assert "virtual coach" in str(caught.value)
    assert "manifest.csv" in str(caught.value)
    assert "7 images verified" in call("verify", SMALL)


def test_verify_without_prepare(call):
    with pytest.raises(DataError, match=r"not prepared.*'fer-bench data prepare synthetic\[n=7,size=16\]'"):
        call("verify", SMALL)


def test_verify_damaged(call, tmp_path):
    call("prepare", SMALL)
    (shard,) = (tmp_path / "prepared").rglob("*array_record*")
    shard.unlink()
    with pytest.raises(DataError, match="has faults"):
        call("verify", SMALL)


def test_warnings_are_printed_and_status_shows_damage(call, tmp_path):
    root = tmp_path / "manual" / "fer2013"
    root.mkdir(parents=True)
    (root / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{' '.join(['7'] * 2304)},Training\n")
    said = call("prepare", "fer2013")
    assert all(part in said for part in ("Warning", "fer2013", "'training'", "28,709"))
    assert "split 'publictest' is missing" in call("status", "fer2013")
    (summary,) = (tmp_path / "prepared").rglob("prepared.json")
    summary.write_text("{")
    (row,) = json.loads(call("status", "--json", "fer2013"))
    assert row["state"] == "broken"
    assert "damaged" in row["warnings"][0]


def test_unknown_data_set(call):
    with pytest.raises(FerBenchError, match="Did you mean 'fer2013'"):
        call("status", "fer2031")
