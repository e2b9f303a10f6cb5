"""AffectNet (Mollahosseini, Hasani & Mahoor 2017) in its three releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_bench.data.builder import Faults

from .affectnet_crops import read_2021, read_plus
from .affectnet_original import LISTS, read_original
from .facts import AFFECTNET_VARIANTS
from .layout import Layout, LayoutBuilder
from .params import AffectNetParams


class AffectNet(LayoutBuilder):
    """Reads AffectNet; the release is told by its layout unless a parameter names it."""

    layouts = (
        Layout("original", "'training.csv', 'validation.csv' and 'Manually_Annotated_Images'", LISTS, read_original),
        Layout(
            "2021",
            "'train_set' and 'val_set', each with 'images' and 'annotations'",
            ("train_set/annotations", "val_set/annotations"),
            read_2021,
            size=(224, 224),
            ignores=("max_side",),
        ),
        Layout("plus", "'human_annotated'", ("human_annotated",), read_plus, ignores=("max_side",)),
    )

    def wanted(self) -> Sequence[str]:
        """Return the release that was asked for, or all."""
        release = self._checked.release
        return super().wanted() if release == "auto" else [release]

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Return eight labels, or seven."""
        return super().labels(root, faults)[: self._checked.classes]

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the numbers of the release that was found."""
        classes = "" if self._checked.classes == 8 else ",classes=7"
        return AFFECTNET_VARIANTS.get(f"release={self.layout.name}{classes}", {})

    @property
    def _checked(self) -> AffectNetParams:
        assert isinstance(self.params, AffectNetParams)
        return self.params
