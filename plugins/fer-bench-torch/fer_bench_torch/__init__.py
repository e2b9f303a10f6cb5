"""Frozen backbones that PyTorch computes: `timm` for the networks of timm, `torch` for modules of your own.

Importing this module imports neither jax nor torch.
"""

from __future__ import annotations

from fer_bench import hookimpl
from fer_bench.specs import BackboneSpec, WeightsSpec
from fer_bench_torch.parameters import TimmParams, TorchParams

__all__ = ["TimmParams", "TorchParams", "fer_bench_backbones"]

PRETRAINED = WeightsSpec(
    name="pretrained",
    file="",
    digests="",
    convert="",
    url="",
    sha256="",
    source="as the tag in timm's name says; timm downloads them, fer-bench does not",
    licence="of each model's own, which a run prints",
)


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return the backbones of this package."""
    return [
        BackboneSpec(
            name="timm",
            summary="a network of timm, frozen, with the preprocessing of its own configuration",
            build="fer_bench_torch.timm_network:build",
            frozen_only=True,
            files="fer_bench_torch.timm_network:check",
            weights=(PRETRAINED,),
            notes="fer_bench_torch.timm_catalogue:notes",
            params=TimmParams,
        ),
        BackboneSpec(
            name="torch",
            summary="a PyTorch module of your own that a card describes, frozen: features or a finished classifier",
            build="fer_bench_torch.own_module:build",
            frozen_only=True,
            by_params="fer_bench_torch.card:by_card",
            files="fer_bench_torch.own_module:check",
            notes="fer_bench_torch.card:notes",
            params=TorchParams,
        ),
    ]
