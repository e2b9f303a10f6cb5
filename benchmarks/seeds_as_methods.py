"""Count false differences among trainings of one method: python benchmarks/seeds_as_methods.py RUNS

RUNS holds rows of six seeds on one fixed split, such as of

    fer-bench run --dataset fer2013 --limit 700 --protocol kfold --folds 2 --backbone mini-xception \
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
from fer_bench.results.rows import read_rows

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
    yield "one seed against another: p <= .05", sum(found.differs for found in pairs), len(pairs)
    halves = [(half, tuple(sorted({*range(6)} - {*half}))) for half in combinations(range(6), 3) if 0 in half]
    thirds = [compare_estimates(estimate(*half), estimate(*rest)) for half, rest in halves]
    yield "three seeds against three: p <= .05", sum(found.differs for found in thirds), len(thirds)
    for margin in MARGINS:
        terms = {"identical": False, "margin": margin, "alpha": 0.05}
        units = pooled.n_units
        alone = [judge_estimates(first, second, units, **terms).verdict for first, second in permutations(single, 2)]
        yield f"gate, margin {margin}, one seed against one: FAIL", alone.count("FAIL"), len(alone)
        others = [estimate(*({*range(6)} - {index})) for index in range(6)]
        kept = [judge_estimates(other, one, units, **terms).verdict for other, one in zip(others, single, strict=True)]
        yield f"gate, margin {margin}, five seeds frozen, the sixth: FAIL", kept.count("FAIL"), len(kept)


def main(runs: Path) -> None:
    """Print a line for each row and question, then one for each pair of rows."""
    rows, damaged = read_rows(runs)
    assert not damaged, damaged
    pooled = {name: row.predictions for name, row in rows.items() if row.predictions is not None}
    for name, predictions in pooled.items():
        scores = measure_row(STANDARD["uar"], predictions).scores
        print(f"{name}: UAR {100 * scores.mean():.1f}, SD over seeds {100 * scores.std(ddof=1):.1f} points")
        for question, false, cases in count(predictions):
            print(f"  {question}: {false} of {cases}")
    for (first, one), (second, other) in combinations(pooled.items(), 2):
        found = compare_estimates(*(measure_row(STANDARD["uar"], each) for each in (one, other)))
        print(f"{second} less {first}: {100 * found.value:+.1f} points, p = {found.p_value:.3f}, six seeds")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
