"""The rules that plugins keep, as tests for their authors; ``fer-bench plugins check`` shows the same.

Example::

    import pytest
    from fer_bench.testing.conformance import cases

    @pytest.mark.parametrize("case", cases("my-plugin"), ids=str)
    def test_keeps_the_rules(case):
        case.check()
"""

from __future__ import annotations

from fer_bench.testing.conformance.find import cases, check, find_suites
from fer_bench.testing.conformance.rules import Case, ConformanceRule, Finding, NotApplicable, Suite

__all__ = ["Case", "ConformanceRule", "Finding", "NotApplicable", "Suite", "cases", "check", "find_suites"]
