"""What plugins return of an executor."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.specs.params import Params


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSpec:
    """A way of running the cells of a grid: in this process, in others, on other machines.

    ``execute`` is a reference to ``(params, work) -> None``, where ``work`` is a `fer_bench.executors.work.Work`. It
    hands ``work.describe()`` to its workers, each of which calls `fer_bench.executors.worker.do`, and passes what they
    tell to ``work.hear``. The workers share the cells by leases in the runs folder, so each may be handed the whole
    grid. It returns when they have ended, and raises a `FerBenchError` where they refused.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        execute: reference to the function above.
        stages: whether it obeys ``--stage``: its workers may share no folders with the driver.
        params: parameters with defaults; recorded with a cell, and no part of its identity.
    """

    name: str
    summary: str
    execute: str
    stages: bool = False
    params: type[Params] = Params
