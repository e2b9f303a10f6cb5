"""What a rule is, and what checking one finds."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from fer_bench.errors import bullet_list

SubjectT = TypeVar("SubjectT")
Check = Callable[[SubjectT], Iterable[str]]
_LONGEST = 600
"""Characters of an exception's text; those of jax can fill pages."""


class NotApplicable(Exception):
    """A rule finds nothing to check; the message says why."""


@dataclass(frozen=True)
class ConformanceRule(Generic[SubjectT]):
    """Something that every item of a kind has to do.

    Attributes:
        name: words joined by hyphens.
        expected: what has to hold.
        fix: what an author does where it does not.
        check: yields a line for each fault; it may raise, which is a fault too, or raise `NotApplicable`.
        needs: names of rules without which this one makes no sense; where one of them fails, it is skipped.
    """

    name: str
    expected: str
    fix: str
    check: Check[SubjectT]
    needs: tuple[str, ...] = ()


def rule(
    into: list[ConformanceRule[SubjectT]], *, expected: str, fix: str, needs: Sequence[str] = ()
) -> Callable[[Check[SubjectT]], Check[SubjectT]]:
    """Return a decorator that adds a rule named after its function to a list."""

    def add(check: Check[SubjectT]) -> Check[SubjectT]:
        into.append(ConformanceRule(check.__name__.replace("_", "-"), expected, fix, check, tuple(needs)))
        return check

    return add


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one rule on one item.

    Attributes:
        plugin: that brings the item.
        kind: ``plugin``, ``dataset``, ``protocol``, ``backbone``, ``strategy`` or ``metric``.
        item: as the user asked for it.
        rule: its name.
        status: ``passed``, ``failed`` or ``skipped``.
        found: what was found instead, or why nothing was checked; empty where it passed.
        expected: what has to hold.
        fix: what to do where it does not.
    """

    plugin: str
    kind: str
    item: str
    rule: str
    status: Literal["passed", "failed", "skipped"]
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.item!r} of plugin {self.plugin!r} breaks the rule {self.rule!r}.\n"
            f"Found:\n{self.found}\nExpected: {self.expected}\nTo fix it: {self.fix}"
        )


@dataclass(eq=False)
class Suite(Generic[SubjectT]):
    """All rules of a kind on one item; each is checked once, when it is asked for.

    Attributes:
        plugin: that brings the item.
        kind: of the item.
        item: as the user asked for it.
        subject: what the rules look at.
        rules: in order.
    """

    plugin: str
    kind: str
    item: str
    subject: SubjectT
    rules: Sequence[ConformanceRule[SubjectT]]
    _findings: dict[str, Finding] = field(default_factory=dict[str, Finding])

    def cases(self) -> list[Case]:
        """Return one case a rule."""
        return [Case(self, rule.name) for rule in self.rules]

    def finding(self, name: str) -> Finding:
        """Return the findings of the rule called ``name``."""
        if name not in self._findings:
            (chosen,) = (rule for rule in self.rules if rule.name == name)
            status, text = self._check(chosen)
            self._findings[name] = Finding(
                plugin=self.plugin,
                kind=self.kind,
                item=self.item,
                rule=name,
                status=status,
                found=text,
                expected=chosen.expected,
                fix=chosen.fix,
            )
        return self._findings[name]

    def _check(self, rule: ConformanceRule[SubjectT]) -> tuple[Literal["passed", "failed", "skipped"], str]:
        for name in rule.needs:
            needed = self.finding(name)
            if needed.status != "passed":
                return "skipped", needed.found if needed.status == "skipped" else f"the rule {name!r} comes first"
        faults: list[str] = []
        # Broad on purpose: the author gets a finding for all that an item can do.
        try:
            faults += rule.check(self.subject)
        except NotApplicable as reason:
            return "skipped", str(reason)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of native code is no Exception
            text = " ".join(str(error).split())
            cut = f"{text[:_LONGEST]} …" if len(text) > _LONGEST else text
            faults.append(f"{type(error).__name__}: {cut}")
        return ("failed", bullet_list(faults, 10)) if faults else ("passed", "")


@dataclass(frozen=True, eq=False)
class Case:
    """One rule on one item, for a parametrised test."""

    suite: Suite[Any]
    rule: str

    def __str__(self) -> str:
        return f"{self.suite.item}-{self.rule}"

    def run(self) -> Finding:
        """Check the rule, unless that is done already."""
        return self.suite.finding(self.rule)

    def check(self) -> None:
        """Check the rule as a test.

        Raises:
            AssertionError: the rule is broken; says what was found and expected, and how to fix it.
            unittest.SkipTest: there is nothing to check; pytest shows the reason.
        """
        finding = self.run()
        if finding.status == "failed":
            raise AssertionError(str(finding))
        if finding.status == "skipped":
            raise unittest.SkipTest(finding.found.strip())
