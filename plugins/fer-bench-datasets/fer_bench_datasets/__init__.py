"""The standard facial-expression data sets for fer-bench, and one that is drawn; imports nothing heavy."""

from __future__ import annotations

from fer_bench import hookimpl
from fer_bench.labels import BASIC_7
from fer_bench.specs import DatasetSpec

from . import catalogue_posed, catalogue_wild
from .facts import EMPATHIC_LABELS, FER2013_COUNTS, FER2013_LABELS, FER2013_ROLES, meanings
from .params import EmpathicParams, ManifestParams, SyntheticParams

_FORM = (
    "a file 'manifest.csv' with the columns path,label{required}, optionally {optional}; any other column is a group "
    "for group scores. Paths are relative to that folder; the file is UTF-8."
)


@hookimpl
def fer_bench_datasets() -> list[DatasetSpec]:
    """Return the data sets of this package."""
    return [
        DatasetSpec(
            name="fer2013",
            title="FER2013, 35,887 grey web faces of 48 x 48 pixels",
            builder="fer_bench_datasets.fer2013:Fer2013",
            labels=FER2013_LABELS,
            expressions=meanings(FER2013_LABELS),
            identity="no",
            splits=tuple(FER2013_ROLES),
            roles=FER2013_ROLES,
            expected_counts=FER2013_COUNTS,
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
            name="manifest",
            title="a folder of your own, described by manifest.csv",
            builder="fer_bench_datasets.manifest:Manifest",
            labels=(),
            identity="maybe",
            licence="yours to know",
            citation="your own data",
            access="Put there your images and "
            + _FORM.format(required="", optional="subject,split,sequence")
            + " For several data sets use manifest[name=my-lab] and the folder 'manifest/my-lab'.",
            params=ManifestParams,
        ),
        DatasetSpec(
            name="empathic",
            title="EMPATHIC, seniors talking to a virtual coach",
            builder="fer_bench_datasets.manifest:Empathic",
            labels=EMPATHIC_LABELS,
            expressions=meanings(EMPATHIC_LABELS),
            identity="yes",
            licence="private to the project's partners",
            citation="EU Horizon 2020 grant 769872; Nasri et al., ATSIP 2020, doi:10.1109/ATSIP49331.2020.9231537",
            access=(
                "EMPATHIC (EU Horizon 2020 grant 769872) recorded healthy seniors in Spain, France and Norway talking "
                "to a simulated virtual coach. The corpus is not public: ask the project's partners. If you have it, "
                "put there its frames and "
                + _FORM.format(required=",subject", optional="split,sequence (the session)")
                + " Useful groups: country."
            ),
            params=EmpathicParams,
        ),
        *catalogue_wild.SPECS,
        *catalogue_posed.SPECS,
        DatasetSpec(
            name="synthetic",
            title="faces drawn by this package, nobody's portrait",
            builder="fer_bench_datasets.synthetic_dataset:Synthetic",
            labels=BASIC_7,
            expressions=meanings(BASIC_7),
            identity="yes",
            licence="Apache-2.0, drawn by fer-bench-datasets",
            citation="fer-bench-datasets",
            synthetic=True,
            params=SyntheticParams,
        ),
    ]
