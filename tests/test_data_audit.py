"""The audit on pictures whose copies are known; its figures on FER2013 stand in docs/audit.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from messages import says
from PIL import Image
from typer.testing import CliRunner

from fer_bench.audit import clusters, known, near, sheet, signatures
from fer_bench.audit.audit import audit as make_audit
from fer_bench.audit.known import read_known
from fer_bench.cli import app
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry


@pytest.fixture
def data_dir(tmp_path):
    """A manifest of eight pictures: three of one face, two of another, two blank ones, a tiny one."""
    folder = tmp_path / "data" / "manual" / "manifest"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 255, (40, 30), np.uint8) for _ in range(2))
    Image.fromarray(one).save(folder / "one.png")
    Image.fromarray(one).convert("RGB").save(folder / "one in colour.bmp")
    Image.fromarray(one).save(folder / "one again.tiff")
    Image.fromarray(two).save(folder / "two.png")
    Image.fromarray(two).save(folder / "two again.png")
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(folder / "black.png")
    Image.fromarray(np.full((40, 30, 3), (9, 8, 7), np.uint8)).save(folder / "brown.png")
    Image.fromarray(two[:20]).save(folder / "tiny.png")
    rows = [
        *("one.png,happy,train,anna", "one in colour.bmp,happy,train,anna", "one again.tiff,happy,test,anna"),
        *("two.png,sad,train,ben", "two again.png,fear,val,ben", "black.png,sad,train,cleo"),
        *("brown.png,happy,train,", "tiny.png,fear,test,dora"),
    ]
    (folder / "manifest.csv").write_text("path,label,split,subject\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "data"


def _audit(data_dir, name="manifest", *options):
    result = CliRunner().invoke(app, ["data", "audit", name, "--data-dir", str(data_dir), "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)[name]


def test_every_kind_of_finding(data_dir):
    found = _audit(data_dir)
    assert found["samples"] == 8
    assert found["duplicates"] == [["one.png", "one in colour.bmp", "one again.tiff"], ["two.png", "two again.png"]]
    assert found["redundant"] == 3
    assert found["conflicting"] == [["two.png", "two again.png"]]
    copies = {(entry["split"], entry["in"]): entry["images"] for entry in found["copies"]}
    assert copies == {
        ("test", "train"): 1,
        ("train", "test"): 2,
        ("train", "val"): 1,
        ("val", "train"): 1,
        ("test", "val"): 0,
        ("val", "test"): 0,
    }
    assert found["blank"] == ["black.png", "brown.png"]
    assert found["tiny"] == ["tiny.png"]
    assert found["subjects_in_splits"] == {"anna": ["test", "train"], "ben": ["train", "val"]}


def test_the_table_counts_them(data_dir):
    result = CliRunner().invoke(app, ["data", "audit", "manifest", "--data-dir", str(data_dir)])
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["redundant", "exact", "copies", "3"] in lines
    assert ["images", "of", "train", "with", "an", "exact", "copy", "in", "test", "2"] in lines
    assert ["blank", "images", "2"] in lines
    assert "--sheet" not in result.stdout


def test_near_copies_are_pairs_of_one_picture(data_dir):
    folder = data_dir / "manual" / "manifest"
    rng = np.random.default_rng(1)
    face = Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)).resize((60, 60), Image.Resampling.BICUBIC)
    face.save(folder / "face.png")
    face.save(folder / "compressed.jpg", quality=30)
    face.point(lambda value: min(255, value + 20)).save(folder / "brighter.png")
    face.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirrored.png")
    names = ("face.png", "compressed.jpg", "brighter.png", "mirrored.png")
    rows = "".join(f"{name},happy,{('test', 'train')[i % 2]},\n" for i, name in enumerate(names))
    with (folder / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write(rows)
    found = _audit(data_dir)
    near = {frozenset(pair) for pair in found["near"]}
    assert {frozenset(("face.png", "compressed.jpg")), frozenset(("face.png", "brighter.png"))} <= near
    assert not any("mirrored.png" in pair or "one.png" in pair for pair in near)
    copies = {(entry["split"], entry["in"]): entry["images"] for entry in found["near_copies"]}
    assert (copies["test", "train"], copies["train", "test"]) == (3, 3)
    table = CliRunner().invoke(app, ["data", "audit", "manifest", "--data-dir", str(data_dir)]).stdout
    assert "--sheet" in table


@pytest.fixture(scope="module")
def thumbnails():
    """300 pictures: 100 coarse ones, each with a copy under weak and one under strong noise, all on one black frame."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 255, (100, 8, 8), np.uint8)
    pictures = [Image.fromarray(one).resize((48, 48), Image.Resampling.BICUBIC) for one in coarse]
    noisy = [np.clip(np.asarray(p) + rng.normal(0, s, (48, 48)), 0, 255) for p in pictures for s in (4, 40)]
    whole = np.stack([*map(np.asarray, pictures), *noisy]).astype(np.uint8)
    whole[:, :3], whole[:, -3:], whole[17] = 0, 0, 9
    return whole


