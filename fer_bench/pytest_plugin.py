"""``pytest --fer-baseline DIR``: a test for each row of a baseline, after all others.

Nothing else is imported until the option is used, so that it costs other projects nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fer_bench.errors import FerBenchError


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the gate."""
    group = parser.getgroup("fer-bench", "hold the accuracy of a frozen baseline (fer-bench check)")
    group.addoption("--fer-baseline", metavar="DIR", help="test every row of this frozen baseline")
    group.addoption("--fer-runs-dir", metavar="DIR", default="runs", help="results to test; default: runs")
    group.addoption("--fer-metric", metavar="NAME", default="uar", help="default: uar")
    group.addoption("--fer-margin", metavar="X", type=float, default=0.02, help="smallest drop that matters; 0.02")
    group.addoption("--fer-alpha", metavar="X", type=float, default=0.05, help="error rate of each bound; 0.05")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Append a test for each row; the runs are read when it runs, since earlier tests may make them."""
    folder = config.option.fer_baseline
    if not folder:
        return
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.results.baseline import load

    try:
        find_metric(config.option.fer_metric)
        names = list(load(Path(folder)))
    except FerBenchError as error:
        raise pytest.UsageError(str(error)) from None
    items += [BaselineItem.from_parent(session, name=f"fer-baseline[{name}]", row=name) for name in names]


class BaselineItem(pytest.Item):
    """A row of the baseline as a test. UNDERPOWERED fails too: such data could not show a drop."""

    def __init__(self, *, row: str, **arguments: Any):
        super().__init__(**arguments)
        self.row = row

    def runtest(self) -> None:
        """Run the gate and look up this row."""
        option = self.config.option
        from fer_bench.evaluation.installed import find_metric
        from fer_bench.reports import gate

        metric = find_metric(option.fer_metric)
        folders = Path(option.fer_baseline), Path(option.fer_runs_dir)
        try:
            report = gate.check(*folders, metric, option.fer_margin, option.fer_alpha)
        except FerBenchError as error:
            raise GateFailure(str(error)) from None
        (row,) = (row for row in report.rows if row.name == self.row)
        if row.verdict != "PASS":
            raise GateFailure(f"{row.verdict}: {row.name}: {row.message()}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message alone; our own code is of no interest to whom it fails for."""
        if isinstance(excinfo.value, GateFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where the test stands: in the baseline."""
        return Path(self.config.option.fer_baseline), None, self.name


class GateFailure(Exception):
    """A row did not pass."""
