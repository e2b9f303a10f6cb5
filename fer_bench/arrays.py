"""The type of an array on the host; its shape, dtype and unit stand in the docstring that names it."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