def every_pair(thumbnails):
    """Return the pairs a < b that correlate by 0.97 or more, by comparing all; a single grey has no correlation."""
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(thumbnails.reshape(len(thumbnails), -1).astype(float))
    return [(a, b) for a in range(len(thumbnails)) for b in range(a + 1, len(thumbnails)) if correlations[a, b] >= 0.97]


@pytest.mark.parametrize("directions", [None, 1, 8, 128])
def test_near_copies_are_those_of_comparing_every_pair(thumbnails, monkeypatch, directions):
    if directions:  # the search by bounds, as with many images; blocks that do not divide the number of images
        monkeypatch.setattr(near, "DIRECTIONS", directions)
        monkeypatch.setattr(near, "SAMPLE", 50)
        monkeypatch.setattr(near, "BLOCK", 64)
    news = []
    pairs = near.near_pairs(thumbnails, np.arange(300), progress=lambda done, total: news.append((done, total)))
    assert list(map(tuple, pairs)) == every_pair(thumbnails)
    assert len(pairs) >= 99
    assert news[-1] == (300 * 299 // 2, 300 * 299 // 2)
    across = near.near_pairs(thumbnails, np.arange(300), 120)
    assert list(map(tuple, across)) == [(a, b) for a, b in every_pair(thumbnails) if a < 120 <= b]
    some = np.arange(0, 300, 3)
    assert {tuple(pair) for pair in near.near_pairs(thumbnails, some)} == {
        pair for pair in every_pair(thumbnails) if set(pair) <= set(some.tolist())
    }


def test_an_audit_reports_on_the_split_that_is_asked_for(data_dir):
    """``one.png`` and its copy in colour train, ``one again.tiff`` is tested; so is ``tiny.png``."""
    train, test = (_audit(data_dir, f"manifest[split={split}]") for split in ("train", "test"))
    assert (train["samples"], test["samples"], _audit(data_dir)["samples"]) == (5, 2, 8)
    assert (train["duplicates"], test["duplicates"]) == ([["one.png", "one in colour.bmp"]], [])
    assert (train["tiny"], test["tiny"]) == ([], ["tiny.png"])


def test_a_copy_that_is_left_out_leaves_its_near_copies_to_the_next():
    """Of exact copies only the first is named as a near copy; in a part without it, the second takes its place."""
    pixels = np.array([[1] * 16, [1] * 16, [2] * 16], np.uint8)
    whole = signatures.Signatures(pixels, np.zeros(3, bool), np.array([[0, 2]]))
    assert whole.of(np.array([1, 2])).near.tolist() == [[0, 1]]
    assert whole.of(np.array([0, 1])).near.tolist() == []


def test_subjects_that_nobody_names_are_not_known_rather_than_none(data_dir):
    manifest = data_dir / "manual" / "manifest" / "manifest.csv"
    manifest.write_text("\n".join(line.rpartition(",")[0] for line in manifest.read_text().splitlines()) + "\n")
    options = ["--protocol", "kfold", "--folds", "2", "--labels", "native"]
    audited = _audit(data_dir, "manifest", *options)
    assert audited["subjects_in_splits"] is None
    assert {row["the same subject"] for row in audited["leaks"]} == {None}
    assert all(isinstance(row["an exact copy"], int) for row in audited["leaks"])
    out = CliRunner().invoke(app, ["data", "audit", "manifest", "--data-dir", str(data_dir), *options]).stdout
    assert out.count("not known") == 1 + 2 * 2  # subjects in splits; subjects and sequences of two folds


def test_the_audit_is_kept_and_keeps_copies_together(data_dir):
    component = Registry.load().dataset("manifest")
    prepared = prepare(component, data_dir)
    assert clusters.duplicate_clusters([prepared]) == (None,)
    _audit(data_dir)
    (found,) = clusters.duplicate_clusters([prepared])
    names = dict(zip(prepared.samples["id"], found, strict=True))
    assert names["one.png"] == names["one in colour.bmp"] == names["one again.tiff"] != -1
    assert names["two.png"] == names["two again.png"] not in (-1, names["one.png"])
    assert names["brown.png"] == names["tiny.png"] == -1
    # Half a file is no audit, and neither is one of other data.
    file = prepared.folder / signatures.FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert signatures.load(prepared) is None
    file.write_bytes(whole)
    prepared.summary["files"]["samples.parquet"] = "0" * 64
    assert signatures.load(prepared) is None


def test_copies_in_another_data_set_are_one_cluster(data_dir, tmp_path):
    component = Registry.load().dataset("manifest")
    other = tmp_path / "other"
    folder = other / "manual" / "manifest"
    folder.mkdir(parents=True)
    Image.open(data_dir / "manual" / "manifest" / "two.png").save(folder / "stolen.bmp")
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(30, 30)).save(folder / "new.png")
    (folder / "manifest.csv").write_text("path,label\nstolen.bmp,sad\nnew.png,happy\n", encoding="utf-8")
    both = [prepare(component, place) for place in (data_dir, other)]
    for prepared in both:
        signatures.store(signatures.compute(prepared), prepared)
    first, second = clusters.duplicate_clusters(both)
    assert second.tolist() == [first[both[0].samples["id"].tolist().index("two.png")], -1]


