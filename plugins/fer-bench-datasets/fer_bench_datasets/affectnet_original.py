"""AffectNet's original release: photos, and lists with a box and a label for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .affectnet_labels import announce_left_out, read_label
from .crops import Box, crop_samples
from .facts import AFFECTNET_SPLITS
from .layout import LayoutSource
from .tables import Row, read_rows

LIST_FOLDER = "Manually_Annotated_file_lists"
LISTS = tuple(f"{folder}{split}.csv" for folder in ("", f"{LIST_FOLDER}/") for split in AFFECTNET_SPLITS)
IMAGES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images")
BOX = ("face_x", "face_y", "face_width", "face_height")
COLUMNS = ("subDirectory_filePath", *BOX, "expression")


def read_original(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces in the order of the lists, cut out of their photos."""
    images = source.need(faults, *IMAGES)
    lists = {split: source.need(faults, f"{split}.csv", f"{LIST_FOLDER}/{split}.csv") for split in AFFECTNET_SPLITS}
    if images is not None:
        yield from crop_samples(_list_faces(source, images, lists, faults), source.root, source.params.max_side, faults)


def _list_faces(
    source: LayoutSource, images: Path, lists: dict[str, Path | None], faults: Faults
) -> Iterator[tuple[Sample, Box]]:
    left_out: Counter[str] = Counter()
    for split, path in lists.items():
        malformed = Faults()
        for row in read_rows(source.folder, path, COLUMNS, faults, malformed=malformed) if path else ():
            where = f"{split}.csv, {row.at}"
            name = row.values["subDirectory_filePath"].strip()
            try:
                code, box = int(row.values["expression"]), _read_box(row)
            except ValueError:
                malformed.add(where, f"has no expression or face box that are numbers, for {name!r}")
                continue
            label = read_label(code, source.params.classes, where, left_out, faults)
            if label is None:
                continue
            if box is None:
                left_out["faces without a box (face_width < 0)"] += 1
                continue
            image = images.relative_to(source.root) / PurePosixPath(name)
            yield Sample(id=name, image=Path(image), label=label, split=split), box
        if len(malformed) == 1 and split == "training":  # The published file has one such row.
            source.notices.append(f"left out: {next(iter(malformed))}")
        else:
            faults.extend(malformed)
    announce_left_out(source, left_out)


def _read_box(row: Row) -> Box | None:
    """Return the face box, or None where there is none.

    Raises:
        ValueError: it is not made of numbers.
    """
    x, y, width, height = (round(float(row.values[name])) for name in BOX)
    return None if width < 0 else Box(x, y, x + width, y + height)
