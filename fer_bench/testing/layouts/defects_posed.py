"""What is or may be wrong with data sets that were recorded in laboratories."""

from __future__ import annotations

from fer_bench.testing.layouts.spoiling import Defect, append, face, rename

DEFECTS: dict[str, Defect] = {
    "jaffe-name": Defect("jaffe/pictures", rename("KA.AN1.1.tiff", "KA-AN1.tiff"), ("'KA-AN1.tiff': is not named",)),
    "jaffe-label": Defect("jaffe/pictures", rename("KA.AN1.1.tiff", "KA.XX1.1.tiff"), ("expression 'XX'",)),
    "jaffe-size": Defect("jaffe/pictures", face("KA.SU9.99.tiff", 128), ("expected 256 x 256",)),
    "kdef-label": Defect(
        "kdef/flat", rename("AF01ANS.JPG", "AF01XXS.JPG"), ("'AF01XXS.JPG': has the expression 'XX'",)
    ),
    "kdef-angle": Defect("kdef/flat", rename("AF01ANS.JPG", "AF01ANT.JPG"), ("'AF01ANT.JPG': is not named",)),
    "kdef-person": Defect("kdef/folders", rename("AF01", "anna"), ("holds kdef more than once", "'anna/")),
    "kdef-swapped": Defect(
        "kdef/folders", rename("AF01/AF01ANS.JPG", "AM07/AF01ANS2.JPG"), ("'AM07/AF01ANS2.JPG': is not named",)
    ),
    "ckplus-label": Defect(
        "ckplus/raw",
        append("Emotion/S010/001/S010_001_00000005_emotion.txt", "9"),
        ("S010_001_00000005_emotion.txt': has the emotion '1.0000000e+00 9'",),
    ),
    "ckplus-two-labels": Defect(
        "ckplus/raw", append("Emotion/S010/001/S010_001_00000004_emotion.txt", "1"), ("'Emotion/S010/001': holds 2",)
    ),
    "ckplus-no-pictures": Defect(
        "ckplus/raw",
        rename("cohn-kanade-images/S010/001", "cohn-kanade-images/S010/019"),
        ("'Emotion/S010/001': labels a sequence that",),
    ),
    "ckplus-swapped": Defect(
        "ckplus/raw",
        rename(
            "cohn-kanade-images/S010/001/S010_001_00000005.png", "cohn-kanade-images/S010/001/S011_001_00000005.png"
        ),
        ("S011_001_00000005.png': is not named after its folders",),
    ),
    "ckplus-renamed": Defect("ckplus/raw", rename("Emotion", "Labels"), ("'Emotion': is missing",)),
    "ckplus-48-name": Defect("ckplus/ck48", face("fear/1.png"), ("'fear/1.png': is not named after subject",)),
    "ckplus-48-class": Defect(
        "ckplus/ck48", rename("fear", "bored"), ("'bored': is not a class", "has no folder for the class 'fear'")
    ),
    "ckplus-48-size": Defect("ckplus/ck48", face("fear/S010_004_00000001.png", 64), ("expected 48 x 48",)),
    "ckplus-csv": Defect(
        "ckplus/csv", append("ckextended.csv", "8,1 2,Test"), ("expected 0 to 7", "2 pixels", "the Usage 'Test'")
    ),
    "oulu-subject": Defect(
        "oulu-casia/sequences",
        rename("VL/Strong/P002", "VL/Strong/Paul"),
        ("'VL/Strong/Paul': is not the folder of a subject",),
    ),
    "oulu-class": Defect(
        "oulu-casia/sequences",
        rename("VL/Strong/P002/Fear", "VL/Strong/P002/Panic"),
        ("'VL/Strong/P002/Panic': is not a class", "'VL/Strong/P002': has no folder for the class 'fear'"),
    ),
    "oulu-light": Defect("oulu-casia/sequences", rename("VL/Strong", "VL/Weak"), ("'VL/Strong': is missing",)),
}
