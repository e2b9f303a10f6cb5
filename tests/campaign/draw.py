"""Chance of one case."""

from __future__ import annotations

import random


class Draw(random.Random):
    """Chance that is the same whenever a case is tried.

    Attributes:
        number: of the case among those of its kind, from 0 on.
    """

    def __init__(self, kind: str, number: int) -> None:
        super().__init__(f"{kind} {number}")
        self.number = number
