"""Memory in pieces of 2 MB, where Linux leaves that to programs: a step of training asks for gigabytes again.

Handed out in pieces of 4 KB, they took a fifth to a third of a step's time on a CPU (docs/performance.md). The C
library asks for large ones from its start on or not at all, so the command begins again, once, with its setting.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Collection
from pathlib import Path

from fer_bench import interrupts

VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
FIRST_GLIBC = (2, 35)
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
TRAINING = ("run", "replay")
"""Commands that train."""


def restart_with_them(first_words: Collection[str] = TRAINING) -> None:
    """Replace this process by the same command with huge pages, where they help; else do nothing.

    Only the process of the command itself is replaced, never one that calls it as a function. Who sets the variable
    decides; an empty one leaves everything as it is.

    Args:
        first_words: of the commands that are worth it.
    """
    arguments = sys.argv[1:]
    own = bool(arguments) and arguments[0] in first_words and sys.orig_argv[-len(arguments) :] == arguments
    if not own:
        return
    if VARIABLE not in os.environ and _helps():
        with contextlib.suppress(OSError):  # slower without, and right all the same
            # An interrupt now waits until our code is read again: Python would end by it without a word.
            interrupts.block()
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, VARIABLE: SETTING})
    interrupts.unblock()


def _helps() -> bool:
    library, version = platform.libc_ver()
    try:
        takes_setting = library == "glibc" and tuple(map(int, version.split(".")[:2])) >= FIRST_GLIBC
        return takes_setting and "[madvise]" in SWITCH.read_text(encoding="ascii")
    except (OSError, ValueError):
        return False
