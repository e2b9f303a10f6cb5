"""The table of all layouts."""

from __future__ import annotations

from fer_bench.testing.layouts.drawing import Writer
from fer_bench.testing.layouts.fer2013 import (
    write_fer2013,
    write_fer2013_folders,
    write_fer2013_icml,
    write_fer2013_named,
)
from fer_bench.testing.layouts.manifests import write_empathic, write_manifest
from fer_bench.testing.layouts.posed import (
    write_ckplus_48,
    write_ckplus_csv,
    write_ckplus_raw,
    write_jaffe,
    write_kdef,
    write_kdef_flat,
    write_oulu_casia,
)
from fer_bench.testing.layouts.wild import (
    write_affectnet_2021,
    write_affectnet_nested,
    write_affectnet_original,
    write_affectnet_plus,
    write_affwild2,
    write_affwild2_nested,
    write_expw,
    write_ferplus,
    write_mmafedb,
    write_rafdb_folders,
    write_rafdb_original,
    write_sfew,
)

LAYOUTS: dict[str, Writer] = {
    "rafdb/original": write_rafdb_original,
    "rafdb/folders": write_rafdb_folders,
    "jaffe/pictures": write_jaffe,
    "kdef/folders": write_kdef,
    "kdef/flat": write_kdef_flat,
    "ckplus/raw": write_ckplus_raw,
    "ckplus/ck48": write_ckplus_48,
    "ckplus/csv": write_ckplus_csv,
    "affectnet/original": write_affectnet_original,
    "affectnet/nested": write_affectnet_nested,
    "affectnet/2021": write_affectnet_2021,
    "affectnet/plus": write_affectnet_plus,
    "expw/list": write_expw,
    "mmafedb/folders": write_mmafedb,
    "sfew/aligned": write_sfew,
    "oulu-casia/sequences": write_oulu_casia,
    "affwild2/aligned": write_affwild2,
    "affwild2/nested": write_affwild2_nested,
    "ferplus/csv": write_ferplus,
    "fer2013/csv": write_fer2013,
    "fer2013/icml": write_fer2013_icml,
    "fer2013/folders": write_fer2013_folders,
    "fer2013/named": write_fer2013_named,
    "manifest/manifest": write_manifest,
    "empathic/manifest": write_empathic,
}
"""Data set and layout -> what writes a small copy of it."""
