"""The project's name and version, which every other module may read."""

from __future__ import annotations

PROJECT = "fer_bench"
"""Name of the pluggy project and of the entry-point group."""

__version__ = "0.1.0"
