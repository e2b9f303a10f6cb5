"""The names of timm and the papers' own code, of Hugging Face and of OpenAI, and which of our parameters they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fer_bench.arrays import Array
from fer_bench.keeping.published import Rename, Scheme
from fer_bench_vit.architectures import Architecture, Resampling
from fer_bench_vit.positions import resample

if TYPE_CHECKING:
    from fer_bench_vit import VitParams

POOL = "pool/attention"


def schemes(architecture: Architecture, params: VitParams) -> tuple[Scheme, ...]:
    """Return how each publisher names the tensors of an architecture.

    Args:
        architecture: says which tensors there are, and how positions are resampled.
        params: size of the input, and what the features are.
    """
    side = params.input_size // architecture.patch
    how = architecture.resampling_with_registers if params.registers else architecture.resampling
    places = ("embed/positions", "embed/class_position")[: 1 + architecture.class_token]
    change = partial(_positions, side=side, how=how, class_token=architecture.class_token)

    def scheme(publisher: str, anchor: str, positions: str, pool: str, renames: Iterator[Rename]) -> Scheme:
        first = [Rename(theirs=positions, ours=places, change=change)]
        if pool and params.features != "attention":
            first.append(Rename(theirs=pool))  # the features do without it
        return Scheme(publisher=publisher, anchor=anchor, renames=(*first, *renames))

    return (
        scheme("timm", "patch_embed.proj.weight", "pos_embed", r"attn_pool\..*", _timm()),
        scheme(
            "Hugging Face",
            "embeddings.patch_embeddings.projection.weight",
            r"embeddings\.position_embeddings",
            "",
            _hugging_face(),
        ),
        scheme(
            "Hugging Face",
            "embeddings.patch_embedding.weight",
            r"embeddings\.position_embedding\.weight",
            r"head\..*",
            _hugging_face_towers(),
        ),
        scheme("OpenAI", "ln_pre.weight", "positional_embedding", "", _openai()),
    )


def _timm() -> Iterator[Rename]:
    """Yield the names of timm, which those of MAE and DINOv2 are too."""
    yield from _tokens("cls_token", "(?:reg_token|register_tokens)")
    yield from _patches(r"patch_embed\.proj")
    yield from _norm("norm_pre", "embed/norm")
    block = r"blocks\.(\d+)\."
    yield from _norm(rf"{block}norm([12])", r"block\1/norm\2")
    yield from _dense(rf"{block}attn\.qkv", [rf"block\1/attention/{name}" for name in ("query", "key", "value")])
    yield from _dense(rf"{block}attn\.proj", r"block\1/attention/out")
    yield Rename(theirs=rf"{block}ls([12])\.gamma", ours=r"block\1/gamma\2")
    yield from _mlp(rf"{block}mlp", r"block\1/mlp")
    yield from _norm("(?:fc_)?norm", "pool/norm")
    yield Rename(theirs=r"attn_pool\.latent", ours="pool/query", change=_rows)
    yield from _dense(r"attn_pool\.q", f"{POOL}/query")
    yield from _dense(r"attn_pool\.kv", [f"{POOL}/key", f"{POOL}/value"])
    yield from _dense(r"attn_pool\.proj", f"{POOL}/out")
    yield from _norm(r"attn_pool\.norm", "pool/attention_norm")
    yield from _mlp(r"attn_pool\.mlp", "pool/mlp")
    yield Rename(theirs=r"head\..*|mask_token|decoder_.*")


def _hugging_face() -> Iterator[Rename]:
    """Yield the names of ViT, MAE and DINOv2."""
    yield from _tokens(r"embeddings\.cls_token", r"embeddings\.register_tokens")
    yield from _patches(r"embeddings\.patch_embeddings\.projection")
    layer = r"encoder\.layer\.(\d+)\."
    yield from _norm(rf"{layer}(?:layernorm_before|norm1)", r"block\1/norm1")
    yield from _norm(rf"{layer}(?:layernorm_after|norm2)", r"block\1/norm2")
    yield from _dense(rf"{layer}attention\.attention\.(query|key|value)", r"block\1/attention/\2")
    yield from _dense(rf"{layer}attention\.output\.dense", r"block\1/attention/out")
    yield Rename(theirs=rf"{layer}layer_scale([12])\.lambda1", ours=r"block\1/gamma\2")
    yield from _mlp(rf"{layer}mlp", r"block\1/mlp")
    yield from _dense(rf"{layer}intermediate\.dense", r"block\1/mlp/first")
    yield from _dense(rf"{layer}output\.dense", r"block\1/mlp/second")
    yield from _norm("layernorm", "pool/norm")
    yield Rename(theirs=r"pooler\..*|embeddings\.mask_token|classifier\..*|decoder\..*")


def _hugging_face_towers() -> Iterator[Rename]:
    """Yield the names of the image towers of CLIP and SigLIP."""
    yield from _tokens(r"embeddings\.class_embedding", "")
    yield from _patches(r"embeddings\.patch_embedding")
    yield from _norm("pre_layrnorm", "embed/norm")
    layer = r"encoder\.layers\.(\d+)\."
    yield from _norm(rf"{layer}layer_norm([12])", r"block\1/norm\2")
    for letter, name in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "out")):
        yield from _dense(rf"{layer}self_attn\.{letter}_proj", rf"block\1/attention/{name}")
    yield from _mlp(rf"{layer}mlp", r"block\1/mlp")
    yield from _norm("post_layernorm", "pool/norm")
    yield Rename(theirs=r"head\.probe", ours="pool/query", change=_rows)
    yield from _in_projection(r"head\.attention", POOL)
    yield from _norm(r"head\.layernorm", "pool/attention_norm")
    yield from _mlp(r"head\.mlp", "pool/mlp")
    yield Rename(theirs=r"embeddings\.position_ids")


def _openai() -> Iterator[Rename]:
    """Yield the names of OpenAI's CLIP, which those of FaRL are too."""
    yield from _tokens("class_embedding", "")
    yield from _patches("conv1")
    yield from _norm("ln_pre", "embed/norm")
    block = r"transformer\.resblocks\.(\d+)\."
    yield from _norm(rf"{block}ln_([12])", r"block\1/norm\2")
    yield from _in_projection(rf"{block}attn", r"block\1/attention")
    yield from _dense(rf"{block}mlp\.c_fc", r"block\1/mlp/first")
    yield from _dense(rf"{block}mlp\.c_proj", r"block\1/mlp/second")
    yield from _norm("ln_post", "pool/norm")
    yield Rename(theirs="proj")


