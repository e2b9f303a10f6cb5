"""From a claim to its verdict: measure, compare, and look for the reason before a claim is called refuted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_bench.arrays import Array
from fer_bench.claims.changes import list_changes
from fer_bench.claims.claim import Claim
from fer_bench.claims.classifier import Classifier, load_classifier
from fer_bench.claims.images import ClaimImages
from fer_bench.claims.judging import REPEATED, ClaimTerms, Measured, Verdict, judge, score
from fer_bench.claims.orders import known_orders, match
from fer_bench.claims.search import Bench, Trial, search
from fer_bench.claims.seen import seen_by, untestable
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import Metric, evaluate
from fer_bench.executors.reporting import Reporter
from fer_bench.faces.parameters import Crop
from fer_bench.labels import EXPRESSIONS
from fer_bench.registry import Registry
from fer_bench.sizes import number_of
from fer_bench.tasks.splitting import noun
from fer_bench.tasks.view import View

NEAR = 0.001
"""How near another split, the copies or the majority class must come to the claimed score to be its reason: nothing is
chosen among many settings there, and the score would be repeated but for how pictures are resized."""
FEWEST = 30
"""Images with a copy in training, and without, from which their scores are looked at."""
OFTEN = 0.9
"""Share of the images from which it is said that the model answers one class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reason:
    """What explains that a claim was not reached, or that it was.

    Attributes:
        kinds: what differs: order, colours, grey, values, size, kernel, crop, alignment, softmax, split, copies or
            majority.
        what: it is, so that "with …" or "on …" can be said before the score.
        so: what follows.
        reached: the score under it; ``where`` names its images.
        where: in words.
    """

    kinds: tuple[str, ...]
    what: str
    so: str
    reached: Measured
    where: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """A verdict and all that it rests on.

    Attributes:
        claim: as it was read.
        metric: of its score.
        model: its name.
        dataset: what was tested, in words.
        verdict: about the claim.
        why: of a claim that cannot be compared without a search; else empty.
        measured: the score under the claim's own settings; None where it was not measured.
        apart: that of the images without a copy in training; None where that says nothing.
        unit: what the intervals resample.
        reason: what explains a difference; None if nothing was found or looked for.
        searched: settings that were tried.
        notes: what a reader should know beside.
    """

    claim: Claim
    metric: Metric
    model: str
    dataset: str
    verdict: Verdict
    why: str = ""
    measured: Measured | None = None
    apart: Measured | None = None
    unit: str = "image"
    reason: Reason | None = None
    searched: int = 0
    notes: tuple[str, ...] = ()


def verify(
    claim: Claim,
    metric: Metric,
    registry: Registry,
    data_dir: Path,
    cache_dir: Path,
    reporter: Reporter,
    files_in: Sequence[Path] = (),
) -> Judgement:
    """Return the verdict on a claim.

    Args:
        claim: from `fer_bench.claims.claim.read_claim`, as is ``metric``.
        metric: of the score.
        registry: of the installed plugins.
        data_dir: folder of data sets.
        cache_dir: where it is kept what faces were found.
        reporter: is told how it goes.
        files_in: as of `fer_bench.models.model.load_model`.

    Raises:
        FerBenchError: the model, the data set or the split is not there, or their classes have nothing in common.
    """
    model = load_classifier(claim.model, registry, files_in)
    crop = model.crop if claim.faces is None else None if claim.faces == "none" else Crop(method=claim.faces)
    seen = seen_by(model.record) if model.record else None
    images = ClaimImages(claim, crop, registry, data_dir, cache_dir, reporter, seen)
    view, terms = images.view, ClaimTerms(metric=metric, claimed=claim.score, margin=claim.margin, alpha=claim.alpha)
    task = images.task(view)
    start = Judgement(
        claim=claim,
        metric=metric,
        model=model.text,
        dataset=str(view),
        verdict="NOT COMPARABLE",
        unit=noun(task.unit),
    )
    if why := "; ".join([*_missing(model, view), *untestable(model.record, view, claim.split, images.role)]):
        return replace(start, why=why)
    try:
        return _judge(start, Trials(Bench(model, view, task.groups, terms, images.cut), images, registry, reporter))
    except ValueError as error:
        raise FerBenchError(f"{view} cannot be tested: {error}.") from None


@dataclass(frozen=True, eq=False)
class Trials:
    """What a claim is tried with."""

    bench: Bench
    images: ClaimImages
    registry: Registry
    reporter: Reporter


def _judge(start: Judgement, trials: Trials) -> Judgement:
    bench, terms = trials.bench, trials.bench.terms
    rows = np.arange(len(bench.view.rows))
    trials.reporter.step(f"{number_of(len(rows), 'image')} through {bench.model.text}", None)
    measured = bench.measure(Trial(), rows)
    if measured is None:
        raise FerBenchError(f"{bench.model.text} gives no finite answers for {bench.view}.")
    shared, trained = trials.images.copies(bench.view)
    apart = _without_copies(bench, measured, shared)
    notes = (_about_copies(shared, trained, apart), *_one_answer(measured, bench.view.classes))
    judged = replace(start, verdict=judge(terms, measured), measured=measured, apart=apart, notes=notes)
    if judged.verdict == "CONFIRMED":
        reason = _copies_matter(terms, apart)
        return replace(judged, verdict="REFUTED", reason=reason) if reason else judged
    if judged.verdict != "REFUTED":
        return judged
    if reason := _majority(bench, measured):
        return replace(judged, reason=reason)
    tried: list[int] = []
    likelihood = terms.metric.from_confusion is None
    changes = list_changes(bench.model, bench.view, likelihood=likelihood)
    expressions = set(bench.model.outputs) <= set(EXPRESSIONS)
    orders = known_orders(trials.registry, bench.model.outputs) if expressions else []
    trials.reporter.step("settings tried", None)
    explained = search(bench, changes, orders, lambda n: (tried.append(n), trials.reporter.advance(n))[1])
    judged = replace(judged, searched=sum(tried))
    if explained:
        trial, reached = explained
        where = f"the {number_of(len(reached.labels), 'image')} that the search did not see"
        reason = Reason(kinds=trial.kinds, what=f"with {trial.what}", so=trial.so, reached=reached, where=where)
        return replace(judged, verdict="NOT COMPARABLE", reason=reason)
    return replace(judged, reason=next(_other_images(trials, shared), None))


