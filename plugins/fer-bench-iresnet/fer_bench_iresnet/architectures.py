"""The IResNets of this package: what distinguishes one from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """An IResNet (Deng et al., arXiv:1801.07698, section 3.2.2), as InsightFace or as AdaFace builds it.

    Attributes:
        name: of the backbone.
        reference: the paper.
        depths: blocks in each of the four layers; the first block of a layer halves the image.
        widths: channels in each of them; the stem has those of the first, and the embedding as many as the last.
        input_size: side of the images that the weights were trained on, pixels.
        convolved: whether the shortcut of the first block, which changes no width, has a kernel and a norm
            (InsightFace), or only takes every second pixel (AdaFace).
        affine: whether the norm of the embedding has a scale and a bias (InsightFace), or none (AdaFace).
    """

    name: str
    reference: str
    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    input_size: int = 112
    convolved: bool
    affine: bool

    @property
    def blocks(self) -> dict[str, tuple[int, int, int]]:
        """Name of a block, such as ``layer3_0``, to its input channels, output channels and stride, in order."""
        blocks: dict[str, tuple[int, int, int]] = {}
        inputs = self.widths[0]
        for layer, (depth, outputs) in enumerate(zip(self.depths, self.widths, strict=True), 1):
            for number in range(depth):
                blocks[f"layer{layer}_{number}"] = (inputs, outputs, 1 if number else 2)
                inputs = outputs
        return blocks

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in order."""
        return ("stem", *self.blocks, "pool")

    def side_of(self, side: int) -> int:
        """Return the side of the last image, of an input of ``side`` pixels: 7 for 112."""
        return -(-side // 2 ** len(self.depths))


def _architectures() -> Iterator[Architecture]:
    depths = {18: (2, 2, 2, 2), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
    for layers, counts in depths.items():
        yield Architecture(
            name=f"arcface-r{layers}", reference="Deng et al. 2019", depths=counts, convolved=True, affine=True
        )
    for layers, counts in depths.items():  # AdaFace calls the network with 100 layers IR-101
        yield Architecture(
            name=f"adaface-ir{101 if layers == 100 else layers}",
            reference="Kim et al. 2022",
            depths=counts,
            convolved=False,
            affine=False,
        )


ARCHITECTURES = {architecture.name: architecture for architecture in _architectures()}
"""By name."""
