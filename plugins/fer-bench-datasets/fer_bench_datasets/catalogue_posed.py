"""Descriptions of the data sets that were recorded in laboratories. Imports nothing heavy."""

from __future__ import annotations

from fer_bench.specs import DatasetSpec

from . import facts
from .params import KdefParams, OuluParams, SequenceParams

SPECS = (
    DatasetSpec(
        name="ckplus",
        title="CK+, 327 labelled sequences of posed expressions, from neutral to the apex",
        builder="fer_bench_datasets.ckplus:CkPlus",
        labels=facts.CKPLUS_LABELS,
        expressions=facts.meanings(facts.CKPLUS_LABELS),
        identity="maybe",
        variants={layout: facts.ckplus_counts(layout) for layout in ("raw", "ck48", "csv")},
        licence="research; its owners ended the distribution in May 2025",
        citation="Lucey et al., The Extended Cohn-Kanade Dataset (CK+), CVPR Workshops 2010",
        access=(
            "CK+ is no longer handed out. If you have it, put there 'cohn-kanade-images' and 'Emotion' (of each "
            "labelled sequence the last 3 frames are taken, and the first as neutral: ckplus[last=1,neutral=0] "
            "takes others); or CK+48, seven folders of pictures such as 'anger/S010_004_00000017.png', also below "
            "'train' and 'test'; or "
            "'ckextended.csv', which does not say who is on its pictures."
        ),
        params=SequenceParams,
    ),
    DatasetSpec(
        name="jaffe",
        title="JAFFE, 10 Japanese women posing seven expressions, 213 grey pictures",
        builder="fer_bench_datasets.jaffe:Jaffe",
        labels=tuple(facts.JAFFE_CODES.values()),
        expressions=facts.meanings(tuple(facts.JAFFE_CODES.values())),
        identity="yes",
        expected_counts=facts.JAFFE_COUNTS,
        licence="non-commercial research",
        citation="Lyons et al., Coding Facial Expressions with Gabor Wavelets, FG 1998",
        access=(
            "Ask the authors of JAFFE and put there its pictures, such as 'KA.AN1.39.tiff' (256 x 256 pixels), in any "
            "format and in any folders."
        ),
    ),
    DatasetSpec(
        name="kdef",
        title="KDEF, 70 people posing seven expressions twice, from five angles, 4,900 pictures",
        builder="fer_bench_datasets.kdef:Kdef",
        labels=tuple(facts.KDEF_CODES.values()),
        expressions=facts.meanings(tuple(facts.KDEF_CODES.values())),
        identity="yes",
        variants={f"angle={angle}": facts.kdef_counts(angle) for angle in ("straight", "all")},
        licence="non-commercial research",
        citation="Lundqvist, Flykt & Öhman, The Karolinska Directed Emotional Faces, Karolinska Institutet 1998",
        access=(
            "Ask the Karolinska Institutet for KDEF and put there its folders ('AF01/AF01AFS.JPG'), or all pictures "
            "in one folder. Other angles than the straight one: kdef[angle=half-left], kdef[angle=all]."
        ),
        params=KdefParams,
    ),
    DatasetSpec(
        name="oulu-casia",
        title="Oulu-CASIA, 480 sequences of 80 people posing six expressions, in two spectra and three lights",
        builder="fer_bench_datasets.oulu:OuluCasia",
        labels=facts.OULU_LABELS,
        expressions=facts.meanings(facts.OULU_LABELS),
        identity="yes",
        expected_counts=facts.oulu_counts(),
        licence="research, on request",
        citation="Zhao et al., Facial Expression Recognition from Near-Infrared Videos, Image Vis. Comput. 2011",
        access=(
            "Ask the authors of Oulu-CASIA and put there its folders 'VL' and 'NI' ('VL/Strong/P001/Anger/000.jpeg'). "
            "The last 3 frames of each sequence show its expression and the first is neutral: "
            "oulu-casia[last=1,neutral=0] takes others, oulu-casia[spectrum=infrared,illumination=dark] another camera "
            "and light."
        ),
        params=OuluParams,
    ),
)
