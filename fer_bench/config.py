"""What a run is asked to do: defaults < YAML file < command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.sizes import parse_size

Protocol = Literal["auto", "kfold", "group-kfold"]
Precision = Literal["auto", "float32", "bfloat16"]


class RunConfig(BaseModel):
    """A grid: every data set x backbone x strategy x seed x fold, under one protocol.

    Attributes:
        datasets: component texts, ``name[param=value]``; likewise ``backbones`` and ``strategies``.
        protocol: ``auto`` groups by identity where a data set has it.
        folds: K, at least 2.
        seeds: each draws its own folds and starts its own training.
        limit: use the first ``limit / classes`` samples of each class, in file order; None uses all.
        precision: of the matrix products; ``auto`` takes bfloat16 where the device multiplies it natively.
        runs_dir: where cells are stored.
        data_dir: where data sets lie; None is the user's data folder.
        cache_dir: where features and compiled programs are kept; None is the user's cache folder.
        cache_limit: bytes, or text such as ``20GB``, that features may take; None is half of what they take and what is
            free.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: tuple[str, ...] = ("synthetic",)
    backbones: tuple[str, ...] = ("xception",)
    strategies: tuple[str, ...] = ("linear-probe",)
    protocol: Protocol = "auto"
    folds: int = Field(5, ge=2)
    seeds: tuple[int, ...] = (0,)
    limit: int | None = Field(None, ge=2)
    precision: Precision = "auto"
    runs_dir: Path = Path("runs")
    data_dir: Path | None = None
    cache_dir: Path | None = None
    cache_limit: int | None = None

    @field_validator("datasets", "backbones", "strategies", "seeds")
    @classmethod
    def _not_empty_nor_repeated(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            raise ValueError("at least one is needed")
        if len(set(values)) < len(values):
            raise ValueError("a value is given twice")
        return values

    @field_validator("cache_limit", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        try:
            return parse_size(value) if isinstance(value, str) else value
        except FerBenchError as error:
            raise ValueError(str(error)) from None

    @field_validator("seeds")
    @classmethod
    def _seeds_in_range(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= seed < 2**32 for seed in seeds):
            raise ValueError("seeds lie in 0 to 4294967295")
        return seeds

    @classmethod
    def build(cls, file: Path | None, overrides: Mapping[str, Any]) -> Self:
        """Return the configuration of ``file`` (YAML) with ``overrides`` laid over it; None values override nothing.

        Raises:
            FerBenchError: unreadable file, unknown key or a value that is not allowed; all faults at once.
        """
        values = {
            **(_read_yaml(file) if file else {}),
            **{key: value for key, value in overrides.items() if value is not None},
        }
        unknown = [key for key in values if key not in cls.model_fields]
        if unknown:
            faults = [f"unknown key {key!r}. {did_you_mean(str(key), cls.model_fields)}" for key in unknown]
            raise FerBenchError(f"{file} has keys that fer-bench does not know:\n{bullet_list(faults)}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [
                f"{' '.join(str(part) for part in fault['loc'])}: {fault['msg']}, got {fault['input']!r}"
                for fault in error.errors()
            ]
            raise FerBenchError(f"The run's settings are not valid:\n{bullet_list(faults)}") from None


def _read_yaml(file: Path) -> dict[Any, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FerBenchError(f"Cannot read the configuration {str(file)!r}: {error.strerror}.") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise FerBenchError(f"{str(file)!r} is not valid YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise FerBenchError(
            f"{str(file)!r} holds a {type(values).__name__}; expected keys such as 'datasets: [synthetic]'."
        )
    return values
