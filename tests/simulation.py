"""What the statistics promise, measured: claims, each simulated from a known truth.

    python tests/simulation.py                # measures what has no row, or one of earlier code, and writes the table
    python tests/simulation.py gate: power:   # only claims whose names begin so
    python tests/simulation.py --all          # measures every claim again
    python tests/simulation.py --mark         # measures nothing, and marks the rows of earlier code in the table

Each row is kept as soon as it is measured, in tests/simulated.json, from which the table of docs/statistics.md is
written: a call that was stopped goes on where it was. `test_simulated_claims.py` runs the same claims with fewer draws.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from simulated_across import across_claims
from simulated_boards import board_claims
from simulated_claim import Claim
from simulated_cross import cross_claims
from simulated_damage import damage_claims
from simulated_data import data_claims
from simulated_differences import difference_claims
from simulated_gate import gate_claims
from simulated_group_pairs import group_pair_claims
from simulated_groups import group_claims
from simulated_intervals import interval_claims
from simulated_planned import planned_claims
from simulated_power import power_claims
from simulated_search import search_claims
from simulated_shift import shift_claims
from simulated_table import Measured, digest_code, read_measured, to_table, write_measured, write_table

KINDS: tuple[Callable[[], Iterator[Claim]], ...] = (
    difference_claims, board_claims, planned_claims, interval_claims, cross_claims, across_claims, shift_claims,
    group_claims, group_pair_claims, data_claims, power_claims, gate_claims, search_claims, damage_claims,
)  # fmt: skip
"""In the order of the table."""


def claims() -> Iterator[tuple[Claim, str]]:
    """Yield every claim with the digest of the code that it depends on, in the order of the table."""
    for kind in KINDS:
        for claim in kind():
            yield claim, digest_code(kind.__module__)


def simulate(begins: Sequence[str], *, again: bool, processes: int | None) -> None:
    """Measure claims that have no row of the code as it is, cheap ones first, and keep each row as it is measured.

    Args:
        begins: of names of claims; none: all.
        again: measure also those that have such a row.
        processes: that share the work.
    """
    every, measured = list(claims()), read_measured()
    wanted = [
        index
        for index, (claim, code) in enumerate(every)
        if claim.name.startswith(tuple(begins) or "")
        and (again or claim.title not in measured or measured[claim.title].code != code)
    ]
    wanted.sort(key=lambda index: row.seconds if (row := measured.get(every[index][0].title)) else 0)
    with ProcessPoolExecutor(processes) as pool:
        jobs = {pool.submit(_measure, index): every[index][0] for index in wanted}
        for job in as_completed(jobs):
            claim, row = jobs[job], job.result()
            measured[claim.title] = row
            write_measured(measured)
            print(claim.to_row(row.share, row.error), flush=True)


def _measure(index: int) -> Measured:
    """Measure a claim; by number, since its functions cannot be sent to a process."""
    claim, code = list(claims())[index]
    start = time.process_time()
    share, error = claim.measure(claim.draws)
    return Measured(share=share, error=error, seconds=round(time.process_time() - start, 1), code=code)


def write() -> list[str]:
    """Write the table, drop rows of what is no claim, and return what a reader must know: one line a row that is
    missing, of earlier code, or not held.
    """
    every, measured = list(claims()), read_measured()
    write_measured({claim.title: measured[claim.title] for claim, _ in every if claim.title in measured})
    write_table(to_table(every, measured))
    said: list[str] = []
    for claim, code in every:
        row = measured.get(claim.title)
        if row is None:
            said.append(f"not measured: {claim.title}")
        elif row.code != code:
            said.append(f"of earlier code: {claim.title}")
        elif not claim.held(row.share, row.error):
            said.append(f"not held: {claim.title}: {row.share:.3f}")
    return said


def main() -> None:
    """Measure what the command line asks for; end with 1 where a claim is not held, or a row not of this code."""
    parser = argparse.ArgumentParser(description="Measure claims of the statistics, and write docs/statistics.md.")
    parser.add_argument("begins", nargs="*", help="beginnings of names of claims; none: every claim")
    parser.add_argument("--all", action="store_true", help="also claims whose row is of the code as it is")
    parser.add_argument("--mark", action="store_true", help="measure nothing, and mark rows of earlier code")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that share the work")
    asked = parser.parse_args()
    try:
        if not asked.mark:
            simulate(asked.begins, again=asked.all, processes=asked.processes)
    finally:
        said = write()
    if said:
        sys.exit("\n".join(said))


if __name__ == "__main__":
    main()
