"""Where a result comes from: versions, device and command; no user names and no home folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import jax
import psutil


def collect() -> dict[str, Any]:
    """Return what this process runs on, as plain JSON."""
    device = jax.devices()[0]
    return {
        "command": [_anonymous(argument) for argument in ["fer-bench", *sys.argv[1:]]],
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
        "memory_bytes": psutil.virtual_memory().total,
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "distributions": {
            distribution.name: distribution.version
            for distribution in sorted(importlib.metadata.distributions(), key=lambda d: d.name.lower())
        },
    }


def _anonymous(text: str) -> str:
    """Return ``text`` with the home folder, which holds the user's name, written as ``~``."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def _cpu_model() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
