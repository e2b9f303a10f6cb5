"""What is asked of every spec, whatever its kind."""

from __future__ import annotations

import pickle
from typing import Any

from fer_bench.registry import Component


def pickle_faults(component: Component[Any]) -> list[str]:
    """Return what pickling changes or refuses, one line each."""
    faults: list[str] = []
    for name, value in (("its spec", component.spec), ("its parameters", component.params)):
        try:
            same = pickle.loads(pickle.dumps(value)) == value
        except Exception as error:
            faults.append(f"{name} cannot be pickled: {type(error).__name__}: {error}")
            continue
        if not same:
            faults.append(f"{name} is another after pickling")
    return faults
