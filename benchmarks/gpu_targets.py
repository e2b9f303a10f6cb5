"""What is asked of an H100, beside what `benchmarks/gpu.py` measured: one line a target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TORCH, USUAL = "torch.compile", "usual"
WHOLE = "whole command on FER2013"
RATE, FIRST = "run beside its bare steps", "first run"
PRODUCT = re.compile(r"product (\d+)x(\d+)x(\d+)")

Answers = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """A figure that is asked for.

    Attributes:
        name: what is measured.
        asked: the bound.
        least: whether the figure shall be no less than the bound; else no more.
        measured: by formulation, `USUAL` being what users get.
    """

    name: str
    asked: float
    least: bool
    measured: dict[str, float]

    def meets(self, figure: float) -> bool:
        """Return whether a figure is on the right side of the bound."""
        return figure >= self.asked if self.least else figure <= self.asked

    def line(self) -> str:
        """Return name, what users get, the bound and whether it is met; then another formulation, if that is better."""
        figure, bound = self.measured.get(USUAL), f"{'>=' if self.least else '<='} {self.asked:g}"
        said = "not measured" if figure is None else "met" if self.meets(figure) else "missed"
        text = f"{self.name:58s} {'-' if figure is None else f'{figure:.4g}':>8s} {bound:>9s}  {said}"
        best = (max if self.least else min)(self.measured, key=lambda name: self.measured[name], default=USUAL)
        return text if best == USUAL else f"{text}; {best}: {self.measured[best]:.4g}"


def rates(answers: Answers) -> dict[tuple[str, int, str], float]:
    """Return images a second by what was timed, batch and program."""
    found: dict[tuple[str, int, str], float] = {}
    for made in answers:
        if isinstance(made["answer"], dict) and "phases" in made["answer"]:
            _, batch, name = made["title"].split(" ", 2)
            for phase in made["answer"]["phases"]:
                found[phase["name"], int(batch), name] = phase["images"] / phase["seconds"]
    return found


def targets(answers: Answers, large: int, small: int) -> Iterator[Target]:
    """Yield all targets.

    Args:
        answers: of the parts, as in ``gpu.json``.
        large: images of a batch.
        small: of a small batch.
    """
    known, by_title = rates(answers), {made["title"]: made for made in answers}
    for work, batch, asked in (("full", large, 1.2), ("forward", 2 * large, 1.2), ("full", small, 1.0)):
        peer = known.get((work, batch, TORCH))
        own = {name: rate for (kind, size, name), rate in known.items() if (kind, size) == (work, batch)}
        ratios = {name: rate / peer for name, rate in own.items() if name != TORCH} if peer else {}
        yield Target(f"{work} at batch {batch}, images/s of those of {TORCH}", asked, True, ratios)
    whole = by_title.get(WHOLE, {}).get("answer") or {}
    yield Target(f"{WHOLE}, s without compilation", 100, False, {USUAL: whole["seconds"]} if whole else {})
    bare = known.get(("full", large, USUAL))
    steps = {USUAL: whole["images"] / whole["row"]["cost"]["train_s"] / bare} if whole and bare else {}
    yield Target(f"{WHOLE}, training of its bare steps", 0.95, True, steps)
    text = by_title.get(RATE, {}).get("text", "")
    cases = re.findall(r"^(.+): ([\d.]+) of the bare rate", text, re.MULTILINE)
    for case, rate in cases or [("fer-bench run", None)]:
        yield Target(f"{case}, of its bare steps", 0.95, True, {USUAL: float(rate)} if rate else {})
    first = re.search(r"compiled for ([\d.]+) s", by_title.get(FIRST, {}).get("text", ""))
    yield Target(
        "first run of linear-probe and finetune, s of compilation", 45, False, {USUAL: float(first[1])} if first else {}
    )
    yield from _operations(by_title.get("operations", {}).get("answer") or [])


def _operations(rows: Sequence[dict[str, Any]]) -> Iterator[Target]:
    """Yield those of single operations: what they take of their floor, and 728 channels beside 768."""
    took: dict[str, dict[str, float]] = {}
    for row in rows:
        if "us" in row:
            took.setdefault(row["operation"], {})[row["formulation"]] = row["us"]
    floors = {row["operation"]: row["floor_us"] for row in rows}
    for operation, times in took.items():
        if not PRODUCT.fullmatch(operation):
            measured = {name: us / floors[operation] for name, us in times.items()}
            yield Target(f"{operation}, of its floor", 1.5, False, measured)
    shapes = {
        tuple(map(int, found.groups())): times for name, times in took.items() if (found := PRODUCT.fullmatch(name))
    }
    for (n, c, d), times in shapes.items():
        wide = shapes.get((n, c + -c % 256, d + -d % 256), {}).get(USUAL)
        if wide and c % 256:
            measured = {name: us / wide for name, us in times.items()}
            yield Target(f"product of {c} channels, time of that of {c + -c % 256}", 1.05, False, measured)


def print_targets(answers: Answers, large: int, small: int) -> None:
    """Print a line for each target."""
    print(f"\n{'target':58s} {'measured':>8s} {'asked':>9s}")
    for target in targets(answers, large, small):
        print(target.line())
