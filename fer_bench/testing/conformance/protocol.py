"""Rules for protocols: on drawn samples of subjects with official splits, as tasks hold them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_score

from fer_bench.arrays import Array
from fer_bench.registry import Component, Registry
from fer_bench.sizes import number_of
from fer_bench.specs import ProtocolSpec
from fer_bench.tasks.protocols import settle
from fer_bench.tasks.splitting import Samples, Splitter, deal, make_splitter
from fer_bench.testing.conformance.rules import ConformanceRule, NotApplicable, rule
from fer_bench.testing.conformance.spec import add_pickle_rule

CLASSES = ("neutral", "happy", "sad")
SUBJECTS = 24
PER_SUBJECT = 12
SEEDS = (0, 1, 2)
_AGAIN = """
import pickle, sys
from fer_bench.tasks.splitting import deal, make_splitter
protocol, samples, seed = pickle.load(sys.stdin.buffer)
parts = deal(protocol, make_splitter(protocol, samples, seed), samples)
print([(train.tolist(), test.tolist()) for train, test in parts])
"""


@dataclass(eq=False)
class ProtocolSubject:
    """A protocol on drawn samples.

    Attributes:
        asked: the protocol as the user asked for it.
        registry: holds the protocol that it may settle on.
    """

    asked: Component[ProtocolSpec]
    registry: Registry

    @cached_property
    def samples(self) -> Samples:
        """What the protocol deals: people who show every class several times, in three official splits."""
        rng = np.random.default_rng(0)
        n = SUBJECTS * PER_SUBJECT
        order = rng.permutation(n)
        people = order // PER_SUBJECT
        return Samples(
            name="drawn",
            classes=CLASSES,
            labels=(order % len(CLASSES)).astype(np.int64),
            groups=people.astype(np.int32),
            known=("subject",),
            splits=np.array(["train", "train", "train", "validation", "test"])[people % 5],
            others_train=self.asked.spec.trains_on_others,
        )

    @cached_property
    def protocol(self) -> Component[ProtocolSpec]:
        """The protocol that it settles on for these samples."""
        return settle(self.asked, self.samples, {}, self.registry)[0]

    def splitter(self, seed: int = 0) -> Splitter:
        """Return a new splitter."""
        return make_splitter(self.protocol, self.samples, seed)

    def parts(self, seed: int = 0, splitter: Splitter | None = None) -> list[tuple[Array, Array]]:
        """Return the positions (train, test) of each fold; the host's own checks apply."""
        return deal(self.protocol, splitter or self.splitter(seed), self.samples)

    def text(self, seed: int = 0, splitter: Splitter | None = None) -> str:
        """Return the folds as text, to be compared."""
        return str([(train.tolist(), test.tolist()) for train, test in self.parts(seed, splitter)])


RULES: list[ConformanceRule[ProtocolSubject]] = []


@rule(
    RULES,
    expected="folds of positions, train and test without a common sample, and no group in both where groups stay apart",
    fix="Yield (train, test), two arrays of positions from 0 to n - 1; declare groups='ignored' where people are not "
    "kept apart.",
)
def deals_disjoint_parts(subject: ProtocolSubject) -> Iterator[str]:
    """Yield what is empty; the host refuses all else."""
    parts = subject.parts()
    if not parts:
        yield "no fold"
    for number, (train, test) in enumerate(parts):
        if not len(test):
            yield f"fold {number} tests nothing"
        if not len(train) and not subject.protocol.spec.trains_on_others:
            yield f"fold {number} trains on nothing"
        if len(train) and subject.protocol.spec.trains_on_others:
            yield f"fold {number} trains on {number_of(len(train), 'sample')} of the tested data set"


@rule(
    RULES,
    expected="each sample is tested as often as the spec declares: once, repeatedly (each equally often), or some at "
    "most once",
    fix="Test all samples, or set 'tests' to what the splitter does.",
    needs=["deals-disjoint-parts"],
)
def tests_as_often_as_declared(subject: ProtocolSubject) -> Iterator[str]:
    """Yield how often samples are tested instead."""
    times = np.zeros(len(subject.samples.labels), np.int64)
    for _, test in subject.parts():
        times[test] += 1
    low, high, declared = int(times.min()), int(times.max()), subject.protocol.spec.tests
    right = {"once": low == high == 1, "repeatedly": low == high > 1, "some": high == 1}[declared]
    if not right:
        yield f"samples are tested {low} to {high} times; declared: {declared}"


