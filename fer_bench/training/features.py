"""Features of a frozen backbone: computed once for all folds, seeds and strategies, kept under a content hash."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.data import transforms
from fer_bench.data.view import View
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.training.backbone import Backbone

BATCH = 32
"""Images that go to a CPU at once."""
MICRO_BATCH = 4
"""Images that run together on a CPU, so that activations stay in cache: 125 images/s against 109 for whole batches of
16 at 149 pixels (Xception, 2 cores with AMX), 30 against 22 at 299."""
BATCH_ELSEWHERE = 256
"""Images that go to a GPU or TPU at once, and run together."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of every sample of a view.

    Attributes:
        values: (n, feature_size) float32, mapped from the cache file.
        parameters: trainable parameters of the backbone.
        seconds: that computing them took, whenever that was.
        images_per_second: of that computation, without compilation.
        cached: whether they were found on disk.
    """

    values: np.ndarray[Any, Any]
    parameters: int
    seconds: float
    images_per_second: float
    cached: bool


def key(view: View, backbone_identity: dict[str, Any], feature_size: int) -> str:
    """Return the hash of what decides the features: images, transform, code, weights, input size, precision."""
    text = json.dumps(
        {
            "images": view.content_sha256(),
            "transform": transforms.VERSION,
            "backbone": backbone_identity,
            "feature_size": feature_size,
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def load(cache_dir: Path, key: str) -> Features | None:
    """Return the features stored under ``key``, or None; an entry that does not match its checksum is not there."""
    folder = cache_dir / "features" / key
    try:
        meta = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        if _sha256(folder / "features.npy") != meta["sha256"]:
            return None
        values = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
        return Features(values, meta["parameters"], meta["seconds"], meta["images_per_second"], cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def compute(
    view: View,
    build: Callable[[], Backbone],
    input_size: int,
    feature_size: int,
    cache_dir: Path,
    key: str,
    progress: Callable[[int], None],
) -> Features:
    """Run every image of ``view`` through the backbone and store the features under ``key``.

    Args:
        view: the images.
        build: makes the backbone; called once.
        input_size: side of the backbone's input, pixels.
        feature_size: that the backbone declares.
        cache_dir: the cache folder.
        key: from `key`.
        progress: called with the number of images done since the last call.

    Raises:
        PluginError: the backbone returns another shape than it declares, or values that are not finite.
        FerBenchError: the cache folder cannot be written.
    """
    start = time.perf_counter()
    backbone = build()
    batch, micro_batch = (BATCH, MICRO_BATCH) if jax.default_backend() == "cpu" else (BATCH_ELSEWHERE, BATCH_ELSEWHERE)

    @jax.jit
    def step(state: Any, images: jax.Array) -> jax.Array:
        parts = images.reshape(-1, micro_batch, *images.shape[1:])
        return jnp.concatenate(jax.lax.map(lambda part: backbone.features(state, part), parts))

    values = np.empty((len(view.rows), feature_size), np.float32)
    compiled = start
    for at, images, count in _batches(view, batch, input_size):
        out = np.asarray(step(backbone.state, images))
        if out.shape != (batch, feature_size) or out.dtype != np.float32:
            raise PluginError(
                f"Backbone {backbone.name!r} returned features {out.shape} {out.dtype}; "
                f"it declares {(batch, feature_size)} float32."
            )
        if not np.isfinite(out).all():
            sample = view.column("id")[at + int(np.flatnonzero(~np.isfinite(out[:count]).all(1))[:1].sum())]
            raise PluginError(
                f"Backbone {backbone.name!r} returned features that are not finite, first for sample {sample!r}."
            )
        values[at : at + count] = out[:count]
        if at == 0:
            compiled = time.perf_counter()
        progress(count)
    end = time.perf_counter()
    rate = (len(values) - batch) / (end - compiled) if len(values) > batch else len(values) / (end - start)
    features = Features(values, backbone.parameters, end - start, rate, cached=False)
    _store(cache_dir, key, features)
    return features


def known_rate(cache_dir: Path, backbone_identity: dict[str, Any]) -> float | None:
    """Return images per second of a backbone when it last ran on this machine, or None."""
    try:
        return float(_rate_file(cache_dir, backbone_identity).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def record_rate(cache_dir: Path, backbone_identity: dict[str, Any], features: Features) -> None:
    """Remember how fast a backbone ran, for `known_rate`."""
    file = _rate_file(cache_dir, backbone_identity)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{features.images_per_second:.3f}\n", encoding="ascii")


def _rate_file(cache_dir: Path, backbone_identity: dict[str, Any]) -> Path:
    text = json.dumps(backbone_identity, sort_keys=True)
    return cache_dir / "rates" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"


def _batches(view: View, batch: int, input_size: int) -> Iterator[tuple[int, np.ndarray[Any, Any], int]]:
    """Yield (first index, (batch, h, w, c) uint8, images that count); the last batch is filled up by its last image.

    The next batch is decoded while the device works on this one.
    """
    shape, channels = view.shape, view.channels
    side = None if shape is not None and max(shape) <= 2 * input_size else input_size

    def read(at: int) -> tuple[int, np.ndarray[Any, Any], int]:
        positions = np.arange(at, min(at + batch, len(view.rows)))
        images = transforms.to_batch(view.images(positions), side, channels)
        return at, np.concatenate([images, np.repeat(images[-1:], batch - len(positions), axis=0)]), len(positions)

    starts = range(0, len(view.rows), batch)
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(read, 0)
        for at in starts:
            ready = pending.result()
            if at + batch < len(view.rows):
                pending = reader.submit(read, at + batch)
            yield ready


def _store(cache_dir: Path, key: str, features: Features) -> None:
    """Write the entry; the JSON with the checksum comes last, so that an entry without it does not count."""
    folder = cache_dir / "features" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".features.{os.getpid()}.npy"
        with temporary.open("wb") as file:
            np.save(file, features.values, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        meta = {
            "sha256": _sha256(temporary),
            "parameters": features.parameters,
            "seconds": features.seconds,
            "images_per_second": features.images_per_second,
        }
        temporary.replace(folder / "features.npy")
        temporary = folder / f".features.{os.getpid()}.json"
        temporary.write_text(json.dumps(meta), encoding="utf-8")
        temporary.replace(folder / "features.json")
    except OSError as error:
        raise FerBenchError(
            f"Cannot write features to the cache {str(cache_dir)!r}: {error.strerror}. "
            "Free some space, or name another folder with --cache-dir."
        ) from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
