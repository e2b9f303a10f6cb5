"""Every claim of the table in docs/statistics.md, with fewer draws: a failure is a change of the code."""

from __future__ import annotations

import pytest
from simulated_claim import Claim
from simulation import BEGIN, PAGE, claims

CLAIMS = list(claims())
PROMISES = [claim for claim in CLAIMS if claim.quick and claim.promised != (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("claim", PROMISES, ids=lambda claim: f"{claim.name}, {claim.setting}")
def test_every_claim_holds(claim):
    share, error = claim.measure(claim.quick)
    assert claim.held(share, error), f"{share:.3f} of {claim.quick}"


def test_a_broken_claim_is_told_from_one_that_holds():
    often = Claim(name="x", setting="y", promised=(0, 0.05), happens=lambda rng: rng.uniform() < 0.4)
    assert not often.held(*often.measure(60))
    seldom = Claim(name="x", setting="y", promised=(0, 0.05), happens=lambda rng: rng.uniform() < 0.03)
    assert seldom.held(*seldom.measure(60))


def test_the_page_has_a_row_for_every_claim():
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2]
    missing = [claim for claim in CLAIMS if f"| {claim.name} | {claim.setting} |" not in table]
    assert not missing
