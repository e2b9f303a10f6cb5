"""Some drawn cases of each kind of the campaign; ``tox run -e campaign`` tries them for minutes."""

from __future__ import annotations

import pytest
from campaign.__main__ import attempt, main
from campaign.kinds import KINDS
from campaign.stock import Stock, open_stock

CASES = {"names-tables": 5, "encodings": 3, "manifests": 3, "brackets": 30, "yaml": 20, "options": 3, "ends": 1}
"""How many are tried of a kind; 2 of the others."""
PROCESSES = ("kill-calls", "kill-writer", "kill-run")
"""Kinds that start processes; one case each."""


@pytest.fixture(scope="module")
def stock(tmp_path_factory) -> Stock:
    with open_stock(tmp_path_factory.mktemp("stock")) as stock:
        yield stock


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_cases_of_each_kind_hold(kind, stock):
    count = 1 if kind in PROCESSES else CASES.get(kind, 2)
    assert [fault for seed in range(count) if (fault := attempt(kind, seed, stock))] == []


def test_a_case_that_fails_is_counted_and_named(monkeypatch, capsys, stock):
    """The campaign would be silent where its cases cannot fail."""

    def fall(draw, stock):
        assert draw.random() < 0.6, "fell"

    monkeypatch.setitem(KINDS, "yaml", fall)
    faults = [attempt("yaml", seed, stock) for seed in range(20)]
    assert {bool(fault) for fault in faults} == {True, False}
    seed = next(seed for seed, fault in enumerate(faults) if fault)
    monkeypatch.setattr("campaign.__main__.open_stock", lambda folder: pytest.MonkeyPatch.context())
    monkeypatch.setattr("sys.argv", ["campaign", "yaml", "--seed", str(seed)])
    assert main() == 1
    printed = capsys.readouterr().out
    assert f"FAILED python -m campaign yaml --seed {seed}\n" in printed
    assert "fell" in printed
    assert ["yaml", "1", "1"] in [line.split()[:3] for line in printed.splitlines()]
