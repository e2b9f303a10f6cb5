"""The drawn copies of data sets are valid, small and always the same."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fer_bench.testing.layouts import DAMAGES, DEFECTS, EXPRESSIONS, LAYOUTS, draw_face, list_pictures, spoil


def read(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_small_and_always_the_same(tmp_path, layout):
    truths = LAYOUTS[layout](tmp_path / "one")
    assert LAYOUTS[layout](tmp_path / "two") == truths
    assert len({truth.id for truth in truths}) == len(truths)
    files = read(tmp_path / "one")
    assert files == read(tmp_path / "two")
    assert sum(map(len, files.values())) < 3 << 20
    for path in list_pictures(tmp_path / "one"):
        with Image.open(path) as image:
            image.load()


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_change_the_layout_and_say_what_is_to_be_said(tmp_path, name):
    LAYOUTS[DEFECTS[name].layout](tmp_path / "whole")
    assert all(spoil(tmp_path / "spoiled", name))
    assert read(tmp_path / "whole") != read(tmp_path / "spoiled")


@pytest.mark.parametrize("name", DAMAGES)
def test_damages_change_the_last_picture(tmp_path, name):
    root = tmp_path / "manual" / "jaffe"
    LAYOUTS["jaffe/pictures"](root)
    path = list_pictures(root)[-1]
    before = path.read_bytes()
    assert DAMAGES[name](root)
    assert not path.is_file() or path.is_symlink() or path.read_bytes() != before


def test_faces_differ_by_expression_and_number():
    faces = {(label, number): draw_face(label, number) for label in EXPRESSIONS for number in range(5)}
    assert {face.shape for face in faces.values()} == {(48, 48)}
    assert {face.dtype for face in faces.values()} == {np.dtype(np.uint8)}
    assert len({face.tobytes() for face in faces.values()}) == len(faces)
