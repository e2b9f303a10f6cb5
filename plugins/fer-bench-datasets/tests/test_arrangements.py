"""Layouts as people arrange them: the same files in other folders or formats, and what a copy cannot give."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from layout_copies import fault_of, manual
from messages import says
from PIL import Image

from fer_bench.data.prepare import prepare
from fer_bench.testing.layouts import LAYOUTS


def into_class_folders(root: Path) -> None:
    """Sort JAFFE's pictures into a folder a class, every second below ``train``, the others below ``test``."""
    for number, path in enumerate(sorted(root.glob("*.tiff"))):
        path.rename(folder(root / ("train", "test")[number % 2] / path.name[3:5]) / path.name)


def into_one_folder(root: Path) -> None:
    """Take KDEF's pictures out of the folders of its people."""
    for path in sorted(root.glob("*/*")):
        path.rename(root / path.name)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def into_parts(root: Path) -> None:
    """Deal the pictures of CK+48 into ``train`` and ``validation``; one class is in one part only."""
    for number, path in enumerate(sorted(root.glob("*/*"))):
        part = "train" if path.parent.name == "anger" else ("train", "validation")[number % 2]
        path.rename(folder(root / part / path.parent.name) / path.name)
    for path in set(root.iterdir()) - {root / "train", root / "validation"}:
        path.rmdir()


def into_folder_of_its_own_name(root: Path) -> None:
    """Unpack RAF-DB's ``aligned.zip`` in a folder ``aligned``."""
    (root / "Image" / "aligned").rename(root / "Image" / "held")
    (root / "Image" / "held").rename(folder(root / "Image" / "aligned") / "aligned")


def into_classes(root: Path) -> None:
    """Turn RAF-DB's list into ``{train,test}/{1..7}``; the list has no attributes, which folders cannot hold."""
    for line in (root / "EmoLabel" / "list_patition_label.txt").read_text().splitlines():
        name, code = line.split()
        path = root / "Image" / "aligned" / name.replace(".jpg", "_aligned.jpg")
        path.rename(folder(root / name.partition("_")[0] / code) / path.name)
    for gone in ("EmoLabel", "Image"):
        shutil.rmtree(root / gone)


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    ("layout", "rearrange"),
    [
        ("jaffe/pictures", into_class_folders),
        ("kdef/folders", into_one_folder),
        ("ckplus/ck48", into_parts),
        ("rafdb/original", into_folder_of_its_own_name),
        ("rafdb/original", into_classes),
    ],
)
def test_a_rearranged_copy_has_the_same_fingerprint(component, tmp_path, layout, rearrange):
    root = manual(tmp_path, layout)
    LAYOUTS[layout](root)
    if rearrange is into_classes:
        shutil.rmtree(root / "Annotation")
    before = prepare(component(layout.partition("/")[0]), tmp_path)
    rearrange(root)
    after = prepare(component(layout.partition("/")[0]), tmp_path)
    assert after.samples["id"].tolist() == before.samples["id"].tolist()
    assert after.fingerprint == before.fingerprint
    assert after.summary["source"] != before.summary["source"]
    if rearrange is into_parts:
        assert any("'train' and 'validation'" in text for text in after.warnings)


def test_jaffe_in_another_format_is_read_and_a_second_copy_of_a_picture_is_not(component, tmp_path):
    root = manual(tmp_path, "jaffe/pictures")
    truths = LAYOUTS["jaffe/pictures"](root)
    fingerprints = [prepare(component("jaffe"), tmp_path).fingerprint]
    for old, new in ((".tiff", ".jpg"), (".jpg", ".png")):
        for path in sorted(root.glob(f"*{old}")):
            Image.open(path).save(path.with_suffix(new))
            path.unlink()
        prepared = prepare(component("jaffe"), tmp_path)
        assert len(prepared) == len(truths)
        fingerprints.append(prepared.fingerprint)
    assert len(set(fingerprints)) == 3  # JPEG has changed the pixels, and its copy keeps what it left.
    Image.open(root / "KA.AN1.1.png").save(root / "KA.AN1.1.tiff")
    assert "'KA.AN1.1.tiff': is the picture 'KA.AN1.1.png' once more" in fault_of(component, tmp_path, "jaffe")


def test_fer2013_has_one_fingerprint_as_a_table_and_in_folders_of_pictures(component, tmp_path):
    root = manual(tmp_path, "fer2013/csv")
    LAYOUTS["fer2013/csv"](root)
    table = prepare(component("fer2013"), tmp_path)
    shutil.rmtree(root)
    images = table.images(np.arange(len(table)))
    for row, sample in table.samples.iterrows():
        part = folder(root / ("train" if sample["split"] == "training" else "test") / table.labels[sample["label"]])
        path = part / f"{sample['split']}_{row}.{('png', 'bmp', 'tiff')[row % 3]}"
        Image.fromarray(images[row][..., 0]).save(path)
    copy = prepare(component("fer2013"), tmp_path)
    assert copy.fingerprint == table.fingerprint
    assert copy.samples["id"].tolist() != table.samples["id"].tolist()
    assert copy.verify() == []
    Image.fromarray(255 - images[row][..., 0]).save(path)
    assert prepare(component("fer2013"), tmp_path).fingerprint != table.fingerprint


def test_fer2013_in_folders_of_numbers_and_below_images(component, tmp_path):
    LAYOUTS["fer2013/folders"](manual(tmp_path, "fer2013/folders") / "images")
    images = manual(tmp_path, "fer2013/folders") / "images"
    (images / "test").rename(images / "validation")
    for code, name in enumerate(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")):
        (images / "train" / name).rename(images / "train" / str(code))
    samples = prepare(component("fer2013"), tmp_path).samples
    assert samples["split"].value_counts().to_dict() == {"train": 7, "validation": 7}
    # Folders come in the order of their names: codes, then angry, disgust, fear, happy, neutral, sad, surprise.
    assert samples["label"].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 6, 4, 5]


@pytest.mark.parametrize(
    ("layout", "params"),
    [
        ("ckplus/ck48", "last=1"),
        ("ckplus/ck48", "last=1,neutral=0"),
        ("ckplus/csv", "neutral=0"),
        ("affectnet/2021", "max_side=100"),
        ("affectnet/plus", "max_side=0"),
    ],
)
def test_a_parameter_that_the_copy_cannot_honour_is_refused(component, tmp_path, layout, params):
    LAYOUTS[layout](manual(tmp_path, layout))
    name = layout.partition("/")[0]
    assert len(prepare(component(name), tmp_path))
    text = fault_of(component, tmp_path, f"{name}[{params}]")
    assert all(part.partition("=")[0] in text for part in params.split(","))


def test_a_partial_copy_does_not_hide_a_whole_one(component, tmp_path):
    root = manual(tmp_path, "rafdb/folders")
    LAYOUTS["rafdb/folders"](root / "archive" / "DATASET")
    shutil.copytree(root / "archive" / "DATASET" / "train" / "1", root / "train" / "1")
    assert says(fault_of(component, tmp_path, "rafdb"), "rafdb", "more than once")
