"""The command ``fer-bench``, and ``python -m fer_bench``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an interrupt while its modules are imported ends it like any later one."""
    try:
        from fer_bench.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