def _missing(model: Classifier, view: View) -> list[str]:
    """Return why the model cannot be asked about some classes of the images."""
    places = match(model.outputs, view.classes)
    present = np.bincount(view.labels, minlength=len(view.classes)) > 0
    unknown = [name for name, place, any_ in zip(view.classes, places, present, strict=True) if any_ and place is None]
    if not unknown:
        return []
    answered = [name for name, place in zip(view.classes, places, strict=True) if place is not None]
    return [
        f"the model does not answer {', '.join(unknown)}, of which there are images: test it under its own labels, "
        f"such as 'labels: {','.join(answered)}'"
    ]


def _about_copies(shared: Array, trained: tuple[str, ...], apart: Measured | None) -> str:
    """Return what is known of copies of training images among the tested ones."""
    if not trained:
        return "Nothing says which images the model was trained on: name them under 'trained_on'."
    text = f"{int(shared.sum()):,} of {len(shared):,} tested images have an exact or near copy in {', '.join(trained)}"
    return f"{text}, on which the model was trained." if apart is None else f"{text}; the row without them is apart."


def _one_answer(measured: Measured, classes: tuple[str, ...]) -> list[str]:
    """Return that the model gives one answer nearly always, where it does."""
    counts = np.bincount(measured.probabilities.argmax(1), minlength=len(classes))
    share = counts.max() / counts.sum()
    often = f"The model answers {classes[int(counts.argmax())]} for {100 * share:.0f} % of the images."
    return [often] if share > OFTEN else []


def _part(bench: Bench, measured: Measured, rows: Array) -> Measured:
    units = None if measured.units is None else measured.units[rows]
    return score(bench.terms, measured.labels[rows], measured.probabilities[rows], units)


def _without_copies(bench: Bench, measured: Measured, shared: Array) -> Measured | None:
    """Return the score on tested images without a copy in training; None where few have one, or nearly all."""
    others = np.flatnonzero(~shared)
    return _part(bench, measured, others) if min(len(others), int(shared.sum())) >= FEWEST else None


def _copies_matter(terms: ClaimTerms, apart: Measured | None) -> Reason | None:
    """Return the reason of a claim that falls short by the margin without the copies of training images."""
    if apart is None:
        return None
    best = max(terms.gain(end, terms.claimed) for end in (apart.bounds.low, apart.bounds.high))
    if best >= -terms.margin:
        return None
    return Reason(
        kinds=("copies",),
        what="without the images that have a copy in training",
        so="the claim is reached only with images that the model was trained on",
        reached=apart,
        where=f"the other {number_of(len(apart.labels), 'image')}",
    )


def _majority(bench: Bench, measured: Measured) -> Reason | None:
    """Return the reason of a claim that is the score of the commonest class."""
    counts = np.bincount(measured.labels, minlength=measured.probabilities.shape[1])
    always = np.zeros_like(measured.probabilities)
    always[:, counts.argmax()] = 1
    metric = bench.terms.metric
    value = evaluate(measured.labels, always, [metric])[metric.name]
    if abs(value - bench.terms.claimed) > REPEATED:
        return None
    name = bench.view.classes[int(counts.argmax())]
    return Reason(
        kinds=("majority",),
        what=f"always answering {name}",
        so="the claimed score is that of the commonest class",
        reached=score(bench.terms, measured.labels, always, measured.units),
        where="the same images",
    )


def _other_images(trials: Trials, shared: Array) -> Iterator[Reason]:
    """Yield each reason that lies in the images: another split, or the copies of training images."""
    bench, images, terms = trials.bench, trials.images, trials.bench.terms
    for split in images.other_splits:
        try:
            view = images.of_split(split)
        except FerBenchError:
            continue  # a split that lacks a class of the label set is not what was tested
        trials.reporter.step(f"{number_of(len(view.rows), 'image')} of the split {split!r}", None)
        other = Bench(bench.model, view, images.task(view).groups, terms, images.cut)
        reached = other.measure(Trial(), np.arange(len(view.rows)))
        if reached is not None and abs(reached.value - terms.claimed) <= NEAR:
            so = f"the claimed score is that of the split {split!r}"
            where = f"its {number_of(len(view.rows), 'image')}"
            yield Reason(kinds=("split",), what=f"on the split {split!r}", so=so, reached=reached, where=where)
    rows = np.flatnonzero(shared)
    if len(rows) >= FEWEST:
        reached = bench.measure(Trial(), rows)
        if reached is not None and abs(reached.value - terms.claimed) <= NEAR:
            so = "the claimed score is that of images that the model was trained on"
            what = "on the tested images that have a copy in training"
            yield Reason(
                kinds=("copies",), what=what, so=so, reached=reached, where=f"these {number_of(len(rows), 'image')}"
            )
