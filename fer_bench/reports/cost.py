"""What the rows of a leaderboard cost: seconds by what they went to, speed, memory, arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fer_bench.networks import WORK
from fer_bench.reports.leaderboard import Row


def record(row: Row) -> dict[str, Any]:
    """Return what a row cost, as its cells say it; None where they do not.

    ``<work>_s`` are seconds that its cells took in all: what was found in the cache cost nothing there, while
    ``seconds`` of the row counts it. ``images_per_second`` is the speed through the frozen stages when they ran,
    ``peak_memory_bytes`` the most that a process held by the end of any cell, ``forward_flops`` of one image.
    """
    cells = [] if row.baseline else [cell.measures for cell in row.cells if cell.status == "ok"]
    costs = [measures["cost"] for measures in cells if "cost" in measures]
    speeds = [measures["images_per_second"] for measures in cells if measures.get("images_per_second")]

    def most(name: str, where: str) -> Any:
        return max((cost[name][where] for cost in costs if cost[name].get(where)), default=None)

    return {
        "images_per_second": round(min(speeds), 3) if speeds else None,
        **{f"{work}_s": round(sum(cost["seconds"][work] for cost in costs), 3) if costs else None for work in WORK},
        "peak_memory_bytes": most("peak_memory_bytes", "host"),
        "peak_device_memory_bytes": most("peak_memory_bytes", "device"),
        "forward_flops": costs[0]["forward_flops"] if costs else None,
    }


def columns_of(board: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    """Return title -> text of a row, for a table of costs."""
    costs = {id(row): record(row) for row in board}

    def column(name: str, scale: float = 1.0) -> Callable[[Row], str]:
        def text(row: Row) -> str:
            value = costs[id(row)][name]
            return "-" if value is None else f"{value / scale:,.1f}"

        return text

    found = {
        "images/s": column("images_per_second"),
        **{f"{work} s": column(f"{work}_s") for work in WORK},
        "memory GB": column("peak_memory_bytes", 1e9),
    }
    if any(cost["peak_device_memory_bytes"] for cost in costs.values()):
        found["device GB"] = column("peak_device_memory_bytes", 1e9)
    return {**found, "GFLOP/image": column("forward_flops", 1e9)}
