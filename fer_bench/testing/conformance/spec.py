"""What is asked of specs of every kind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

from fer_bench.registry import Component
from fer_bench.testing.conformance.rules import ConformanceRule, SubjectT, rule


def add_pickle_rule(into: list[ConformanceRule[SubjectT]], component_of: Callable[[SubjectT], Component[Any]]) -> None:
    """Add the rule ``spec-pickles`` to those of a kind.

    Args:
        into: the rules of the kind.
        component_of: returns the component that a rule's subject is about.
    """

    @rule(
        into,
        expected="the spec, its parameters and its Params class can be pickled, since runs may go to other processes",
        fix="define the Params class at the top of a module, and name code as 'package.module:attribute'",
    )
    def spec_pickles(subject: SubjectT) -> Iterator[str]:
        component = component_of(subject)
        for name, value in (("its spec", component.spec), ("its parameters", component.params)):
            try:
                same = pickle.loads(pickle.dumps(value)) == value
            except Exception as error:
                yield f"{name} cannot be pickled: {type(error).__name__}: {error}"
                continue
            if not same:
                yield f"{name} is another after pickling"
