"""Linear probe: how much of the task the frozen features already hold (Alain & Bengio, arXiv:1610.01644)."""

from __future__ import annotations

from pydantic import Field

from fer_bench.specs import ConvexPhase, Params, Plan


class LinearProbeParams(Params):
    """Parameters of the linear probe."""

    c: float = Field(0.01, ge=1e-9, le=1e9, description="inverse strength of the L2 penalty, as in scikit-learn")
    standardize: bool = Field(True, description="scale each feature by mean and deviation of the training part")
    max_iterations: int = Field(500, ge=1, le=100_000, description="L-BFGS iterations at most")
    tolerance: float = Field(
        1e-5, ge=1e-12, le=1, description="stop when no gradient entry of the mean loss exceeds it"
    )


def plan(params: LinearProbeParams) -> Plan:
    """Return the plan of one convex phase."""
    return Plan(phases=(ConvexPhase(**params.model_dump()),))
