"""`FerBuilder`: the base class of data set adapters, a TFDS builder that checks every sample.

A subclass says how the data lie on disk; everything else happens here::

    class Builder(FerBuilder):
        def read(self, root, faults):
            for path in sorted(root.glob("*/*.png")):
                yield Sample(id=path.relative_to(root).as_posix(), image=path, label=path.parent.name)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fer_bench.data.checks import CheckedSample, check_samples
from fer_bench.data.faults import Faults
from fer_bench.data.images import encode_png
from fer_bench.data.index import IndexWriter
from fer_bench.data.names import normalise
from fer_bench.data.records import SPLIT, write_records
from fer_bench.errors import DataError, FerBenchError, PluginError
from fer_bench.specs import DatasetParams, DatasetSpec, Sample

__all__ = ["Faults", "FerBuilder", "Progress", "encode_png"]

Progress = Callable[[int, int | None], None]
"""Called with the number of samples done and, where known, the number of all."""


class FerBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Base class of adapters.

    A subclass implements `read`, and raises ``VERSION`` whenever `read` gives other samples for the same files.

    Attributes:
        spec: the data set's description.
        params: as the user set them; of the class ``spec.params``.
        root: the folder with the data as they were obtained, or None if the package makes them itself.
        notices: what the user should know about the data but need not correct; subclasses append.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init_subclass__(cls, **keywords: Any):
        # Two packages may bring builders of one name; fer-bench tells them apart, TFDS's registry would not.
        super().__init_subclass__(**{"skip_registration": True, **keywords})

    def __init__(
        self,
        *,
        spec: DatasetSpec,
        params: DatasetParams,
        root: Path | None,
        data_dir: Path,
        config: str,
        progress: Progress | None = None,
    ):
        """Called only by `fer_bench.data.prepare.prepare`.

        Args:
            spec: the data set's description.
            params: its parameters.
            root: the folder with the data as they were obtained, or None.
            data_dir: where TFDS writes.
            config: name of the folder for these parameters.
            progress: called now and then.
        """
        self.spec = spec
        self.params = params
        self.root = root
        self.notices: list[str] = []
        self.faults = Faults()
        self.failure: Exception | None = None
        self._progress = progress
        try:
            self.label_names = tuple(dict.fromkeys(map(normalise, self.labels(root, self.faults))))
        except OSError as error:
            raise DataError(f"Cannot read {os.fspath(error.filename or '')!r}: {error.strerror or error}.") from error
        except FerBenchError:
            raise
        except Exception as error:
            raise self._failed(error) from error
        self.index = IndexWriter(self.label_names)
        # TFDS names folders after the class; the user knows the data set by its spec's name.
        vars(self)["name"] = spec.name.replace("-", "_")
        super().__init__(data_dir=data_dir, config=tfds.core.BuilderConfig(name=config, version=self.VERSION))

    @classmethod
    def manual_path(cls, spec: DatasetSpec, params: DatasetParams) -> PurePath | None:
        """Return where the user puts the data, below ``<data_dir>/manual`` or absolute; None if nothing is needed."""
        del params
        return PurePath(spec.name) if spec.access else None

    def labels(self, root: Path | None, faults: Faults) -> Sequence[str]:
        """Return the native label names in order; override where the data decide. Called once, before `read`."""
        del root, faults
        return self.spec.labels

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the samples in the data set's own order.

        Do not check images, ids or labels: the base class does. Report every other fault, such as a row that
        cannot be parsed, with ``faults.add(where, what)`` and go on, so that the user sees all faults at once. Raise
        `fer_bench.DataError` only where nothing can be read at all.

        Args:
            root: the folder with the data, or None if the package makes them itself. It exists.
            faults: collects what is wrong.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement read()")

    def count(self) -> int | None:
        """Return how many samples are to be expected, for a progress bar, or None."""
        return sum(sum(labels.values()) for labels in self.expected_counts(frozenset()).values()) or None

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return split -> label -> published number of samples, for data that have ``splits``; the label "" is all."""
        del splits
        return self.spec.expected_counts

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.spec.title,
            citation=self.spec.citation,
            license=self.spec.licence,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, None)),
                    # TFDS wants a name even where the data turn out to have none, which is a fault reported later.
                    "label": tfds.features.ClassLabel(names=self.label_names or ("none",)),
                    **{name: text() for name in ("id", "subject", "sequence", "split", "groups")},
                    # Empty where unknown.
                    "soft_label": tfds.features.Tensor(shape=(None,), dtype=np.float32),
                    "box": tfds.features.Tensor(shape=(None,), dtype=np.int64),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        total = self.count()
        for checked in check_samples(self._read_guarded(), self.root, self.label_names, self.faults):
            # After the first fault the rest is checked but no longer written: it will be discarded.
            if not self.faults:
                row = len(self.index)
                self.index.add(checked)
                yield row, _example(checked)
            if self._progress is not None:
                self._progress(checked.number, total)

    def _read_guarded(self) -> Iterator[Sample]:
        """Yield what `read` yields; a file that it cannot read is a fault of the data, any other failure is its own."""
        try:
            yield from self.read(self.root, self.faults)
        except (FerBenchError, KeyboardInterrupt):
            raise
        except OSError as error:
            self.faults.add(os.fspath(error.filename or ""), f"cannot be read: {error.strerror or error}")
        except BaseException as error:  # a panic of native code is no Exception
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> PluginError:
        builder = f"{type(self).__module__}.{type(self).__qualname__} of data set {self.spec.name!r}"
        return PluginError(f"The builder {builder} failed: {type(error).__name__}: {error}")

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Write the records.

        TFDS's own writer holds up to 1 GiB in memory and then needs TensorFlow, even where nothing is to be shuffled.
        Exceptions are kept in ``failure`` rather than raised: TFDS can hide them behind "No module named
        'tensorflow'".
        """
        del download_config
        try:
            (examples,) = self._split_generators(dl_manager).values()
            splits = write_records(self, examples)
        except Exception as error:
            self.failure = error
            return
        if not self.faults and len(self.index):
            self.info.set_splits(tfds.core.SplitDict(splits))

    def _log_download_bytes(self) -> None:
        """Print nothing: TFDS announces a download that does not happen."""

    def _log_download_done(self) -> None:
        """Print nothing."""


def _example(checked: CheckedSample) -> dict[str, Any]:
    sample = checked.sample
    return {
        "image": checked.encoded,
        "label": checked.label,
        "id": sample.id,
        "subject": sample.subject,
        "sequence": sample.sequence,
        "split": sample.split,
        "groups": json.dumps(dict(sample.groups), ensure_ascii=False, sort_keys=True),
        "soft_label": checked.soft,
        "box": np.array(sample.box or (), np.int64),
    }
