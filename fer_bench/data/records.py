"""Write and open the record files of a prepared data set, in TFDS's layout and without TensorFlow."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer, file_adapters, naming
from tensorflow_datasets.core.utils import gcs_utils
from tensorflow_datasets.proto import tf_example_pb2

SPLIT = "images"
"""The one TFDS split; official splits are a column, so that a protocol can choose any."""

SHARD_BYTES = 64 << 20
"""Size of a record file, which is also what writing holds in memory."""

# Releases of TFDS differ in whether they look for data sets in Google's cloud by themselves; we never want that.
gcs_utils._is_gcs_disabled = True


_EXAMPLE: Any = vars(tf_example_pb2)["Example"]  # Generated at import, so that type checkers do not see it.


def file_format() -> str:
    """Return the format of record files; array_record has no wheels for Windows."""
    return "parquet" if platform.system() == "Windows" else "array_record"


def write_records(
    builder: tfds.core.DatasetBuilder, examples: Iterable[tuple[int, dict[str, Any]]]
) -> list[tfds.core.SplitInfo]:
    """Write ``examples`` in the order given and return what TFDS wants to know of them; nothing if there are none.

    Shards are handed to TFDS's adapter as lists: given an iterator, its Parquet adapter skips most rows (TFDS 4.9.10).
    """
    info = builder.info
    assert info.file_format is not None, "prepare() sets the format"
    features: Any = info.features
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    adapter = file_adapters.ADAPTER_FOR_FORMAT[info.file_format]
    template = naming.ShardedFileTemplate(
        data_dir=builder.data_path,
        dataset_name=builder.name,
        split=SPLIT,
        filetype_suffix=info.file_format.file_suffix,
    )
    parts: list[tuple[Path, int, int]] = []
    serialized = (serializer.serialize_example(features.encode_example(example)) for _, example in examples)
    for shard in _cut(serialized):
        path = Path(builder.data_path) / f"part-{len(parts):05d}"
        try:
            adapter.write_examples(path, list(enumerate(shard)))
        except RuntimeError as error:  # array_record's, most often "No space left on device".
            raise OSError(f"{error}") from error
        parts.append((path, len(shard), sum(map(len, shard))))
    # The name of a shard says how many there are, which is known only now.
    for number, (path, _, _) in enumerate(parts):
        path.rename(template.sharded_filepath(shard_index=number, num_shards=len(parts)))
    if not parts:
        return []
    lengths, sizes = [length for _, length, _ in parts], [size for _, _, size in parts]
    return [tfds.core.SplitInfo(name=SPLIT, shard_lengths=lengths, num_bytes=sum(sizes), filename_template=template)]


class Records:
    """Random access to the records in a folder; images stay encoded."""

    def __init__(self, folder: Path):
        """Open what `write_records` wrote to ``folder``; raises what TFDS and the format's library raise."""
        with quiet():
            builder: Any = tfds.builder_from_directory(folder)
            # TFDS's own parser decodes every feature and, for some, needs TensorFlow: take the bytes.
            raw: Any = tfds.decode.DeserializeMethod.RAW_BYTES
            self._source: Any = builder.as_data_source(SPLIT, deserialize_method=raw)

    def __len__(self) -> int:
        return len(self._source)

    def images(self, rows: Sequence[int]) -> list[bytes]:
        """Return the encoded images of ``rows``."""
        return [features["image"].bytes_list.value[0] for features in self._features(rows)]

    def rows(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return every feature of ``rows``: bytes, an int for the label, a list of numbers for soft label and box."""
        return [{name: _value(name, kinds) for name, kinds in features.items()} for features in self._features(rows)]

    def _features(self, rows: Sequence[int]) -> Iterator[Any]:
        for record in self._source.__getitems__(list(rows)):
            yield _EXAMPLE.FromString(record).features.feature


def _value(name: str, kinds: Any) -> Any:
    if name == "soft_label":
        return list(kinds.float_list.value)
    if name == "box":
        return list(kinds.int64_list.value)
    return (kinds.bytes_list.value or kinds.int64_list.value)[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence TFDS's progress bars, and its log below errors, within the block."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)


def _cut(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield ``records`` in lists of about `SHARD_BYTES`."""
    shard: list[bytes] = []
    size = 0
    for record in records:
        shard.append(record)
        size += len(record)
        if size >= SHARD_BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard
