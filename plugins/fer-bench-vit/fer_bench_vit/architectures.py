"""The Vision Transformers of this package: what distinguishes one from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Resampling = Literal["bicubic", "antialiased", "offset"]
"""How positions are brought to another size of input, see `fer_bench_vit.positions`."""

HALF = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Means and deviations of red, green and blue, of 0 to 1, that the weights expect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A Vision Transformer (Dosovitskiy et al., arXiv:2010.11929), as one of its families builds it.

    Attributes:
        name: of the backbone.
        reference: the paper.
        width: of a token.
        depth: number of blocks.
        heads: of attention.
        hidden: width within the MLPs.
        patch: side of a patch, pixels.
        input_size: side of the images that the weights were trained on, pixels.
        colours: means and deviations of the channels.
        class_token: whether a token that is no patch stands before them.
        patch_bias: whether the patches' projection has a bias.
        norm_first: whether a norm comes before the blocks.
        layer_scale: whether each branch of a block is scaled by channel (Touvron et al., arXiv:2103.17239).
        registers: how many tokens that are neither class nor patch the weights may have (Darcet et al.,
            arXiv:2309.16588); the first is the default.
        activation: of the MLPs: GELU, its approximation by tanh, or ``x * sigmoid(1.702 x)``.
        epsilon: of the norms.
        attention_pool: whether an attention with one learned query makes the features (Zhai et al., arXiv:2303.15343).
        resampling: of positions.
        resampling_with_registers: likewise, where there are registers.
    """

    name: str
    reference: str
    width: int
    depth: int
    heads: int
    hidden: int
    patch: int = 16
    input_size: int = 224
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    class_token: bool = True
    patch_bias: bool = True
    norm_first: bool = False
    layer_scale: bool = False
    registers: tuple[int, ...] = (0,)
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = "gelu"
    epsilon: float = 1e-6
    attention_pool: bool = False
    resampling: Resampling = "antialiased"
    resampling_with_registers: Resampling = "antialiased"

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in order."""
        return ("embed", *(f"block{number}" for number in range(self.depth)), "pool")

    @property
    def features(self) -> tuple[str, ...]:
        """What the features may be, the family's own first."""
        return ("attention", "mean") if self.attention_pool else ("class", "mean")


_SIZES = {"ti": (192, 12, 3), "s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
"""Size -> width, depth and heads; the MLPs are four times as wide."""


def _of(template: Architecture, sizes: str) -> Iterator[Architecture]:
    """Yield a family's architectures, such as ``b16 l14``: a size, and the side of a patch."""
    for size in sizes.split():
        letters = size.rstrip("0123456789")
        width, depth, heads = _SIZES[letters]
        patch = int(size.removeprefix(letters))
        name = f"{template.name}-{size}"
        yield replace(template, name=name, width=width, depth=depth, heads=heads, hidden=4 * width, patch=patch)


def _architectures() -> Iterator[Architecture]:
    plain = Architecture(
        name="vit", reference="Dosovitskiy et al. 2021", width=0, depth=0, heads=0, hidden=0, colours=HALF
    )
    yield from _of(plain, "ti16 s16 b16 l16")
    mae = replace(plain, name="mae", reference="He et al. 2022", colours=IMAGENET, resampling="bicubic")
    yield from _of(mae, "b16 l16")
    dino = replace(
        mae,
        name="dinov2",
        reference="Oquab et al. 2024",
        input_size=518,
        layer_scale=True,
        registers=(0, 4),
        resampling="offset",
    )
    yield from _of(dino, "s14 b14 l14")
    clip = replace(
        plain,
        name="clip",
        reference="Radford et al. 2021",
        colours=OPENAI,
        patch_bias=False,
        norm_first=True,
        activation="quick_gelu",
        epsilon=1e-5,
    )
    yield from _of(clip, "b32 b16 l14")
    yield from _of(replace(clip, name="farl", reference="Zheng et al. 2022"), "b16")
    siglip = replace(
        plain,
        name="siglip",
        reference="Zhai et al. 2023",
        class_token=False,
        activation="gelu_tanh",
        attention_pool=True,
        resampling="bicubic",
    )
    yield from _of(siglip, "b16")
    yield from (replace(large, input_size=256) for large in _of(siglip, "l16"))
    yield replace(siglip, name="siglip-so400m14", width=1152, depth=27, heads=16, hidden=4304, patch=14, input_size=384)


ARCHITECTURES = {architecture.name: architecture for architecture in _architectures()}
"""By name."""
