"""The certificate of groups as a gate: every row of a runs folder, each attribute a case of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.reports.gate import EXIT_CODES, GateTerms, Verdict, check_margin
from fer_bench.reports.gate_formats import GateFinding
from fer_bench.reports.group_check import AttributeCheck, GroupCheck, check_groups
from fer_bench.reports.standing import PERCENT, scale_of
from fer_bench.reports.table import Cell, Column, Field, Table, percent, tabulate
from fer_bench.results.filters import Filters
from fer_bench.results.rows import read_rows


@dataclass(frozen=True, kw_only=True)
class GroupTerms:
    """What the gate asks of groups: ``margin``, the shortfall that matters, and ``fewest`` units of a group."""

    margin: float
    fewest: int


@dataclass(frozen=True, kw_only=True)
class GroupReport:
    """What the certificate says of each row.

    Attributes:
        checks: of each row.
        terms: of the gate: metric, alpha, and whether UNDERPOWERED fails.
        asked: of groups.
    """

    checks: tuple[GroupCheck, ...]
    terms: GateTerms
    asked: GroupTerms

    @property
    def cases(self) -> list[GateFinding]:
        """An attribute of people of a row each."""
        return [
            GateFinding(
                name=f"{check.name}, by {attribute.attribute}",
                verdict=verdict,
                message=_describe(check, attribute),
                fails=self.terms.fails(verdict),
            )
            for check, attribute, verdict in self._decided()
        ]

    @property
    def summary(self) -> str:
        """The verdict of all in a sentence."""
        verdicts = [case.verdict for case in self.cases]
        worst = next(name for name in ("FAIL", "UNDERPOWERED", "PASS") if name in verdicts)
        counted = ", ".join(f"{verdicts.count(name)} {name}" for name in EXIT_CODES if name in verdicts)
        units = " or ".join(sorted({check.unit for check in self.checks}))
        terms = f"margin {self.asked.margin:g}, {self.asked.fewest:,} {units} or more, alpha {self.terms.alpha:g}"
        return f"{worst}: groups: {counted} (each group against all, {self.terms.metric.title}, {terms})"

    def _decided(self) -> list[tuple[GroupCheck, AttributeCheck, Verdict]]:
        pairs = [(check, attribute) for check in self.checks for attribute in check.attributes]
        return [(check, attribute, verdict) for check, attribute in pairs if (verdict := attribute.verdict)]

    def to_table(self) -> Table:
        """Return a row for each attribute of each row, with its worst group; notes name what did not pass."""
        items = self._decided()
        notes = [f"{case.verdict}: {case.name}: {case.message}" for case in self.cases if case.verdict != "PASS"]
        return tabulate(items, FIELDS, "Groups of people", notes)


def gate_groups(runs_dir: Path, terms: GateTerms, asked: GroupTerms, filters: Filters | None = None) -> GroupReport:
    """Check the groups of every row of a runs folder, or of those that ``filters`` name.

    Raises:
        FerBenchError: the margin is not valid, the folder cannot be read, or rows have no groups of people that are
            large enough; all faults at once.
    """
    if faults := check_margin(terms.metric, asked.margin, terms.alpha, "--group-margin"):
        raise FerBenchError(f"The gate cannot test groups by these options:\n{bullet_list(faults)}")
    rows, _ = read_rows(runs_dir)
    filtered = filters.keep(rows.values(), lambda row: row.experiment) if filters else list(rows.values())
    checks: list[GroupCheck] = []
    for row in filtered:
        try:
            check = check_groups(row, terms.metric, asked.margin, asked.fewest, terms.alpha)
        except FerBenchError as error:
            faults.append(str(error))
            continue
        checks.append(check)
        if check.verdict is None:
            faults.append(f"{row.name}: no attribute groups people, only images")
    if faults:
        raise FerBenchError(
            f"--groups cannot test {len(faults)} of {len(filtered)} rows:\n{bullet_list(faults)}\n"
            "Choose rows that have groups, such as with --dataset."
        )
    return GroupReport(checks=tuple(checks), terms=terms, asked=asked)


def _describe(check: GroupCheck, attribute: AttributeCheck) -> str:
    """Return what is shown of the groups that decide the verdict of an attribute."""
    scale, unit = (100, " points") if check.metric.name in PERCENT else (1, "")
    decisive = [group for group in attribute.groups if group.verdict == attribute.verdict]
    margin, unclear = f"{scale * check.margin:g}{unit}", attribute.verdict == "UNDERPOWERED"
    texts = [
        f"{group.name} {scale * group.difference:+z.1f} [{scale * group.low:+z.1f}, {scale * group.high:+z.1f}] to all"
        + (
            f", passes in 80 % of cases with {group.needed:,} {check.unit} if it is no worse"
            if unclear and group.needed
            else ""
        )
        for group in decisive
    ]
    what = {"PASS": "excluded", "FAIL": "shown", "UNDERPOWERED": "neither shown nor excluded"}
    return f"{'; '.join(texts)}; a shortfall of {margin} is {what[attribute.verdict or 'PASS']}"


def _worst(item: tuple[GroupCheck, AttributeCheck, Verdict]) -> tuple[str, Cell]:
    check, attribute, _ = item
    group = min(attribute.groups, key=lambda one: one.difference)
    return group.name, percent(group.difference, (group.low, group.high), scale=scale_of(check.metric), sign="+")


FIELDS: tuple[Field[tuple[GroupCheck, AttributeCheck, Verdict]], ...] = (
    (Column("verdict"), lambda item: item[2]),
    (Column("row"), lambda item: item[0].name),
    (Column("attribute"), lambda item: item[1].attribute),
    (Column("lowest group"), lambda item: _worst(item)[0]),
    (Column("to all", "number"), lambda item: _worst(item)[1]),
)
