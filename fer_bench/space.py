"""The space of a search: which settings of a strategy are tried, as a YAML file says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator

from fer_bench import brackets, paths
from fer_bench.errors import FerBenchError
from fer_bench.yaml_files import read_yaml

RANGES = ("uniform", "log", "integer")


def _check_values(values: object) -> object:
    """Return the values of a parameter; raise ValueError where they are no list and no range."""
    if fault := _find_fault(values):
        raise ValueError(fault)
    return values


def _find_fault(values: object) -> str:
    """Return what is wrong with the values of a parameter, or nothing."""
    if isinstance(values, list):
        return "" if values else "name one value at least"
    kinds = list(cast("dict[Any, Any]", values).items()) if isinstance(values, dict) else []
    if len(kinds) != 1 or kinds[0][0] not in RANGES:
        return f"expected a list of values, or one of {', '.join(RANGES)} with [low, high]"
    kind, ends = kinds[0]
    numbers = (int,) if kind == "integer" else (int, float)
    if not isinstance(ends, list | tuple) or len(cast("list[Any]", ends)) != 2:
        return f"{kind} takes [low, high]"
    low, high = cast("list[Any]", ends)
    if any(isinstance(end, bool) or not isinstance(end, numbers) or not math.isfinite(end) for end in (low, high)):
        return f"{kind} takes two {'whole ' if kind == 'integer' else ''}numbers"
    if not low < high or (kind == "log" and low <= 0):
        return f"{kind} takes a low end below the high one{', both above 0' if kind == 'log' else ''}"
    return ""


Values = Annotated[list[Any] | dict[str, tuple[float, float]], BeforeValidator(_check_values)]


class SearchSpace(BaseModel):
    """Which settings of a strategy are tried, and how.

    Attributes:
        strategy: ``name[param=value,…]``; what stands in brackets is the same in every trial.
        parameters: name of a parameter -> a list of its values, each as likely, or a range ``{uniform: [low, high]}``,
            ``{log: [low, high]}`` (uniform on a logarithmic scale) or ``{integer: [low, high]}``, both ends included.
        method: ``random`` trains every trial on whole inner training parts; ``halving`` trains all on few samples and
            the better third on three times as many, until whole parts are reached (K. Jamieson and A. Talwalkar,
            "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016); ``tpe`` suggests
            settings from the scores of those before, as `fer_bench.learning.suggestions` does.
        metric: that the chosen settings have the highest of on the inner folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str
    parameters: dict[str, Values]
    method: Literal["random", "halving", "tpe"] = "random"
    metric: Literal["uar", "accuracy", "macro_f1"] = "uar"

    @field_validator("parameters", mode="before")
    @classmethod
    def _values_are_there(cls, parameters: Any) -> Any:
        if not isinstance(parameters, Mapping) or not parameters:
            raise ValueError("expected names of parameters, at least one, each with a list or a range of values")
        return dict(cast("Mapping[Any, Any]", parameters))


def read_space(value: object) -> object:
    """Return the space in the file of a path; what is no path is returned as it is.

    Raises:
        ValueError: the file cannot be read, or holds no space; all faults at once, after the name of the file.
    """
    if not isinstance(value, str | Path):
        return value
    try:
        return SearchSpace.model_validate(read_yaml(paths.parse(value)))
    except FerBenchError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        faults = "; ".join(brackets.describe_fault(fault) for fault in error.errors())
        raise ValueError(f"{str(value)!r}: {faults}") from None
