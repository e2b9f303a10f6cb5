"""Parameters of the data sets. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fer_bench.specs import DatasetParams

from .facts import EMPATHIC_LABELS


class ManifestParams(DatasetParams):
    """Parameters of ``manifest``."""

    name: str = Field(
        "",
        pattern=r"^([^\s./\\:*?\"<>|][^/\\:*?\"<>|]*)?$",
        description="read manual/manifest/<name>/, so that several data sets of one's own can stand side by side",
    )


class EmpathicParams(DatasetParams):
    """Parameters of ``empathic``."""

    labels: tuple[str, ...] = Field(EMPATHIC_LABELS, min_length=2, description="native label names, in order")

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels) or "" in labels:
            raise ValueError("label names must be distinct and not empty")
        return labels


class SyntheticParams(DatasetParams):
    """Parameters of ``synthetic``."""

    domain: Literal["wild", "lab"] = Field("wild", description="circumstances: varied, or posed in a laboratory")
    n: int = Field(1400, ge=7, description="number of images; every seven show all expressions of one person")
    size: int = Field(64, ge=16, le=1024, description="side of the square images, pixels")
    subjects: int = Field(40, ge=1, description="number of people")
    seed: int = Field(0, ge=0, description="of everything that is drawn")
