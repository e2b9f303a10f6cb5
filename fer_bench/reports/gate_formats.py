"""The gate's report as a table, JUnit XML and GitHub annotations."""

from __future__ import annotations

from xml.etree import ElementTree

from fer_bench.foreign import visible
from fer_bench.reports.gate import CheckedRow, GateReport
from fer_bench.reports.table import Cell, Column, Shown, Table, numbers

COLUMNS = (
    *(Column("verdict"), Column("row")),
    *numbers("baseline", "now", "difference", "bounds"),
    *(Column("p", "number", optional=True), Column("n", "number", optional=True)),
)


def to_table(report: GateReport) -> Table:
    """Return a row for each row of the baseline, scores in the metric's unit; notes name what the gate must say."""
    notes: list[str] = []
    for row in report.rows:
        notes += [f"{row.verdict}: {row.name}: {row.message()}", *row.fallen()] if _must_speak(row) else []
    notes += [f"not in the baseline, not tested: {name}" for name in report.new]
    notes += [f"left out: {message}" for message in report.damaged]
    return Table("", COLUMNS, tuple(map(_cells, report.rows)), tuple(notes))


def summary(report: GateReport) -> str:
    """Return the verdict in a sentence."""
    counts = {name: sum(row.verdict == name for row in report.rows) for name in ("PASS", "FAIL", "UNDERPOWERED")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    terms = f"margin {report.terms.margin:g}, alpha {report.terms.alpha:g}"
    tolerated = report.verdict == "UNDERPOWERED" and not report.terms.fails("UNDERPOWERED")
    told += ", taken as a warning" if tolerated else ""
    return f"{report.verdict}: {told} (paired non-inferiority of {report.terms.metric.title}, {terms})"


def to_junit(report: GateReport) -> str:
    """Return the report as JUnit XML: a test case a row; UNDERPOWERED is a failure or, as a warning, a skipped test."""
    fails = report.terms.fails
    failures = sum(fails(row.verdict) for row in report.rows)
    skipped = sum(row.verdict != "PASS" for row in report.rows) - failures
    counts = {"tests": str(len(report.rows)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    root = ElementTree.Element("testsuites", {"name": "fer-bench check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"fer-bench check {report.terms.metric.name}", **counts})
    for row in report.rows:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "fer_bench.check", "name": visible(row.name)})
        message = visible(row.message())
        if row.verdict == "PASS":
            ElementTree.SubElement(case, "system-out").text = message
        elif fails(row.verdict):
            accepted = [f"to accept the drop as meant: {report.acceptance}"] if report.acceptance else []
            text = "\n".join([message, *map(visible, [*row.fallen(), *accepted])])
            ElementTree.SubElement(case, "failure", {"type": row.verdict, "message": message}).text = text
        else:
            ElementTree.SubElement(case, "skipped", {"message": f"{row.verdict}: {message}"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_annotations(report: GateReport) -> list[str]:
    """Return workflow commands that GitHub shows beside a change: an error for what fails, else a warning."""
    lines: list[str] = []
    for row in report.rows:
        if _must_speak(row):
            level = "error" if report.terms.fails(row.verdict) else "warning"
            text = "%0A".join(map(_escape, [f"{row.name}: {row.message()}", *row.fallen()]))
            lines.append(f"::{level} title=fer-bench {row.verdict}::{text}")
    return lines


def _must_speak(row: CheckedRow) -> bool:
    """Return whether a row did not pass, or passed with a class of which no guard can speak."""
    return row.verdict != "PASS" or bool(row.unguarded)


def _cells(row: CheckedRow) -> tuple[Cell, ...]:
    test = row.test
    if test is None or row.current is None:
        return row.verdict, row.name, row.baseline, "failed", None, None, None, row.samples
    return (
        *(row.verdict, row.name, row.baseline, row.current),
        Shown(f"{test.difference:+.4f}", test.difference),
        Shown(f"{test.low:+.4f} to {test.high:+.4f}", test.low),
        Shown(f"{test.p_value:.3f}", test.p_value),
        Shown(f"{test.units:,} {row.unit}", test.units),
    )


def _escape(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\n", "%0A")
