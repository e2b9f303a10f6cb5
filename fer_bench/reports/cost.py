"""What the rows of a leaderboard cost: seconds by what they went to, speed, memory, arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fer_bench.networks import WORK
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Field, number
from fer_bench.results.outcomes import Cost


def record(row: Row) -> dict[str, int | float | None]:
    """Return what a row cost, as its cells say it; None where they do not.

    ``<work>_s`` are seconds that its cells took in all: what was found in the cache cost nothing there, while
    ``seconds`` of the row counts it. ``images_per_second`` is the speed through the frozen stages when they ran,
    ``peak_memory_bytes`` the most that a process held by the end of any cell, ``forward_flops`` of one image.
    """
    cells = [] if row.baseline else [cell.measures for cell in row.cells if cell.ok]
    costs = [measures.cost for measures in cells if measures.cost]
    speeds = [measures.images_per_second for measures in cells if measures.images_per_second]
    memory = [cost.peak_memory_bytes for cost in costs]

    return {
        "images_per_second": round(min(speeds), 3) if speeds else None,
        **{f"{work}_s": _seconds(costs, work) for work in WORK},
        "peak_memory_bytes": max((peak.host for peak in memory if peak.host), default=None),
        "peak_device_memory_bytes": max((peak.device for peak in memory if peak.device), default=None),
        "forward_flops": costs[0].forward_flops if costs else None,
    }


def _seconds(costs: Sequence[Cost], work: str) -> float | None:
    return round(sum(cost.seconds.get(work, 0.0) for cost in costs), 3) if costs else None


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of a table of costs."""
    costs = {id(row): record(row) for row in board}

    def field(title: str, name: str, better: Literal["higher", "lower"] = "lower", scale: float = 1.0) -> Field[Row]:
        return Column(title, "number", better), lambda row: number(costs[id(row)][name], ",.1f", 1 / scale)

    device = [field("device GB", "peak_device_memory_bytes", scale=1e9)]
    return [
        field("images/s", "images_per_second", "higher"),
        *(field(f"{work} s", f"{work}_s") for work in WORK),
        field("memory GB", "peak_memory_bytes", scale=1e9),
        *(device if any(cost["peak_device_memory_bytes"] for cost in costs.values()) else []),
        field("GFLOP/image", "forward_flops", scale=1e9),
    ]
