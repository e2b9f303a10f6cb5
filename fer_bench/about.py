"""The project's name and version, which every other module may read."""

from __future__ import annotations

PROJECT = "fer_bench"
"""Name of the pluggy project and of the entry-point group."""

OWN_PACKAGES = frozenset(
    {
        "fer-bench",
        *(
            f"fer-bench-{name}"
            for name in ("datasets", "keras", "predictors", "strategies", "torch", "vit", "xception")
        ),
    }
)
"""Distributions that fer-bench's authors publish: what others bring under one of their names does not displace it."""

__version__ = "0.1.0"
