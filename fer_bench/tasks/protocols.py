"""From the protocol that a run asks for to the folds of its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from fer_bench import brackets
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, PluginError, bullet_list
from fer_bench.registry import Component, Registry, settings_of
from fer_bench.sizes import number_of
from fer_bench.specs import ProtocolSpec
from fer_bench.tasks.folds import Array, Fold, Split, mask
from fer_bench.tasks.scikit import remembering
from fer_bench.tasks.splitters import split_names, split_roles
from fer_bench.tasks.splitting import Samples, deal, make_splitter, noun
from fer_bench.tasks.task import Task


def find(config: RunConfig, registry: Registry) -> Component[ProtocolSpec]:
    """Return the protocol that ``config`` asks for, before any data are looked at.

    Raises:
        FerBenchError: there is none of this name, or it does not go with the other settings; all faults at once.
    """
    protocol = registry.protocol(config.protocol, config.model_dump())
    if faults := _faults(protocol.spec, config):
        raise FerBenchError(f"The protocol {str(protocol)!r} does not fit the run's settings:\n{bullet_list(faults)}")
    return protocol


def _faults(spec: ProtocolSpec, config: RunConfig) -> list[str]:
    """Return what of the settings does not go with a protocol."""
    faults: list[str] = []
    if spec.trains_on_others and not config.train_on:
        faults.append(f"{spec.name!r} needs --train-on, the data sets to train on")
    if config.train_on and spec.splitter and not spec.trains_on_others:
        faults.append(f"--train-on trains on other data sets only, so it goes with 'cross', not {spec.name!r}")
    if config.test_split is not None and "test_split" not in settings_of(spec.params).values():
        faults.append(f"--test-split belongs to the protocol 'official', not {spec.name!r}")
    if config.leak_free and spec.groups == "ignored":
        faults.append(f"--leak-free contradicts {spec.name!r}, which keeps nothing apart; use 'group-kfold'")
    return faults


def choose(config: RunConfig, task: Task, registry: Registry) -> tuple[Component[ProtocolSpec], str]:
    """Return the protocol that is taken for ``task``, with the parameters that the data decide, and why.

    Raises:
        FerBenchError: as of `find`; a protocol that needs groups or official splits, on data without them.
    """
    protocol, why = settle(find(config, registry), samples_of(task, config), config.model_dump(), registry)
    spec = protocol.spec
    if faults := _faults(spec, config):
        raise FerBenchError(f"The protocol {str(protocol)!r} of {task.name!r}: {'; '.join(faults)}.")
    if spec.groups == "apart" and not spec.trains_on_others and not task.known:
        raise FerBenchError(
            f"Data set {task.name!r} does not say which images show one person or sequence, so {spec.name!r} has "
            "nothing to keep apart; use 'kfold'."
        )
    if why:
        return protocol, why
    if spec.trains_on_others:
        return protocol, "trained on other data sets only"
    if spec.groups == "ignored" and task.known:
        return protocol, f"asked for: {_plural(task.known)} are known but ignored, so scores flatter"
    return protocol, "asked for"


def settle(
    protocol: Component[ProtocolSpec], samples: Samples, settings: Mapping[str, Any], registry: Registry
) -> tuple[Component[ProtocolSpec], str]:
    """Return the protocol that is taken for some samples where ``protocol`` is asked for, and why; no reason if itself.

    Raises:
        FerBenchError: the samples do not fit; a protocol of the name that was settled on is not there.
        PluginError: the plugin failed, or named values that are not allowed.
    """
    if not protocol.spec.settle:
        return protocol, ""
    function = protocol.resolve(protocol.spec.settle)
    name, values, why = protocol.call(f"settle protocol {str(protocol)!r}", function, protocol.params, samples)
    settled = protocol if name == protocol.spec.name else registry.protocol(name, settings)
    try:
        return settled.with_values(values), why
    except ValidationError as error:
        raise PluginError(
            f"Plugin {protocol.plugin.name!r}: protocol {str(protocol)!r} settles on {settled.spec.name!r} with "
            f"{values!r}, which is not allowed: {brackets.describe_fault(error.errors()[0])}."
        ) from None


def samples_of(task: Task, config: RunConfig) -> Samples:
    """Return what a protocol may know of the tested samples of a task."""
    own, view = task.part == 0, task.parts[0]
    return Samples(
        name=task.name,
        classes=task.classes,
        labels=task.labels[own],
        groups=task.groups[own] if task.known and task.groups is not None else None,
        known=task.known,
        splits=view.column("split").astype(str),
        roles=view.dataset.spec.roles,
        others_train=bool(config.train_on),
    )


def split(protocol: Component[ProtocolSpec], task: Task, config: RunConfig, seed: int) -> Split:
    """Deal the samples of the first part of ``task`` to folds; all others train, in every fold.

    Where a protocol keeps groups apart, samples of other parts that share one with a test sample leave the training
    part. A published protocol keeps its parts as they are unless ``config.leak_free`` is set.

    Args:
        protocol: from `choose`.
        task: the samples.
        config: its leak_free counts, and folds are remembered in its cache folder.
        seed: of the shuffle.

    Raises:
        FerBenchError: the samples cannot be dealt so; a class that does not train; an empty fold.
        PluginError: the plugin of the protocol failed, or dealt samples against its own spec.
    """
    spec, samples = protocol.spec, samples_of(task, config)
    published, leak_free = spec.groups == "published", bool(config.leak_free)
    parts = deal(protocol, remembering(make_splitter(protocol, samples, seed), config.cache_folder), samples)
    folds = _folds(task, parts, _official_validation(samples) if published else (), spec, drop_own=leak_free)
    for fold in folds:
        _check(fold, task, spec, seed, len(folds))
    ignored = spec.groups == "ignored" or (published and not leak_free)
    return Split(protocol, published and leak_free, task.known if ignored else (), seed, folds)


def _official_validation(samples: Samples) -> Sequence[Array]:
    """Return the masks of the official validation splits, the preferred first."""
    roles = split_roles(split_names(samples.splits), samples.roles)
    return [samples.splits == name for name, role in roles.items() if role == "validation"]


def _folds(
    task: Task,
    parts: Sequence[tuple[Array, Array]],
    validation: Sequence[Array],
    spec: ProtocolSpec,
    *,
    drop_own: bool,
) -> tuple[Fold, ...]:
    """Return folds over the whole task from rows of its first part; the other parts train.

    Args:
        task: the samples.
        parts: (train, test) rows of each fold.
        validation: masks over the first part; the first of which nothing trains or is tested is the validation part.
        spec: of the protocol.
        drop_own: whether training samples of the first part that share a group with a test sample leave; those of other
            parts leave unless the protocol ignores groups.
    """
    droppable = np.where(task.part == 0, drop_own, spec.groups != "ignored")
    folds: list[Fold] = []
    for number, (train, test) in enumerate(parts):
        own, tested = mask(train, len(task)), mask(test, len(task))
        trained, valid = own | (task.part > 0), np.zeros(len(task), dtype=bool)
        free = (part for part in validation if not (part & (own | tested)[: len(part)]).any())
        if (chosen := next(free, None)) is not None:
            valid[: len(chosen)] = chosen
        if task.groups is not None and droppable.any():
            shared = np.isin(task.groups, np.unique(task.groups[tested])) & droppable
            trained, valid = trained & ~shared, valid & ~shared
        folds.append(Fold(number, trained, tested, valid))
    return tuple(folds)


def _check(fold: Fold, task: Task, spec: ProtocolSpec, seed: int, folds: int) -> None:
    """Raise FerBenchError if a fold tests nothing or trains without some class."""
    trained = np.bincount(task.labels[fold.train], minlength=len(task.classes)) > 0
    if fold.test.any() and trained.all():
        return
    if folds == 1:
        missing = [repr(name) for name, trains in zip(task.classes, trained, strict=True) if not trains]
        lacks = f", none of them of {' or '.join(missing)}," if missing else ""
        raise FerBenchError(
            f"{spec.name!r} of {task.name!r} would train on {number_of(fold.train.sum(), 'image')}{lacks} and test "
            f"{fold.test.sum():,}. An image that shares a person, sequence or copy with a tested one is left out."
        )
    advice = "take fewer folds" if folds > 2 else "take more data, fewer classes with --labels, or 'kfold'"
    raise FerBenchError(
        f"Fold {fold.number} of {folds} of {task.name!r} (seed {seed}) would train without some class or test nothing: "
        f"too few {noun(task.unit)}s show every class; {advice}."
    )


def _plural(nouns: Sequence[str]) -> str:
    """Return ``subjects and copies``."""
    return " and ".join("copies" if noun == "copy" else f"{noun}s" for noun in nouns)
