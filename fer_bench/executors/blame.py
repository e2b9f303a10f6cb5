"""Whose code raised."""

from __future__ import annotations

import traceback
from collections.abc import Mapping


def plugin_at_fault(error: BaseException, packages: Mapping[str, str]) -> str:
    """Return the plugin whose code was running last when ``error`` was raised, or nothing where none was.

    Args:
        error: as it was caught; what caused it counts, since jax raises anew what it caught.
        packages: top-level package -> name of the plugin that it belongs to.
    """
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in reversed(list(traceback.walk_tb(cause.__traceback__))):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in packages:
                return packages[package]
        cause = cause.__cause__ or cause.__context__
    return ""
