"""A row of the leaderboard: what was asked, what it scored, and what is said of it beside the other rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fer_bench.evaluation.chance import Chance
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports import comparison
from fer_bench.results.canonical import Amount, Record
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import Board, Experiment
from fer_bench.results.store import StoredCell

BASELINE = "majority-class"


@dataclass(frozen=True, kw_only=True)
class Score(Record):
    """A metric of a row.

    Attributes:
        mean: over seeds, of the metric of all predictions of a seed: its folds are pooled.
        std: sample standard deviation of single folds, of all seeds; None for a single cell. It is the spread of the
            folds, not the standard error of the mean.
    """

    mean: float
    std: Amount | None


@dataclass(frozen=True, kw_only=True)
class Sources(Record):
    """By how much the metric that orders the rows varies, each a standard deviation in the metric's unit.

    Attributes:
        subjects: of the score, over other draws of as many subjects (or images where no subject is known): its standard
            error given what was trained. None of one subject.
        folds: of single folds within a seed; None of one fold.
        seeds: of the score of single seeds, for all folds that they trained on; 0 where they agree, None of one seed.
        trainings: of the score of seeds that trained on the same folds; None where no two did.
    """

    subjects: Amount | None
    folds: Amount | None
    seeds: Amount | None
    trainings: Amount | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the leaderboard.

    Attributes:
        experiment: what its cells have in common; of the baseline, those of the first method beside it.
        baseline: whether it is the majority class of the training part.
        seeds: how many trainings of all folds.
        split_seeds: on how many splits they trained, where ``--split-seeds`` dealt them; 0 where each deals its own.
        scores: metric -> score; empty if no cell is ok.
        metric: the metric that orders the rows.
        interval: of that metric, for other people and other seeds, in cross-validation to train on, too; None if it
            cannot be told.
        no_jackknife: why the interval does without the jackknife that was begun; else empty.
        sources: what the metric varies by; None without any cell that is done.
        lacking: cells that are done whose test part lacks a class that others of the seed have.
        chance: what guessing reaches on the cells that are done; None without any.
        stochastic: whether the training is random, as far as one seed shows it: whether it has epochs. With several
            seeds the results tell, and it is False.
        standing: tier, rank interval and what else the board's tests say; None for the baseline, where cells are
            missing, and where the training is stochastic and one seed tells nothing of it.
        ok: cells that are done.
        failed: cells that failed.
        parameters: of backbone and head, and ``trained_parameters``, those that the strategy trained; None if
            no cell is ok.
        seconds: to compute the row from nothing: features once, and all fits; None if no cell is ok.
        converged: whether the training of every cell met its stopping rule.
        errors: messages of the failed cells, each once.
        variant: tells rows apart that look alike but come from other code, weights, data or versions; else empty.
        older: how many rows are left out that differ from it only in code and were made before it.
        planned: whether a comparison that was planned before the run is about it; None without a plan.
        faults: messages of the metrics of plugins that failed on it.
        cells: the stored cells of the row, those of the methods beside it for the baseline.
        pooled: predictions of all its cells; None without any.
    """

    experiment: Experiment
    baseline: bool
    seeds: int
    split_seeds: int
    scores: dict[str, Score]
    metric: Metric
    interval: Interval | None
    no_jackknife: str
    sources: Sources | None
    lacking: int
    chance: Chance | None
    stochastic: bool
    standing: comparison.Standing | None = None
    ok: int
    failed: int
    parameters: int | None
    trained_parameters: int | None
    seconds: float | None
    converged: bool
    errors: tuple[str, ...]
    variant: str = ""
    older: int = 0
    planned: bool | None = None
    faults: tuple[str, ...]
    cells: tuple[StoredCell, ...] = field(repr=False, compare=False)
    pooled: Predictions | None = field(repr=False, compare=False)

    @property
    def finished(self) -> str:
        """When the last of its cells was stored, in UTC as ISO 8601."""
        return max(cell.finished for cell in self.cells)

    @property
    def dataset(self) -> str:
        """As the user typed it."""
        return self.experiment.dataset.text

    @property
    def backbone(self) -> str:
        """As the user typed it; empty for the baseline."""
        return "" if self.baseline else self.experiment.backbone.text

    @property
    def strategy(self) -> str:
        """As the user typed it."""
        return BASELINE if self.baseline else self.experiment.strategy.text

    @property
    def method(self) -> str:
        """What tells it from the others of its board: backbone, strategy and, where they do not, the rest."""
        return " / ".join(filter(None, (self.backbone, self.strategy, self.trained_on, self.variant)))

    @property
    def score(self) -> float:
        """The metric that orders the rows, of a row that has scores."""
        return self.scores[self.metric.name].mean

    @property
    def id(self) -> str:
        """Sha256 of what its cells have in common; of the baseline, of the task."""
        return self.experiment.task_id if self.baseline else self.experiment.id

    @property
    def precision(self) -> Literal["", "float32", "bfloat16"]:
        """Of the products; empty for the baseline."""
        return "" if self.baseline else self.experiment.backbone.precision

    @property
    def limit(self) -> int | None:
        """Of the class-balanced subset, or None."""
        return self.experiment.dataset.limit

    @property
    def synthetic(self) -> bool:
        """Whether a program drew the images."""
        return self.experiment.dataset.synthetic

    @property
    def protocol(self) -> str:
        """Its name, with what else decides its folds."""
        return self.experiment.protocol.text

    @property
    def ignores(self) -> tuple[str, ...]:
        """What is known to belong together but may stand in training and test: subject, sequence, copy."""
        return self.experiment.protocol.ignores

    @property
    def labels(self) -> str:
        """The label set, ``native`` for a data set's own labels."""
        return self.experiment.dataset.labels.set

    @property
    def trained_on(self) -> str:
        """What trains, if it is not only the tested data set; else empty."""
        return self.experiment.trained_on

    @property
    def folds(self) -> int:
        """K."""
        return self.experiment.protocol.folds

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.experiment.dataset.classes

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.class_names)

    @property
    def n(self) -> int:
        """Distinct samples that were tested."""
        return 0 if self.pooled is None else self.pooled.n_samples

    @property
    def faces(self) -> float | None:
        """Share of the images in which a face was found; None where none was looked for."""
        counts = (cell.measures.faces for cell in self.cells if cell.ok)
        return next((known.coverage for known in counts if known), None)

    @property
    def tier(self) -> str:
        """Letters of the row; empty without a standing."""
        return self.standing.tier if self.standing else ""

    @property
    def subject(self) -> Board:
        """What is the same for all rows that may be compared."""
        return self.experiment.board
