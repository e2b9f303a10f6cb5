"""Descriptions of the data sets that were collected on the web and from films. Imports nothing heavy."""

from __future__ import annotations

from fer_bench.specs import DatasetSpec

from . import facts
from .params import AffectNetParams, AffWild2Params, CropParams, FerPlusParams

SPECS = (
    DatasetSpec(
        name="fer2013",
        title="FER2013, 35,887 grey web faces of 48 x 48 pixels",
        builder="fer_bench_datasets.fer2013:Fer2013",
        labels=facts.FER2013_LABELS,
        expressions=facts.meanings(facts.FER2013_LABELS),
        identity="no",
        splits=tuple(facts.FER2013_ROLES),
        roles=facts.FER2013_ROLES,
        expected_counts=facts.FER2013_COUNTS,
        licence="not stated by the owners; the pictures were collected by a web image search",
        citation="Goodfellow et al., Challenges in Representation Learning, ICONIP 2013, arXiv:1307.0414",
        access=(
            "Get FER2013 from Kaggle ('Challenges in Representation Learning: Facial Expression Recognition "
            "Challenge') and put there either 'fer2013.csv' or 'icml_face_data.csv' (columns "
            "emotion,pixels,Usage), or the folders 'train' and 'test' (or 'validation') with a folder a "
            "class, named by the class or by its number in the table."
        ),
    ),
    DatasetSpec(
        name="affectnet",
        title="AffectNet, web faces: the original release, the crops of 2021, or AffectNet+",
        builder="fer_bench_datasets.affectnet:AffectNet",
        labels=facts.AFFECTNET_LABELS,
        expressions=facts.meanings(facts.AFFECTNET_LABELS),
        identity="no",
        splits=facts.AFFECTNET_SPLITS,
        roles={"training": "train", "validation": "test"},
        variants=facts.AFFECTNET_VARIANTS,
        licence="non-commercial research; the head of a laboratory signs",
        citation="Mollahosseini, Hasani & Mahoor, AffectNet, IEEE TAC 2017, arXiv:1708.03985",
        access=(
            "Ask the authors of AffectNet (the head of a laboratory signs) and put there the original release "
            "('training.csv', 'validation.csv' and 'Manually_Annotated_Images'), or that of 2021 ('train_set' and "
            "'val_set', each with 'images' and 'annotations'), or AffectNet+ ('human_annotated'). If several lie "
            "there, name one: affectnet[release=original], affectnet[release=2021], affectnet[release=plus]. Copies "
            "of other sizes, or with labels that a model made, are other data sets: describe them by a manifest."
        ),
        params=AffectNetParams,
    ),
    DatasetSpec(
        name="expw",
        title="ExpW, 91,793 web faces, cut out by the data set's boxes",
        builder="fer_bench_datasets.expw:ExpW",
        labels=facts.FER2013_LABELS,
        expressions=facts.meanings(facts.FER2013_LABELS),
        identity="no",
        expected_counts=facts.EXPW_COUNTS,
        licence="research",
        citation="Zhang, Luo, Loy & Tang, From Facial Expression Recognition to Interpersonal Relation Prediction, "
        "IJCV 2018, arXiv:1609.06426",
        access="Ask the authors of ExpW and put there 'label/label.lst' and the pictures in 'image/origin'.",
        params=CropParams,
    ),
    DatasetSpec(
        name="rafdb",
        title="RAF-DB basic, 15,339 web faces, aligned to 100 x 100 pixels",
        builder="fer_bench_datasets.rafdb:RafDb",
        labels=facts.RAFDB_LABELS,
        expressions=facts.meanings(facts.RAFDB_LABELS),
        identity="no",
        splits=("train", "test"),
        roles={"train": "train", "test": "test"},
        expected_counts=facts.RAFDB_COUNTS,
        licence="non-commercial research, on request",
        citation="Li, Deng & Du, Reliable Crowdsourcing and Deep Locality-Preserving Learning, CVPR 2017",
        access=(
            "Ask the authors of RAF-DB for the basic set and put there its folders 'EmoLabel' "
            "(list_patition_label.txt), 'Image/aligned' and, for gender, race and age, 'Annotation/manual'; or the "
            "folders 'train' and 'test', each with the folders '1' (surprise), '2' (fear), '3' (disgust), '4' "
            "(happy), '5' (sad), '6' (anger) and '7' (neutral)."
        ),
    ),
    DatasetSpec(
        name="ferplus",
        title="FER+, the faces of FER2013 with the votes of ten people",
        builder="fer_bench_datasets.ferplus:FerPlus",
        labels=facts.FERPLUS_LABELS,
        expressions=facts.meanings(facts.FERPLUS_LABELS),
        identity="no",
        splits=facts.FER2013_SPLITS,
        roles={"training": "train", "publictest": "validation", "privatetest": "test"},
        variants=facts.FERPLUS_VARIANTS,
        licence="labels MIT; the owners of FER2013 state none for the pictures",
        citation="Barsoum et al., Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label "
        "Distribution, ICMI 2016, arXiv:1608.01041",
        access=(
            "Put there 'fer2013new.csv' (from github.com/microsoft/FERPlus) and 'fer2013.csv' or 'icml_face_data.csv' "
            "(see fer2013); they are joined by row. ferplus[protocol=argmax] takes the commonest vote of each face, "
            "the default, majority, only faces on which most agree."
        ),
        params=FerPlusParams,
    ),
    DatasetSpec(
        name="mmafedb",
        title="MMAFEDB, 127,680 web faces in folders",
        builder="fer_bench_datasets.mmafedb:Mmafedb",
        labels=facts.MMAFEDB_LABELS,
        expressions=facts.meanings(facts.MMAFEDB_LABELS),
        identity="no",
        splits=("train", "valid", "test"),
        roles={"train": "train", "valid": "validation", "test": "test"},
        expected_counts=facts.MMAFEDB_COUNTS,
        licence="unclear",
        citation="MMA Facial Expression, Kaggle",
        access="Get MMAFEDB from Kaggle and put there its folders 'train', 'valid' and 'test', with a folder a class.",
    ),
    DatasetSpec(
        name="sfew",
        title="SFEW 2.0, frames of films, aligned; the film stands for the subject",
        builder="fer_bench_datasets.sfew:Sfew",
        labels=facts.SFEW_LABELS,
        expressions=facts.meanings(facts.SFEW_LABELS),
        identity="proxy",
        splits=("train", "val"),
        roles={"train": "train", "val": "test"},
        licence="research, by agreement",
        citation="Dhall et al., Static Facial Expression Analysis in Tough Conditions, ICCV Workshops 2011",
        access=(
            "Ask the authors of SFEW 2.0 and put there 'Train/Train_Aligned_Faces' and 'Val/Val_Aligned_Faces', with "
            "a folder a class."
        ),
    ),
    DatasetSpec(
        name="affwild2",
        title="Aff-Wild2 EXPR, frames of web videos, aligned; the video stands for the subject",
        builder="fer_bench_datasets.affwild2:AffWild2",
        labels=facts.AFFWILD2_LABELS,
        expressions=facts.meanings(facts.AFFWILD2_LABELS, "other"),
        identity="proxy",
        splits=("train", "validation"),
        roles={"train": "train", "validation": "test"},
        licence="research, by agreement",
        citation="Kollias & Zafeiriou, Expression, Affect, Action Unit Recognition: Aff-Wild2, BMVC 2019, "
        "arXiv:1910.04855",
        access=(
            "Ask the authors of Aff-Wild2 and put there 'cropped_aligned' and the expression labels, 'Train_Set' and "
            "'Validation_Set' with a text file a video. affwild2[every=10] takes every tenth frame."
        ),
        params=AffWild2Params,
    ),
)
