"""What a kept model was trained on, as its record says: it cannot be tested there, and copies are looked for there."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.claims.claim import ALL
from fer_bench.models.files import ModelRecord
from fer_bench.results.records import DatasetRecord
from fer_bench.tasks.view import View


@dataclass(frozen=True)
class Seen:
    """Images that a model was trained on.

    Attributes:
        dataset: as the user typed it, with its ``fingerprint``.
        split: of it; empty for all of them.
        official: whether only the splits that the data set trains on.
        text: in words.
        limit: of the class-balanced subset that was trained on, or None; ``labels`` the label set that chose it.
    """

    dataset: str
    fingerprint: str
    split: str
    official: bool
    text: str
    limit: int | None
    labels: str


def seen_by(record: ModelRecord) -> list[Seen]:
    """Return what a kept model was trained on."""
    experiment = record.experiment
    own, protocol = experiment.dataset, experiment.protocol
    fold = "" if record.fold is None else f" but fold {record.fold}"
    added = [_seen(part, f"all images of {part.text}") for part in own.trained_with]
    if protocol.name == "cross":
        return added
    official = protocol.name == "official"
    text = f"the training split of {own.text}" if official else f"all images{fold} of {own.text} ({protocol.text})"
    return [_seen(own, text, official), *added]


def _seen(part: DatasetRecord, text: str, official: bool = False) -> Seen:
    split = str(part.params.get("split", ""))
    return Seen(part.text, part.fingerprint, split, official, text, part.limit, part.labels.set)


def untestable(record: ModelRecord | None, view: View, split: str, role: str) -> list[str]:
    """Return why a kept model has seen the images of a claim, or answers another question; nothing for other models.

    Args:
        record: of the kept model.
        view: the images of the claim.
        split: that they are, or `ALL`.
        role: of this split: train, validation or test.
    """
    if record is None:
        return []
    faults: list[str] = []
    for part in seen_by(record):
        apart = part.split and ALL != split != part.split
        tested = part.official and (role == "test" or f"[test={split}" in record.experiment.protocol.text)
        if part.fingerprint == view.prepared.fingerprint and not apart and not tested:
            faults.append(f"the model was trained on {part.text}, the data set of the claim")
    if (aggregate := record.experiment.strategy.params.get("aggregate", "none")) != "none":
        faults.append(
            f"the model gives one answer for a sequence (aggregate={aggregate}), and a claim is measured image by image"
        )
    return faults
