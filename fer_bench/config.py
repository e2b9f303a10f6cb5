"""What a run is asked to do: defaults < YAML file < command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fer_bench import paths
from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.sizes import parse_size

Labels = Literal["native", "basic-6", "basic-7", "basic-8"]
Precision = Literal["auto", "float32", "bfloat16"]
FaceCrop = Literal["none", "align", "box"]
Missed = Literal["error", "exclude"]
Share = Annotated[float, Field(ge=0, le=1)]


class RunConfig(BaseModel):
    """A grid: every data set x backbone x strategy x seed x fold, under one protocol.

    Attributes:
        datasets: component texts, ``name[param=value]``; likewise ``backbones`` and ``strategies``.
        protocol: component text; ``auto`` groups by identity where a data set has it.
        labels: label set that native labels are mapped to; see `fer_bench.labels`.
        folds: K, at least 2.
        repeats: of ``repeated-kfold``.
        test_split: that ``official`` tests; None takes the test split, or where there is none the validation split.
        train_on: data sets that ``cross`` trains on, in place of those that are tested.
        train_with: data sets that are added to every training part, never tested.
        leak_free: whether copies that an audit found stay in one fold; None: where an audit is stored.
        seeds: each draws its own folds and starts its own training.
        limit: use the first ``limit / classes`` samples of each class, in file order; None uses all.
        faces: ``align`` turns and scales each face into place, ``box`` cuts a square around it, ``none`` takes whole
            images.
        face_size: side of a crop, pixels.
        face_margin: that ``box`` adds on every side, as a share of the box's longer side.
        face_smallest: side of the smallest face that is looked for, as a share of the picture's longer side.
        face_thresholds: probability of a face above which each of the detector's three stages keeps a box.
        missed: what an image is in which no face was found: an ``error`` in the score, or left out (``exclude``).
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
    protocol: str = "auto"
    labels: Labels = "native"
    folds: int = Field(5, ge=2)
    repeats: int = Field(5, ge=2)
    test_split: str | None = None
    train_on: tuple[str, ...] = ()
    train_with: tuple[str, ...] = ()
    leak_free: bool | None = None
    seeds: tuple[int, ...] = (0,)
    limit: int | None = Field(None, ge=2)
    faces: FaceCrop = "none"
    face_size: int = Field(160, ge=16, le=1024)
    face_margin: float = Field(0.1, ge=0, le=2)
    face_smallest: float = Field(1 / 12, ge=0.02, le=1)
    face_thresholds: tuple[Share, Share, Share] = (0.6, 0.7, 0.8)
    missed: Missed = "error"
    precision: Precision = "auto"
    runs_dir: Path = Path("runs")
    data_dir: Path | None = None
    cache_dir: Path | None = None
    cache_limit: int | None = None

    @field_validator("datasets", "backbones", "strategies", "seeds")
    @classmethod
    def _not_empty(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            raise ValueError("at least one is needed")
        return values

    @field_validator("datasets", "backbones", "strategies", "seeds", "train_on", "train_with")
    @classmethod
    def _not_repeated(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
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

    @model_validator(mode="after")
    def _data_sets_are_named_once(self) -> Self:
        faults: list[str] = []
        if self.train_on and self.train_with:
            faults.append(
                "--train-on and --train-with exclude each other; name all data sets to train on with --train-on"
            )
        both = sorted({*self.train_on, *self.train_with} & set(self.datasets))
        faults += [f"{name!r} is tested and added to training; name it once" for name in both]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def data_folder(self) -> Path:
        """Where the run finds its data."""
        return self.data_dir or paths.data_dir()

    @property
    def cache_folder(self) -> Path:
        """Where the run keeps features and compiled programs."""
        return self.cache_dir or paths.cache_dir()

    @classmethod
    def read(cls, file: Path | None, overrides: Mapping[str, Any]) -> tuple[Self, ...]:
        """Return the runs of ``file`` with ``overrides`` laid over each: one, or those that its ``runs`` list.

        Each entry of ``runs`` has keys of its own; all other keys of the file are defaults for every run. Folders
        are the same for all.

        Raises:
            FerBenchError: as `build`; the faults of all runs at once.
        """
        values = _read_yaml(file) if file else {}
        if "runs" not in values:
            return (cls.build(file, overrides),)
        entries = values.pop("runs")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise FerBenchError(f"'runs' of {str(file)!r} is not a list of settings, such as '- protocol: kfold'.")
        made: list[Self] = []
        faults: list[str] = []
        for number, entry in enumerate(entries, 1):
            placed = sorted({"runs_dir", "data_dir", "cache_dir"} & set(entry))
            faults += [f"run {number}: {key!r} is the same for all runs; move it to the top" for key in placed]
            try:
                made.append(cls._check({**values, **entry}, overrides, file))
            except FerBenchError as error:
                faults.append(f"run {number}: {error}")
        if faults:
            raise FerBenchError(f"Runs of {str(file)!r} are not valid:\n{bullet_list(faults)}")
        return tuple(made)

    @classmethod
    def build(cls, file: Path | None, overrides: Mapping[str, Any]) -> Self:
        """Return the configuration of ``file`` (YAML) with ``overrides`` laid over it; None values override nothing.

        Raises:
            FerBenchError: unreadable file, unknown key or a value that is not allowed; all faults at once.
        """
        return cls._check(_read_yaml(file) if file else {}, overrides, file)

    @classmethod
    def _check(cls, settings: Mapping[Any, Any], overrides: Mapping[str, Any], file: Path | None) -> Self:
        values = {
            **settings,
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
                if fault["loc"]
                else fault["msg"].removeprefix("Value error, ")
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
