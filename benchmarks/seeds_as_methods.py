"""Count false differences among trainings of one method, and write them into docs/statistics.md.

    python benchmarks/seeds_as_methods.py RUNS

RUNS holds rows of six seeds on one fixed split, such as of

    fer-bench run --dataset fer2013 --limit 2100 --protocol kfold --folds 2 --backbone mini-xception \
        --strategy 'scratch[epochs=5]' --strategy 'scratch[epochs=5,learning_rate=0.003]' \
        --strategy 'finetune[epochs=5,from_stage=0]' --split-seeds 0 --seeds 0,1,2,3,4,5 --runs-dir RUNS

Seeds of one row are one method, so every difference among them is false. They are compared one by one, as boards of one
seed would do, and three against three, by the two variances of the core; the gate is asked likewise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.noninferiority import judge_estimates
from fer_bench.reports.comparison import measure_row
from fer_bench.results.predictions import Predictions
from fer_bench.results.rows import MethodRow, read_rows

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- Written by benchmarks/seeds_as_methods.py. -->", "<!-- End of what seeds_as_methods.py writes. -->"
MARGINS = (0.02, 0.05)


def count(pooled: Predictions) -> Iterator[tuple[str, int, int]]:
    """Yield what is asked of the trainings of one row, how often the answer is a difference, and of how many cases."""
    trainings = np.unique(pooled.training)
    assert len(trainings) == 6, f"{len(trainings)} trainings; expected six"

    def estimate(*chosen: int) -> Estimate:
        rows = np.flatnonzero(np.isin(pooled.training, trainings[list(chosen)]))
        return measure_row(STANDARD["uar"], pooled.take(rows))

    single = [estimate(index) for index in range(6)]
    pairs = [compare_estimates(first, second) for first, second in combinations(single, 2)]
    yield (
        "one seed against another: p at most .05 (a board of one seed gives them no letter)",
        sum(found.differs for found in pairs),
        len(pairs),
    )
    halves = [(half, tuple(sorted({*range(6)} - {*half}))) for half in combinations(range(6), 3) if 0 in half]
    thirds = [compare_estimates(estimate(*half), estimate(*rest)) for half, rest in halves]
    yield "three seeds against three, two variances: p at most .05", sum(found.differs for found in thirds), len(thirds)
    for margin in MARGINS:
        terms = {"identical": False, "margin": margin, "alpha": 0.05}
        units = pooled.n_units
        alone = [judge_estimates(first, second, units, **terms).verdict for first, second in permutations(single, 2)]
        yield f"gate FAILs, margin {100 * margin:g} points, one seed against one", alone.count("FAIL"), len(alone)
        others = [estimate(*({*range(6)} - {index})) for index in range(6)]
        kept = [judge_estimates(other, one, units, **terms).verdict for other, one in zip(others, single, strict=True)]
        yield (
            f"gate FAILs, margin {100 * margin:g} points, five seeds frozen, against the sixth",
            kept.count("FAIL"),
            len(kept),
        )


def describe(rows: dict[str, MethodRow]) -> list[str]:
    """Return the lines of the page: the rows with their scores, the counts of each, and the pairs of rows."""
    pooled = {row.experiment.strategy.text: row.predictions for row in rows.values() if row.predictions is not None}
    images = max(predictions.n_samples for predictions in pooled.values())
    counted = {name: list(count(predictions)) for name, predictions in pooled.items()}
    lines = [f"Of {images:,} images, six seeds of each strategy:", ""]
    lines += ["| | " + " | ".join(f"`{name}`" for name in pooled) + " | together |"]
    lines += ["| --- |" + " ---: |" * (len(pooled) + 1)]
    scores = [100 * measure_row(STANDARD["uar"], predictions).scores for predictions in pooled.values()]
    means = " | ".join(f"{each.mean():.1f}, {each.std(ddof=1):.1f}" for each in scores)
    lines += [f"| UAR %, standard deviation over seeds in points | {means} | |"]
    for answers in zip(*counted.values(), strict=True):
        total = f"{sum(false for _, false, _ in answers)} of {sum(cases for _, _, cases in answers)}"
        shown = " | ".join(f"{false} of {cases}" for _, false, cases in answers)
        lines += [f"| {answers[0][0]} | {shown} | {total} |"]
    lines += ["", "The strategies against one another, six seeds each, two variances:", ""]
    lines += ["| pair | difference of the UAR, points | 95 % interval | p |", "| --- | ---: | ---: | ---: |"]
    for (first, one), (second, other) in combinations(pooled.items(), 2):
        gap = compare_estimates(*(measure_row(STANDARD["uar"], each) for each in (one, other)))
        p = "< 0.001" if gap.p_value < 0.001 else f"{gap.p_value:.3f}"
        ends = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
        lines += [f"| `{second}` less `{first}` | {100 * gap.value:+.1f} | {ends} | {p} |"]
    return lines


def main(runs: Path) -> None:
    """Print the lines and put them between the marks of the page."""
    rows, damaged = read_rows(runs)
    assert not damaged, damaged
    text = "\n".join(describe(rows))
    print(text)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
