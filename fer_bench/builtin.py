"""What fer-bench itself brings, by the hooks that plugins implement: protocols and executors. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from fer_bench.hookspecs import hookimpl
from fer_bench.specs import MOST_FOLDS, ExecutorSpec, Params, ProtocolSpec

_SPLITTERS = "fer_bench.tasks.splitters"


class FoldsParams(Params):
    """Parameters of cross-validation."""

    folds: int = Field(5, ge=2, le=MOST_FOLDS, description="number of folds, K", json_schema_extra={"setting": "folds"})


class RepeatedParams(Params):
    """Parameters of repeated cross-validation; at the ends of both ranges it has as many folds as a record may."""

    folds: int = Field(5, ge=2, le=1000, description="number of folds, K", json_schema_extra={"setting": "folds"})
    repeats: int = Field(
        5,
        ge=2,
        le=MOST_FOLDS // 1000,
        description="times that all are tested",
        json_schema_extra={"setting": "repeats"},
    )


class OfficialParams(Params):
    """Parameters of a published split."""

    test: str = Field(
        "",
        description="official split that is tested; empty takes the test split, or where there is none the validation "
        "split",
        json_schema_extra={"setting": "test_split"},
    )


class ProcessesParams(Params):
    """Parameters of worker processes."""

    workers: int = Field(2, ge=1, le=256, description="number of processes")
    gpus: int = Field(0, ge=0, le=64, description="GPUs of each worker, which then sees no others; 0 lets each see all")


class DaskParams(Params):
    """Parameters of a Dask cluster."""

    scheduler: str = Field("tcp://127.0.0.1:8786", description="address of the scheduler, or its file NAME.json")
    workers: int = Field(
        0, ge=0, le=10_000, description="number of tasks; 0 is one for each worker that the scheduler has"
    )
    gpus: int = Field(0, ge=0, le=1_000, description="of the resource GPU that each task takes")
    wait: float = Field(30, ge=0.1, le=86_400, description="seconds to wait for the scheduler and its workers")


class SlurmParams(Params):
    """Parameters of jobs of Slurm; what is empty is left to the cluster's own defaults."""

    queue: str = Field("", description="partition")
    account: str = Field("", description="account that pays")
    workers: int = Field(2, ge=1, le=10_000, description="number of jobs, each with one worker")
    gpus: int = Field(0, ge=0, le=64, description="GPUs of each job")
    cores: int = Field(1, ge=1, le=1_024, description="cores of each job")
    memory: str = Field("8GB", pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$", description="memory of each job, as in 16GB")
    hours: float = Field(1, ge=1 / 60, le=8_760, description="time limit of each job; one that ends is replaced")
    interface: str = Field("", description="network interface over which jobs reach this machine, as in ib0")
    directives: tuple[str, ...] = Field((), description="more options of sbatch, as in [--qos=long,--exclusive]")
    prologue: tuple[str, ...] = Field((), description="shell lines before the worker, as in ['module load cuda']")


@hookimpl
def fer_bench_executors() -> list[ExecutorSpec]:
    """Return the executors of fer-bench."""
    return [
        ExecutorSpec(name="local", summary="in this process", execute="fer_bench.executors.local:execute"),
        ExecutorSpec(
            name="processes",
            summary="worker processes of this machine",
            execute="fer_bench.executors.processes:execute",
            params=ProcessesParams,
        ),
        ExecutorSpec(
            name="dask",
            summary="workers of a Dask cluster; needs fer-bench[cluster]",
            execute="fer_bench.executors.dask_cluster:execute",
            stages=True,
            params=DaskParams,
        ),
        ExecutorSpec(
            name="slurm",
            summary="jobs of Slurm; needs fer-bench[cluster]",
            execute="fer_bench.executors.slurm:execute",
            stages=True,
            params=SlurmParams,
        ),
    ]


@hookimpl
def fer_bench_protocols() -> list[ProtocolSpec]:
    """Return the protocols of fer-bench."""
    return [
        ProtocolSpec(
            name="auto",
            summary="group-kfold where it is known which images belong together, else kfold; cross with --train-on",
            settle=f"{_SPLITTERS}:settle_auto",
        ),
        ProtocolSpec(
            name="kfold",
            summary="K folds with equal shares of each class; people are not kept apart",
            splitter=f"{_SPLITTERS}:kfold",
            groups="ignored",
            params=FoldsParams,
        ),
        ProtocolSpec(
            name="group-kfold",
            summary="K folds; no person, sequence or known copy in two of them",
            splitter=f"{_SPLITTERS}:group_kfold",
            params=FoldsParams,
        ),
        ProtocolSpec(
            name="repeated-kfold",
            summary="kfold several times, with other folds each time",
            splitter=f"{_SPLITTERS}:repeated_kfold",
            groups="ignored",
            tests="repeatedly",
            params=RepeatedParams,
        ),
        ProtocolSpec(
            name="loso",
            summary="leave one subject out: as many folds as people",
            splitter=f"{_SPLITTERS}:leave_one_subject_out",
            seeded=False,
        ),
        ProtocolSpec(
            name="official",
            summary="the published split, tested once",
            splitter=f"{_SPLITTERS}:official",
            settle=f"{_SPLITTERS}:settle_official",
            groups="published",
            tests="some",
            seeded=False,
            params=OfficialParams,
        ),
        ProtocolSpec(
            name="cross",
            summary="trained on other data sets only, and tested on all of this one",
            splitter=f"{_SPLITTERS}:cross",
            seeded=False,
            trains_on_others=True,
        ),
    ]
