"""The numbers that a user may set, with both ends of their ranges and one step beyond each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fer_bench.plugins import Kind
from fer_bench.registry import Registry
from fer_bench.specs import LARGEST_SIDE, BackboneParams

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Number:
    """A numeric field of a model.

    Attributes:
        name: of the field.
        whole: whether it takes whole numbers only.
        low: the smallest number that is allowed; None where the field states none. Likewise ``high``.
    """

    name: str
    whole: bool
    low: float | None
    high: float | None

    def beyond(self) -> list[float]:
        """Return the nearest numbers outside of the range, and what is no number."""
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return [self.low - 1, self.high + 1, 10**20]
        return [math.nextafter(self.low, -math.inf), math.nextafter(self.high, math.inf), math.nan, math.inf, -math.inf]


def numbers(model: type[BaseModel]) -> Iterator[Number]:
    """Yield the fields of a model that are one number, or a number or None."""
    for name, field in model.model_fields.items():
        types = set(get_args(field.annotation) or [field.annotation]) - {type(None)}
        if types in ({int}, {float}):
            low, high = _ends(field, int in types)
            if issubclass(model, BackboneParams) and name == "input_size":
                high = LARGEST_SIDE if high is None else high  # checked by the class, for all subclasses
            yield Number(name, int in types, low, high)


def parameters(registry: Registry) -> Iterator[tuple[Kind, str, Number]]:
    """Yield (kind, component, number) of every numeric parameter that is installed."""
    for kind in KINDS:
        for name, _, spec in registry.specs(kind):
            yield from ((kind, name, number) for number in numbers(spec.params))


def _ends(field: FieldInfo, whole: bool) -> tuple[float | None, float | None]:
    low = high = None
    for part in field.metadata:
        match part:
            case annotated_types.Ge(ge=value):
                low = value
            case annotated_types.Gt(gt=value):
                low = value + 1 if whole else math.nextafter(value, math.inf)
            case annotated_types.Le(le=value):
                high = value
            case annotated_types.Lt(lt=value):
                high = value - 1 if whole else math.nextafter(value, -math.inf)
            case _:
                pass
    return low, high
