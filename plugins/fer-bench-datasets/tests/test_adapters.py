"""What single data sets have that others have not: attributes, angles, frames, releases, votes."""

from __future__ import annotations

import numpy as np
import pytest
from fer_bench_datasets.crops import Box, crop
from fer_bench_datasets.ferplus import decide_argmax, decide_majority
from layout_copies import fault_of, manual, read, refuse
from messages import says
from PIL import Image

from fer_bench.audit.audit import compare
from fer_bench.audit.signatures import compute
from fer_bench.config import RunConfig
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry
from fer_bench.tasks.protocols import choose
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import select
from fer_bench.testing.layouts import LAYOUTS, draw_face


def test_rafdb_attributes(component, tmp_path):
    root = manual(tmp_path, "rafdb")
    LAYOUTS["rafdb/original"](root)
    samples = prepare(component("rafdb"), tmp_path).samples
    row = samples[samples["id"] == "train_00002.jpg"].iloc[0]
    assert [row[f"group:{name}"] for name in ("gender", "race", "age")] == ["unsure", "Asian", "20-39"]


def test_fer2013_within_mmafedb_is_said_and_found(component, tmp_path):
    """Its ``valid`` part holds pictures of FER2013, as the real one very likely does."""
    LAYOUTS["fer2013/csv"](manual(tmp_path, "fer2013"))
    LAYOUTS["mmafedb/folders"](manual(tmp_path, "mmafedb"))
    fer2013 = prepare(component("fer2013"), tmp_path)
    stolen = fer2013.images(np.arange(7))
    for path, image in zip(sorted((manual(tmp_path, "mmafedb") / "valid").rglob("*.jpg")), stolen, strict=True):
        path.unlink()
        Image.fromarray(image[..., 0]).save(path.with_suffix(".png"))
    mmafedb = prepare(component("mmafedb"), tmp_path)
    assert any("FER2013" in text for text in mmafedb.warnings)
    counts = compare({"fer2013": compute(fer2013), "mmafedb": compute(mmafedb)}, {})
    assert {(row["images of"], row["in"]): row["exact"] for row in counts} == {
        ("fer2013", "mmafedb"): 7,
        ("mmafedb", "fer2013"): 7,
    }


def test_rafdb_without_attributes(component, tmp_path):
    root = manual(tmp_path, "rafdb")
    LAYOUTS["rafdb/original"](root)
    (root / "Annotation").rename(tmp_path / "Annotation")
    assert any(says(text, "gender", "race", "age") for text in prepare(component("rafdb"), tmp_path).warnings)


@pytest.mark.parametrize(("angle", "number"), [("half-left", 28), ("full-right", 0), ("all", 56)])
def test_kdef_angles(component, tmp_path, angle, number):
    LAYOUTS["kdef/folders"](manual(tmp_path, "kdef"))
    dataset = component(f"kdef[angle={angle}]")
    if number:
        prepared = prepare(dataset, tmp_path)
        assert len(prepared) == number
        assert prepared.samples["subject"].nunique() == 2
        assert set(prepared.samples["group:session"]) == {"A", "B"}
    else:
        assert "no sample" in refuse(component, tmp_path, f"kdef[angle={angle}]")


def test_kdef_has_one_person_in_both_sessions(component, tmp_path):
    LAYOUTS["kdef/folders"](manual(tmp_path, "kdef"))
    samples = prepare(component("kdef"), tmp_path).samples
    found = set(samples[["subject", "group:session", "group:sex"]].astype(str).itertuples(index=False, name=None))
    assert found == {("F01", "A", "F"), ("F01", "B", "F"), ("M07", "A", "M"), ("M07", "B", "M")}


def test_kdef_leaves_out_incomplete_names(component, tmp_path):
    root = manual(tmp_path, "kdef")
    LAYOUTS["kdef/folders"](root)
    (root / "AF01" / "AF01H.JPG").write_bytes((root / "AF01" / "AF01ANS.JPG").read_bytes())
    assert says(prepare(component("kdef"), tmp_path).warnings[0], "'AF01/AF01H.JPG'", "left out")


@pytest.mark.parametrize(("params", "number", "neutrals"), [("last=1", 14, 7), ("neutral=0", 21, 0), ("last=9", 35, 7)])
def test_ckplus_frames(component, tmp_path, params, number, neutrals):
    LAYOUTS["ckplus/raw"](manual(tmp_path, "ckplus"))
    prepared = prepare(component(f"ckplus[{params}]"), tmp_path)
    assert len(prepared) == number
    assert prepared.counts[""]["neutral"] == neutrals
    assert any(says(text, "2 of 9 sequences", "no label", "left out") for text in prepared.warnings)
    assert ("and the last 9" in " ".join(prepared.warnings)) == (params == "last=9")


def test_ckplus_csv_cannot_keep_people_apart(component, tmp_path):
    LAYOUTS["ckplus/csv"](manual(tmp_path, "ckplus"))
    prepared = prepare(component("ckplus"), tmp_path)
    assert says(prepared.warnings[0], "no folds", "people")
    assert set(prepared.samples["subject"]) == {""}
    assert set(prepared.samples["group:usage"]) == {"training", "publictest", "privatetest"}
    assert set(prepared.samples["sequence"]) == {""}


def test_ckplus_csv_has_no_folds_that_keep_people_apart(component, tmp_path):
    LAYOUTS["ckplus/csv"](manual(tmp_path, "ckplus"))
    dataset = component("ckplus")
    task = Task((select(dataset, prepare(dataset, tmp_path), None, "native"),))
    for protocol in ("group-kfold", "loso"):
        with pytest.raises(FerBenchError, match="'kfold'"):
            choose(RunConfig(protocol=protocol), task, Registry.load())
    protocol, why = choose(RunConfig(), task, Registry.load())
    assert protocol.spec.name == "kfold"
    assert "no subject" in why


def test_affectnet_cuts_faces_and_says_what_it_leaves_out(component, tmp_path):
    LAYOUTS["affectnet/original"](manual(tmp_path, "affectnet"))
    prepared = prepare(component("affectnet"), tmp_path)
    np.testing.assert_array_equal(prepared.images(np.array([0]))[0][..., 0], draw_face("neutral", 0, 40))
    parts = [
        ("left out", "'training.csv, line 14'", "3 fields", "expected 9"),
        *(("left out", "2 faces", repr(label)) for label in ("no face", "none", "uncertain")),
        ("left out", "2 faces", "face_width < 0"),
        ("'training'", "8 samples", "287,651"),
    ]
    assert all(says(text, *wanted) for text, wanted in zip(prepared.warnings[:6], parts, strict=True))


def test_affectnet_seven_classes_and_smaller_faces(component, tmp_path):
    LAYOUTS["affectnet/nested"](manual(tmp_path, "affectnet"))
    prepared = prepare(component("affectnet[classes=7,max_side=20]"), tmp_path)
    assert prepared.labels == ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
    assert len(prepared) == 14
    assert set(prepared.samples["width"]) == {20}
    assert any(says(text, "left out", "2 faces", "'contempt'") for text in prepared.warnings)
    assert any("283,901 are published" in text for text in prepared.warnings)


def test_affectnet_release(component, tmp_path):
    root = manual(tmp_path, "affectnet")
    LAYOUTS["affectnet/2021"](root)
    truths = LAYOUTS["affectnet/plus"](root)
    assert says(refuse(component, tmp_path, "affectnet"), "affectnet", "more than once")
    prepared = prepare(component("affectnet[release=plus]"), tmp_path)
    assert read(prepared) == set(truths)
    assert set(prepared.samples["group:subset"]) == {"easy", "challenging"}
    assert set(prepared.samples["group:pose"]) == {"frontal"}
    assert set(prepared.samples["group:age"]) == {"30-39"}
    assert set(prepared.samples["group:gender"]) == {"female"}
    assert set(prepared.samples["group:race"]) == {"white"}
    np.testing.assert_array_equal(prepared.soft_labels(np.arange(16)), np.tile(np.eye(8), (2, 1)))
    assert len(prepare(component("affectnet[release=2021]"), tmp_path)) == 16
    assert "holds no affectnet" in fault_of(component, tmp_path, "affectnet[release=original]")


