"""Fine-tuning strategies for fer-bench."""

from __future__ import annotations

from fer_bench import hookimpl
from fer_bench.specs import StrategySpec

from .linear_probe import LinearProbeParams


@hookimpl
def fer_bench_strategies() -> list[StrategySpec]:
    """Return the strategies of this package."""
    return [
        StrategySpec(
            name="linear-probe",
            summary="logistic regression on the frozen backbone's features",
            plan="fer_bench_strategies.linear_probe:plan",
            params=LinearProbeParams,
        )
    ]
