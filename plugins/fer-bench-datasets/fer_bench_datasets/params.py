"""Parameters of the data sets. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fer_bench import paths
from fer_bench.errors import FerBenchError
from fer_bench.specs import DatasetParams

from .facts import EMPATHIC_LABELS


class OwnParams(DatasetParams):
    """Parameters of data sets that lie in any folder of the user's."""

    path: str = Field(
        "",
        description="the folder that holds the pictures, from the working directory on; nothing in it is changed",
        json_schema_extra={"folder": True},
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        try:
            return str(paths.parse(path).absolute()) if path else ""
        except FerBenchError as error:
            raise ValueError(str(error)) from None


class FolderParams(OwnParams):
    """Parameters of ``folder``."""

    subject: str = Field(
        "",
        max_length=200,
        description=r"a regular expression for names of files, whose group is the subject: ^(P\d+)_; other named "
        "groups, (?P<age>…), are the sequence or groups for group scores",
    )
    subjects: str = Field(
        "", max_length=200, description="a table in the folder with the columns path and subject: CSV, TSV or Parquet"
    )
    classes: tuple[str, ...] = Field(
        (), description="the classes of folders that are numbers, in the order of the numbers"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.subject and self.subjects:
            raise ValueError("subject and subjects exclude each other; give one of them")
        return self


class ManifestParams(OwnParams):
    """Parameters of ``manifest``."""

    name: str = Field(
        "",
        max_length=60,  # no more than 240 bytes in UTF-8: it is the name of a folder
        description="read manual/manifest/<name>/, so that you can have several own data sets",
    )

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if strange := sorted(set(name) & set('/\\:*?"<>|')):
            raise ValueError(f"a name of a folder without {' '.join(strange)} is expected")
        if name != name.lstrip(". \t\n"):
            raise ValueError("a name of a folder that begins with no dot or space is expected")
        return name

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.name and self.path:
            raise ValueError("name and path exclude each other; give one of them")
        return self


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
    n: int = Field(
        1400, ge=7, le=1_000_000, description="number of images; every seven show all expressions of one person"
    )
    size: int = Field(64, ge=16, le=1024, description="side of the square images, pixels")
    subjects: int = Field(40, ge=1, le=1_000_000, description="number of people")
    seed: int = Field(0, ge=0, lt=2**32, description="of everything that is drawn")


class KdefParams(DatasetParams):
    """Parameters of ``kdef``."""

    angle: Literal["straight", "half-left", "half-right", "full-left", "full-right", "all"] = Field(
        "straight", description="the direction of the face"
    )


class SequenceParams(DatasetParams):
    """Parameters of data sets whose sequences go from neutral to the apex; they choose frames."""

    last: int = Field(3, ge=1, le=1000, description="frames at the end of each sequence that show its expression")
    neutral: int = Field(1, ge=0, le=1000, description="frames at the beginning of each sequence that are neutral")


class OuluParams(SequenceParams):
    """Parameters of ``oulu-casia``."""

    spectrum: Literal["visible", "infrared"] = Field("visible", description="camera: visible light or near infrared")
    illumination: Literal["strong", "weak", "dark"] = Field("strong", description="light on the face")


class AffWild2Params(DatasetParams):
    """Parameters of ``affwild2``."""

    every: int = Field(1, ge=1, le=100_000, description="take every n-th frame of a video")


class FerPlusParams(DatasetParams):
    """Parameters of ``ferplus``."""

    protocol: Literal["majority", "argmax"] = Field("majority", description="how ten votes become a label")


class CropParams(DatasetParams):
    """Parameters of data sets whose faces are cut out of larger pictures."""

    max_side: int = Field(224, ge=0, le=4096, description="faces are shrunk to this longest side, pixels; 0 for never")


class AffectNetParams(CropParams):
    """Parameters of ``affectnet``."""

    release: Literal["auto", "original", "2021", "plus"] = Field("auto", description="which of the three releases")
    classes: int = Field(8, ge=7, le=8, description="8 expressions, or 7 without contempt")

    @field_validator("release", mode="before")
    @classmethod
    def _text(cls, release: object) -> str:
        return str(release)
