"""The command ``fer-bench``, and ``python -m fer_bench``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an interrupt while it begins or ends gives the same exit code as any other."""
    try:
        from fer_bench.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
