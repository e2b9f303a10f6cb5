"""What is or may be wrong with data sets from the web, films and videos."""

from __future__ import annotations

from fer_bench.testing.layouts.spoiling import Defect, append, face, remove, rename
from fer_bench.testing.layouts.wild import AFFECTNET_HEADER

DEFECTS: dict[str, Defect] = {
    "rafdb-labels": Defect(
        "rafdb/original",
        append("EmoLabel/list_patition_label.txt", "train_00009.jpg 8", "test_00001.jpg 1", "train_1", "dev_1.jpg 1"),
        (
            "line 15': has the label '8', expected 1 to 7",
            "'test_00001.jpg': comes twice",
            "line 17': reads 'train_1'",
            "line 18': names 'dev_1.jpg'",
        ),
    ),
    "rafdb-attributes": Defect(
        "rafdb/original",
        append("Annotation/manual/train_00003_manu_attri.txt", "1"),
        ("'Annotation/manual/train_00003_manu_attri.txt': has 9 lines, expected 8",),
    ),
    "rafdb-missing-picture": Defect(
        "rafdb/original",
        remove("Image/aligned/test_00004_aligned.jpg"),
        ("'Image/aligned/test_00004_aligned.jpg': is missing",),
    ),
    "rafdb-renamed": Defect(
        "rafdb/original", rename("Image/aligned", "Image/cropped"), ("'Image/aligned': is missing",)
    ),
    "rafdb-no-list": Defect("rafdb/original", rename("EmoLabel", "Labels"), ("holds no rafdb that can be read",)),
    "rafdb-no-test": Defect("rafdb/folders", rename("test", "probe"), ("'test': is missing",)),
    "rafdb-foreign-class": Defect(
        "rafdb/folders",
        rename("train/7", "train/8"),
        ("'train/8': is not a class of this data set", "'train': has no folder for the class 'neutral'"),
    ),
    "rafdb-size": Defect("rafdb/folders", face("train/7/new.png", 90), ("has 90 x 90 pixels, expected 100 x 100",)),
    "rafdb-no-picture": Defect(
        "rafdb/folders", append("train/3/list.txt", "x"), ("'train/3/list.txt': is no picture",)
    ),
    "rafdb-stray-file": Defect("rafdb/folders", append("test/list.txt", "x"), ("'test/list.txt': is a file",)),
    "affectnet-labels": Defect(
        "affectnet/original",
        append("validation.csv", "a.png,1,1,9,9,,11,0,0", "b.png,1,1,9,9,,happy,0,0", "c.png,x,1,9,9,,1,0,0"),
        ("line 14': has the expression 11, expected 0 to 10", "line 15': has no expression", "line 16': has no"),
    ),
    "affectnet-malformed": Defect(
        "affectnet/original",
        append("training.csv", "2/broken.png"),
        ("line 14': has 3 fields", "line 15': has 1 field"),
    ),
    "affectnet-box": Defect(
        "affectnet/original",
        append(
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
        append("training.csv", "../../../a.png,1,1,9,9,,1,0,0", "/etc/a.png,1,1,9,9,,1,0,0"),
        ("'../../../a.png': leaves the data set's folder", "'/etc/a.png': "),
    ),
    "affectnet-no-validation": Defect(
        "affectnet/original", remove("validation.csv"), ("'validation.csv': is missing",)
    ),
    "affectnet-no-photos": Defect(
        "affectnet/original",
        rename("Manually_Annotated_Images", "photos"),
        ("'Manually_Annotated_Images': is missing",),
    ),
    "affectnet-two-lists": Defect(
        "affectnet/nested",
        append("training.csv", AFFECTNET_HEADER),
        ("holds 'training.csv' and 'Manually_Annotated_file_lists/training.csv'",),
    ),
    "affectnet-hub": Defect("affectnet/2021", face("train_set/images/0.jpg", 96), ("expected 224 x 224",)),
    "affectnet-2021-missing": Defect(
        "affectnet/2021",
        remove("train_set/annotations/11_exp.npy"),
        ("'train_set/images/11.jpg': has no annotation 'train_set/annotations/11_exp.npy'",),
    ),
    "affectnet-2021-no-picture": Defect(
        "affectnet/2021", remove("train_set/images/11.jpg"), ("11_exp.npy': annotates a picture that is missing",)
    ),
    "affectnet-2021-no-val": Defect("affectnet/2021", rename("val_set", "valid"), ("'val_set/images': is missing",)),
    "affectnet-plus-json": Defect(
        "affectnet/plus",
        append("human_annotated/train_set/annotations/0001.json", "{"),
        ("'human_annotated/train_set/annotations/0001.json': is no JSON",),
    ),
    "expw-line": Defect(
        "expw/list",
        append(
            "label/label.lst", "scene_1.png 0 1 1 9 9 3", "scene_1.png 1 1 1 9 9 50.0 7", "scene_9.png 0 1 1 9 9 5.0 1"
        ),
        ("line 9': reads 'scene_1.png", "line 10': has the label '7', expected 0 to 6", "'scene_9.png#0': is missing"),
    ),
    "expw-renamed": Defect("expw/list", rename("image/origin", "image/faces"), ("'image/origin': is missing",)),
    "mmafedb-renamed": Defect("mmafedb/folders", rename("valid", "validation"), ("'valid': is missing",)),
    "mmafedb-class": Defect(
        "mmafedb/folders",
        rename("test/sad", "test/bored"),
        ("'test/bored': is not a class", "'test': has no folder for the class 'sad'"),
    ),
    "mmafedb-twice": Defect(
        "mmafedb/folders", face("train/Sadness/1.png"), ("'train/sad': is the class 'sad', as is 'Sadness'",)
    ),
    "sfew-name": Defect(
        "sfew/aligned",
        face("Val/Val_Aligned_Faces/Sad/1.png"),
        ("'Val/Val_Aligned_Faces/Sad/1.png': is not named after film",),
    ),
    "sfew-renamed": Defect(
        "sfew/aligned",
        rename("Val/Val_Aligned_Faces", "Val/Faces"),
        ("'Val/Val_Aligned_Faces': is missing",),
    ),
    "affwild2-label": Defect(
        "affwild2/aligned",
        append("Train_Set/video5_left.txt", "8", "happy"),
        ("line 12': has the label '8', expected -1 to 7", "line 13': has the label 'happy'"),
    ),
    "affwild2-no-video": Defect(
        "affwild2/aligned", append("Validation_Set/video9.txt", "x"), ("'Validation_Set/video9.txt': labels a video",)
    ),
    "affwild2-renamed": Defect("affwild2/aligned", rename("Train_Set", "Train"), ("'Train_Set': is missing",)),
}
