"""Copies in two data sets, and what folds let from training into the test, on pictures whose copies are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_bench.audit import across, clusters
from fer_bench.cli import app
from fer_bench.data.prepare import prepare
from fer_bench.registry import Registry

NAMES = ("manifest[name=a]", "manifest[name=b]")


def draw(n, seed):
    rng = np.random.default_rng(seed)
    coarse = (Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)) for _ in range(n))
    return [picture.resize((60, 60), Image.Resampling.BICUBIC) for picture in coarse]


@pytest.fixture
def data_dir(tmp_path):
    """Two data sets of five faces each: b/0 is a/0 compressed, b/1 has the pixels of a/1, the others are their own."""
    faces = draw(8, 0)
    for name, members in (("a", faces[:5]), ("b", [*faces[:2], *faces[5:]])):
        folder = tmp_path / "manual" / "manifest" / name
        folder.mkdir(parents=True)
        for number, face in enumerate(members):
            if (name, number) == ("b", 0):
                face.save(folder / "0.jpg", quality=40)
            else:
                face.save(folder / f"{number}.png")
        names = sorted(path.name for path in folder.iterdir())
        rows = [f"{file},{('happy', 'sad')[number % 2]}" for number, file in enumerate(names)]
        (folder / "manifest.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    return tmp_path


def call(data_dir, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["data", "audit", *arguments, "--data-dir", str(data_dir)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_near_and_exact_copies_in_another_data_set(data_dir, tmp_path):
    found = json.loads(call(data_dir, *NAMES, "--json"))
    assert found[NAMES[0]]["across"] == [{"in": NAMES[1], "exact": 1, "near": 2, "pairs": [["0.png", "0.jpg"]]}]
    assert found[NAMES[1]]["across"] == [{"in": NAMES[0], "exact": 1, "near": 2, "pairs": [["0.jpg", "0.png"]]}]
    lines = [line.split() for line in call(data_dir, *NAMES).splitlines()]
    assert [*NAMES, "1", "2"] in lines
    call(data_dir, *NAMES, "--sheet", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet-manifest-name-a-.png") as drawn:
        pixels = np.asarray(drawn)
    assert pixels.shape[1] >= 120 + 2 * 96
    assert pixels.std() > 10


def test_copies_in_another_data_set_stay_in_one_fold_once_they_were_looked_for_together(data_dir):
    registry = Registry.load()
    first, second = (prepare(registry.dataset(name), data_dir) for name in NAMES)
    for name in NAMES:
        call(data_dir, name)
    a, b = clusters.duplicate_clusters([first, second])
    assert (a[0], b[0]) == (-1, -1)
    assert a[1] == b[1] != -1
    call(data_dir, *reversed(NAMES))
    for datasets in ([first, second], [second, first]):
        found = clusters.duplicate_clusters(datasets)
        assert found[0][0] == found[1][0] != -1
        assert found[0][1] == found[1][1] not in (-1, found[0][0])
        assert (found[0][2:] == -1).all()
    # Half a file is nothing, and neither is one of other data.
    (file,) = data_dir.rglob("audit-*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert across.load(first, second) is None
    file.write_bytes(whole)
    assert across.load(first, second).tolist() == across.load(second, first).tolist() == [[0, 0]]
    first.summary["files"]["samples.parquet"] = "0" * 64
    assert across.load(first, second) is None


@pytest.fixture
def leaky(tmp_path):
    """Eight faces of four people: 0, 1 and 2 are one picture, 1 a little brighter; 4 and 5 are of one video."""
    folder = tmp_path / "manual" / "manifest"
    folder.mkdir(parents=True)
    faces = draw(8, 1)
    faces[1] = faces[0].point(lambda value: min(255, value + 9))
    faces[2] = faces[0]
    rows = ["path,label,split,subject,sequence"]
    for number, face in enumerate(faces):
        face.save(folder / f"{number}.png")
        split = "test" if number in (2, 3, 5, 7) else "train"
        label = ("happy", "sad")[number % 2]
        rows.append(f"{number}.png,{label},{split},p{number // 2},{'v' if number in (4, 5) else ''}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_what_official_folds_let_in(leaky):
    (row,) = json.loads(call(leaky, "manifest", "--protocol", "official", "--json"))["manifest"]["leaks"]
    assert row == {
        "dataset": "manifest",
        "protocol": "official[test=test]",
        "seed": 0,
        "fold": 0,
        "tested": 4,
        "an exact copy": 1,  # 2 of 0
        "an exact or near copy": 1,  # 2 of 0 and 1
        "the same subject": 2,  # 5 of 4, 7 of 6; 2 and 3 share theirs with each other alone
        "the same sequence": 1,  # 5 of 4
    }


def test_what_random_folds_let_in_and_grouped_ones_do_not(leaky):
    options = ["--folds", "2", "--seeds", "0,1,2,3", "--json"]
    random = json.loads(call(leaky, "manifest", "--protocol", "kfold", *options))["manifest"]["leaks"]
    grouped = json.loads(call(leaky, "manifest", "--protocol", "group-kfold", *options))["manifest"]["leaks"]
    shared = ("an exact copy", "an exact or near copy", "the same subject", "the same sequence")
    assert [(row["seed"], row["fold"], row["tested"]) for row in random[:3]] == [(0, 0, 4), (0, 1, 4), (1, 0, 4)]
    assert len(random) == len(grouped) == 8
    assert all(sum(row[what] for row in random) > 0 for what in shared)
    assert all(row[what] == 0 for row in grouped for what in shared)
    out = call(leaky, "manifest", "--protocol", "group-kfold", "--folds", "2")
    rows = [line.split()[-7:] for line in out.splitlines() if line.strip().startswith("manifest  ")]
    assert [(row[:2], row[3:]) for row in rows[1:]] == [(["0", fold], [*"0000"]) for fold in "01"]
    assert sum(int(row[2]) for row in rows[1:]) == 8