def test_known_issues_fail_when_new_or_stale(data_dir, tmp_path):
    folders = ["--data-dir", str(data_dir)]
    known = tmp_path / "known.json"
    known.write_text(CliRunner().invoke(app, ["data", "audit", "manifest", "--json", *folders]).stdout)
    check = ["data", "audit", "manifest", "--known", str(known), *folders]
    assert CliRunner().invoke(app, check).exit_code == 0
    listed = json.loads(known.read_text())
    listed["manifest"]["blank"] = ["black.png", "gone.png"]
    known.write_text(json.dumps(listed))
    result = CliRunner().invoke(app, check)
    assert result.exit_code == 1
    new, gone = result.stderr.splitlines()
    assert says(new, "manifest: blank: ", "not listed", "brown.png")
    assert says(gone, "manifest: blank: ", "not found", "gone.png")
    known.write_text("[1, 2]")
    assert says(str(CliRunner().invoke(app, check).exception), "known.json", "data sets")


def test_ids_in_a_list_of_known_issues_are_as_they_are_written(tmp_path):
    file = tmp_path / "known.yaml"
    file.write_text("faces:\n  blank: [0012, no, 1:30, 2024-01-01, 7]\n  near: [[1e3, ~]]\n  tiny:\n")
    blank, near = (known._entries(read_known(file)["faces"][kind]) for kind in ("blank", "near"))
    assert blank == {("0012",), ("no",), ("1:30",), ("2024-01-01",), ("7",)}
    assert near == {("1e3", "~")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]\nfaces: {near: *a}\n", ["recursive"]),
        ("a: {near: &a [[b]]}\nb: {near: [*a]}\n", ["b: near", "lists"]),
        ("faces: {blanks: [a], tiny: abc, near: [[[a]]], blank: [{a: b}]}", ["blanks", "tiny", "abc", "near", "blank"]),
        ('{"faces": {"blank": 3}}', ["faces", "blank", "3"]),
        ("[" * 5000, ["lists"]),
        ("{" * 5000, ["mappings"]),
        ("faces: [\x00]", ["YAML"]),
    ],
)
def test_what_is_no_list_of_known_issues_is_named(tmp_path, text, said):
    (tmp_path / "known").write_text(text)
    with pytest.raises(FerBenchError) as caught:
        read_known(tmp_path / "known")
    assert says(str(caught.value), *said)
    with pytest.raises(FerBenchError, match="larger than"):
        read_known(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("kind", "entry", "said"),
    [
        ("duplicates", ["two.png", "gone.png"], "gone.png, two.png"),
        ("near", ["one.png", "two.png"], "one.png, two.png"),
        ("blank", "two.png", "two.png"),
        ("tiny", "one.png", "one.png"),
    ],
)
def test_a_known_issue_that_is_stale_fails_alone(data_dir, tmp_path, kind, entry, said):
    folders = ["--data-dir", str(data_dir)]
    listed = {"manifest": _audit(data_dir)}
    known = tmp_path / "known.yaml"
    check = ["data", "audit", "manifest", "--known", str(known), *folders]
    known.write_text(yaml.safe_dump(listed))
    whole = CliRunner().invoke(app, check)
    assert whole.exit_code == 0
    assert len(whole.stderr.splitlines()) == 1
    listed["manifest"][kind].append(entry)
    known.write_text(yaml.safe_dump(listed))
    stale = CliRunner().invoke(app, check)
    assert stale.exit_code == 1
    (line,) = stale.stderr.splitlines()
    assert says(line, f"manifest: {kind}: ", "not found", said)


