"""The project's name and version, which every other module may read."""

from __future__ import annotations

PROJECT = "fer_bench"
"""Name of the pluggy project and of the entry-point group."""

OWN_PACKAGES = frozenset(
    {
        "fer-bench",
        *(
            f"fer-bench-{name}"
            for name in ("datasets", "iresnet", "keras", "predictors", "strategies", "torch", "vit", "xception")
        ),
    }
)
"""Distributions that fer-bench's authors publish: what others bring under one of their names does not displace it."""

PACKAGE_OF = {
    **dict.fromkeys(("adaface-ir50", "arcface-r50"), "fer-bench-iresnet"),
    "keras": "fer-bench-keras",
    "mini-xception": "fer-bench-xception",
    "onnx": "fer-bench-predictors",
    "timm": "fer-bench-torch",
    "torch": "fer-bench-torch",
    **dict.fromkeys(("clip-b16", "dinov2-b14", "farl-b16", "mae-b16", "siglip-b16", "vit-b16"), "fer-bench-vit"),
    "xception": "fer-bench-xception",
}
"""Backbone -> the distribution of ours that brings it, for a message where it is not installed."""

__version__ = "0.1.0"
