"""The processors of this machine that this process may use."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path


def count() -> int:
    """Return how many processors this process may use: XLA divides among them what it compiles for a CPU."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def model() -> str:
    """Return the processor's name."""
    return _facts().get("model name") or platform.processor()


def instructions() -> frozenset[str]:
    """Return the names that Linux gives to what the processor can do; none where it does not say."""
    return frozenset((_facts().get("flags") or _facts().get("Features") or "").split())


def kind() -> str:
    """Return a word that differs where XLA would compile another program for the CPU: by number and instructions."""
    facts = [platform.machine(), model(), *sorted(instructions())]
    return f"{count()}-{hashlib.sha256(' '.join(facts).encode()).hexdigest()[:8]}"


@functools.cache
def _facts() -> dict[str, str]:
    """Return what Linux says of the first processor, by name; nothing on another system."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
