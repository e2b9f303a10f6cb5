from __future__ import annotations

import pytest

from fer_bench.errors import FerBenchError
from fer_bench.learning.plans import make_plan
from fer_bench.registry import Registry
from fer_bench.specs import ConvexPhase


def test_the_probe_is_one_convex_phase_with_the_users_parameters():
    component = Registry.load().strategy("linear-probe[c=0.5,standardize=false,tolerance=1.0e-4]")
    (phase,) = make_plan(component).phases
    assert phase == ConvexPhase(c=0.5, standardize=False, max_iterations=500, tolerance=1e-4)


@pytest.mark.parametrize(
    "text", ["c=0", "c=-1", "c=.inf", "c=.nan", "max_iterations=0", "tolerance=0", "standardize=2"]
)
def test_values_that_make_no_sense_are_refused(text):
    with pytest.raises(FerBenchError, match=r"strategy 'linear-probe'"):
        Registry.load().strategy(f"linear-probe[{text}]")
