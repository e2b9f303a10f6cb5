"""What a user should know of a run before it begins, one line each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fer_bench.corruption import KINDS, Corruption
from fer_bench.data.texts import compute
from fer_bench.learning.trials import Search
from fer_bench.networks import answers
from fer_bench.registry import Component
from fer_bench.results.records import Cell
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneSpec
from fer_bench.tasks.folds import Split
from fer_bench.tasks.task import Task


def notes_on_folds(task: Task, split: Split, why: str) -> list[str]:
    """Return which protocol deals a data set to folds and why, and what the folds leave out of other data sets."""
    first, *added_views = task.parts
    folds = number_of(len(split.folds), "fold")
    nameless = compute.equal(first.texts("subject"), "").true_count if "subject" in task.known else 0
    without = f"; {number_of(nameless, 'image has', 'images have')} no subject" if nameless else ""
    notes = [f"{first.dataset}: {number_of(len(first.rows), 'image')}, {split.text} with {folds} ({why}{without})."]
    if added_views:
        dropped = sum(int((~(fold.train | fold.test | fold.valid)[task.part > 0]).sum()) for fold in split.folds)
        if dropped:
            notes.append(
                f"{first.dataset}: {number_of(dropped, 'image')} of other data sets that share a person, "
                "sequence or copy with a "
                f"tested image are left out of training, summed over {folds}."
            )
    return notes


def notes_on_task(task: Task, split: Split) -> list[str]:
    """Return what a user should know of the data that train, of labels, faces and preparation."""
    first, *added_views = task.parts
    notes: list[str] = []
    if added_views:
        added = " and ".join(f"{view.dataset} ({number_of(len(view.rows), 'image')})" for view in added_views)
        trained = "trained on" if split.protocol.spec.trains_on_others else "trained also on"
        notes.append(f"{first.dataset}: {trained} {added}.")
    notes += [f"{view.dataset}: {text}" for view in task.parts if (text := view.describe_labels())]
    notes += [f"{view}: {view.faces.note()}" for view in task.parts if view.faces]
    notes += [f"{view.dataset}: {warning}" for view in task.parts for warning in view.prepared.warnings]
    return notes


def notes_on_backbone(backbone: Component[BackboneSpec], task: Task) -> list[str]:
    """Return what is to be known of a finished classifier before believing its score.

    Raises:
        FerBenchError: it knows no class of the task, or its plugin failed.
    """
    spec, classes = backbone.spec, answers.known(backbone)
    remarks = backbone.ask(f"say what is to be known of {str(backbone)!r}", spec.notes) if spec.notes else ()
    notes = [f"{backbone}: {text}" for text in remarks]
    return [*notes, f"{backbone} on {task.name}: {answers.describe(classes, task.classes)}."] if classes else notes


def notes_on_search(search: Search | None, seeds: Sequence[int]) -> list[str]:
    """Return how many trainings a search takes in each cell; nothing where nothing is searched."""
    if search is None:
        return []
    trials = max(len(search.draw(seed)) for seed in seeds)
    few = " (all that the space has)" if trials < search.trials else ""
    how = ", most of them on few samples" if search.space.method == "halving" else ""
    return [
        f"{search.text}: in each cell {number_of(trials, 'setting')}{few} x {search.inner} inner folds "
        "and one final training: "
        f"{number_of(trials * search.inner + 1, 'training')}{how}."
    ]


def notes_on_splits(task: Task, split_seeds: Sequence[int], used: Collection[int]) -> list[str]:
    """Return which of ``--split-seeds`` are not ``used``, since they deal nothing new to any strategy."""
    repeated = ", ".join(str(seed) for seed in split_seeds if seed not in used)
    return (
        [f"{task.name}: split seeds {repeated} give the same folds as those before, and are left out."]
        if repeated
        else []
    )


def notes_on_jackknife(task: Task, cells: Sequence[Cell]) -> list[str]:
    """Return how many trainings of the cells of a data set are those of a jackknife; nothing without one."""
    further = sum(bool(cell.protocol.pairs_of) for cell in cells)
    if not further:
        return []
    return [
        f"{task.name}: a jackknife takes {number_of(further, 'training')} without two folds beside the "
        f"{len(cells) - further} without one; the interval of a score then knows what other training data would change."
    ]


def notes_on_corruptions(task: Task, corruptions: Sequence[Corruption]) -> list[str]:
    """Return which corruptions hide a part of the image at random, since nothing says where the face has its parts."""
    hidden = list(dict.fromkeys(one.kind for one in corruptions if KINDS[one.kind].part))
    if not hidden or task.parts[0].faces is not None:
        return []
    return [
        f"{task.name}: no landmarks are known, so the bar of {' and '.join(hidden)} lies anywhere in the image; with "
        "--faces align or box it lies on that part of the face."
    ]
