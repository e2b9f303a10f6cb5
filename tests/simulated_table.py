"""The table of docs/statistics.md: what was measured of each claim, and whether the code of then is the code of now."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from simulated_claim import Claim

from fer_bench.syntax import read_module

ROOT = Path(__file__).parents[1]
PAGE, MEASURED = ROOT / "docs" / "statistics.md", ROOT / "tests" / "simulated.json"
BEGIN, END = "<!-- Written by tox run -e simulate. -->", "<!-- End of what tox run -e simulate writes. -->"
HEAD = ["| claim | setting | promised | measured | Monte Carlo error |", "| --- | --- | ---: | ---: | ---: |"]
EVALUATION = ROOT / "fer_bench" / "evaluation"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of a claim.

    Attributes:
        share: of cases, or the mean of a ``MeanClaim``.
        error: its Monte Carlo error, one standard error.
        seconds: of processor time that it took.
        code: ``digest_code`` at that time.
    """

    share: float
    error: float
    seconds: float
    code: str


def find_modules(name: str) -> list[Path]:
    """Return the files that decide what the claims of a module of ``tests`` measure.

    Imports are followed within the simulations and within the room of evaluation. A module of another room counts
    itself: what it imports in turn is seldom about numbers. Modules in no room hold types and messages.
    """
    files: set[Path] = set()
    names = [name]
    while names:
        name = names.pop()
        place = ROOT.joinpath(*name.split(".")) if name.startswith("fer_bench.") else ROOT / "tests" / name
        file = place.with_suffix(".py")
        if file in files or file.parent == ROOT / "fer_bench" or not file.is_file():
            continue
        files.add(file)
        if file.parent in (ROOT / "tests", EVALUATION):
            names += [imported for level, imported in read_module(file).imports if not level]
    return sorted(files)


@functools.cache
def digest_code(name: str) -> str:
    """Return what stands for the code that claims of a module of ``tests`` depend on: its syntax, not its comments."""
    lines = [f"{file.relative_to(ROOT).as_posix()} {read_module(file).digest}" for file in find_modules(name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def read_measured() -> dict[str, Measured]:
    """Return what was measured of each claim, by ``Claim.title``."""
    return {title: Measured(**row) for title, row in json.loads(MEASURED.read_text(encoding="utf-8")).items()}


def write_measured(measured: Mapping[str, Measured]) -> None:
    """Write what was measured, one claim a line."""
    lines = [f"{json.dumps(title)}: {json.dumps(asdict(row))}" for title, row in sorted(measured.items())]
    MEASURED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def to_table(every: Iterable[tuple[Claim, str]], measured: Mapping[str, Measured]) -> str:
    """Return the table of all claims that were measured, in Markdown.

    Args:
        every: claims, each with the digest of its code as it is now.
        measured: by title.
    """
    rows = [
        claim.to_row(row.share, row.error, earlier=row.code != code)
        for claim, code in every
        if (row := measured.get(claim.title))
    ]
    return "\n".join([*HEAD, *rows])


def read_table(page: str) -> str:
    """Return the table that stands in a page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def write_table(table: str) -> None:
    """Put a table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
