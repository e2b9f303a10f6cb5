"""``pytest --fer-baseline DIR``: a test for each row of a baseline; ``pytest --fer-check NAME``: one for each rule.

They come after all others. Nothing else is imported until an option is used, so that it costs other projects nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.reports.gate import GateReport, GateTerms
    from fer_bench.testing.conformance import Case


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the gate and of the conformance suite."""
    group = parser.getgroup("fer-bench", "hold the accuracy of a frozen baseline (fer-bench check)")
    group.addoption("--fer-baseline", metavar="DIR", help="test every row of this frozen baseline")
    group.addoption("--fer-runs-dir", metavar="DIR", default="runs", help="results to test; default: runs")
    group.addoption("--fer-metric", metavar="NAME", default="uar", help="default: uar")
    group.addoption("--fer-margin", metavar="X|Npt", default="2pt", help="smallest drop that matters; default: 2pt")
    group.addoption("--fer-alpha", metavar="X", type=float, default=0.05, help="error rate of each bound; 0.05")
    group.addoption(
        "--fer-underpowered",
        metavar="warn|fail",
        default="fail",
        help="a row that the data cannot decide is skipped or fails; default: fail",
    )
    group = parser.getgroup("fer-check", "rules that plugins keep (fer-bench plugins check)")
    group.addoption(
        "--fer-check",
        metavar="NAME",
        action="append",
        default=[],
        help="test each rule for this plugin, data set, backbone, strategy or metric, as in 'my-net[input_size=32]'",
    )


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Append what the options ask for: rules before ``-k`` chooses and others reorder, rows of a baseline after."""
    try:
        for name in config.option.fer_check:
            from fer_bench.testing.conformance import cases

            items += [RuleItem.from_parent(session, name=f"fer-check[{case}]", case=case) for case in cases(name)]
        yield
        if folder := config.option.fer_baseline:
            from fer_bench.reports.gate import check
            from fer_bench.results.baseline import load

            # The runs are read when the first row's test runs, since earlier tests may make them.
            read = cache(partial(check, Path(folder), Path(config.option.fer_runs_dir), _make_terms(config)))
            for row in load(Path(folder)):
                items.append(BaselineItem.from_parent(session, name=f"fer-baseline[{row}]", row=row, read=read))
    except FerBenchError as error:
        raise pytest.UsageError(str(error)) from None


def _make_terms(config: pytest.Config) -> GateTerms:
    """Return what the options ask of the gate."""
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports.gate import GateTerms
    from fer_bench.sizes import parse_points

    option = config.option
    return GateTerms(
        metric=find_metric(option.fer_metric),
        margin=parse_points(option.fer_margin, "--fer-margin"),
        alpha=option.fer_alpha,
        underpowered=option.fer_underpowered,
    )


class MessageItem(pytest.Item):
    """A test that fails only with a message; our own code does not interest the person who reads it."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class RuleItem(MessageItem):
    """A rule of the conformance suite as a test."""

    def __init__(self, *, case: Case, **arguments: Any):
        super().__init__(**arguments)
        self.case = case

    def runtest(self) -> None:
        """Check the rule."""
        self.case.check()

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return what stands for the place of the test: the name of what is checked."""
        return Path(self.case.suite.item), None, self.name


class BaselineItem(MessageItem):
    """A row of the baseline as a test. UNDERPOWERED fails too, unless an option says that it is skipped.

    Attributes:
        row: its name.
        read: runs the gate once for all rows.
    """

    def __init__(self, *, row: str, read: Callable[[], GateReport], **arguments: Any):
        super().__init__(**arguments)
        self.row = row
        self.read = read

    def runtest(self) -> None:
        """Look this row up in what the gate says."""
        try:
            report = self.read()
        except FerBenchError as error:
            raise AssertionError(str(error)) from None
        (row,) = (row for row in report.rows if row.name == self.row)
        message = f"{row.verdict}: {row.name}: {row.message()}"
        if report.terms.fails(row.verdict):
            accepted = [f"to accept the drop as meant: {report.acceptance}"] if report.acceptance else []
            raise AssertionError("\n".join([message, *row.fallen(), *accepted]))
        if row.verdict != "PASS":
            pytest.skip(message)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where the test stands: in the baseline."""
        return Path(self.config.option.fer_baseline), None, self.name
