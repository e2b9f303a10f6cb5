"""The gate's report as a table, JUnit XML and GitHub annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from fer_bench.foreign import visible
from fer_bench.reports.gate import EXIT_CODES, CheckedRow, GateReport, Verdict
from fer_bench.reports.table import Cell, Column, Shown, Table, number, numbers, span

COLUMNS = (
    *(Column("verdict"), Column("row")),
    *numbers("baseline", "now", "difference", "bounds"),
    *(Column("p", "number", optional=True), Column("n", "number", optional=True)),
)


@dataclass(frozen=True, kw_only=True)
class GateFinding:
    """What the gate says of a row, or of its groups, for reports of tests.

    Attributes:
        name: of what is tested.
        verdict: what it is.
        message: why, in words.
        fails: whether it makes the gate fail.
        details: lines about what fell.
        accepted: the line that says how to accept a drop, if any.
    """

    name: str
    verdict: Verdict
    message: str
    fails: bool
    details: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


def to_table(report: GateReport) -> Table:
    """Return a row for each row of the baseline, scores in the metric's unit; notes name what the gate must say."""
    notes: list[str] = []
    for row in report.rows:
        notes += [f"{row.verdict}: {row.name}: {row.message()}", *row.fallen()] if row.verdict != "PASS" else []
    notes += [f"not in the baseline, not tested: {name}" for name in report.new]
    notes += [f"left out: {message}" for message in report.damaged]
    return Table("", COLUMNS, tuple(map(_cells, report.rows)), tuple(notes))


def summary(report: GateReport) -> str:
    """Return the verdict in a sentence."""
    counts = {name: sum(row.verdict == name for row in report.rows) for name in ("PASS", "FAIL", "UNDERPOWERED")}
    counted = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    terms = f"margin {report.terms.margin:g}, alpha {report.terms.alpha:g}"
    tolerated = report.verdict == "UNDERPOWERED" and not report.terms.fails("UNDERPOWERED")
    counted += ", taken as a warning" if tolerated else ""
    return f"{report.verdict}: {counted} (paired non-inferiority of {report.terms.metric.title}, {terms})"


def cases_of(report: GateReport) -> list[GateFinding]:
    """Return a case for each row of the baseline."""
    accepted = (f"to accept the drop as meant: {report.acceptance}",) if report.acceptance else ()
    return [
        GateFinding(
            name=row.name,
            verdict=row.verdict,
            message=row.message(),
            fails=report.terms.fails(row.verdict),
            details=tuple(row.fallen()),
            accepted=accepted,
        )
        for row in report.rows
    ]


def find_exit_code(cases: Sequence[GateFinding]) -> int:
    """Return the exit code of the command: of the worst case that fails, 0 without any."""
    failing = {case.verdict for case in cases if case.fails}
    return next((EXIT_CODES[verdict] for verdict in ("FAIL", "UNDERPOWERED") if verdict in failing), 0)


def to_junit(cases: Sequence[GateFinding], metric: str) -> str:
    """Return cases as JUnit XML; UNDERPOWERED is a failure or, as a warning, a skipped test.

    Args:
        cases: one a test case.
        metric: its name.
    """
    failures = sum(case.fails for case in cases)
    skipped = sum(case.verdict != "PASS" for case in cases) - failures
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    root = ElementTree.Element("testsuites", {"name": "fer-bench check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"fer-bench check {metric}", **counts})
    for case in cases:
        item = ElementTree.SubElement(suite, "testcase", {"classname": "fer_bench.check", "name": visible(case.name)})
        message = visible(case.message)
        if case.verdict == "PASS":
            ElementTree.SubElement(item, "system-out").text = message
        elif case.fails:
            text = "\n".join([message, *map(visible, [*case.details, *case.accepted])])
            ElementTree.SubElement(item, "failure", {"type": case.verdict, "message": message}).text = text
        else:
            ElementTree.SubElement(item, "skipped", {"message": f"{case.verdict}: {message}"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_annotations(cases: Sequence[GateFinding]) -> list[str]:
    """Return workflow commands that GitHub shows beside a change: an error for what fails, else a warning."""
    lines: list[str] = []
    for case in cases:
        if case.verdict != "PASS":
            level = "error" if case.fails else "warning"
            text = "%0A".join(map(_escape, [f"{case.name}: {case.message}", *case.details]))
            lines.append(f"::{level} title=fer-bench {case.verdict}::{text}")
    return lines


def _cells(row: CheckedRow) -> tuple[Cell, ...]:
    test = row.test
    if test is None or row.current is None:
        return row.verdict, row.name, row.baseline, "failed", None, None, None, row.samples
    return (
        *(row.verdict, row.name, row.baseline, row.current),
        number(test.difference, "+z.4f"),
        span(test.low, test.high, "+z.4f", 1),
        number(test.p_value, ".3f"),
        Shown(f"{test.units:,} {row.unit}", test.units),
    )


def _escape(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\n", "%0A")
