"""What a protocol is given and what it returns; both are of use without fer-bench, too.

A protocol makes an ordinary splitter of scikit-learn's kind, so it deals samples of any origin::

    samples = Samples(name="mine", classes=("sad", "happy"), labels=labels, groups=people, known=("subject",))
    splitter = make_splitter(Registry.load().protocol("group-kfold", {"folds": 10}), samples, seed=0)
    cross_val_score(model, images, labels, groups=people, cv=splitter)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import ProtocolSpec, SplitRole

__all__ = ["Samples", "Settled", "Splitter", "deal", "make_splitter"]


Settled = tuple[str, Mapping[str, Any], str]
"""The name of a protocol, values for its parameters, and why it is taken; see `fer_bench.specs.ProtocolSpec`."""


class Splitter(Protocol):
    """The interface of scikit-learn's splitters."""

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Array, Array]]:
        """Yield the positions of the samples that train and of those that are tested, fold by fold."""
        ...

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        ...


def noun(unit: str) -> str:
    """Return what a group is, as a noun that takes an s: of ``subject``, ``sequence``, ``copy`` or nothing known."""
    return {"": "image", "copy": "group"}.get(unit, unit)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """What a protocol may know of the n samples of the tested data set, in their order.

    Attributes:
        name: of the data set, as the user asked for it.
        classes: names of the classes.
        labels: (n,) int64 indices into ``classes``.
        groups: (n,) int, equal for samples that must not be torn apart; None where nothing is known.
        known: what ``groups`` are made of: of ``subject``, ``sequence`` and ``copy``, in this order.
        splits: (n,) names of official splits, empty where a sample is in none; None where there are none.
        roles: official split -> what it is for, as the data set declares it.
        others_train: the user asked to train on other data sets only.
    """

    name: str
    classes: tuple[str, ...]
    labels: Array
    groups: Array | None = None
    known: tuple[str, ...] = ()
    splits: Array | None = None
    roles: Mapping[str, SplitRole] = field(default_factory=dict[str, SplitRole])
    others_train: bool = False

    @property
    def unit(self) -> str:
        """What a group is, as a noun that takes an s."""
        return noun(self.known[0] if self.known else "")


def make_splitter(protocol: Component[ProtocolSpec], samples: Samples, seed: int) -> Splitter:
    """Return the splitter of a protocol whose parameters the data do not decide.

    Raises:
        FerBenchError: the samples cannot be dealt so; it says why.
        PluginError: the plugin of the protocol failed.
    """
    make = protocol.resolve(protocol.spec.splitter)
    return protocol.call(f"make the splitter of protocol {str(protocol)!r}", make, protocol.params, samples, seed)


def deal(protocol: Component[ProtocolSpec], splitter: Splitter, samples: Samples) -> list[tuple[Array, Array]]:
    """Return the positions (train, test) of each fold, checked by what the protocol declares.

    Raises:
        PluginError: positions that are not there, that stand twice in a part or in both, or a group in both parts.
    """
    groups = samples.groups if protocol.spec.groups == "apart" else None
    labels = samples.labels

    def every_fold() -> list[tuple[Array, Array]]:
        # Some splitters of scikit-learn know the groups already and warn when they are given again.
        warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
        return [(np.asarray(train), np.asarray(test)) for train, test in splitter.split(labels, labels, groups)]

    with warnings.catch_warnings():
        parts = protocol.call(f"deal {samples.name!r} by protocol {str(protocol)!r}", every_fold)
    for number, (train, test) in enumerate(parts):
        if fault := _fault(train, test, samples, apart=groups is not None):
            raise PluginError(
                f"Protocol {str(protocol)!r} of plugin {protocol.plugin.name!r}, fold {number} of {samples.name!r}: "
                f"{fault}."
            )
    return parts


def _fault(train: Array, test: Array, samples: Samples, *, apart: bool) -> str:
    """Return what is wrong with the positions of a fold, or nothing."""
    n = len(samples.labels)
    for name, part in (("training", train), ("test", test)):
        if part.ndim != 1 or (len(part) and part.dtype.kind not in "iu"):
            return f"the {name} part is no list of positions; expected (m,) int"
        if len(part) and not 0 <= part.min() <= part.max() < n:
            return f"the {name} part has positions {part.min()} to {part.max()}; the data have 0 to {n - 1}"
        if len(np.unique(part)) < len(part):
            return f"the {name} part names a sample twice"
    if shared := np.intersect1d(train, test).tolist():
        return f"{number_of(len(shared), 'sample trains and is', 'samples train and are')} tested, such as {shared[0]}"
    if apart and samples.groups is not None:
        torn = np.intersect1d(samples.groups[train], samples.groups[test])
        if len(torn):
            return (
                f"{number_of(len(torn), 'group is', 'groups are')} in training and test, though the "
                "protocol keeps them apart"
            )
    return ""
