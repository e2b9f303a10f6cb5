"""The gate's report as terminal lines, markdown, JUnit XML and GitHub annotations."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from fer_bench.reports.gate import CheckedRow, GateReport

COLUMNS = ("verdict", "row", "baseline", "now", "difference", "bounds", "p", "n")


def table(report: GateReport) -> list[tuple[str, ...]]:
    """Return a line of text cells for each row, as in ``COLUMNS``; scores in the metric's unit."""
    return [_line(row) for row in report.rows]


def summary(report: GateReport) -> str:
    """Return the verdict in a sentence."""
    counts = {name: sum(row.verdict == name for row in report.rows) for name in ("PASS", "FAIL", "UNDERPOWERED")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{report.verdict}: {told} (paired non-inferiority of {report.metric.title}, {_terms(report)})"


def notes(report: GateReport) -> list[str]:
    """Return what is to be said beside the table: each row that did not pass, rows without baseline, cells left out."""
    lines = [f"{row.verdict}: {row.name}: {row.message()}" for row in report.rows if row.verdict != "PASS"]
    lines += [f"not in the baseline, not tested: {name}" for name in report.new]
    return [*lines, *(f"left out: {message}" for message in report.damaged)]


def to_markdown(report: GateReport) -> str:
    """Return the report as a markdown section; names cannot break out of their cells."""
    lines = [f"### fer-bench check: {escape_cell(summary(report))}", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    lines += [f"| {' | '.join(map(escape_cell, line))} |" for line in table(report)]
    if said := notes(report):
        lines += ["", *(f"- {escape_cell(note)}" for note in said)]
    return "\n".join(lines) + "\n"


def to_junit(report: GateReport) -> str:
    """Return the report as JUnit XML: a test case a row; UNDERPOWERED is a failure too, of a type of its own."""
    failures = sum(row.verdict != "PASS" for row in report.rows)
    counts = {"tests": str(len(report.rows)), "failures": str(failures), "errors": "0", "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "fer-bench check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"fer-bench check {report.metric.name}", **counts})
    for row in report.rows:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "fer_bench.check", "name": _printable(row.name)})
        message = _printable(row.message())
        if row.verdict == "PASS":
            ElementTree.SubElement(case, "system-out").text = message
        else:
            ElementTree.SubElement(case, "failure", {"type": row.verdict, "message": message}).text = message
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def to_annotations(report: GateReport) -> list[str]:
    """Return workflow commands that GitHub shows beside a change: an error for FAIL, a warning for UNDERPOWERED."""
    levels = {"FAIL": "error", "UNDERPOWERED": "warning"}
    return [
        f"::{levels[row.verdict]} title=fer-bench {row.verdict}::{_escape(f'{row.name}: {row.message()}')}"
        for row in report.rows
        if row.verdict != "PASS"
    ]


def _line(row: CheckedRow) -> tuple[str, ...]:
    test = row.test
    if test is None or row.current is None:
        return row.verdict, row.name, f"{row.baseline:.4f}", "failed", "", "", "", f"{row.samples:,}"
    return (
        row.verdict,
        row.name,
        f"{row.baseline:.4f}",
        f"{row.current:.4f}",
        f"{test.difference:+.4f}",
        f"[{test.low:+.4f}, {test.high:+.4f}]",
        f"{test.p_value:.3f}",
        f"{test.units:,} {row.unit}",
    )


def _terms(report: GateReport) -> str:
    return f"margin {report.margin:g}, alpha {report.alpha:g}"


def escape_cell(text: str) -> str:
    """Escape what markdown or HTML would read as markup."""
    text = re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _printable(text: str) -> str:
    """Drop the characters that XML 1.0 does not allow."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
