"""A claim about a model, as a YAML file states it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fer_bench import brackets
from fer_bench.config import LabelSet
from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.evaluation.installed import find_metric
from fer_bench.evaluation.metrics import Metric
from fer_bench.labels import NATIVE
from fer_bench.reports.gate import check_margin
from fer_bench.sizes import parse_points
from fer_bench.yaml_files import read_yaml

ALL = "all"
"""The split of a data set that has none."""
IN_PLACE: Mapping[str, Any] = {"model": "none", "dataset": "none", "split": ALL, "metric": "accuracy", "score": 0.5}
"""Values without fault of the keys that have no default, so that the others can be checked."""


def _points(value: Any) -> Any:
    try:
        return parse_points(value, "value") if isinstance(value, str) else value
    except FerBenchError as error:
        raise ValueError(str(error)) from None


Points = Annotated[float, BeforeValidator(_points, json_schema_input_type=float | str)]


class Claim(BaseModel):
    """A claimed score of a model on a split of a data set. What would have to be guessed has no default.

    Relative paths count from the current folder, as those of commands do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field("", description="what is claimed, for people")
    source: str = Field("", description="who claims it, and where")
    model: str = Field(
        min_length=1,
        description="a finished classifier, such as onnx[card=model.yaml], or a file that 'fer-bench fit' wrote",
    )
    dataset: str = Field(min_length=1, description="the data set, NAME[param=value,…], without its split")
    split: str = Field(min_length=1, description="the split that was tested; 'all' takes every image")
    metric: str = Field(min_length=1, description="what the score is: accuracy, uar, macro_f1, kappa, nll, brier, …")
    score: Points = Field(description="the claimed score, a fraction such as 0.657 or points such as 65.7pt")
    labels: LabelSet = Field(NATIVE, description="label set that the images are tested under, as of 'fer-bench run'")
    faces: Literal["align", "box", "none"] | None = Field(
        None, description="how faces are cut out; if it is not given, as the model was trained, else not at all"
    )
    trained_on: tuple[str, ...] | None = Field(
        None,
        description="data sets, each with its split, that the model was trained on; if it is not given, the training "
        "split of the tested data set",
    )
    margin: Points = Field(0.02, description="smallest shortfall that matters, in the unit of the metric")
    alpha: float = Field(0.05, description="error rate of each bound")


def read_claim(file: Path) -> tuple[Claim, Metric]:
    """Return the claim in a file, and the metric that it names.

    Raises:
        FerBenchError: the file cannot be read, has a key that is not known, lacks one, or a value is out of its range;
            all faults at once.
    """
    values, fields = read_yaml(file, "claim", "model: onnx[card=model.yaml]"), Claim.model_fields
    unknown = [f"{key}: is not known here. {did_you_mean(str(key), fields)}" for key in values if key not in fields]
    claim, invalid = _validate({key: value for key, value in values.items() if key in fields})
    faults, metric = [*unknown, *invalid.values()], None
    if "metric" not in invalid:
        try:
            metric = find_metric(claim.metric)
            faults += _out_of_range(claim, metric)
        except FerBenchError as error:
            faults.append(f"metric: {error}")
    if "split=" in claim.dataset.replace(" ", ""):
        faults.append(f"dataset: {claim.dataset!r} names a split; write it under 'split'")
    if faults or metric is None:
        raise FerBenchError(f"The claim {str(file)!r} is not valid:\n{bullet_list(faults)}")
    return claim, metric


def _validate(values: Mapping[str, Any]) -> tuple[Claim, dict[str, str]]:
    """Return a claim, and key -> what is wrong with its value; the claim has a value without fault in its place."""
    try:
        return Claim.model_validate(values), {}
    except ValidationError as error:
        invalid = {
            str(fault["loc"][0]): _describe(dict(fault), brackets.describe_fault(fault)) for fault in error.errors()
        }
    valid = {key: value for key, value in values.items() if key not in invalid}
    return Claim.model_validate({**{key: IN_PLACE[key] for key in invalid if key in IN_PLACE}, **valid}), invalid


def _out_of_range(claim: Claim, metric: Metric) -> list[str]:
    """Return which numbers lie outside of their ranges."""
    faults = check_margin(metric, claim.margin, claim.alpha)
    faults = [fault.removeprefix("--").replace(" ", ": ", 1) for fault in faults]
    if not metric.lowest <= claim.score <= metric.highest:
        points = f"; for {claim.score:g} points write {claim.score:g}pt" if 1 < claim.score <= 100 else ""
        faults.append(f"score: {metric.title} is {metric.lowest:g} to {metric.highest:g}, got {claim.score:g}{points}")
    return faults


def _describe(fault: dict[str, Any], text: str) -> str:
    """Return a fault with what to write, where a split is missing."""
    if fault["loc"] == ("split",) and fault["type"] == "missing":
        return f"{text}; a score belongs to one split: name it, or write 'split: {ALL}' for a data set without splits"
    return text
