"""Score trained models on corrupted test images: one training, more predictions.

Models that predict from the features of one backbone wait for one another, so that a corrupted image goes through the
network once for all of them; one that was trained by gradients is scored at once, while its checkpoint is there. Images
come in pieces whose outputs are forgotten, so that memory and disk do not grow with their number.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fer_bench.arrays import Array
from fer_bench.corruption import Corruption
from fer_bench.errors import FerBenchError
from fer_bench.executors.cells import Frozen, Trained, guarded, material_of
from fer_bench.executors.grid import Block, Job
from fer_bench.executors.kept import keep_model
from fer_bench.executors.recalled import KeptModels
from fer_bench.executors.work import Work
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning.calibration import Scaling
from fer_bench.learning.material import Material, Outcome, Predictor
from fer_bench.learning.prediction import finish
from fer_bench.networks.pictures import Pictures
from fer_bench.networks.streams import Rows, Stream
from fer_bench.results import corrupted
from fer_bench.results.store import Result, StoredCell
from fer_bench.specs import AnswerPhase, GradientPhase, Plan
from fer_bench.tasks.crops import as_errors
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import View

PIECE = 1024
"""Samples of a task whose images are corrupted and predicted together; a piece begins at a multiple of it, so that what
a model is asked does not depend on which others are asked."""
HELD_BYTES = 1 << 30
"""Of the numbers of models that wait for one another."""


@dataclass(frozen=True, eq=False)
class _Model:
    """A model in memory, and what its cell lacks.

    Attributes:
        block: of the cell.
        job: the cell.
        predictor: `fer_bench.learning.material.Outcome.predictor` of its training.
        scaling: how its probabilities are calibrated.
        plan: of the training; the one that a search chose, where settings are searched.
        cell: as it is stored.
        lacking: corruptions of which it has no predictions.
    """

    block: Block
    job: Job
    predictor: Predictor
    scaling: Scaling | None
    plan: Plan
    cell: StoredCell
    lacking: tuple[Corruption, ...]


@dataclass(eq=False)
class Scorer:
    """Scores the models of blocks that share a task and a backbone.

    Attributes:
        work: is told of each cell once it has all predictions.
        frozen: the frozen stages.
    """

    work: Work
    frozen: Frozen
    _outcomes: dict[int, tuple[Block, Outcome]] = field(default_factory=dict[int, tuple[Block, Outcome]])
    _models: list[_Model] = field(default_factory=list[_Model])
    _bytes: int = 0
    _kept: KeptModels = field(init=False)

    def __post_init__(self) -> None:
        self._kept = KeptModels(self.work.store.runs_dir, self.frozen, self.work.reporter)

    @property
    def waits(self) -> bool:
        """Whether a model waits to be scored."""
        return bool(self._models)

    def hear_of(self, block: Block) -> Trained:
        """Return what is told of each training of a block, which `add` follows; it keeps models that are to be kept."""
        learns = not isinstance(block.plan.phases[0], AnswerPhase) or block.plan.calibrate != "none"

        def trained(job: Job, outcome: Outcome, result: Result) -> None:
            if self.work.keeps_models and learns and not job.cell.protocol.pairs_of:
                keep_model(self.work.store.runs_dir, block, self.frozen.source, job, outcome.learned(), result)
            if self.work.corruptions:
                self._outcomes[id(job)] = block, outcome

        return trained

    def add(self, job: Job, cell: StoredCell) -> None:
        """Score the model of a cell that is stored now, or let it wait for those that share its features."""
        lacking = tuple(corrupted.lacking(cell, self.work.corruptions)) if cell.ok else ()
        entry = self._outcomes.pop(id(job), None)
        if not lacking or entry is None:
            self.work.add(cell)
            return
        block, outcome = entry
        plan = outcome.chosen.trial.plan if outcome.chosen else block.plan
        self._models.append(_Model(block, job, outcome.predictor, outcome.scaling, plan, cell, lacking))
        self._bytes += sum(values.nbytes for values in outcome.learned().table.values())
        if self._bytes > HELD_BYTES or any(isinstance(phase, GradientPhase) for phase in plan.phases):
            self.score()

    def add_kept(self, block: Block, job: Job, cell: StoredCell) -> bool:
        """Score a stored cell by the model that ``--keep`` wrote, and say whether it could be used.

        It is one that was trained by gradients, and predicts what the cell predicted, to the bit.
        """
        lacking = tuple(corrupted.lacking(cell, self.work.corruptions)) if cell.ok else ()
        kept = self._kept.find(block, job, cell) if lacking else None
        if kept is None:
            return False
        self._models.append(_Model(block, job, kept.predictor, kept.scaling, kept.plan, cell, lacking))
        self.score()
        return True

    def score(self) -> None:
        """Score all models that wait.

        Raises:
            FerBenchError: the backbone fails on corrupted images, or the runs folder cannot be written. Cells stay.
        """
        models, self._models, self._bytes = self._models, [], 0
        if not models:
            return
        block = models[0].block
        lacking = [
            corruption for corruption in self.work.corruptions if any(corruption in model.lacking for model in models)
        ]
        tested = [_tested([model for model in models if corruption in model.lacking]) for corruption in lacking]
        self.work.reporter.step(f"corrupted images: {block.task.name} through {block.backbone}", sum(map(len, tested)))
        stream, start = Stream(self.frozen.source), time.perf_counter()
        bases = {id(model): material_of(model.block, self.frozen) for model in models}
        mirrored = any(model.plan.views == "mirror" for model in models)
        for corruption, rows in zip(lacking, tested, strict=True):
            unscored = [model for model in models if corruption in model.lacking]
            pieces = (
                _CorruptedPiece(block.task, corruption, piece, stream, 1 + mirrored)
                for piece in np.split(rows, np.flatnonzero(np.diff(rows // PIECE)) + 1)
            )
            predicted = guarded(functools.partial(self._predict, unscored, bases, pieces), block)
            if isinstance(predicted, str):
                raise FerBenchError(
                    f"Images with {corruption} cannot be predicted: {predicted}. The cells are stored; repeat the "
                    "command without this --corrupt to leave these images out."
                )
            for model, values in zip(unscored, predicted, strict=True):
                corrupted.write(model.cell, corruption, _answers(model, bases[id(model)], values))
        source, seconds = self.frozen.source, time.perf_counter() - start
        source.record_rate(len(source.component.spec.stages), sum(map(len, tested)) / seconds, corrupted=True)
        for model in models:
            self.work.add(model.cell)

    def _predict(
        self, models: Sequence[_Model], bases: Mapping[int, Material], pieces: Iterable[_CorruptedPiece]
    ) -> list[Array]:
        """Return what each model says of its test samples in the pieces.

        Args:
            models: of one corruption.
            bases: the id of a model as an object -> what it was trained on.
            pieces: of the images that any of the models tests, one at a time, since each keeps its outputs.
        """
        parts: list[list[Array]] = [[] for _ in models]
        for piece in pieces:
            for model, answers in zip(models, parts, strict=True):
                own = piece.rows[model.job.fold.test[piece.rows]]
                if len(own):
                    answers.append(model.predictor(piece.material(bases[id(model)]))(own))
            self.work.reporter.advance(len(piece.rows))
        return [np.concatenate(answers) for answers in parts]


def _tested(models: Sequence[_Model]) -> Array:
    """Return the samples that any of some models tests, (k,) int, rising."""
    return np.flatnonzero(np.any([model.job.fold.test for model in models], axis=0))


def _answers(model: _Model, base: Material, probabilities: Array) -> Array:
    """Return what is stored of what a model said of its test samples, as of clean images."""
    tested, task = np.flatnonzero(model.job.fold.test), model.block.task
    answers = finish(model.plan, probabilities, base.sequence_codes()[tested], model.scaling)
    return as_errors(answers, task.labels[tested], task.found[tested])


@dataclass(frozen=True, eq=False)
class _CorruptedPiece:
    """Some corrupted images, and what the frozen stages make of them, computed once.

    Attributes:
        task: of the images.
        corruption: what is done to them.
        rows: (k,) int, samples of the first part.
        stream: the frozen stages.
        variants: 2 for the mirrored image beside each.
    """

    task: Task
    corruption: Corruption
    rows: Array
    stream: Stream
    variants: int
    _made: dict[tuple[int, str], Rows] = field(default_factory=dict[tuple[int, str], Rows])

    def material(self, base: Material, window: str = "") -> Material:
        """Return what a model works on that was trained on ``base``."""
        stages = self.stream.source.component.spec.stages
        return replace(
            base,
            features=lambda: self._outputs(len(stages), window),
            inputs=lambda stop, _: self._outputs(stop, window) if stop else self._pictures(window),
            through=functools.partial(self.material, base),
        )

    def _view(self, window: str) -> View:
        return replace(self.task.parts[0], corruption=self.corruption, window=window)

    def _pictures(self, window: str) -> Inputs:
        added = (replace(view, window=window) for view in self.task.parts[1:])
        windowed = replace(self.task, parts=(self._view(window), *added))
        return Pictures(windowed, self.stream.source.built.input_size)

    def _outputs(self, stop: int, window: str) -> Rows:
        if (stop, window) not in self._made:
            values = self.stream.outputs(self._view(window), self.rows, stop, 1 if window else self.variants)
            self._made[stop, window] = Rows(self.rows, values, len(self.task))
        return self._made[stop, window]
