"""fer-bench: honest, plugin-based benchmarks of facial-expression recognition.

What plugin authors import: `hookimpl`, the specs in `fer_bench.specs`, the errors, and `fer_bench.data.builder`.
This module imports neither jax nor TFDS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_bench.about import __version__
from fer_bench.errors import DataError, FerBenchError, PluginError

if TYPE_CHECKING:
    from fer_bench.hookspecs import hookimpl
    from fer_bench.models.model import load_model
    from fer_bench.notebook import run

__all__ = ["DataError", "FerBenchError", "PluginError", "__version__", "hookimpl", "load_model", "run"]


def __getattr__(name: str) -> Any:
    """Import the marker when a plugin asks for it: pluggy and pydantic would double the time of ``--help``."""
    if name == "hookimpl":
        from fer_bench.hookspecs import hookimpl

        return hookimpl
    if name == "load_model":
        from fer_bench.models.model import load_model

        return load_model
    if name == "run":
        from fer_bench.notebook import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
