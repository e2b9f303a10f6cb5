"""What is or may be wrong with data sets whose rows are a table: FER2013, FER+ and manifests."""

from __future__ import annotations

from fer_bench.testing.layouts.spoiling import Defect, append, both, face, remove, rename, replace

DEFECTS: dict[str, Defect] = {
    "ferplus-alone": Defect("ferplus/csv", remove("fer2013.csv"), ("'fer2013.csv': is missing",)),
    "ferplus-rows": Defect(
        "ferplus/csv",
        append("fer2013new.csv", "Training,x,1,0,0,0,0,0,0,0,0,0"),
        ("'fer2013new.csv': has 22 rows, 'fer2013.csv' another number",),
    ),
    "ferplus-votes": Defect(
        "ferplus/csv",
        append("fer2013new.csv", "Training,x,1,0,0,0,0,0,0,0,0,-1", "Training,x,1"),
        ("line 23': has the votes '1', '0'", "line 24': has 3 fields"),
    ),
    "ferplus-both": Defect(
        "ferplus/csv",
        both(append("fer2013new.csv", "Training,x,1"), append("fer2013.csv", "7,1 2,Training", "0,1 2,Training")),
        ("'fer2013new.csv, line 23': has 3", "'fer2013.csv, line 23': has the emotion '7'", "line 24': has 2 pixels"),
    ),
    "fer2013-values": Defect(
        "fer2013/csv",
        append("fer2013.csv", "7,1 2,Test", "happy,256,Training", "0,1 2"),
        (
            "line 23': has the emotion '7', expected 0 to 6",
            "line 23': has the Usage 'Test'",
            "line 23': has 2 pixels, expected 2,304 (48 x 48)",
            "line 24': has the emotion 'happy'",
            "line 25': has 2 fields, expected 3",
        ),
    ),
    "fer2013-header": Defect(
        "fer2013/icml", replace("icml_face_data.csv", " pixels", " pixel"), ("has no column 'pixels'. Did you mean",)
    ),
    "fer2013-no-header": Defect(
        "fer2013/csv", replace("fer2013.csv", "emotion,pixels,Usage\n", ""), ("has no column 'emotion'",)
    ),
    "fer2013-both": Defect(
        "fer2013/csv",
        append("icml_face_data.csv", "emotion, Usage, pixels"),
        ("holds fer2013 more than once: 'fer2013.csv' (fer2013) and 'icml_face_data.csv' (icml_face_data)",),
    ),
    "fer2013-class": Defect(
        "fer2013/folders",
        rename("test/sad", "test/bored"),
        ("'test/bored': is not a class", "'test': has no folder for the class 'sad'"),
    ),
    "fer2013-spellings": Defect(
        "fer2013/named", face("train/sadness/Training_99.png"), ("is the class 'sad', as is", "merge one of them")
    ),
    "fer2013-part": Defect(
        "fer2013/named",
        face("test/Sad/Training_99.png"),
        ("'test/Sad/Training_99.png': is named as a picture of 'training' but lies in 'test'",),
    ),
    "fer2013-size": Defect(
        "fer2013/folders", face("train/sad/large.png", 224), ("has 224 x 224 pixels, expected 48 x 48",)
    ),
    "fer2013-mmafedb": Defect(
        "fer2013/folders", face("valid/sad/1.png"), ("'valid': is no part of FER2013", "this may be MMAFEDB")
    ),
    "manifest-paths": Defect(
        "manifest/manifest",
        append("manifest.csv", "gone.png,fear,ana,,,", "../a.png,fear,bo,,,", "/a.png,fear,bo,,,", ",fear,bo,,,"),
        (
            "'gone.png': is missing",
            "'../a.png': leaves the data set's folder through '..'",
            "line 12': has the absolute path '/a.png'",
            "line 13': has an empty 'path'",
        ),
    ),
    "manifest-rows": Defect(
        "manifest/manifest",
        append("manifest.csv", "./ana/neutral.png,fear,ana,,,", "ana/happiness.png"),
        ("line 10': repeats the path 'ana/neutral.png' of line 2", "line 11': has 1 field, expected 6"),
    ),
    "manifest-label": Defect(
        "manifest/manifest", replace("manifest.csv", "neutral.png,neutral", "neutral.png,"), ("has an empty label",)
    ),
    "manifest-semicolons": Defect(
        "manifest/manifest",
        replace("manifest.csv", "path,label,subject,split,sequence,country", "path;label"),
        ("has no column 'path'. Separate columns by ','",),
    ),
    "manifest-spelling": Defect(
        "manifest/manifest",
        replace("manifest.csv", "ana/neutral.png", "ana/Neutral.png"),
        ("'ana/Neutral.png': is missing; there is 'neutral.png', spelled differently",),
    ),
    "empathic-subject": Defect(
        "empathic/manifest",
        replace("manifest.csv", "neutral,s01,", "neutral,,"),
        ("'manifest.csv, line 2': has an empty 'subject'",),
    ),
    "empathic-no-subjects": Defect(
        "empathic/manifest", replace("manifest.csv", "subject", "who"), ("has no column 'subject'",)
    ),
    "empathic-label": Defect(
        "empathic/manifest",
        replace("manifest.csv", "neutral.jpg,neutral", "neutral.jpg,pensive"),
        ("'ES/s01/neutral.jpg': has the label 'pensive', which the data set does not have",),
    ),
}
