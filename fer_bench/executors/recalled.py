"""Models that ``run --keep`` wrote beside cells, to predict other images as after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jax
import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.executors.cells import Frozen, guarded, material_of
from fer_bench.executors.grid import Block, Job
from fer_bench.executors.kept import file_of
from fer_bench.executors.reporting import Reporter
from fer_bench.learning.calibration import Scaling
from fer_bench.learning.engine import by_images
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.material import Material, Predictor
from fer_bench.learning.prediction import finish
from fer_bench.learning.state import Model
from fer_bench.models import files
from fer_bench.models.model import lay_over
from fer_bench.results.predictions import read_matrix
from fer_bench.results.store import StoredCell
from fer_bench.specs import GradientPhase, Plan
from fer_bench.tasks.crops import as_errors


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A kept model: its plan, `fer_bench.learning.material.Outcome.predictor`, and how it is calibrated."""

    plan: Plan
    predictor: Predictor
    scaling: Scaling | None


@dataclass(eq=False)
class KeptModels:
    """Models in a runs folder.

    Attributes:
        runs_dir: the folder.
        frozen: the frozen stages of the blocks.
        reporter: is told of models that cannot be used.
    """

    runs_dir: Path
    frozen: Frozen
    reporter: Reporter
    _recall: dict[tuple[int, int], Callable[[Mapping[str, jax.Array]], Predictor]] = field(
        default_factory=dict[tuple[int, int], Callable[[Mapping[str, jax.Array]], Predictor]]
    )

    def find(self, block: Block, job: Job, cell: StoredCell) -> KeptModel | None:
        """Return the model of a cell.

        Returns:
            None where none is kept, where only a head was trained, which is fitted again in seconds, and where it does
            not predict what the cell predicted, to the bit.
        """
        plan, file = _plan_of(block, job, cell), file_of(self.runs_dir, cell.id)
        if not isinstance(plan.phases[-1], GradientPhase) or not file.is_file():
            return None
        model = guarded(lambda: self._read(file, plan, block, job, cell), block)
        if isinstance(model, KeptModel):
            return model
        self.reporter.warn(f"the model of {job.cell} is trained again, since the kept one is not its: {model}")
        return None

    def _read(self, file: Path, plan: Plan, block: Block, job: Job, cell: StoredCell) -> KeptModel | str:
        """Return a model, or why it is not that of the cell."""
        source, material = self.frozen.source, material_of(block, self.frozen)
        try:
            record, table = files.read(file)
            if record.cell != cell.id or record.stages != source.digests():
                return "it belongs to another cell or to other weights"
            numbers = lay_over(source.built, table, len(block.task.classes))
        except FerBenchError as error:
            return str(error)
        key = id(block), id(plan)
        if key not in self._recall:
            self._recall[key] = _prepare(plan, material)
        predictor, calibration = self._recall[key](numbers), cell.measures.calibration
        scaling = None if calibration is None else Scaling(**asdict(calibration))
        tested, task = np.flatnonzero(job.fold.test), block.task
        answers = finish(plan, predictor(material)(tested), material.sequence_codes()[tested], scaling)
        if not _same(as_errors(answers, task.labels[tested], task.found[tested]), cell):
            return "it predicts other probabilities"
        return KeptModel(plan, predictor, scaling)


def _prepare(plan: Plan, material: Material) -> Callable[[Mapping[str, jax.Array]], Predictor]:
    """Return what makes a predictor of all numbers of a backbone and a head, by name.

    Programs are compiled once for all models of the plan, whose last phase is one of gradients.
    """
    last, backbone = plan.phases[-1], material.backbone(None)
    assert isinstance(last, GradientPhase), "heads are fitted again"
    begun = Model.first(backbone, material.classes)
    trainer = Trainer(backbone, last, begun.shapes)

    def recall(numbers: Mapping[str, jax.Array]) -> Predictor:
        parameters, others = ({name: numbers[name] for name in part} for part in (begun.parameters, begun.others))
        return by_images(plan, trainer, Model(parameters, others))

    return recall


def _plan_of(block: Block, job: Job, cell: StoredCell) -> Plan:
    """Return the plan that trained a cell: where settings are searched, that of the chosen ones."""
    chosen = cell.measures.search
    if block.search is None or chosen is None:
        return block.plan
    trials = block.search.draw(job.cell.seed)
    return next((trial.plan for trial in trials if trial.settings == chosen.settings), block.plan)


def _same(answers: Array, cell: StoredCell) -> bool:
    stored = read_matrix(cell.table())
    return np.array_equal(answers.astype(stored.dtype), stored)
