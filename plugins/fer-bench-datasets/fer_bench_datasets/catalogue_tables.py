"""Descriptions of the data sets that a table lists, manifest.csv. Imports nothing heavy."""

from __future__ import annotations

from fer_bench.specs import DatasetSpec

from .facts import EMPATHIC_LABELS, meanings
from .params import EmpathicParams, ManifestParams

_FORM = (
    "a file 'manifest.csv' with the columns path,label{required}, optionally {optional}; any other column is a group "
    "for group scores. Paths are relative to that folder; the file is UTF-8."
)

SPECS = (
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
)