def _tokens(class_token: str, registers: str) -> Iterator[Rename]:
    yield Rename(theirs=class_token, ours="embed/class_token", change=_rows)
    if registers:
        yield Rename(theirs=registers, ours="embed/registers", change=lambda array: _rows(array)[:, None])


def _patches(theirs: str) -> Iterator[Rename]:
    yield Rename(theirs=rf"{theirs}\.weight", ours="embed/kernel", change=lambda array: array.transpose(2, 3, 1, 0))
    yield Rename(theirs=rf"{theirs}\.bias", ours="embed/bias")


def _norm(theirs: str, ours: str) -> Iterator[Rename]:
    yield Rename(theirs=rf"{theirs}\.weight", ours=f"{ours}/scale")
    yield Rename(theirs=rf"{theirs}\.bias", ours=f"{ours}/bias")


def _dense(theirs: str, ours: str | list[str], separator: str = r"\.") -> Iterator[Rename]:
    """Yield a matrix, which theirs is the transpose of, and its bias; several that theirs has in one."""
    names = [ours] if isinstance(ours, str) else ours

    def parts(change: Callable[[Array], Array]) -> Callable[[Array], list[Array]]:
        return lambda array: [change(part) for part in np.split(array, len(names))]

    kernels, biases = (tuple(f"{name}/{leaf}" for name in names) for leaf in ("kernel", "bias"))
    yield Rename(theirs=f"{theirs}{separator}weight", ours=kernels, change=parts(np.transpose))
    yield Rename(theirs=f"{theirs}{separator}bias", ours=biases, change=parts(np.asarray))


def _mlp(theirs: str, ours: str) -> Iterator[Rename]:
    yield from _dense(rf"{theirs}\.fc1", f"{ours}/first")
    yield from _dense(rf"{theirs}\.fc2", f"{ours}/second")


def _in_projection(theirs: str, ours: str) -> Iterator[Rename]:
    """Yield torch's MultiheadAttention."""
    yield from _dense(rf"{theirs}\.in_proj", [f"{ours}/{name}" for name in ("query", "key", "value")], "_")
    yield from _dense(rf"{theirs}\.out_proj", f"{ours}/out")


def _rows(array: Array) -> Array:
    """Return tokens (n, d) without axes of length one before them."""
    return array.reshape(-1, array.shape[-1])


def _positions(array: Array, *, side: int, how: Resampling, class_token: bool) -> list[Array]:
    """Return the grid of positions for another side, and that of the class token, 0 where the file has none."""
    positions = _rows(array)
    grid_side = math.isqrt(len(positions))
    own = len(positions) - grid_side**2
    if own > class_token:
        counts = "a square number" + ", or one more for the class token" * class_token
        raise ValueError(f"{len(positions)} positions; expected {counts}")
    grid = resample(positions[own:].reshape(grid_side, grid_side, -1), side, how)
    return [grid, positions[:1] if own else np.zeros_like(positions[:1])][: 1 + class_token]
