"""The names and channel orders of InsightFace, AdaFace and CVLface, and which of our arrays they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

from fer_bench.arrays import Array
from fer_bench.keeping.published import Rename, Scheme
from fer_bench_iresnet.architectures import Architecture

if TYPE_CHECKING:
    from fer_bench_iresnet import IResNetParams

Colours = Literal["RGB", "BGR"]
"""The order in which a published network takes the channels of an image. Ours takes RGB."""
BLOCK = r"layer\1_\2"


def schemes(architecture: Architecture, params: IResNetParams) -> tuple[Scheme, ...]:
    """Return how each publisher names the tensors of an architecture.

    All of them take (x - 127.5) / 127.5 of a pixel x. InsightFace reads images as RGB (``dataset.py`` of its
    ``arcface_torch``), AdaFace as BGR (its README), CVLface as RGB (its configurations of ``iresnet``).

    Args:
        architecture: says which tensors there are.
        params: what the features are.
    """
    a, embedding = architecture, params.features == "embedding"
    by_layers = partial(_by_layers, blocks=tuple(a.blocks))

    def of_adaface(publisher: str, prefix: str, colours: Colours) -> Scheme:
        return Scheme(
            publisher=publisher,
            anchor=f"{prefix}input_layer.0.weight",
            respell=by_layers,
            renames=tuple(_adaface(a, embedding, re.escape(prefix), colours)),
        )

    return (
        Scheme(
            publisher="InsightFace", anchor="layer1.0.prelu.weight", renames=tuple(_insightface(a, embedding, "RGB"))
        ),
        of_adaface("AdaFace", "", "BGR"),
        of_adaface("CVLface", "net.", "RGB"),
    )


def _by_layers(name: str, blocks: tuple[str, ...]) -> str:
    """Return a name of AdaFace's, which counts blocks from the first to the last, with layer and block of ours."""

    def layer_and_block(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"{blocks[number].replace('_', '.')}." if number < len(blocks) else match[0]

    return re.sub(r"\bbody\.(\d+)\.", layer_and_block, name)


def _insightface(a: Architecture, embedding: bool, colours: Colours) -> Iterator[Rename]:
    """Yield the names of InsightFace's ``iresnet.py``."""
    yield from _convolution("conv1", "bn1", "stem/conv", colours)
    yield from _prelu("prelu", "stem")
    layer = r"layer(\d+)\.(\d+)\."
    yield from _norm(rf"{layer}bn1", f"{BLOCK}/norm")
    yield from _convolution(rf"{layer}conv1", rf"{layer}bn2", f"{BLOCK}/conv1")
    yield from _prelu(rf"{layer}prelu", BLOCK)
    yield from _convolution(rf"{layer}conv2", rf"{layer}bn3", f"{BLOCK}/conv2")
    yield from _shortcut(rf"{layer}downsample")
    yield from _pool(a, embedding, "bn2", "fc", "features")


def _adaface(a: Architecture, embedding: bool, prefix: str, colours: Colours) -> Iterator[Rename]:
    """Yield the names of AdaFace's ``net.py``, as `_by_layers` respells them; CVLface's behind a prefix."""
    first = rf"{prefix}input_layer\."
    yield from _convolution(f"{first}0", f"{first}1", "stem/conv", colours)
    yield from _prelu(f"{first}2", "stem")
    layer = rf"{prefix}layer(\d+)\.(\d+)\."
    branch = rf"{layer}res_layer\."
    yield from _norm(f"{branch}0", f"{BLOCK}/norm")
    yield from _convolution(f"{branch}1", f"{branch}2", f"{BLOCK}/conv1")
    yield from _prelu(f"{branch}3", BLOCK)
    yield from _convolution(f"{branch}4", f"{branch}5", f"{BLOCK}/conv2")
    yield from _shortcut(rf"{layer}shortcut_layer")
    last = rf"{prefix}output_layer\."
    yield from _pool(a, embedding, f"{last}0", f"{last}3", f"{last}4")


def _convolution(theirs: str, norm: str, ours: str, colours: Colours = "RGB") -> Iterator[Rename]:
    """Yield a kernel (out, in, h, w) and its norm."""

    def change(array: Array) -> Array:
        return array[:, :: -1 if colours == "BGR" else 1].transpose(2, 3, 1, 0)

    yield Rename(theirs=rf"{theirs}\.weight", ours=f"{ours}/kernel", change=change)
    yield from _norm(norm, f"{ours}/norm")


def _shortcut(theirs: str) -> Iterator[Rename]:
    """Yield a kernel (out, in, 1, 1), a matrix of ours, and its norm."""
    ours = f"{BLOCK}/shortcut"
    yield Rename(theirs=rf"{theirs}\.0\.weight", ours=f"{ours}/kernel", change=lambda array: array[:, :, 0, 0].T)
    yield from _norm(rf"{theirs}\.1", f"{ours}/norm")


def _norm(theirs: str, ours: str) -> Iterator[Rename]:
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    for name, leaf in names.items():
        yield Rename(theirs=rf"{theirs}\.{name}", ours=f"{ours}/{leaf}")
    yield Rename(theirs=rf"{theirs}\.num_batches_tracked")


def _prelu(theirs: str, ours: str) -> Iterator[Rename]:
    yield Rename(theirs=rf"{theirs}\.weight", ours=f"{ours}/prelu/slope")


def _pool(a: Architecture, embedding: bool, norm: str, matrix: str, last: str) -> Iterator[Rename]:
    """Yield what makes the features; the matrix of the embedding and its norm only where they are the features."""
    yield from _norm(norm, "pool/norm")
    if not embedding:
        yield Rename(theirs=rf"(?:{matrix}|{last})\..*")
        return

    width, side = a.widths[-1], a.side_of(a.input_size)

    def change(array: Array) -> Array:
        if array.shape[1:] != (width * side**2,):
            raise ValueError(f"expected rows of {width} channels x {side} x {side} cells, of {a.input_size} pixels")
        return array.reshape(-1, width, side, side).transpose(2, 3, 1, 0).reshape(width * side**2, -1)

    yield Rename(theirs=rf"{matrix}\.weight", ours="pool/kernel", change=change)
    yield Rename(theirs=rf"{matrix}\.bias", ours="pool/bias")
    yield from _norm(last, "pool/embedding_norm")
