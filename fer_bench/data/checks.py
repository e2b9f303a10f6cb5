"""Check every sample of a data set: its id, its label, its image."""

from __future__ import annotations

import hashlib
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_bench.arrays import Array
from fer_bench.data.faults import Faults
from fer_bench.data.files import DataFolder, FileError
from fer_bench.data.images import ImageError, decode, digest_content
from fer_bench.data.names import normalise_sample
from fer_bench.errors import did_you_mean
from fer_bench.specs import Sample

THREADS = min(8, os.cpu_count() or 1)
IN_FLIGHT = 8 * THREADS
"""Samples that are read ahead; memory depends on this, not on the size of the data set."""


@dataclass(frozen=True, slots=True)
class CheckedSample:
    """A sample without faults.

    Attributes:
        number: of the sample in the order of reading, from 1.
        label: index of its label name.
        encoded: the bytes of its image file, whose decoded size is ``height``, ``width``, ``channels``.
        sha256: of ``encoded``.
        content: of `fer_bench.data.images.digest_content`.
        soft: (labels,) float32 that sum to 1, or (0,) where the sample has no soft label.
    """

    number: int
    sample: Sample
    label: int
    encoded: bytes
    sha256: str
    content: str
    height: int
    width: int
    channels: int
    soft: Array


def check_samples(
    samples: Iterable[Sample], root: Path | None, labels: Sequence[str], faults: Faults
) -> Iterator[CheckedSample]:
    """Yield the samples that are in order, in order; record what is wrong with the others.

    Args:
        samples: as the adapter reads them.
        root: the folder that images must lie in; None if there is none.
        labels: native label names.
        faults: collects what is wrong.
    """
    folder = DataFolder(root) if root is not None else None
    codes = {name: code for code, name in enumerate(labels)}
    first = FirstSeen()
    number = 0
    votes = True
    waiting: deque[tuple[Sample, int | None, list[str], Future[CheckedSample | str]]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="fer-bench-decode") as pool:
        try:
            for number, sample in enumerate(map(normalise_sample, samples), start=1):
                complaints = _complain(sample, number, codes, first)
                votes = bool(sample.soft_label) if number == 1 else votes
                soft = _soft_label(sample, codes, votes)
                if isinstance(soft, str):
                    complaints.append(soft)
                label = codes.get(sample.label)
                future = pool.submit(_check_image, sample, number, -1 if label is None else label, soft, folder)
                waiting.append((sample, label, complaints, future))
                if len(waiting) >= IN_FLIGHT:
                    yield from _finish(waiting.popleft(), faults)
            while waiting:
                yield from _finish(waiting.popleft(), faults)
        finally:
            pool.shutdown(cancel_futures=True)
    if not number and not faults:
        faults.add("", "there is no sample at all")


def _complain(sample: Sample, number: int, codes: dict[str, int], first: FirstSeen) -> list[str]:
    """Return what is wrong with the text of ``sample``."""
    complaints: list[str] = []
    if not sample.id:
        complaints.append(f"sample {number} has an empty id")
    elif (earlier := first.add(sample.id, number)) is not None:
        complaints.append(f"comes twice, as sample {earlier} and {number}; remove one (duplicate id)")
    if not sample.label:
        complaints.append("has an empty label")
    elif sample.label not in codes:
        hint = did_you_mean(sample.label, codes)
        complaints.append(f"has the label {sample.label!r}, which the data set does not have. {hint}")
    fields = (sample.id, sample.label, sample.split, sample.subject, sample.sequence)
    for text in (*fields, *sample.groups, *sample.groups.values()):
        try:
            text.encode()
        except UnicodeEncodeError:
            complaints.append(f"has text that is not valid UTF-8: {text!r}; rename it")
            break
        # Reading the file says so of the name of a file.
        if "\0" in text and not (text is sample.id and isinstance(sample.image, Path)):
            complaints.append(f"has a NUL character in {text!r}; remove it")
            break
    return complaints


def _soft_label(sample: Sample, codes: dict[str, int], votes: bool) -> Array | str:
    """Return the weights of the labels scaled to 1, (labels,) or (0,) float32; or what is wrong with them.

    Args:
        sample: as read.
        codes: label name -> index.
        votes: whether the data set has soft labels.
    """
    weights = sample.soft_label
    if bool(weights) != votes:
        return (
            f"has {'no' if votes else 'a'} soft label, unlike the first sample; give one (or votes) to all samples or "
            "to none"
        )
    if strange := [name for name in weights if name not in codes]:
        names = ", ".join(map(repr, strange))
        return f"has a soft label for {names}, which the data set does not have. {did_you_mean(strange[0], codes)}"
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
        return f"has the soft label {dict(weights)}, expected weights from 0 on"
    soft = np.zeros(len(codes) if weights else 0, np.float32)
    if weights:
        total = sum(weights.values())
        if not total:
            return "has a soft label without any weight; expected a sum above 0"
        soft[[codes[name] for name in weights]] = [weight / total for weight in weights.values()]
    return soft


def _check_image(
    sample: Sample, number: int, label: int, soft: Array | str, folder: DataFolder | None
) -> CheckedSample | str:
    """Return the sample with its image, or what is wrong with that."""
    try:
        if isinstance(sample.image, bytes):
            encoded = sample.image
        elif folder is not None:
            encoded = folder.read(sample.image)
        else:
            return f"its image is a path, {str(sample.image)!r}, but the data set has no folder"
        pixels = decode(encoded)
    except (FileError, ImageError) as error:
        return str(error)
    votes = np.zeros(0, np.float32) if isinstance(soft, str) else soft  # A fault already: it goes no further.
    digests = hashlib.sha256(encoded).hexdigest(), digest_content(encoded, pixels)
    height, width, channels = pixels.shape
    return CheckedSample(number, sample, label, encoded, *digests, height, width, channels, votes)


def _finish(
    entry: tuple[Sample, int | None, list[str], Future[CheckedSample | str]], faults: Faults
) -> Iterator[CheckedSample]:
    sample, label, complaints, future = entry
    result = future.result()
    for complaint in complaints:
        faults.add(sample.id, complaint)
    if isinstance(result, str):
        faults.add(_image_name(sample), result)
    elif label is not None and not complaints:
        yield result


def _image_name(sample: Sample) -> str:
    return sample.id if isinstance(sample.image, bytes) else sample.image.as_posix()


_RECENT = 4096
"""How many texts `FirstSeen` holds in a dict before it sorts them into its arrays."""


class FirstSeen:
    """The number under which each text came first.

    Texts are told apart by 64 bits of BLAKE2b: among a million, two are taken for one with a probability of 3e-8.
    """

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._digests, self._numbers = np.empty(0, np.uint64), np.empty(0, np.uint32)

    def add(self, text: str, number: int) -> int | None:
        """Return the number under which ``text`` came first, or None if it is new and now has ``number``."""
        digest = int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
        if (earlier := self._recent.get(digest)) is not None:
            return earlier
        at = int(np.searchsorted(self._digests, np.uint64(digest)))
        if at < len(self._digests) and int(self._digests[at]) == digest:
            return int(self._numbers[at])
        self._recent[digest] = number
        if len(self._recent) == _RECENT:
            digests = np.concatenate([self._digests, np.fromiter(self._recent, np.uint64)])
            numbers = np.concatenate([self._numbers, np.fromiter(self._recent.values(), np.uint32)])
            order = np.argsort(digests)
            self._digests, self._numbers = digests[order], numbers[order]
            self._recent = {}
        return None
