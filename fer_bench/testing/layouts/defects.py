"""What is or may be wrong with certain data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_bench.testing.layouts.drawing import save_face
from fer_bench.testing.layouts.table import LAYOUTS
from fer_bench.testing.layouts.wild import AFFECTNET_HEADER


def _append(file: str, *lines: str) -> Callable[[Path], None]:
    def append(root: Path) -> None:
        with (root / file).open("a", encoding="utf-8") as target:
            target.writelines(f"{line}\n" for line in lines)

    return append


def _rename(old: str, new: str) -> Callable[[Path], None]:
    def rename(root: Path) -> None:
        (root / old).rename(root / new)

    return rename


def _remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _face(name: str, width: int = 48) -> Callable[[Path], None]:
    return lambda root: save_face(root / name, "neutral", 99, width)


@dataclass(frozen=True)
class Defect:
    """Something wrong with a layout.

    Attributes:
        layout: a key of `LAYOUTS`.
        spoil: does it to the folder of a copy.
        messages: pieces of what the adapter has to say.
    """

    layout: str
    spoil: Callable[[Path], None]
    messages: tuple[str, ...]


DEFECTS: dict[str, Defect] = {
    "rafdb-labels": Defect(
        "rafdb/original",
        _append("EmoLabel/list_patition_label.txt", "train_00009.jpg 8", "test_00001.jpg 1", "train_1", "dev_1.jpg 1"),
        (
            "line 15': has the label '8', expected 1 to 7",
            "'test_00001.jpg': comes twice",
            "line 17': reads 'train_1'",
            "line 18': names 'dev_1.jpg'",
        ),
    ),
    "rafdb-attributes": Defect(
        "rafdb/original",
        _append("Annotation/manual/train_00003_manu_attri.txt", "1"),
        ("'Annotation/manual/train_00003_manu_attri.txt': has 9 lines, expected 8",),
    ),
    "rafdb-missing-picture": Defect(
        "rafdb/original",
        _remove("Image/aligned/test_00004_aligned.jpg"),
        ("'Image/aligned/test_00004_aligned.jpg': is missing",),
    ),
    "rafdb-renamed": Defect(
        "rafdb/original", _rename("Image/aligned", "Image/cropped"), ("'Image/aligned': is missing",)
    ),
    "rafdb-no-list": Defect("rafdb/original", _rename("EmoLabel", "Labels"), ("holds no rafdb that can be read",)),
    "rafdb-no-test": Defect("rafdb/folders", _rename("test", "probe"), ("'test': is missing",)),
    "rafdb-foreign-class": Defect(
        "rafdb/folders",
        _rename("train/7", "train/8"),
        ("'train/8': is not a class of this data set", "'train': has no folder for the class 'neutral'"),
    ),
    "rafdb-size": Defect("rafdb/folders", _face("train/7/new.png", 90), ("has 90 x 90 pixels, expected 100 x 100",)),
    "rafdb-no-picture": Defect(
        "rafdb/folders", _append("train/3/list.txt", "x"), ("'train/3/list.txt': is no picture",)
    ),
    "rafdb-stray-file": Defect("rafdb/folders", _append("test/list.txt", "x"), ("'test/list.txt': is a file",)),
    "jaffe-name": Defect("jaffe/pictures", _rename("KA.AN1.1.tiff", "KA-AN1.tiff"), ("'KA-AN1.tiff': is not named",)),
    "jaffe-label": Defect("jaffe/pictures", _rename("KA.AN1.1.tiff", "KA.XX1.1.tiff"), ("expression 'XX'",)),
    "jaffe-size": Defect("jaffe/pictures", _face("KA.SU9.99.tiff", 128), ("expected 256 x 256",)),
    "kdef-label": Defect(
        "kdef/flat", _rename("AF01ANS.JPG", "AF01XXS.JPG"), ("'AF01XXS.JPG': has the expression 'XX'",)
    ),
    "kdef-angle": Defect("kdef/flat", _rename("AF01ANS.JPG", "AF01ANT.JPG"), ("'AF01ANT.JPG': is not named",)),
    "kdef-person": Defect("kdef/folders", _rename("AF01", "anna"), ("holds kdef more than once", "'anna/")),
    "kdef-swapped": Defect(
        "kdef/folders", _rename("AF01/AF01ANS.JPG", "AM07/AF01ANS2.JPG"), ("'AM07/AF01ANS2.JPG': is not named",)
    ),
    "ckplus-label": Defect(
        "ckplus/raw",
        _append("Emotion/S010/001/S010_001_00000005_emotion.txt", "9"),
        ("S010_001_00000005_emotion.txt': has the emotion '1.0000000e+00 9'",),
    ),
    "ckplus-two-labels": Defect(
        "ckplus/raw", _append("Emotion/S010/001/S010_001_00000004_emotion.txt", "1"), ("'Emotion/S010/001': holds 2",)
    ),
    "ckplus-no-pictures": Defect(
        "ckplus/raw",
        _rename("cohn-kanade-images/S010/001", "cohn-kanade-images/S010/019"),
        ("'Emotion/S010/001': labels a sequence that",),
    ),
    "ckplus-swapped": Defect(
        "ckplus/raw",
        _rename(
            "cohn-kanade-images/S010/001/S010_001_00000005.png", "cohn-kanade-images/S010/001/S011_001_00000005.png"
        ),
        ("S011_001_00000005.png': is not named after its folders",),
    ),
    "ckplus-renamed": Defect("ckplus/raw", _rename("Emotion", "Labels"), ("'Emotion': is missing",)),
    "ckplus-48-name": Defect("ckplus/ck48", _face("fear/1.png"), ("'fear/1.png': is not named after subject",)),
    "ckplus-48-class": Defect(
        "ckplus/ck48", _rename("fear", "bored"), ("'bored': is not a class", "has no folder for the class 'fear'")
    ),
    "ckplus-48-size": Defect("ckplus/ck48", _face("fear/S010_004_00000001.png", 64), ("expected 48 x 48",)),
    "ckplus-csv": Defect(
        "ckplus/csv", _append("ckextended.csv", "8,1 2,Test"), ("expected 0 to 7", "2 pixels", "the Usage 'Test'")
    ),
    "affectnet-labels": Defect(
        "affectnet/original",
        _append("validation.csv", "a.png,1,1,9,9,,11,0,0", "b.png,1,1,9,9,,happy,0,0", "c.png,x,1,9,9,,1,0,0"),
        ("line 14': has the expression 11, expected 0 to 10", "line 15': has no expression", "line 16': has no"),
    ),
    "affectnet-malformed": Defect(
        "affectnet/original",
        _append("training.csv", "2/broken.png"),
        ("line 14': has 3 fields", "line 15': has 1 fields"),
    ),
    "affectnet-box": Defect(
        "affectnet/original",
        _append(
            "training.csv",
            "11/training0.png,90,1,9,9,,1,0,0",
            "10/training1.png,1,1,0,9,,1,0,0",
            "x.png,1,1,9,9,,1,0,0",
        ),
        (
            "'11/training0.png': has a face box, left 90, top 1, right 99, bottom 10, outside of its picture of 80",
            "'10/training1.png': has a face box without area",
            "'x.png': is missing",
        ),
    ),
    "affectnet-path": Defect(
        "affectnet/original",
        _append("training.csv", "../../../a.png,1,1,9,9,,1,0,0", "/etc/a.png,1,1,9,9,,1,0,0"),
        ("'../../../a.png': leaves the data set's folder", "'/etc/a.png': "),
    ),
    "affectnet-no-validation": Defect(
        "affectnet/original", _remove("validation.csv"), ("'validation.csv': is missing",)
    ),
    "affectnet-no-photos": Defect(
        "affectnet/original",
        _rename("Manually_Annotated_Images", "photos"),
        ("'Manually_Annotated_Images': is missing",),
    ),
    "affectnet-two-lists": Defect(
        "affectnet/nested",
        _append("training.csv", AFFECTNET_HEADER),
        ("holds 'training.csv' and 'Manually_Annotated_file_lists/training.csv'",),
    ),
    "affectnet-hub": Defect("affectnet/2021", _face("train_set/images/0.jpg", 96), ("expected 224 x 224",)),
    "affectnet-2021-missing": Defect(
        "affectnet/2021",
        _remove("train_set/annotations/11_exp.npy"),
        ("'train_set/images/11.jpg': has no annotation 'train_set/annotations/11_exp.npy'",),
    ),
    "affectnet-2021-no-picture": Defect(
        "affectnet/2021", _remove("train_set/images/11.jpg"), ("11_exp.npy': annotates a picture that is missing",)
    ),
    "affectnet-2021-no-val": Defect("affectnet/2021", _rename("val_set", "valid"), ("'val_set/images': is missing",)),
    "affectnet-plus-json": Defect(
        "affectnet/plus",
        _append("human_annotated/train_set/annotations/0001.json", "{"),
        ("'human_annotated/train_set/annotations/0001.json': is no JSON",),
    ),
    "expw-line": Defect(
        "expw/list",
        _append(
            "label/label.lst", "scene_1.png 0 1 1 9 9 3", "scene_1.png 1 1 1 9 9 50.0 7", "scene_9.png 0 1 1 9 9 5.0 1"
        ),
        ("line 9': reads 'scene_1.png", "line 10': has the label '7', expected 0 to 6", "'scene_9.png#0': is missing"),
    ),
    "expw-renamed": Defect("expw/list", _rename("image/origin", "image/faces"), ("'image/origin': is missing",)),
    "mmafedb-renamed": Defect("mmafedb/folders", _rename("valid", "validation"), ("'valid': is missing",)),
    "mmafedb-class": Defect(
        "mmafedb/folders",
        _rename("test/sad", "test/bored"),
        ("'test/bored': is not a class", "'test': has no folder for the class 'sad'"),
    ),
    "mmafedb-twice": Defect(
        "mmafedb/folders", _face("train/Sadness/1.png"), ("'train/sad': is the class 'sad', as is 'Sadness'",)
    ),
    "sfew-name": Defect(
        "sfew/aligned",
        _face("Val/Val_Aligned_Faces/Sad/1.png"),
        ("'Val/Val_Aligned_Faces/Sad/1.png': is not named after film",),
    ),
    "sfew-renamed": Defect(
        "sfew/aligned",
        _rename("Val/Val_Aligned_Faces", "Val/Faces"),
        ("'Val/Val_Aligned_Faces': is missing",),
    ),
    "oulu-subject": Defect(
        "oulu-casia/sequences",
        _rename("VL/Strong/P002", "VL/Strong/Paul"),
        ("'VL/Strong/Paul': is not the folder of a subject",),
    ),
    "oulu-class": Defect(
        "oulu-casia/sequences",
        _rename("VL/Strong/P002/Fear", "VL/Strong/P002/Panic"),
        ("'VL/Strong/P002/Panic': is not a class", "'VL/Strong/P002': has no folder for the class 'fear'"),
    ),
    "oulu-light": Defect("oulu-casia/sequences", _rename("VL/Strong", "VL/Weak"), ("'VL/Strong': is missing",)),
    "affwild2-label": Defect(
        "affwild2/aligned",
        _append("Train_Set/video5_left.txt", "8", "happy"),
        ("line 12': has the label '8', expected -1 to 7", "line 13': has the label 'happy'"),
    ),
    "affwild2-no-video": Defect(
        "affwild2/aligned", _append("Validation_Set/video9.txt", "x"), ("'Validation_Set/video9.txt': labels a video",)
    ),
    "affwild2-renamed": Defect("affwild2/aligned", _rename("Train_Set", "Train"), ("'Train_Set': is missing",)),
    "ferplus-alone": Defect("ferplus/csv", _remove("fer2013.csv"), ("'fer2013.csv': is missing",)),
    "ferplus-rows": Defect(
        "ferplus/csv",
        _append("fer2013new.csv", "Training,x,1,0,0,0,0,0,0,0,0,0"),
        ("'fer2013new.csv': has 22 rows, 'fer2013.csv' another number",),
    ),
    "ferplus-votes": Defect(
        "ferplus/csv",
        _append("fer2013new.csv", "Training,x,1,0,0,0,0,0,0,0,0,-1", "Training,x,1"),
        ("line 23': has the votes '1', '0'", "line 24': has 3 fields"),
    ),
}
"""What is or may be wrong with certain data sets."""


def spoil(root: Path, name: str) -> tuple[str, ...]:
    """Write the layout of the defect ``name`` to ``root``, spoil it and return what an adapter has to say."""
    defect = DEFECTS[name]
    LAYOUTS[defect.layout](root)
    defect.spoil(root)
    return defect.messages