@rule(
    RULES,
    expected="no group is tested in two folds of a protocol that keeps groups apart and tests each sample once",
    fix="Keep the samples of a group in one part.",
    needs=["deals-disjoint-parts"],
)
def tests_whole_groups(subject: ProtocolSubject) -> Iterator[str]:
    """Yield groups that are torn apart."""
    spec = subject.protocol.spec
    if spec.groups != "apart" or spec.tests != "once":
        raise NotApplicable(f"groups are {spec.groups}, samples are tested {spec.tests}")
    assert subject.samples.groups is not None
    tested = [set(subject.samples.groups[test].tolist()) for _, test in subject.parts()]
    torn = {group for group in set().union(*tested) if sum(group in part for part in tested) > 1}
    if torn:
        yield f"{len(torn)} of {SUBJECTS} groups are tested in two folds or more"


@rule(
    RULES,
    expected="a seed gives the same folds each time; other seeds give others if the spec says 'seeded', else the same",
    fix="Draw from np.random.default_rng(seed) in split, not before; set seeded=False where nothing is drawn.",
    needs=["deals-disjoint-parts"],
)
def obeys_its_seed(subject: ProtocolSubject) -> Iterator[str]:
    """Yield seeds that do not decide the folds, or do though they should not."""
    texts = [subject.text(seed) for seed in SEEDS]
    if subject.text(SEEDS[0]) != texts[0]:
        yield f"seed {SEEDS[0]} gives other folds the second time"
    splitter = subject.splitter()
    if subject.text(splitter=splitter) != subject.text(splitter=splitter):
        yield "a second call of split gives other folds"
    different, seeded = len(set(texts)), subject.protocol.spec.seeded
    if different != (len(SEEDS) if seeded else 1):
        yield f"seeds {SEEDS} give {different} different folds; declared: seeded={seeded}"


@rule(
    RULES,
    expected="another process deals the same folds, since a cell's identity holds a hash of them",
    fix="Use no hash(), no order of a set, no clock and no other state of the process.",
    needs=["obeys-its-seed"],
)
def is_the_same_in_another_process(subject: ProtocolSubject) -> Iterator[str]:
    """Yield that the folds are others."""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    sent = pickle.dumps((subject.protocol, subject.samples, 0))
    process = subprocess.run(
        [sys.executable, "-c", _AGAIN], input=sent, capture_output=True, env=environment, check=False
    )
    if process.returncode:
        yield f"it fails there: {process.stderr.decode(errors='replace').strip().splitlines()[-1]}"
    elif process.stdout.decode().strip() != subject.text():
        yield "the folds are others"


@rule(
    RULES,
    expected="the splitter has scikit-learn's interface, so that it can be used elsewhere: get_n_splits returns the "
    "number of folds, and cross_val_score takes it as cv",
    fix="Return a splitter of scikit-learn, or one with its split and get_n_splits.",
    needs=["deals-disjoint-parts"],
)
def works_in_scikit_learn(subject: ProtocolSubject) -> Iterator[str]:
    """Yield what differs there."""
    samples, splitter = subject.samples, subject.splitter()
    groups = samples.groups if subject.protocol.spec.groups == "apart" else None
    features = np.zeros((len(samples.labels), 1))
    folds, stated = len(subject.parts()), splitter.get_n_splits(features, samples.labels, groups)
    if stated != folds:
        yield f"get_n_splits says {stated}; split yields {folds}"
    if not subject.protocol.spec.trains_on_others:
        scores = cross_val_score(DummyClassifier(), features, samples.labels, groups=groups, cv=splitter)
        if len(scores) != folds:
            yield f"cross_val_score gives {number_of(len(scores), 'score')} for {number_of(folds, 'fold')}"


add_pickle_rule(RULES, lambda subject: subject.asked)
