"""Each claim of the table in docs/statistics.md in one setting or two, with fewer draws: a failure is a change of code.

`tox run -e simulate` measures every setting.
"""

from __future__ import annotations

import math

import pytest
from simulated_claim import Claim
from simulated_table import PAGE, Measured, find_modules, read_measured, read_table, to_table
from simulation import claims

CLAIMS = list(claims())
ERRORS = 3
"""Monte Carlo errors that few draws may lie beyond a promise: with 1.96, some of 200 tests would fail by chance."""


def choose_settings() -> list[Claim]:
    """Return one setting of each claim, and one more with several seeds where it has any.

    Settings of a claim differ in numbers, and all of them call the same code, where several seeds call more of it.
    Of those with one seed it is the setting that is measured soonest; of the others the last, which has most seeds and
    most noise of training, and so tells a wrong variance best.
    """
    rows = read_measured()
    chosen: dict[tuple[str, bool], tuple[float, Claim]] = {}
    for place, (claim, _) in enumerate(CLAIMS):
        if claim.quick and claim.promised != (0, 1):
            several, row = "seeds" in claim.setting, rows.get(claim.title)
            last = -place if several else row.seconds * claim.quick / claim.draws if row else 0
            key = claim.name, several
            chosen[key] = min(chosen.get(key, (math.inf, claim)), (last, claim), key=lambda each: each[0])
    return [claim for _, claim in chosen.values()]


@pytest.mark.slow
@pytest.mark.parametrize("claim", choose_settings(), ids=lambda claim: f"{claim.name}, {claim.setting}")
def test_every_claim_holds(claim):
    draws = claim.quick * (2 if "seeds" in claim.setting else 1)
    share, error = claim.measure(draws)
    assert claim.held(share, error, ERRORS), f"{share:.3f} of {draws}"


def test_a_broken_claim_is_told_from_one_that_holds():
    asked = Claim(name="x", setting="y", promised=(0.93, 0.97), happens=lambda rng: True)
    shares = (0.915, 0.92, 0.98, 0.985)
    assert [asked.held(share, 0.006) for share in shares] == [False, True, True, False], "1.96 errors are 0.012"
    often = Claim(name="x", setting="y", promised=(0, 0.05), happens=lambda rng: rng.uniform() < 0.4)
    assert not often.held(*often.measure(60))
    seldom = Claim(name="x", setting="y", promised=(0, 0.05), happens=lambda rng: rng.uniform() < 0.03)
    assert seldom.held(*seldom.measure(60))


def test_the_page_has_a_row_for_every_claim_and_marks_those_of_earlier_code():
    measured = read_measured()
    assert [claim.title for claim, _ in CLAIMS if claim.title not in measured] == []
    table = read_table(PAGE.read_text(encoding="utf-8"))
    assert table == to_table(CLAIMS, measured), "run tox run -e simulate, or python tests/simulation.py --mark"


def test_a_row_says_that_its_claim_is_not_held_and_that_its_code_is_an_earlier_one():
    claim = Claim(name="x", setting="y", promised=(0, 0.05), happens=lambda rng: True)

    def row(share: float, code: str) -> str:
        measured = {claim.title: Measured(share=share, error=0.01, seconds=1.0, code=code)}
        return to_table([(claim, "now")], measured).splitlines()[-1]

    assert row(0.04, "now") == "| x | y | 0 to 5 % | 4.0 % | 1.0 |"
    assert row(0.2, "now") == "| x | y | 0 to 5 % | 20.0 %, not held | 1.0 |"
    assert row(0.04, "then") == "| x | y | 0 to 5 % | 4.0 %, earlier code | 1.0 |"


def test_a_row_depends_on_the_code_that_its_numbers_come_from():
    names = {file.stem for file in find_modules("simulated_power")}
    assert {"simulated_power", "simulated_people", "simulated_claim", "power", "estimate", "influence"} <= names
    assert "cross_validation" not in names
    names = {file.stem for file in find_modules("simulated_search")}
    assert {"search", "engine", "optimism"} <= names, "a module of another room counts itself"
    assert "gradient" not in names, "and not what it imports"
