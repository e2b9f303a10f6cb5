"""What the statistics promise, measured: claims, each simulated from a known truth.

    python tests/simulation.py                # measures every claim and writes the table of docs/statistics.md
    python tests/simulation.py gate: power:   # measures the claims whose names begin so, and leaves the other rows
    python tests/simulation.py --missing      # measures the claims that have no row, as after a run that was stopped

Each row is written as soon as it is measured. `test_simulated_claims.py` runs the same claims with fewer draws.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from simulated_across import across_claims
from simulated_boards import board_claims
from simulated_claim import Claim
from simulated_damage import damage_claims
from simulated_data import data_claims
from simulated_differences import difference_claims
from simulated_gate import gate_claims
from simulated_groups import group_claims
from simulated_intervals import interval_claims
from simulated_planned import planned_claims
from simulated_power import power_claims
from simulated_search import search_claims
from simulated_shift import shift_claims

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- Written by tox run -e simulate. -->", "<!-- End of what tox run -e simulate writes. -->"
HEAD = ["| claim | setting | promised | measured | Monte Carlo error |", "| --- | --- | ---: | ---: | ---: |"]


def claims() -> Iterator[Claim]:
    """Yield every claim, in the order of the table."""
    yield from difference_claims()
    yield from board_claims()
    yield from planned_claims()
    yield from interval_claims()
    yield from across_claims()
    yield from shift_claims()
    yield from group_claims()
    yield from data_claims()
    yield from power_claims()
    yield from gate_claims()
    yield from search_claims()
    yield from damage_claims()


def write(page: Path, begins: Sequence[str] = (), *, missing: bool = False, processes: int | None = None) -> list[str]:
    """Measure claims, put each into the table of a page, and return the names of those that did not hold.

    Args:
        page: with the two marks between which the table stands.
        begins: measure only the claims whose names begin so, and leave the rows of the others; none: measure all.
        missing: measure only the claims that have no row.
        processes: that share the work; None: one a core.
    """
    every, written = list(claims()), _read_rows(page)
    wanted = [
        index
        for index, claim in enumerate(every)
        if claim.name.startswith(tuple(begins) or "") and not (missing and claim.key in written)
    ]
    for index in wanted:
        written.pop(every[index].key, None)
    _write_rows(page, every, written)
    broken: list[str] = []
    with ProcessPoolExecutor(processes) as pool:
        jobs = {pool.submit(_measure, index): every[index] for index in wanted}
        for job in as_completed(jobs):
            claim, (share, error) = jobs[job], job.result()
            written[claim.key] = claim.to_row(share, error)
            print(written[claim.key], flush=True)
            _write_rows(page, every, written)
            if not claim.held(share, error):
                broken.append(f"{claim.name}, {claim.setting}: {share:.3f}")
    return broken


def _read_rows(page: Path) -> dict[tuple[str, str], str]:
    """Return the rows of a page by name and setting of their claims."""
    table = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return {(cells[1].strip(), cells[2].strip()): line for line in rows if (cells := line.split("|"))}


def _write_rows(page: Path, every: Sequence[Claim], written: dict[tuple[str, str], str]) -> None:
    """Put the rows of all claims into a page, in their order; rows of what is no claim go."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    rows = [written[claim.key] for claim in every if claim.key in written]
    table = "\n".join([*HEAD, *rows])
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _measure(index: int) -> tuple[float, float]:
    """Return the share of a claim and its error; by number, since its functions cannot be sent to a process."""
    claim = list(claims())[index]
    return claim.measure(claim.draws)


def main() -> None:
    """Measure what the command line asks for; end with 1 where a claim did not hold."""
    parser = argparse.ArgumentParser(description="Measure claims of the statistics, and write docs/statistics.md.")
    parser.add_argument("begins", nargs="*", help="beginnings of names of claims; none: every claim")
    parser.add_argument("--missing", action="store_true", help="only claims that have no row")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that share the work")
    asked = parser.parse_args()
    if broken := write(PAGE, asked.begins, missing=asked.missing, processes=asked.processes):
        sys.exit("not held:\n" + "\n".join(broken))


if __name__ == "__main__":
    main()
