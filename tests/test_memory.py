"""Memory that was freed goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import re
from fer_bench.executors import memory

def anonymous():
    with open("/proc/self/status") as file:
        return int(re.search(r"RssAnon:\\s+(\\d+)", file.read())[1]) / 1000

held = [bytearray(b"x" * 100_000) for _ in range(1000)]
del held[:-1]  # The last keeps the C library from giving the rest back by itself.
full = anonymous()
memory.give_back()
print(full - anonymous())
memory.give_back(for_good=True)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed, and can be told not to")
def test_what_was_freed_is_given_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 80, "megabytes of the 100 that were freed"
