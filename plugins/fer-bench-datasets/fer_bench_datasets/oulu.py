"""Oulu-CASIA (Zhao et al. 2011): sequences from neutral to the apex, in two spectra and three lights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .class_folders import is_ignored, list_classes, list_pictures, spelling_of
from .facts import OULU_LABELS, oulu_counts
from .layout import Layout, LayoutBuilder, LayoutSource
from .params import OuluParams
from .sequences import choose_frames

SPECTRA = {"visible": "VL", "infrared": "NI"}
LIGHTS = ("Strong", "Weak", "Dark")
EXPRESSIONS = OULU_LABELS[:6]

_SUBJECT = re.compile(r"P\d{3}", re.IGNORECASE)


def read_condition(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the chosen frames of one spectrum and light."""
    params = source.params
    condition = source.need(faults, f"{SPECTRA[params.spectrum]}/{params.illumination.capitalize()}")
    for person in sorted(condition.iterdir()) if condition else ():
        if is_ignored(person.name):
            continue
        if not (person.is_dir() and _SUBJECT.fullmatch(person.name)):
            faults.add(source.name(person), "is not the folder of a subject, such as 'P001'")
            continue
        subject = person.name.upper()
        for label, folder in list_classes(source, person, EXPRESSIONS, spelling_of(EXPRESSIONS), faults):
            frames = list(list_pictures(source, folder, faults))
            for path, shown in choose_frames(source, folder, frames, label, begin=0):
                yield Sample(
                    id=source.name(path),
                    image=path.relative_to(source.root),
                    label=shown,
                    subject=subject,
                    sequence=f"{subject}_{label}",
                    groups={"spectrum": params.spectrum, "illumination": params.illumination},
                )


class OuluCasia(LayoutBuilder):
    """Reads Oulu-CASIA as it is handed out."""

    layouts = (
        Layout(
            "sequences",
            "'VL' and 'NI', such as 'VL/Strong/P001/Anger/000.jpeg'",
            tuple(f"{spectrum}/{light}" for spectrum in SPECTRA.values() for light in LIGHTS),
            read_condition,
        ),
    )

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the numbers of the chosen frames."""
        assert isinstance(self.params, OuluParams)
        return oulu_counts(self.params.last, self.params.neutral)
