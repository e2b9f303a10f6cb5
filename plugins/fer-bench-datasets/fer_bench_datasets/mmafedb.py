"""MMAFEDB: web faces in folders, ``{train,valid,test}/<class>``."""

from __future__ import annotations

from collections.abc import Iterator

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .class_folders import read_classes
from .facts import MMAFEDB_COUNTS, MMAFEDB_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource


def read_parts(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures of ``train``, ``valid`` and ``test``."""
    source.notices.append("its pictures are of unclear origin and may be FER2013's too: do not test one on the other")
    for split in MMAFEDB_COUNTS:
        part = source.need(faults, split)
        if part is not None:
            yield from read_classes(source, part, MMAFEDB_LABELS, faults, split)


class Mmafedb(LayoutBuilder):
    """Reads MMAFEDB as it is handed out."""

    layouts = (
        Layout("folders", "'train', 'valid' and 'test', with a folder a class", tuple(MMAFEDB_COUNTS), read_parts),
    )
