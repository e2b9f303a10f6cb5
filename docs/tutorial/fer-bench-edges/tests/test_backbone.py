"""The package keeps fer-bench's rules for backbones."""

import pytest

from fer_bench.testing.conformance import cases


@pytest.mark.parametrize("case", cases("edges"), ids=str)
def test_keeps_the_rules(case):
    case.check()
