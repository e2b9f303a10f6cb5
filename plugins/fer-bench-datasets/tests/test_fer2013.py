"""FER2013 in all its layouts, drawn small; no picture of the real data set is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fer_bench_datasets.facts import FER2013_COUNTS, FER2013_LABELS
from messages import says
from PIL import Image

from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError

USAGES = ("Training", "Training", "PublicTest", "PrivateTest")


def draw_faces() -> list[tuple[int, np.ndarray, str]]:
    """One noise picture for every label and part: (emotion, (48, 48) uint8, Usage)."""
    rng = np.random.default_rng(0)
    return [
        (emotion, rng.integers(0, 256, (48, 48), np.uint8), usage)
        for usage in USAGES
        for emotion in range(len(FER2013_LABELS))
    ]


def write_csv(
    data_dir: Path, rows: list[str] | None = None, *, name="fer2013.csv", header="emotion,pixels,Usage"
) -> Path:
    if rows is None:
        rows = [f"{emotion},{' '.join(map(str, image.ravel()))},{usage}" for emotion, image, usage in draw_faces()]
    path = data_dir / "manual" / "fer2013" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_folders(data_dir: Path, *, named=True, spelling=str, train="train", test="test") -> Path:
    root = data_dir / "manual" / "fer2013"
    for row, (emotion, image, usage) in enumerate(draw_faces()):
        folder = root / (train if usage == "Training" else test) / spelling(FER2013_LABELS[emotion])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / (f"{usage}_{row}.png" if named else f"im{row}.png"))
    return root


def content(prepared) -> set[tuple[str, str, bytes]]:
    samples = prepared.samples
    images = prepared.images(np.arange(len(samples)))
    labels = [prepared.labels[code] for code in samples["label"]]
    return {
        (label, split, image.tobytes()) for label, split, image in zip(labels, samples["split"], images, strict=True)
    }


def faults_of(dataset, data_dir: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        prepare(dataset, data_dir)
    return [line.strip(" -") for line in str(caught.value).splitlines()[1:]]


def test_published_counts():
    totals = {split: sum(labels.values()) for split, labels in FER2013_COUNTS.items()}
    assert totals == {"training": 28_709, "publictest": 3_589, "privatetest": 3_589}
    assert sum(labels["disgust"] for labels in FER2013_COUNTS.values()) == 547


def test_csv(component, tmp_path):
    write_csv(tmp_path)
    prepared = prepare(component("fer2013"), tmp_path)
    assert prepared.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert prepared.samples["split"].value_counts().to_dict() == {"training": 14, "publictest": 7, "privatetest": 7}
    assert prepared.samples["id"].tolist() == [str(row) for row in range(28)]
    emotion, image, _ = draw_faces()[10]
    assert prepared.samples["label"][10] == emotion
    np.testing.assert_array_equal(prepared.images(np.array([10]))[0][..., 0], image)


@pytest.mark.parametrize("name", ["icml_face_data.csv", "FER2013.CSV"])
def test_csv_by_other_names_and_with_spaces_in_the_header(component, tmp_path, name):
    write_csv(tmp_path, name=name, header="emotion, Usage, pixels".replace(" Usage, pixels", " pixels, Usage"))
    assert len(prepare(component("fer2013"), tmp_path)) == 28


def test_folders_are_the_same_as_csv(component, tmp_path):
    write_csv(tmp_path / "csv")
    write_folders(tmp_path / "folders")
    csv = prepare(component("fer2013"), tmp_path / "csv")
    folders = prepare(component("fer2013"), tmp_path / "folders")
    assert content(csv) == content(folders)
    assert csv.labels == folders.labels


@pytest.mark.parametrize(
    "spelling",
    [
        str.upper,
        str.title,
        lambda name: {"disgust": "disgusted", "fear": "fearful", "surprise": "surprised"}.get(name, name),
        lambda name: {"angry": "Anger", "happy": "happiness", "sad": "Sadness"}.get(name, name),
    ],
)
def test_folders_in_other_spellings(component, tmp_path, spelling):
    write_folders(tmp_path, spelling=spelling, train="Train", test="TEST")
    prepared = prepare(component("fer2013"), tmp_path)
    assert prepared.labels == FER2013_LABELS
    assert prepared.counts["publictest"] == dict.fromkeys(FER2013_LABELS, 1)


def test_folders_whose_files_do_not_say_their_part(component, tmp_path):
    root = write_folders(tmp_path, named=False)
    (root / "train" / "angry" / ".DS_Store").write_bytes(b"x")
    prepared = prepare(component("fer2013"), tmp_path)
    assert {split: sum(labels.values()) for split, labels in prepared.counts.items()} == {"train": 14, "test": 14}
    assert prepared.warnings[1].startswith("split 'test' has 14 samples, 7,178 are published: angry 2 for 958,")


def test_parts_that_are_missing_are_a_warning(component, tmp_path):
    faces = [row for row in draw_faces() if row[2] == "PublicTest"]
    write_csv(tmp_path, [f"{emotion},{' '.join(map(str, image.ravel()))},{usage}" for emotion, image, usage in faces])
    warnings = prepare(component("fer2013"), tmp_path).warnings
    assert says(warnings[0], "'training'", "missing", "28,709")
    assert says(warnings[1], "'publictest'", "7 samples", "3,589", "angry 1 for 467, disgust 1 for 56")


def test_every_fault_of_a_csv_at_once(component, tmp_path):
    good = " ".join(["7"] * 2304)
    write_csv(
        tmp_path,
        [
            f"0,{good},Training",
            "0,1 2 3,Training",
            f"0,{good.replace('7', '256', 1)},Training",
            f"0,{good.replace('7', '-1', 1)},Training",
            f"0,{good.replace('7', '99999999999999999999999', 1)},Training",
            "0,,Training",
            f"7,{good},Training",
            f"happy,{good},Training",
            f"0,{good},Train",
            f"0,{good}",
            "",
            f"9,{good} 7,Nowhere",
        ],
    )
    lines = faults_of(component("fer2013"), tmp_path)
    expected = [
        "line 3': has 3 pixels, expected 2,304 (48 x 48)",
        "line 4': has the pixel 256, expected 0 to 255",
        "line 5': has the pixel '-1', expected numbers from 0 to 255",
        "line 6': has the pixel 9223372036854775807, expected 0 to 255",
        "line 7': has no pixels",
        "line 8': has the emotion '7', expected 0 to 6",
        "line 9': has the emotion 'happy', expected 0 to 6",
        "line 10': has the Usage 'Train'. Did you mean 'Training'?",
        "line 11': has 2 fields, expected 3",
        "line 13': has the emotion '9'",
        "line 13': has the Usage 'Nowhere'",
        "line 13': has 2,305 pixels",
    ]
    assert len(lines) == len(expected)
    for line, what in zip(lines, expected, strict=True):
        assert line.startswith("'fer2013.csv, ")
        assert what in line


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("emotion,pixel,Usage", ("no column 'pixels'", "'pixel'?")),
        ("emotion;pixels;Usage", ("no column 'emotion'", "by ','")),
        ("emotion,pixels,Usage,Usage", ("'Usage' twice",)),
    ],
)
def test_headers(component, tmp_path, header, parts):
    write_csv(tmp_path, header=header)
    assert says(faults_of(component("fer2013"), tmp_path)[0], *parts)


def test_empty_csv(component, tmp_path):
    write_csv(tmp_path, [])
    (line,) = faults_of(component("fer2013"), tmp_path)
    assert "no sample" in line


def test_csv_that_is_not_text(component, tmp_path):
    write_csv(tmp_path).write_bytes(b"emotion,pixels,Usage\n0,\xff\xfe,Training\n")
    assert "not UTF-8" in faults_of(component("fer2013"), tmp_path)[0]


def test_faults_of_folders_at_once(component, tmp_path):
    root = write_folders(tmp_path)
    (root / "train" / "bored").mkdir()
    (root / "train" / "notes.txt").write_text("x")
    (root / "test" / "sad" / "readme.txt").write_text("x")
    (root / "test" / "sad" / "Training_99.png").write_bytes((root / "train" / "sad" / "Training_4.png").read_bytes())
    lines = faults_of(component("fer2013"), tmp_path)
    assert len(lines) == 4
    assert says(lines[0], "'train/bored': ", "not a class")
    assert says(lines[1], "'train/notes.txt': ", "is a file", "expected a folder")
    assert says(lines[2], "'test/sad/Training_99.png': ", "'training'", "'test'")
    assert "'test/sad/readme.txt': is no picture" in lines[3]


def test_both_layouts_at_once(component, tmp_path):
    write_csv(tmp_path)
    write_folders(tmp_path)
    with pytest.raises(
        DataError, match=r"more than once: 'fer2013.csv' \(fer2013\) and 'train' \(folders\). Leave one"
    ):
        prepare(component("fer2013"), tmp_path)


def test_neither_layout(component, tmp_path):
    (write_csv(tmp_path).parent / "fer2013.csv").rename(tmp_path / "manual" / "fer2013" / "faces.csv")
    with pytest.raises(DataError, match=r"no fer2013.*expected .fer2013\.csv.; or "):
        prepare(component("fer2013"), tmp_path)


def test_both_tables_at_once(component, tmp_path):
    write_csv(tmp_path)
    write_csv(tmp_path, name="icml_face_data.csv")
    with pytest.raises(DataError, match=r"more than once: 'fer2013.csv' \(fer2013\) and 'icml_face_data.csv'"):
        prepare(component("fer2013"), tmp_path)


def test_a_class_that_is_missing(component, tmp_path):
    root = write_folders(tmp_path)
    (root / "test" / "sad").rename(tmp_path / "sad")
    (line,) = faults_of(component("fer2013"), tmp_path)
    assert says(line, "'test': ", "no folder", "'sad'")
