"""Small fixed inputs of the goldens: pictures, tables of samples, a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
from flax import nnx

from fer_bench.data.builder import FerBuilder
from fer_bench.data.images import encode_png
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec, DatasetParams, DatasetSpec, ImageInput, Sample
from fer_bench.tasks.view import View, select

PLUGIN = Plugin(name="goldens", distribution="goldens", version="1")
NAMES = ("anger", "happy", "sad")
SIZE = 6
"""Side of the pictures, pixels."""


def picture(number: int, height: int = SIZE, width: int = SIZE, channels: int = 3) -> np.ndarray:
    """Return a picture without any symmetry, (height, width, channels) uint8."""
    y, x, c = np.mgrid[:height, :width, :channels]
    return ((37 * number + 41 * y + 23 * x * (1 + number % 3) + 59 * c + 7 * x * y) % 256).astype(np.uint8)


def wave(*shape: int, step: float = 0.7) -> np.ndarray:
    """Return float32 numbers between -1 and 1 that do not repeat."""
    at = np.arange(1, np.prod(shape) + 1)
    return np.sin(step * at * np.sqrt(at)).reshape(shape).astype(np.float32)


def view(
    labels: Sequence[int],
    subjects: Sequence[str] | None = None,
    sequences: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    soft: Any = None,
    name: str = "faces",
    first: int = 0,
    classes: tuple[str, ...] = NAMES,
    label_set: str = "native",
    limit: int | None = None,
    split: str = "",
    shapes: Sequence[tuple[int, int, int]] = ((SIZE, SIZE, 3),),
    **declared: Any,
) -> View:
    """Return the view of a table of samples whose pictures are drawn when they are asked for."""
    n = len(labels)
    all_shapes = [shapes[i % len(shapes)] for i in range(n)]
    height, width, channels = zip(*all_shapes, strict=True)
    columns = {
        "id": [f"{name}{first + i}" for i in range(n)],
        "label": labels,
        "subject": subjects or [""] * n,
        "sequence": sequences or [""] * n,
        "split": splits or [""] * n,
        "sha256": [hashlib.sha256(f"{name}{first + i}".encode()).hexdigest() for i in range(n)],
        "content": [hashlib.sha256(f"{name}{first + i}".encode()).hexdigest() for i in range(n)],
        "height": height,
        "width": width,
        "channels": channels,
    }
    table = pa.Table.from_pandas(pd.DataFrame(columns))
    hashes = b"".join(hashlib.sha256(f"{name}{first + i}".encode()).digest() for i in range(n))
    prepared: Any = SimpleNamespace(
        column=lambda name: table[name],
        hashes=np.frombuffer(hashes, "S32"),
        labels=classes,
        fingerprint="f",
        place=name,
        groups=(),
        soft_labels=lambda rows: None if soft is None else np.asarray(soft, np.float32)[rows],
        images=lambda rows: [picture(int(row), *all_shapes[row]) for row in rows],
    )
    spec = DatasetSpec(
        name=name, title="", builder="", labels=classes, identity="maybe", licence="", citation="", **declared
    )
    return select(Component(spec, DatasetParams(split=split), PLUGIN), prepared, limit, label_set)


class Drawn(FerBuilder):
    """Ten pictures, with everything that a sample can have."""

    def read(self, root: Any, faults: Any) -> Iterator[Sample]:
        """Yield them, not in the order of their names."""
        for i in range(10):
            number = 7 * i % 10
            yield Sample(
                id=f"{number}",
                image=Path(f"{number}.png"),
                label=NAMES[i % 3],
                split="train" if i < 6 else "test",
                subject=("p0", "p1", "Zo\u00eb", "Zoe\u0308")[
                    i % 4
                ],  # the last two are one person, spelled in two ways
                sequence=f"v{i % 5}",
                groups={"tone": "dark" if i % 2 else "light"},
                soft_label={NAMES[i % 3]: 3, NAMES[(i + 1) % 3]: i % 2 + 1},
            )


def drawn() -> Component[DatasetSpec]:
    """Return the data set that `Drawn` reads."""
    spec = DatasetSpec(
        name="drawn",
        title="",
        builder="goldens.materials:Drawn",
        labels=NAMES,
        identity="yes",
        licence="",
        citation="",
        access="Draw it.",
    )
    return Component(spec, DatasetParams(), PLUGIN)


def write_pictures(folder: Path) -> None:
    """Write the files that `Drawn` reads."""
    folder.mkdir(parents=True)
    for i in range(10):
        content = encode_png(picture(i, 5 + i % 2, 4, 1 + 2 * (i % 2)))
        (folder / f"{i}.png").write_bytes(content)


class NetParams(BackboneParams):
    """Of `net`."""

    input_size: int = SIZE


class _Stage(nnx.Module):
    """A convolution, a norm whose numbers are not those it begins with, and a smooth bend."""

    def __init__(self, inputs: int, outputs: int, side: int, rngs: nnx.Rngs, dtype: Any):
        draw = nnx.initializers.normal(0.5)
        self.conv = nnx.Conv(inputs, outputs, (side, side), kernel_init=draw, rngs=rngs, dtype=dtype)
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
        self.norm.mean[...] = jnp.asarray(0.2 * wave(outputs))
        self.norm.var[...] = jnp.asarray(1.5 + 0.5 * wave(outputs))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(self.norm(self.conv(x).astype(jnp.float32)))


class _Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, dtype: Any):
        self.low, self.high = _Stage(3, 4, 3, rngs, dtype), _Stage(4, 8, 1, rngs, dtype)


def build_net(params: NetParams, *, rngs: nnx.Rngs, compute_dtype: Any) -> nnx.Module:
    """Build the network of `net`."""
    del params
    return _Net(rngs, compute_dtype)


def net(**declared: Any) -> Component[BackboneSpec]:
    """Return a backbone of two stages and eight features."""
    spec = BackboneSpec(
        name="net",
        summary="",
        build="goldens.materials:build_net",
        stages=("low", "high"),
        feature_size=8,
        image_input=ImageInput(),
        params=NetParams,
        **declared,
    )
    return Component(spec, NetParams(), PLUGIN)
