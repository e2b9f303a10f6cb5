"""Every adapter on files that lie where they must not: twice, behind a link, out of the folder, or in a pipe."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from messages import says

from fer_bench.data.prepare import prepare
from fer_bench.testing.layouts import LAYOUTS

TABLES = (".csv", ".txt", ".lst", ".npy", ".json")
WITHOUT_TABLES = [
    *("jaffe/pictures", "rafdb/folders", "kdef/folders", "kdef/flat", "ckplus/ck48", "mmafedb/folders", "sfew/aligned"),
    *("oulu-casia/sequences", "fer2013/folders", "fer2013/named"),
]
WITH_TABLES = [layout for layout in LAYOUTS if layout not in WITHOUT_TABLES]
UNREAD = {"jaffe/pictures": "README.txt", "oulu-casia/sequences": "NI"}
"""What no sample needs: wherever it leads, the rest is read."""
MANIFESTS = ("manifest/manifest", "empathic/manifest")
ROWS = {
    # Layout -> (file, a row in which PATH is to be the picture's path).
    "affectnet/original": ("validation.csv", "PATH,1,1,9,9,,1,0,0"),
    "affectnet/nested": ("Manually_Annotated_file_lists/validation.csv", "PATH,1,1,9,9,,1,0,0"),
    "expw/list": ("label/label.lst", "PATH 0 1 1 9 9 5.0 1"),
    "manifest/manifest": ("manifest.csv", "PATH,happiness,ana,train,,ES"),
    "empathic/manifest": ("manifest.csv", "PATH,happiness,s01,ES,"),
    "rafdb/original": ("EmoLabel/list_patition_label.txt", "PATH 1"),
}
"""Of the layouts with tables, those whose rows name files."""
WITHOUT_PATHS = {
    *("ckplus/raw", "ckplus/csv", "affectnet/2021", "affectnet/plus", "affwild2/aligned", "affwild2/nested"),
    *("ferplus/csv", "fer2013/csv", "fer2013/icml"),
}


def one_of_each_kind(root: Path) -> list[Path]:
    """Return the entries of ``root`` and of a folder that stands alone in it, and a table of each kind and depth."""
    top = sorted(path for path in root.iterdir() if path.is_dir() or path.suffix in TABLES)
    below = sorted(path for path in top[0].iterdir() if path.is_dir()) if len(top) == 1 and top[0].is_dir() else []
    tables = [path for path in sorted(root.rglob("*")) if path.suffix in TABLES and "_val.npy" not in path.name]
    kinds = {(path.suffix, len(path.relative_to(root).parts)): path for path in tables}
    return [path.relative_to(root) for path in dict.fromkeys([*top, *below, *kinds.values()])]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_that_lead_out(component, refuse, tmp_path, copies, place, layout):
    for relative in one_of_each_kind(copies[layout][0]):
        root = place(layout)
        outside = tmp_path / "elsewhere" / relative.name
        outside.parent.mkdir()
        (root / relative).rename(outside)
        (root / relative).symlink_to(outside)
        if str(relative) == UNREAD.get(layout):
            assert len(prepare(component(layout.partition("/")[0]), tmp_path)) == len(copies[layout][1])
        else:
            text = refuse(layout)
            assert says(text, "leads out of", "symbolic link", f"'{outside}"), relative


def test_all_links_that_lead_out_are_listed(refuse, tmp_path, place):
    root = place("rafdb/original")
    (tmp_path / "elsewhere").mkdir()
    for name in ("EmoLabel", "Image"):
        (root / name).rename(tmp_path / "elsewhere" / name)
        (root / name).symlink_to(tmp_path / "elsewhere" / name)
    text = refuse("rafdb/original")
    assert says(text, "2 faults", "nothing was prepared")
    assert f"'{root / 'EmoLabel' / 'list_patition_label.txt'}' leads out of" in text
    assert f"'{root / 'Image' / 'aligned'}' leads out of" in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_links_that_stay_inside(component, tmp_path, copies, place, layout):
    """Whoever keeps the data elsewhere may make the whole folder the link."""
    root = place(layout)
    root.rename(tmp_path / "elsewhere")
    root.symlink_to(tmp_path / "elsewhere")
    assert len(prepare(component(layout.partition("/")[0]), tmp_path)) == len(copies[layout][1])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
@pytest.mark.parametrize("layout", WITH_TABLES)
def test_pipes_are_not_waited_for(refuse, copies, place, layout):
    for relative in one_of_each_kind(copies[layout][0]):
        if relative.suffix in TABLES:
            root = place(layout)
            (root / relative).unlink()
            os.mkfifo(root / relative)
            assert says(refuse(layout), f"{relative.name}': ", "pipe", "expected a file")


@pytest.mark.parametrize("layout", ROWS)
def test_paths_that_lead_out(refuse, tmp_path, place, layout):
    """A picture that could be read lies at the end of each path."""
    root = place(layout)
    picture = next(path for path in sorted(root.rglob("*")) if path.suffix in (".png", ".jpg"))
    outside = tmp_path / "elsewhere" / picture.name
    outside.parent.mkdir()
    shutil.copy(picture, outside)
    file, row = ROWS[layout]
    paths = [f"{'../' * 9}{outside.relative_to('/')}", str(outside)]
    with (root / file).open("a") as table:
        table.writelines(row.replace("PATH", path) + "\n" for path in paths)
    text = refuse(layout)
    for path in paths:
        said = [line for line in text.splitlines() if f"'{path}" in line]
        assert len(said) == 1, path
        assert any(word in said[0] for word in ("'..'", "absolute path", "expected a name"))


def test_every_layout_with_paths_is_tried():
    assert {*ROWS, *WITHOUT_PATHS} == set(WITH_TABLES)


# JAFFE's pictures may lie in any folders; a second copy of one is named in test_arrangements.
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout not in {*MANIFESTS, "jaffe/pictures"}])
def test_two_copies(refuse, tmp_path, copies, place, layout):
    """Of the same layout, and of any other of the same data set."""
    name = layout.partition("/")[0]
    for other in (other for other in LAYOUTS if other.startswith(f"{name}/")):
        root = place(layout)
        root.rename(tmp_path / "copy0")
        root.mkdir()
        (tmp_path / "copy0").rename(root / "copy0")
        shutil.copytree(copies[other][0], root / "copy1")
        text = refuse(layout)
        assert says(text, name, "more than once", "copy0", "copy1"), other


@pytest.mark.parametrize("layout", MANIFESTS)
def test_two_manifests(refuse, place, layout):
    root = place(layout)
    shutil.copy(root / "manifest.csv", root / "Manifest.CSV")
    assert says(refuse(layout), "'Manifest.CSV'", "'manifest.csv'", "twice")