def test_a_subject_that_is_listed_but_stays_in_one_split_is_stale(data_dir, tmp_path):
    listed = {"manifest": _audit(data_dir)}
    listed["manifest"]["subjects_in_splits"]["cleo"] = ["train", "val"]
    known = tmp_path / "known.json"
    known.write_text(json.dumps(listed))
    check = ["data", "audit", "manifest", "--known", str(known), "--data-dir", str(data_dir)]
    result = CliRunner().invoke(app, check)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert says(line, "manifest: subjects_in_splits: ", "not found", "cleo")


@pytest.mark.parametrize(
    ("sizes", "drawn"),
    [([57, 450, 1459], [20, 20, 20]), ([3, 0, 100], [3, 0, 57]), ([1, 2], [1, 2]), ([100, 1, 70, 9], [25, 1, 25, 9])],
)
def test_every_kind_of_copy_has_its_share_of_the_sheet(sizes, drawn):
    assert sheet.shares(sizes) == drawn


def test_the_sheet_begins_with_the_near_copies_that_are_least_alike(data_dir):
    folder = data_dir / "manual" / "manifest"
    rng = np.random.default_rng(1)
    face = Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
    face.save(folder / "face.png")
    for name, quality in (("good.jpg", 95), ("poor.jpg", 10)):
        face.save(folder / name, quality=quality)
    with (folder / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{name},happy,,\n" for name in ("good.jpg", "poor.jpg", "face.png")))
    prepared = prepare(Registry.load().dataset("manifest"), data_dir)
    near = np.array([[8, 10], [9, 10]])  # good and poor, each beside the face
    pixels = [np.asarray(image)[..., 0].ravel() for image in prepared.images(np.array([8, 9, 10]))]
    good, poor = (np.corrcoef(pixels[copy], pixels[2])[0, 1] for copy in (0, 1))
    assert poor < good
    groups = sheet.near_groups("near", prepared, prepared, near)
    assert [group.kind for group in groups] == [f"near\ncorrelation {value:.3f}" for value in (poor, good)]
    assert [[row for _, row in group.members] for group in groups] == [[9, 10], [8, 10]]


def test_the_sheet_shows_every_group(data_dir, tmp_path):
    file = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["data", "audit", "manifest", "--sheet", str(file), "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output
    with Image.open(file) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] > 3 * 96  # three images abreast
    assert pixels.std() > 10


def test_the_sheet_keeps_proportions_and_the_end_of_names_in_any_script(data_dir):
    folder = data_dir / "manual" / "manifest"
    wide = np.tile(np.linspace(50, 250, 90, dtype=np.uint8), (30, 1))
    for name in ("\u043b\u0438\u0446\u043e" * 9 + "1.png", "b.png"):
        Image.fromarray(wide).save(folder / name)
    with (folder / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{path.name},happy,,\n" for path in sorted(folder.glob("*.png"))[-1:]))
        file.write("b.png,happy,,\n")
    prepared = prepare(Registry.load().dataset("manifest"), data_dir)
    audit = make_audit(prepared, signatures.compute(prepared))
    picture, _ = sheet.draw_sheet(audit, prepared)
    assert len(audit.duplicates) == 3
    top = (len(audit.duplicates) - 1) * (sheet.TILE + sheet.TEXT + sheet.MARGIN) + sheet.MARGIN
    tile = np.asarray(picture)[top : top + sheet.TILE, sheet.HEAD : sheet.HEAD + sheet.TILE, 0]
    dark = (tile < 255).any(axis=1)
    assert dark.sum() == sheet.TILE * 30 // 90  # a third as tall as wide, not stretched to a square
    whole, cut = (sheet._lines("\u043b\u0438\u0446\u043e" * n + "1.png", 3) for n in (6, 30))
    assert "".join(whole) == "\u043b\u0438\u0446\u043e" * 6 + "1.png"
    assert (len(whole), len(cut), cut[0][0]) == (2, 3, "\u2026")
    assert "".join(cut).endswith("\u043b\u0438\u0446\u043e1.png")
    assert sheet._lines("\u56fe\u0301.png", 1) == ["\\u56fe\u0301.png"]  # a letter that the font lacks


def test_leak_free_asks_for_an_audit_where_nothing_is_known(data_dir, tmp_path):
    manifest = data_dir / "manual" / "manifest" / "manifest.csv"
    lines = [line.rpartition(",")[0] for line in manifest.read_text().splitlines() if "tiny" not in line]
    manifest.write_text("\n".join(lines) + "\n")
    folders = [*("--data-dir", str(data_dir)), *("--cache-dir", str(tmp_path / "cache"))]
    plan = ["plan", "--no-probe", "--dataset", "manifest", "--folds", "2", "--labels", "native", *folders]
    refused = CliRunner().invoke(app, [*plan, "--leak-free"]).exception
    assert "'fer-bench data audit manifest'" in str(refused)
