"""What a message says, apart from its words: they may be mended without a test."""

from __future__ import annotations


def says(text: str, *parts: str) -> bool:
    """Return whether ``text`` holds names, numbers and options in this order; how it is wrapped does not count."""
    rest = " ".join(text.split())
    for part in parts:
        _, there, rest = rest.partition(part)
        if not there:
            return False
    return True
