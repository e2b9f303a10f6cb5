"""Every adapter on every layout with whatever can befall it: each message names what was found, expected, and to do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from messages import says
from PIL import Image

from fer_bench.data.prepare import prepare
from fer_bench.labels import canonical
from fer_bench.testing.layouts import DAMAGES, LAYOUTS, Truth, list_pictures

TABLES = (".csv", ".txt", ".lst", ".npy", ".json")
WITHOUT_TABLES = [
    *("jaffe/pictures", "rafdb/folders", "kdef/folders", "kdef/flat", "ckplus/ck48", "mmafedb/folders", "sfew/aligned"),
    *("oulu-casia/sequences", "fer2013/folders", "fer2013/named"),
]
WITH_TABLES = [layout for layout in LAYOUTS if layout not in WITHOUT_TABLES]
WITHOUT_PICTURES = ["ckplus/csv", "ferplus/csv", "fer2013/csv", "fer2013/icml"]
WITH_PICTURES = [layout for layout in LAYOUTS if layout not in WITHOUT_PICTURES]
WITH_COLUMNS = [
    *("ckplus/csv", "ferplus/csv", "fer2013/csv", "fer2013/icml", "affectnet/original", "affectnet/nested"),
    *("manifest/manifest", "empathic/manifest"),
]
NEEDED_BY_NONE = {
    "rafdb/original": "Annotation",  # Gender, race and age; its absence is a notice.
    "oulu-casia/sequences": "NI",  # The other camera.
    "jaffe/pictures": "README.txt",
}
OF_ONE_SIZE = {
    **dict.fromkeys(("rafdb/original", "rafdb/folders"), (100, 100)),
    **dict.fromkeys(("ckplus/ck48", "fer2013/folders", "fer2013/named"), (48, 48)),
    **{"jaffe/pictures": (256, 256), "affectnet/2021": (224, 224)},
}
"""Layout -> width and height that every picture must have."""
SPELLED = {"sadness": "sad"}
"""Folder of a class -> its label, where they differ."""
FOREIGN: dict[str, tuple[str, str, str]] = {
    # Layout -> (file, text in it, text that takes its place), or (folder, "", the name that it gets).
    "rafdb/original": ("EmoLabel/list_patition_label.txt", "test_00007.jpg 7", "test_00007.jpg 99"),
    "rafdb/folders": ("test/7", "", "test/bored"),
    "jaffe/pictures": ("KA.AN1.1.tiff", "", "KA.XX1.1.tiff"),
    "kdef/folders": ("AF01/AF01ANS.JPG", "", "AF01/AF01XXS.JPG"),
    "kdef/flat": ("AF01ANS.JPG", "", "AF01XXS.JPG"),
    "ckplus/raw": ("Emotion/S010/001/S010_001_00000005_emotion.txt", "1.0", "99.0"),
    "ckplus/ck48": ("anger", "", "bored"),
    "ckplus/csv": ("ckextended.csv", "\n7,", "\n99,"),
    "affectnet/original": ("training.csv", ",7,0.1,-0.1", ",99,0.1,-0.1"),
    "affectnet/nested": ("Manually_Annotated_file_lists/training.csv", ",7,0.1,-0.1", ",99,0.1,-0.1"),
    "affectnet/plus": ("human_annotated/train_set/annotations/0001.json", '"human-label": 1', '"human-label": 99'),
    "expw/list": ("label/label.lst", "57.6 6", "57.6 99"),
    "mmafedb/folders": ("test/sad", "", "test/bored"),
    "sfew/aligned": ("Val/Val_Aligned_Faces/Sad", "", "Val/Val_Aligned_Faces/Bored"),
    "oulu-casia/sequences": ("VL/Strong/P001/Fear", "", "VL/Strong/P001/Bored"),
    "affwild2/aligned": ("Train_Set/video5_left.txt", "\n7\n", "\n99\n"),
    "affwild2/nested": ("EXPR_Classification_Challenge/Train_Set/video5_left.txt", "\n7\n", "\n99\n"),
    "ferplus/csv": ("fer2013new.csv", ",6,", ",six,"),
    "fer2013/csv": ("fer2013.csv", "\n6,", "\n99,"),
    "fer2013/icml": ("icml_face_data.csv", "\n6,", "\n99,"),
    "fer2013/folders": ("test/sad", "", "test/bored"),
    "fer2013/named": ("test/Sad", "", "test/Bored"),
    "empathic/manifest": ("manifest.csv", ",anger,", ",bored,"),
}


def name_of(layout: str) -> str:
    return layout.partition("/")[0]


def read(component, data_dir: Path, layout: str) -> set[Truth]:
    prepared = prepare(component(name_of(layout)), data_dir)
    names = [canonical(label) or label for label in prepared.labels]
    return {
        Truth(row.id, names[row.label], row.split, row.subject, row.sequence)
        for row in prepared.samples.itertuples(index=False)
    }


def entries(root: Path) -> Iterator[str]:
    """Yield folders and tables at the top of a layout, and the folders of a folder that stands alone."""
    names = sorted(path.name for path in root.iterdir() if path.is_dir() or path.suffix in TABLES)
    for name in names:
        yield name
        if len(names) == 1 and (root / name).is_dir():
            yield from (f"{name}/{path.name}" for path in sorted((root / name).iterdir()) if path.is_dir())


@pytest.mark.parametrize("how", ["renamed", "missing"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_or_table(refuse, component, tmp_path, copies, place, layout, how):
    for name in entries(copies[layout][0]):
        root = place(layout)
        if how == "renamed":
            (root / name).rename((root / name).with_name("what-is-this"))
        elif (root / name).is_dir():
            shutil.rmtree(root / name)
        else:
            (root / name).unlink()
        if name == NEEDED_BY_NONE.get(layout):
            assert read(component, tmp_path, layout) == set(copies[layout][1])
        elif may_be_a_part(layout, name, how):
            warnings = prepare(component(name_of(layout)), tmp_path).warnings
            assert any("are published" in text for text in warnings), (name, warnings)
        else:
            text = refuse(layout)
            last = name.rpartition("/")[2]
            nothing = f"holds no {name_of(layout)} that can be read"
            said = (
                last,
                nothing,
                "what-is-this",
                f"for the class {SPELLED.get(last, last)!r}",
                "'Train_Set': is missing",
            )
            assert any(part in text for part in said), (name, text)


def may_be_a_part(layout: str, name: str, how: str) -> bool:
    """Return whether what is left is a smaller data set of its own right: people or a test part may be missing."""
    return how == "missing" and (
        layout == "kdef/folders" or (layout.startswith("fer2013/") and name in ("train", "test"))
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_in_the_folder(refuse, component, tmp_path, layout):
    (tmp_path / "manual" / name_of(layout)).mkdir(parents=True)
    text = refuse(layout)
    assert says(text, "not there", repr(str(tmp_path / "manual" / name_of(layout))))
    assert component(name_of(layout)).spec.access in text


# JAFFE's pictures say all in their names, so that they may lie in any folders.
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "jaffe/pictures"])
def test_data_that_lie_too_deep(refuse, place, layout):
    root = place(layout)
    target = root.with_name("elsewhere")
    root.rename(target)
    (root / "a" / "b").mkdir(parents=True)
    target.rename(root / "a" / "b" / "c")
    text = refuse(layout)
    assert says(text, "There is 'a'", "'a/b/c'")


@pytest.mark.parametrize(
    "layout", [layout for layout in LAYOUTS if layout not in ("kdef/folders", "manifest/manifest")]
)
def test_what_one_folder_holds_in_place_of_the_whole(refuse, copies, place, layout):
    """Of KDEF that is a data set of its own, the pictures of one person in one folder."""
    folders = sorted(path.name for path in copies[layout][0].iterdir() if path.is_dir())
    for name in folders:
        root = place(layout)
        (root / name).rename(root.with_name("part"))
        shutil.rmtree(root)
        root.with_name("part").rename(root)
        assert "expected" in refuse(layout) or "is missing" in refuse(layout)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("layout", WITH_PICTURES)
def test_a_damaged_picture(refuse, place, layout, damage):
    root = place(layout)
    pictures = list_pictures(root)
    message = DAMAGES[damage](root)
    text = refuse(layout)
    assert message in text
    assert pictures[-1].name in text or pictures[-1].stem in text


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\xff\xfe\x00", b"<html>Please log in</html>\n"], ids=["empty", "binary", "page"]
)
@pytest.mark.parametrize("layout", WITH_TABLES)
def test_a_damaged_table(refuse, copies, place, layout, content):
    """Every CSV file, and one of each other kind of table, such as a list of labels and a file of attributes."""
    tables = [path for path in sorted(copies[layout][0].rglob("*")) if path.suffix in TABLES]
    if name_of(layout) == "affectnet":
        tables = [path for path in tables if "_val.npy" not in path.name]  # Valence is not read.
    for table in {path.name if path.suffix == ".csv" else path.suffix: path for path in tables}.values():
        relative = table.relative_to(copies[layout][0])
        root = place(layout)
        (root / relative).write_bytes(content)
        assert relative.name in refuse(layout)


@pytest.mark.parametrize("layout", WITH_COLUMNS)
def test_a_column_that_is_missing(refuse, copies, place, layout):
    for table in copies[layout][0].rglob("*.csv"):
        relative = table.relative_to(copies[layout][0])
        header, _, rest = table.read_text().partition("\n")
        columns = [name.strip() for name in header.split(",")]
        wanted = next(name for name in columns if name in ("emotion", "expression", "neutral", "label"))
        (place(layout) / relative).write_text(header.replace(wanted, "what-is-this", 1) + "\n" + rest)
        text = refuse(layout)
        assert f"{table.name}': has no column {wanted!r}" in text
        assert "Known: " in text or "Did you mean" in text


@pytest.mark.parametrize("layout", WITH_PICTURES)
def test_a_picture_of_another_size(component, refuse, tmp_path, copies, place, layout):
    """Refused where every picture of a data set has one size, read where none is published or faces are cut out."""
    for path in list_pictures(place(layout)):
        with Image.open(path) as picture:
            size = picture.size
            picture.resize((size[0] + 30, size[1] + 20)).save(path)
    if layout in OF_ONE_SIZE:
        text = refuse(layout)
        width, height = OF_ONE_SIZE[layout]
        said = f"has {width + 30} x {height + 20} pixels, expected {width} x {height}"
        assert says(text, f"{len(copies[layout][1])} times", said)
    else:
        assert read(component, tmp_path, layout) == set(copies[layout][1])


@pytest.mark.parametrize("layout", WITHOUT_PICTURES)
def test_rows_of_too_few_pixels(refuse, copies, place, layout):
    table = next(path for path in place(layout).iterdir() if "pixels" in path.read_text())
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(re.sub(r"\d+ \d+", "7", line, count=1) for line in lines[1:])]) + "\n")
    text = refuse(layout)
    assert text.count(f"'{table.name}, line ") == len(lines) - 1
    assert says(text, f"{len(lines) - 1} times", "has 2,303 pixels, expected 2,304 (48 x 48)")


@pytest.mark.parametrize("layout", WITH_PICTURES)
def test_every_fault_is_listed(refuse, copies, place, layout):
    for path in list_pictures(place(layout)):
        path.write_text("<html>Please log in</html>")
    text = refuse(layout)
    truths = copies[layout][1]
    headline, line = text.splitlines()
    assert says(headline, f"{len(truths)} faults", "nothing was prepared")
    assert says(line, f"{len(truths)} times", "not an image", "PNG")
    assert line.count(", '") == len(truths) - 1


@pytest.mark.parametrize("layout", FOREIGN)
def test_a_foreign_label(refuse, place, layout):
    root = place(layout)
    file, old, new = FOREIGN[layout]
    if old:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new, 1))
    else:
        (root / file).rename(root / new)
    said = refuse(layout)
    assert (new.rpartition("/")[2] if not old else Path(file).name) in said or "'bored'" in said
    assert any(word in said for word in ("expected", "Did you mean", "Known: "))


def test_every_layout_has_a_foreign_label():
    # The arrays of AffectNet 2021 have a test of their own; any label is a manifest's own.
    assert {*FOREIGN, "affectnet/2021", "manifest/manifest"} == set(LAYOUTS)
