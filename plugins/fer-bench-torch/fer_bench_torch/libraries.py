"""torch and timm, imported when a backbone of theirs is used, or a message that says how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from fer_bench.errors import MissingError

INSTALL = "pip install 'fer-bench-torch[torch]'"
OLDEST = (2, 6)
"""Of torch: before it, a crafted file ran code although ``weights_only`` was set (CVE-2025-32434)."""


def import_torch() -> Any:
    """Return the module ``torch``.

    Raises:
        MissingError: it is not installed, cannot be imported, or is older than `OLDEST`.
    """
    torch = _import("torch")
    version = str(torch.__version__)
    if tuple(map(int, version.split("+")[0].split(".")[:2])) < OLDEST:
        raise MissingError(
            f"torch {version} is installed; torch {'.'.join(map(str, OLDEST))} or later is needed, since files of "
            f"weights can run code in older versions (CVE-2025-32434). Install it: {INSTALL}"
        )
    return torch


def import_timm() -> Any:
    """Return the module ``timm``; errors are those of `import_torch`."""
    import_torch()
    return _import("timm")


def import_hub() -> Any:
    """Return the module ``huggingface_hub``, which timm brings; errors are those of `import_torch`."""
    return _import("huggingface_hub")


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        what = (
            "is not installed" if isinstance(error, ModuleNotFoundError) and error.name == name else f"fails: {error}"
        )
        raise MissingError(f"This backbone needs the library {name!r}, which {what}. Install it: {INSTALL}") from None