@pytest.mark.parametrize("value", [np.array("6"), np.array(6), np.array([6]), np.array("6.0"), np.array(6, np.uint8)])
def test_affectnet_annotations_that_are_a_label(component, tmp_path, value):
    root = manual(tmp_path, "affectnet")
    LAYOUTS["affectnet/2021"](root)
    np.save(root / "train_set" / "annotations" / "0_exp.npy", value)
    prepared = prepare(component("affectnet"), tmp_path)
    (code,) = prepared.samples.loc[prepared.samples["id"] == "train_set/images/0.jpg", "label"]
    assert prepared.labels[code] == "anger"


@pytest.mark.parametrize("value", [np.array([1, 2]), np.array("happy"), np.array({}), np.array(8.5), np.array(-1)])
def test_affectnet_annotations_that_are_no_label(component, tmp_path, value):
    root = manual(tmp_path, "affectnet")
    LAYOUTS["affectnet/2021"](root)
    np.save(root / "train_set" / "annotations" / "0_exp.npy", value, allow_pickle=True)
    assert "'train_set/annotations/0_exp.npy': " in refuse(component, tmp_path, "affectnet")


def test_expw_faces_of_one_picture(component, tmp_path):
    LAYOUTS["expw/list"](manual(tmp_path, "expw"))
    prepared = prepare(component("expw"), tmp_path)
    rows = prepared.samples[prepared.samples["sequence"] == "scene_3.png"]
    assert rows["id"].tolist() == ["scene_3.png#0", "scene_3.png#1"]
    assert rows["width"].tolist() == [40, 39]
    boxes = rows[["box:left", "box:top", "box:right", "box:bottom"]].to_numpy()
    np.testing.assert_array_equal(boxes - boxes[0, [0, 1, 0, 1]], [[0, 0, 40, 40], [0, 0, 39, 40]])
    np.testing.assert_array_equal(prepared.images(rows.index.to_numpy())[0][..., 0], draw_face("happiness", 3, 40))


def test_crop():
    picture = np.arange(60, dtype=np.uint8).reshape(6, 10, 1)
    np.testing.assert_array_equal(crop(picture, Box(-3, 4, 2, 99), 0), picture[4:, :2])
    assert crop(picture, Box(0, 0, 10, 5), 4).shape[:2] == (2, 4)
    assert crop(np.repeat(picture, 3, axis=2), Box(0, 0, 10, 6), 5).shape == (3, 5, 3)


@pytest.mark.parametrize(
    ("params", "number", "neutrals"),
    [("last=2,neutral=2", 48, 24), ("neutral=0", 36, 0), ("spectrum=infrared,illumination=dark", 48, 12)],
)
def test_oulu_casia_frames(component, tmp_path, params, number, neutrals):
    LAYOUTS["oulu-casia/sequences"](manual(tmp_path, "oulu-casia"))
    prepared = prepare(component(f"oulu-casia[{params}]"), tmp_path)
    assert len(prepared) == number
    assert prepared.counts[""]["neutral"] == neutrals


@pytest.mark.parametrize(
    ("layout", "folder", "first"),
    [
        ("ckplus/raw", "cohn-kanade-images/S010/001", "S010_001_00000001.png"),
        ("oulu-casia/sequences", "VL/Strong/P001/Anger", "000.jpeg"),
    ],
)
def test_a_sequence_without_its_beginning_gives_no_neutral_face(component, tmp_path, layout, folder, first):
    truths = LAYOUTS[layout](manual(tmp_path, layout))
    gone = manual(tmp_path, layout) / folder / first
    gone.unlink()
    prepared = prepare(component(layout.partition("/")[0]), tmp_path)
    assert read(prepared) == {truth for truth in truths if not truth.id.endswith(f"{folder.split('/', 1)[1]}/{first}")}
    assert len(prepared) == len(truths) - 1
    second = sorted(path.name for path in gone.parent.iterdir())[0]
    assert any(f"{folder}' begins with {second!r} instead of frame" in text for text in prepared.warnings)


