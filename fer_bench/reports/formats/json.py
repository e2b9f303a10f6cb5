"""Records as JSON in ASCII, which every encoding holds."""

from __future__ import annotations

import json
import math
from typing import Any, cast


def write(record: object) -> str:
    """Return a record of plain values; numbers that are not finite become null."""
    text = json.dumps(_finite(record), indent=1, allow_nan=False)
    return text.replace("##", "#\\u0023") + "\n"  # GitHub and Azure obey ``##[`` even within a line.


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in cast(dict[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in cast(list[Any], value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
