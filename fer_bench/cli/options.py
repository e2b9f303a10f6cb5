"""Options that several subcommands share, and the configuration they make.

A command's parameters are named as the fields of `RunConfig`, so that they can be handed on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import paths
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.config import RunConfig

Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone", metavar="NAME[param=value,…]", help="Backbone; repeat for several.  [default: xception]"
    ),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset", metavar="NAME[param=value,…]", help="Data set; repeat for several.  [default: synthetic]"
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy", metavar="NAME[param=value,…]", help="Strategy; repeat for several.  [default: linear-probe]"
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        help="auto, kfold, group-kfold, repeated-kfold, loso, official or cross; auto keeps subjects apart where they "
        "are known.  [default: auto]"
    ),
]
LeakFree = Annotated[
    bool | None,
    typer.Option(
        "--leak-free/--no-leak-free",
        help="Keep copies of an image, as 'data audit' found them, in one fold.  [default: where an audit is stored]",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(help="native, basic-6, basic-7 or basic-8: label set that labels are mapped to.  [default: native]"),
]
Repeats = Annotated[int | None, typer.Option(help="Repetitions of repeated-kfold.  [default: 5]")]
TestSplit = Annotated[
    str | None, typer.Option(metavar="SPLIT", help="Split that 'official' tests.  [default: the test split]")
]
TrainOn = Annotated[
    list[str] | None,
    typer.Option(
        "--train-on", metavar="NAME[param=value,…]", help="Train on this data set alone (cross); repeat for several."
    ),
]
TrainWith = Annotated[
    list[str] | None,
    typer.Option(
        "--train-with", metavar="NAME[param=value,…]", help="Add this data set to every training part; repeatable."
    ),
]
Folds = Annotated[int | None, typer.Option(help="Number of folds, K.  [default: 5]")]
Seeds = Annotated[str | None, typer.Option(help="Comma-separated; each draws its own folds.  [default: 0]")]
Limit = Annotated[
    int | None, typer.Option(help="Balanced subset: the first N/classes images of each class, in file order.")
]
FaceCrop = Annotated[
    str | None,
    typer.Option(help="align, box or none: cut images down to the face, which is looked for.  [default: none]"),
]
FaceSize = Annotated[int | None, typer.Option(help="Side of a face that is cut out, pixels.  [default: 160]")]
FaceMargin = Annotated[
    float | None, typer.Option(help="What --faces box adds on every side, as a share of the box.  [default: 0.1]")
]
FaceSmallest = Annotated[
    float | None,
    typer.Option(help="Smallest face looked for, as a share of the picture's longer side.  [default: 0.0833]"),
]
FaceThresholds = Annotated[
    str | None, typer.Option(help="What the detector's three stages keep a box above.  [default: 0.6,0.7,0.8]")
]
Missed = Annotated[
    str | None,
    typer.Option(help="error or exclude: what an image counts as in which no face was found.  [default: error]"),
]
Precision = Annotated[str | None, typer.Option(help="auto, float32 or bfloat16: of matrix products.  [default: auto]")]
RunsDir = Annotated[Path | None, typer.Option(help="Folder of results.  [default: runs]")]
DataDir = Annotated[
    Path | None, typer.Option(envvar=paths.DATA_VARIABLE, help="Folder of data sets.  [default: the user's own]")
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        envvar=paths.CACHE_VARIABLE, help="Folder of features and compiled programs.  [default: the user's own]"
    ),
]
CacheLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        envvar=paths.CACHE_LIMIT_VARIABLE,
        help="What features may take on disk, as in 20GB.  [default: half of what they take and what is free]",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with these settings; options override it.")
]


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """Return the seeds in ``"0,1,2"``.

    Raises:
        FerBenchError: something in it is not a whole number.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise FerBenchError(f"--seeds {text!r} is not a list of whole numbers; write it as 0,1,2.") from None


def make_config(given: Mapping[str, Any]) -> tuple[RunConfig, ...]:
    """Return the runs of a command: those of its ``--config`` file with its options laid over each.

    Args:
        given: the command's parameters by name. Those that `RunConfig` has count; None and empty ones override nothing.
    """
    from fer_bench.config import RunConfig

    unset = (None, (), [])
    options = {name: value for name, value in given.items() if name in RunConfig.model_fields and value not in unset}
    if text := options.get("face_thresholds"):
        options["face_thresholds"] = text.split(",")
    file = Path(given["config"]) if given.get("config") else None  # a context's parameters may be text still
    return RunConfig.read(file, {**options, "seeds": parse_seeds(given.get("seeds"))})
