"""Descriptions of data sets of one's own, in folders or in a table, and of EMPATHIC. Imports nothing heavy."""

from __future__ import annotations

from fer_bench.specs import DatasetSpec

from .facts import EMPATHIC_LABELS, meanings
from .params import EmpathicParams, FolderParams, ManifestParams

_FORM = (
    "a file 'manifest.csv' (or .tsv, .parquet) with the columns path,label{required}, optionally {optional}; any other "
    "column is a group for group scores. Paths are relative to that folder; text is UTF-8."
)

SPECS = (
    DatasetSpec(
        name="folder",
        title="a folder of your own, with one folder of pictures for each class",
        builder="fer_bench_datasets.folder:Folder",
        labels=(),
        identity="maybe",
        licence="yours to know",
        citation="your own data",
        access="Name your folder as in folder[path=faces]: it holds one folder of pictures for each class, such as "
        "'happy/1.png', or 'train', 'val' and 'test' with these. Who is shown can be told by the names of files, "
        r"subject=^(P\d+)_, or by a table in the folder, subjects=table.csv, with the columns path,subject.",
        params=FolderParams,
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
        + " For a folder elsewhere use manifest[path=faces]; for several data sets here, manifest[name=my-lab] and the "
        "folder 'manifest/my-lab'.",
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
