"""fer-bench: honest, plugin-based benchmarks of facial-expression recognition.

What plugin authors import: `hookimpl`, the specs in `fer_bench.specs`, the errors, and `fer_bench.data.builder`.
This module imports neither jax nor TFDS.
"""

from __future__ import annotations

from fer_bench.errors import DataError, FerBenchError, PluginError
from fer_bench.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = ["DataError", "FerBenchError", "PluginError", "__version__", "hookimpl"]
