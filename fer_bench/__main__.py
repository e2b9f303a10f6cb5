"""The command ``fer-bench``, and ``python -m fer_bench``."""

from __future__ import annotations

from fer_bench import console, interrupts


def main() -> None:
    """Run the command line; an interrupt while it begins or ends gives the same exit code as any other."""
    console.prepare()
    with interrupts.watched():
        from fer_bench.cli import main as run

        run()


if __name__ == "__main__":
    main()
