"""``python -m campaign``: try drawn cases of each kind and print how many were tried and which failed."""

from __future__ import annotations

import argparse
import faulthandler
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from pathlib import Path

from campaign.draw import Draw
from campaign.kinds import FAIR, FEWEST, KINDS
from campaign.stock import Stock, open_stock

LIMIT = 180
"""Seconds after which a case hangs."""
MEMORY = 8 << 30
"""Bytes that the process may take: who reads a file of 16 GB fails in place of the whole campaign."""


class Hangs(BaseException):
    """A case takes too long; no `Exception`, so that nothing takes it for a trouble of its own."""


def attempt(kind: str, seed: int, stock: Stock) -> str:
    """Try one case; return how it failed, in a line, or nothing."""

    def hang(*_: object) -> None:
        raise Hangs(f"it goes on after {LIMIT} s")

    signal.signal(signal.SIGALRM, hang)
    signal.alarm(LIMIT)
    # Where native code does not let the alarm through, the process ends.
    faulthandler.dump_traceback_later(2 * LIMIT, exit=True, file=sys.__stderr__)
    try:
        KINDS[kind](Draw(kind, seed), stock)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a command may try to end the process
        where = traceback.extract_tb(error.__traceback__)[-1]
        notes = " ".join(getattr(error, "__notes__", ()))
        text = " ".join(f"{type(error).__name__}: {error} {notes}".split())
        return f"{Path(where.filename).name}:{where.lineno} {text[:700]}"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    return ""


def main() -> int:
    """Return 1 if any case failed."""
    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="all if none is named")
    parser.add_argument(
        "--minutes",
        type=float,
        default=20,
        help="first some cases of each kind, then each as long",
    )
    parser.add_argument("--first", type=int, default=0, help="first seed of each kind")
    parser.add_argument("--seed", type=int, help="only this case of each kind")
    given = parser.parse_args()
    kinds = given.kinds or list(KINDS)
    spent, tried = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0)
    failed: dict[str, list[str]] = defaultdict(list)
    whole = tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True)
    with whole as folder, open_stock(Path(folder)) as stock:
        end = time.monotonic() + 60 * given.minutes
        while time.monotonic() < end if given.seed is None else not all(tried.values()):
            kind = min(kinds, key=lambda kind: (tried[kind] >= FEWEST.get(kind, FAIR), spent[kind]))
            seed = given.first + tried[kind] if given.seed is None else given.seed
            start = time.monotonic()
            if fault := attempt(kind, seed, stock):
                failed[kind].append(fault)
                print(f"FAILED python -m campaign {kind} --seed {seed}\n  {fault}", flush=True)
            spent[kind] += time.monotonic() - start
            tried[kind] += 1
    print(f"{'kind':14} {'tried':>6} {'failed':>6} {'seconds':>8}")
    for kind in kinds:
        print(f"{kind:14} {tried[kind]:6} {len(failed[kind]):6} {spent[kind]:8.0f}")
    print(f"{'all':14} {sum(tried.values()):6} {sum(map(len, failed.values())):6} {sum(spent.values()):8.0f}")
    return 1 if failed else 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    sys.exit(main())