def test_affwild2_takes_left_and_right_of_a_video_for_one(component, tmp_path):
    LAYOUTS["affwild2/aligned"](manual(tmp_path, "affwild2"))
    samples = prepare(component("affwild2"), tmp_path).samples
    found = set(samples[["sequence", "subject", "split"]].astype(str).itertuples(index=False, name=None))
    assert found == {
        ("12-24-1920x1080", "12-24-1920x1080", "train"),
        ("video5_left", "video5", "train"),
        ("video5_right", "video5", "validation"),
    }


def test_affwild2_names_a_video_whose_labels_are_lost(component, tmp_path):
    LAYOUTS["affwild2/aligned"](manual(tmp_path, "affwild2"))
    lost = sorted((manual(tmp_path, "affwild2") / "Train_Set").glob("*.txt"))[0]
    lost.unlink()
    warnings = prepare(component("affwild2"), tmp_path).warnings
    assert any(says(text, "left out", "1 videos", repr(lost.stem)) for text in warnings)


def test_affwild2_says_what_it_leaves_out(component, tmp_path):
    LAYOUTS["affwild2/aligned"](manual(tmp_path, "affwild2"))
    warnings = prepare(component("affwild2"), tmp_path).warnings
    assert any(says(text, "left out", "3 frames", "label -1") for text in warnings)
    assert any(says(text, "left out", "3 labelled frames", "no face") for text in warnings)
    samples = prepare(component("affwild2[every=4]"), tmp_path).samples
    assert samples["id"].str[-9:].unique().tolist() == ["00001.jpg", "00005.jpg", "00009.jpg"]


def test_ferplus_protocols(component, tmp_path):
    LAYOUTS["ferplus/csv"](manual(tmp_path, "ferplus"))
    prepared = prepare(component("ferplus[protocol=argmax]"), tmp_path)
    assert sum(prepared.counts["publictest"].values()) == 6
    assert any(says(text, "left out", "3 faces", "'argmax'") for text in prepared.warnings)
    assert any("28,559 are published" in text for text in prepared.warnings)
    # The seventh of the first part: 6 for the seventh expression and 1 for the second; 3 for unknown are left out.
    row = prepared.samples.index[prepared.samples["id"] == "7"]
    np.testing.assert_allclose(prepared.soft_labels(row), [[0, 0, 1 / 7, 0, 0, 0, 0, 6 / 7]])


@pytest.mark.parametrize(
    ("votes", "majority", "argmax"),
    [
        ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None, "neutral"),
        ((5, 1, 1, 1, 1, 1, 0, 0, 0, 0), "neutral", "neutral"),
        ((0, 5, 5, 0, 0, 0, 0, 0, 0, 0), None, "happiness"),
        ((0, 3, 0, 0, 0, 0, 0, 0, 7, 0), None, "happiness"),
        ((0, 4, 0, 0, 0, 0, 0, 0, 0, 6), None, None),
        ((0, 0, 0, 0, 0, 0, 0, 0, 10, 0), None, None),
        ((0, 0, 0, 0, 0, 0, 0, 6, 3, 1), "contempt", "contempt"),
    ],
)
def test_votes(votes, majority, argmax):
    assert decide_majority(votes) == majority
    assert decide_argmax(votes) == argmax


def test_ferplus_in_another_order(component, tmp_path):
    root = manual(tmp_path, "ferplus")
    LAYOUTS["ferplus/csv"](root)
    header, *rows = (root / "fer2013new.csv").read_text().splitlines()
    (root / "fer2013new.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    text = refuse(component, tmp_path, "ferplus")
    assert "row 1': has the Usage 'privatetest', but 'fer2013.csv' has 'training' there" in text


def test_ferplus_takes_its_neighbour_by_its_other_name(component, tmp_path):
    root = manual(tmp_path, "ferplus")
    LAYOUTS["ferplus/csv"](root)
    (root / "icml_face_data.csv").write_text("")
    assert "holds 'fer2013.csv' and 'icml_face_data.csv'" in refuse(component, tmp_path, "ferplus")
    (root / "fer2013.csv").rename(root / "icml_face_data.csv")
    assert len(prepare(component("ferplus"), tmp_path)) == 15
