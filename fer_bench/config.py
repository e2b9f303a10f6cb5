"""What a run is asked to do: defaults < YAML file < command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from fer_bench import brackets, corruption, paths
from fer_bench.errors import FerBenchError, bullet_list, did_you_mean
from fer_bench.labels import parse_label_set
from fer_bench.sizes import parse_size
from fer_bench.space import SearchSpace, read_space
from fer_bench.specs import MOST_FOLDS
from fer_bench.yaml_files import read_yaml

Precision = Literal["auto", "float32", "bfloat16"]
FaceCrop = Literal["none", "align", "box"]
Missed = Literal["error", "exclude"]
Share = Annotated[float, Field(ge=0, le=1)]

PLACED = frozenset({"runs_dir", "data_dir", "cache_dir", "executor", "keep", "skip_missing", "stage", "corrupt"})
"""Settings of a run that say where and how it happens and what is scored beside, and decide no cell."""


def _ask(parse: Callable[[Any], object], value: object) -> object:
    """Return what a parser makes of a value; what it refuses is one of the faults of the settings."""
    try:
        return parse(value)
    except FerBenchError as error:
        raise ValueError(str(error)) from None


def _path(value: object) -> object:
    return _ask(paths.parse, value) if isinstance(value, str | Path) else value


def _label_set(value: Any) -> Any:
    names: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        return value
    return _ask(parse_label_set, ",".join(names))


UserPath = Annotated[Path, BeforeValidator(_path)]
SpaceFile = Annotated[SearchSpace, BeforeValidator(read_space)]
LabelSet = Annotated[str, BeforeValidator(_label_set)]
COMPONENT = "NAME[param=value,…]"


@dataclass(frozen=True, kw_only=True)
class Option:
    """How the command line takes a setting.

    Attributes:
        group: heading in the help.
        name: with its hyphens; told by the setting's name if empty.
        metavar: what the help shows as its value.
        default: the default in words; told by the setting's own if empty. ``none`` shows nothing.
        variable: of the environment, that gives it too.
    """

    group: str
    name: str = ""
    metavar: str | None = None
    default: str = ""
    variable: str | None = None


class RunConfig(BaseModel):
    """A grid: every data set x backbone x strategy x split seed x seed x fold, under one protocol.

    Every setting is declared here, with its description and how the command line takes it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbones: Annotated[
        tuple[str, ...],
        Field(description="Backbone; repeat for several."),
        Option(group="Grid", name="--backbone", metavar=COMPONENT),
    ] = ("xception",)
    datasets: Annotated[
        tuple[str, ...],
        Field(description="Data set; repeat for several."),
        Option(group="Grid", name="--dataset", metavar=COMPONENT),
    ] = ("synthetic",)
    strategies: Annotated[
        tuple[str, ...],
        Field(description="Strategy; repeat for several."),
        Option(group="Grid", name="--strategy", metavar=COMPONENT),
    ] = ("linear-probe",)
    seeds: Annotated[
        tuple[int, ...],
        Field(description="Comma-separated; one training for each seed, on its own folds without --split-seeds."),
        Option(group="Grid"),
    ] = (0,)
    split_seeds: Annotated[
        tuple[int, ...],
        Field(description="Comma-separated; one set of folds for each seed; all --seeds train on each."),
        Option(group="Grid", default="one set for each of --seeds"),
    ] = ()
    precision: Annotated[
        Precision,
        Field(
            description="auto, float32 or bfloat16: precision of matrix products; auto uses bfloat16 where the device "
            "supports it natively."
        ),
        Option(group="Grid"),
    ] = "auto"
    executor: Annotated[
        str,
        Field(description="What runs the cells: local, processes, dask, slurm or a plugin's."),
        Option(group="Grid", metavar=COMPONENT),
    ] = "local"
    keep: Annotated[
        Literal["none", "best", "all"],
        Field(
            description="none, best or all: whose trained models are kept below the folder of results; best is the "
            "cell of each row with the highest UAR."
        ),
        Option(group="Grid"),
    ] = "none"
    skip_missing: Annotated[
        bool,
        Field(
            description="Leave out backbones whose weights or libraries are not on this machine, and list them first "
            "with how to get them."
        ),
        Option(group="Grid"),
    ] = False
    stage: Annotated[
        bool,
        Field(
            description="Copy data and cached outputs to workers of dask or slurm that share no folders with this "
            "machine, and bring cells back."
        ),
        Option(group="Grid"),
    ] = False
    protocol: Annotated[
        str,
        Field(
            description="auto, kfold, group-kfold, repeated-kfold, loso, official, cross or a plugin's; auto keeps "
            "subjects apart where they are known."
        ),
        Option(group="Folds", metavar=COMPONENT),
    ] = "auto"
    folds: Annotated[int, Field(ge=2, le=MOST_FOLDS, description="Number of folds, K."), Option(group="Folds")] = 5
    repeats: Annotated[
        int, Field(ge=2, le=100, description="Repetitions of repeated-kfold."), Option(group="Folds")
    ] = 5
    test_split: Annotated[
        str | None,
        Field(description="Split that 'official' tests."),
        Option(group="Folds", metavar="SPLIT", default="the test split, else the validation split"),
    ] = None
    train_fraction: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        Field(description="Comma-separated shares of each training part; one row for each, which 'curve' compares."),
        Option(group="Folds", default="1, all of it"),
    ] = ()
    jackknife: Annotated[
        bool, Field(description="Train also without each two folds, which intervals use."), Option(group="Folds")
    ] = False
    leak_free: Annotated[
        bool | None,
        Field(description="Keep copies of an image that 'data audit' found in one fold."),
        Option(group="Folds", default="where an audit is stored"),
    ] = None
    train_on: Annotated[
        tuple[str, ...],
        Field(description="Train on this data set only (cross); repeat for several."),
        Option(group="Folds", metavar=COMPONENT, default="none"),
    ] = ()
    train_with: Annotated[
        tuple[str, ...],
        Field(description="Add this data set to every training part, never to a test part; repeat for several."),
        Option(group="Folds", metavar=COMPONENT, default="none"),
    ] = ()
    search: Annotated[
        tuple[SpaceFile, ...],
        Field(
            description="YAML file with a strategy and the values of its parameters to search; one row, of which each "
            "training part chooses settings on folds of its own; repeat for several."
        ),
        Option(group="Search", metavar="FILE", default="nothing"),
    ] = ()
    inner: Annotated[
        int,
        Field(ge=2, le=100, description="Inner folds of each training part, on which --search chooses."),
        Option(group="Search"),
    ] = 4
    trials: Annotated[
        int, Field(ge=1, le=100_000, description="Settings that --search draws by the seed."), Option(group="Search")
    ] = 50
    labels: Annotated[
        LabelSet,
        Field(
            description="native, basic-6, basic-7, basic-8 or your own classes, as in "
            "happy,sad,neutral; labels are mapped to these, and images with other labels are left out."
        ),
        Option(group="Images", metavar="SET"),
    ] = "native"
    limit: Annotated[
        int | None,
        Field(ge=2, lt=2**31, description="Balanced subset: the first N/classes images of each class, in file order."),
        Option(group="Images", default="none"),
    ] = None
    faces: Annotated[
        FaceCrop,
        Field(
            description="align, box or none: detect the face and crop the image to it; align rotates and scales it to "
            "a fixed position, box crops a square around it."
        ),
        Option(group="Images"),
    ] = "none"
    face_size: Annotated[
        int, Field(ge=16, le=1024, description="Side of the face crop in pixels."), Option(group="Images")
    ] = 160
    face_margin: Annotated[
        float,
        Field(ge=0, le=2, description="Margin of --faces box on every side, as a share of the box's longer side."),
        Option(group="Images"),
    ] = 0.1
    face_smallest: Annotated[
        float,
        Field(ge=0.02, le=1, description="Smallest face that is detected, as a share of the image's longer side."),
        Option(group="Images", default="0.0833"),
    ] = 1 / 12
    face_thresholds: Annotated[
        tuple[Share, Share, Share],
        Field(description="Probability of a face above which the detector's three stages keep a box."),
        Option(group="Images"),
    ] = (0.6, 0.7, 0.8)
    missed: Annotated[
        Missed, Field(description="error or exclude: how an image without a face counts."), Option(group="Images")
    ] = "error"
    corrupt: Annotated[
        tuple[str, ...],
        Field(
            description="Score the trained models also on corrupted test images; all, or a kind as in "
            "jpeg[severity=1..5]; repeat for several. 'fer-bench damage' reports."
        ),
        Option(group="Images", metavar="all|KIND[severity=1]", default="clean images only"),
    ] = ()
    runs_dir: Annotated[UserPath, Field(description="Folder of results."), Option(group="Folders")] = Path("runs")
    data_dir: Annotated[
        UserPath | None,
        Field(description="Folder of data sets."),
        Option(group="Folders", default="the user's own", variable=paths.DATA_VARIABLE),
    ] = None
    cache_dir: Annotated[
        UserPath | None,
        Field(description="Folder of features and compiled programs."),
        Option(group="Folders", default="the user's own", variable=paths.CACHE_VARIABLE),
    ] = None
    cache_limit: Annotated[
        int | None,
        Field(ge=0, lt=2**63, description="Largest size of the features on disk, as in 20GB."),
        Option(
            group="Folders",
            metavar="SIZE",
            default="half of the sum of their size and the free space",
            variable=paths.CACHE_LIMIT_VARIABLE,
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _search_names_a_strategy(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("search") and "strategies" not in values:
            return {**values, "strategies": ()}
        return values

    @field_validator("datasets", "backbones", "seeds")
    @classmethod
    def _not_empty(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if not values:
            raise ValueError("at least one is needed")
        return values

    @field_validator(
        "datasets", "backbones", "strategies", "seeds", "split_seeds", "train_fraction", "train_on", "train_with"
    )
    @classmethod
    def _not_repeated(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(values)) < len(values):
            raise ValueError("a value is given twice")
        return values

    @field_validator("cache_limit", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        return _ask(parse_size, value) if isinstance(value, str) else value

    @field_validator("corrupt")
    @classmethod
    def _corruptions(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        _ask(corruption.parse, texts)
        return texts

    @field_validator("seeds", "split_seeds")
    @classmethod
    def _seeds_in_range(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= seed < 2**32 for seed in seeds):
            raise ValueError("seeds are 0 to 4294967295")
        return seeds

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if not self.strategies and not self.search:
            raise ValueError("strategies: at least one is needed")
        defaults = {name: type(self).model_fields[name].default for name in ("inner", "trials")}
        options = [f"--{name}" for name, default in defaults.items() if getattr(self, name) != default]
        if options and not self.search:
            raise ValueError(f"{' and '.join(options)} says how --search chooses settings; name a space with --search")
        if any(space in self.search[:place] for place, space in enumerate(self.search)):
            raise ValueError("search: a space is given twice")
        return self

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
    def read(cls, file: Path | None, overrides: Mapping[str, object]) -> tuple[Self, ...]:
        """Return the runs of ``file`` with ``overrides`` laid over each: one, or those that its ``runs`` list.

        Each entry of ``runs`` has keys of its own; all other keys of the file are defaults for every run. Folders
        and the executor are the same for all.

        Raises:
            FerBenchError: as `build`; the faults of all runs at once.
        """
        values = read_yaml(file) if file else {}
        if "runs" not in values:
            return (cls.build(file, overrides),)
        entries = values.pop("runs")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise FerBenchError(f"'runs' of {str(file)!r} is not a list of settings, such as '- protocol: kfold'.")
        runs: list[Self] = []
        faults: list[str] = []
        for number, entry in enumerate(entries, 1):
            placed = sorted(PLACED & set(entry))
            faults += [f"run {number}: {key!r} is the same for all runs; move it to the top" for key in placed]
            try:
                runs.append(cls._check({**values, **entry}, overrides, file))
            except FerBenchError as error:
                faults.append(f"run {number}: {error}")
        if faults:
            raise FerBenchError(f"Runs of {str(file)!r} are not valid:\n{bullet_list(faults)}")
        return tuple(runs)

    @classmethod
    def build(cls, file: Path | None, overrides: Mapping[str, object]) -> Self:
        """Return the configuration of ``file`` (YAML) with ``overrides`` laid over it; None values override nothing.

        Raises:
            FerBenchError: unreadable file, unknown key or a value that is not allowed; all faults at once.
        """
        return cls._check(read_yaml(file) if file else {}, overrides, file)

    @classmethod
    def _check(cls, settings: Mapping[Any, Any], overrides: Mapping[str, object], file: Path | None) -> Self:
        values = {
            **settings,
            **{key: value for key, value in overrides.items() if value is not None},
        }
        unknown = [key for key in values if key not in cls.model_fields]
        if unknown:
            faults = [f"unknown key {key!r}. {did_you_mean(str(key), [*cls.model_fields, 'runs'])}" for key in unknown]
            raise FerBenchError(f"{file} has keys that fer-bench does not know:\n{bullet_list(faults)}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [brackets.describe_fault(fault) for fault in error.errors()]
            raise FerBenchError(f"The run's settings are not valid:\n{bullet_list(faults)}") from None
