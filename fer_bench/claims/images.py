"""The images that a claim is about, those of other splits, and those that the model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_bench.arrays import Array
from fer_bench.audit import signatures
from fer_bench.audit.clusters import duplicate_clusters
from fer_bench.claims.claim import ALL, Claim
from fer_bench.claims.seen import Seen
from fer_bench.data.prepare import prepare
from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError
from fer_bench.executors.reporting import Reporter, counting, preparing
from fer_bench.faces.parameters import Crop
from fer_bench.labels import NATIVE
from fer_bench.registry import Component, Registry
from fer_bench.specs import DatasetSpec
from fer_bench.tasks.cropping import with_faces
from fer_bench.tasks.splitters import split_roles
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import View, select

_Source = tuple[Component[DatasetSpec], Prepared, Array]
"""A data set that trains, and which of its images do, (n,) int64."""


class ClaimImages:
    """The images of a claim.

    Args:
        claim: names them.
        crop: how faces are cut out; None for whole images.
        registry: of the installed plugins.
        data_dir: folder of data sets.
        cache_dir: where it is kept what faces were found.
        reporter: is told how it goes.
        seen: what the model was trained on, as the record of a kept model says; None for other models.

    Raises:
        FerBenchError: there is no such data set or split, its labels do not fit, or what trained is not there.
    """

    def __init__(
        self,
        claim: Claim,
        crop: Crop | None,
        registry: Registry,
        data_dir: Path,
        cache_dir: Path,
        reporter: Reporter,
        seen: Sequence[Seen] | None = None,
    ):
        self._claim, self._crop, self._registry, self._seen = claim, crop, registry, seen
        self._data_dir, self._cache_dir, self._reporter = data_dir, cache_dir, reporter
        self._dataset = registry.dataset(claim.dataset)
        self._prepared = self._prepare(self._dataset)
        self.view = self.of_split("" if claim.split == ALL else claim.split)
        self._sources = self._training()

    def of_split(self, split: str) -> View:
        """Return the images of a split, all for an empty one, with faces cut out as the claim says."""
        view = select(self._dataset.with_values({"split": split}), self._prepared, None, self._claim.labels)
        if self._crop is None:
            return view
        faces = self.cut(view, self._crop)
        if faces is None:
            raise FerBenchError(f"No face was found in {view.dataset}; write 'faces: none' to take whole images.")
        return faces

    def cut(self, view: View, crop: Crop) -> View | None:
        """Return a view of whole images with its faces cut out; None where there is no face."""
        begin = lambda images: self._reporter.step(f"faces: {view.dataset}", images)  # noqa: E731
        try:
            return with_faces(view, crop, "error", self._cache_dir, begin, self._reporter.advance)
        except FerBenchError:
            return None

    @property
    def other_splits(self) -> list[str]:
        """Names of the splits that the claim is not about."""
        return [name for name in self._prepared.splits if name != self._claim.split]

    @property
    def role(self) -> str:
        """What the split of the claim is for: train, validation or test; empty if nothing says so."""
        return _roles(self._dataset, self._prepared).get(self._claim.split, "")

    @staticmethod
    def task(view: View) -> Task:
        """Return the images with what is known of those that belong together, stored copies included."""
        (clusters,) = duplicate_clusters([view.prepared])
        return Task((view,), () if clusters is None else (clusters[view.rows],))

    def copies(self, view: View) -> tuple[Array, tuple[str, ...]]:
        """Return which images have an exact or near copy among those that train, (n,) bool, and what trains.

        That is what the claim says; if it says nothing, what a kept model says, and for others the training split of
        the data set. All data sets are audited.
        """
        if not self._sources:
            return np.zeros(len(view.rows), bool), ()
        self._audit(view.prepared)
        shared = np.zeros(len(view.rows), bool)
        for _, prepared, rows in self._sources:
            self._audit(prepared)
            if prepared.folder == view.prepared.folder:
                (own,) = duplicate_clusters([view.prepared])
                other = own
            else:
                own, other = duplicate_clusters([view.prepared, prepared])
            assert own is not None, "the tested images were audited"
            assert other is not None, "the training images were audited"
            keys = other[rows]
            shared |= np.isin(own[view.rows], keys[keys >= 0])
        return shared, tuple(str(component) for component, _, _ in self._sources)

    def _training(self) -> list[_Source]:
        if (names := self._claim.trained_on) is not None:
            named = [(component, self._prepare(component)) for component in map(self._registry.dataset, names)]
            return [(component, prepared, select(component, prepared, None).rows) for component, prepared in named]
        if self._seen is None:
            return self._training_splits(self._dataset, self._prepared)
        return [source for seen in self._seen for source in self._find(seen)]

    def _find(self, seen: Seen) -> list[_Source]:
        """Return the images that a kept model was trained on."""
        if seen.fingerprint == self._prepared.fingerprint:
            dataset, prepared = self._dataset.with_values({"split": seen.split}), self._prepared
        else:
            try:
                dataset = self._registry.dataset(seen.dataset)
                prepared = self._prepare(dataset)
            except FerBenchError as error:
                raise FerBenchError(
                    f"The model was trained on {seen.text}, which is not found here, so copies of its images cannot be "
                    "looked for. Name under 'trained_on' where these images are, or write 'trained_on: []' to leave "
                    f"that out. {error}"
                ) from None
        if seen.official:
            return self._training_splits(dataset, prepared, seen.limit, seen.labels)
        return [(dataset, prepared, select(dataset, prepared, seen.limit, seen.labels).rows)]

    def _training_splits(
        self, dataset: Component[DatasetSpec], prepared: Prepared, limit: int | None = None, labels: str = NATIVE
    ) -> list[_Source]:
        """Return the splits of a data set that train, but for the one that the claim is about."""
        tested = self._claim.split if prepared is self._prepared else ""
        splits = [name for name, role in _roles(dataset, prepared).items() if role == "train" and name != tested]
        view = select(dataset.with_values({"split": ""}), prepared, limit, labels)
        of_split = view.column("split").astype(str)
        return [(dataset.with_values({"split": name}), prepared, view.rows[of_split == name]) for name in splits]

    def _prepare(self, dataset: Component[DatasetSpec]) -> Prepared:
        with preparing(str(dataset), self._reporter) as tell:
            return prepare(dataset, self._data_dir, tell)

    def _audit(self, prepared: Prepared) -> None:
        """Look for copies, and keep what was found, unless that is known."""
        if signatures.load(prepared) is None:
            with (
                counting(f"{prepared.name}: images read", self._reporter) as reading,
                counting(f"{prepared.name}: pairs compared", self._reporter) as comparing,
            ):
                signatures.store(signatures.compute(prepared, reading, comparing), prepared)


def _roles(dataset: Component[DatasetSpec], prepared: Prepared) -> Mapping[str, str]:
    """Return what each official split of a data set is for."""
    return split_roles(prepared.splits, dataset.spec.roles)
