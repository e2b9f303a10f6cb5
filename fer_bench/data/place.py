"""Where a data set lies below the data folder.

``<data_dir>/manual/<name>/`` holds what the user put there, ``<data_dir>/prepared/<name>/<config>/<version>/`` what was
made from it: ``config`` names the parameters that differ from their defaults, ``version`` is the builder's.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fer_bench import brackets
from fer_bench.data.builder import FerBuilder
from fer_bench.data.images import is_picture
from fer_bench.errors import DataError, PluginError
from fer_bench.registry import Component, marked
from fer_bench.specs import DatasetSpec

CONFIG_LENGTH = 60
"""Longest readable part of a config's name."""
LOOKED_AT = 50
"""How many entries of a folder tell what it holds."""
PARTS = ("train", "training", "val", "valid", "validation", "test")
"""How people call the folders of the parts of a data set, in lower case."""


@dataclass(frozen=True)
class Place:
    """Where a data set lies.

    Attributes:
        builder: its class.
        manual: where the user puts it, or None if its package makes it.
        source: that folder as seen from all of them; its name if its package makes it.
        prepared: the folder for its parameters and version.
    """

    builder: type[FerBuilder]
    manual: Path | None
    source: str
    prepared: Path


def locate(dataset: Component[DatasetSpec], data_dir: Path) -> Place:
    """Return where ``dataset`` lies, whether it is there or not.

    Raises:
        PluginError: its builder cannot be loaded.
    """
    builder = cast("type[FerBuilder]", dataset.resolve(dataset.spec.builder))
    if not (isinstance(builder, type) and issubclass(builder, FerBuilder)):
        raise PluginError(
            f"Plugin {dataset.plugin.name!r}: the builder {dataset.spec.builder!r} of {dataset.spec.name!r} is not "
            "a subclass of fer_bench.data.builder.FerBuilder."
        )
    root = Path(data_dir).absolute()
    manual = builder.manual_path(dataset.spec, cast("Any", dataset.params))
    prepared = root / "prepared" / dataset.spec.name / config_name(dataset) / str(builder.VERSION)
    if manual is None:
        return Place(builder, None, dataset.spec.name, prepared)
    return Place(builder, root / "manual" / manual, manual.as_posix(), prepared)


def check_data_dir(data_dir: Path) -> None:
    """Refuse a file, and a data folder of pictures, a folder for each class: fer-bench would write among them.

    Raises:
        DataError: it is a file; or it looks like that, and holds neither ``manual`` nor ``prepared``.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise DataError(f"--data-dir {str(data_dir)!r} is a file; expected a folder, which need not be there yet.")
    if not data_dir.is_dir() or (data_dir / "manual").is_dir() or (data_dir / "prepared").is_dir():
        return
    for folder in (data_dir, *(entry for entry in _folders(data_dir) if entry.name.lower() in PARTS)):
        classes = [entry.name for entry in _folders(folder) if _holds_pictures(entry)]
        if len(classes) > 1:
            text = f"folder[path={brackets.write(str(data_dir))}]"
            raise DataError(
                f"--data-dir {str(data_dir)!r} is a folder of pictures: {', '.join(map(repr, classes))}. fer-bench "
                "would keep its own files there; nothing was written. Leave that option out, and read the pictures by "
                f"--dataset {shlex.quote(text)}"
            )


def _folders(folder: Path) -> list[Path]:
    """Return the first folders in ``folder``."""
    return [Path(entry.path) for entry in itertools.islice(os.scandir(folder), LOOKED_AT) if entry.is_dir()]


def _holds_pictures(folder: Path) -> bool:
    """Return whether there is a picture among the first entries of ``folder``."""
    return any(is_picture(entry.name) for entry in itertools.islice(os.scandir(folder), LOOKED_AT))


def config_name(dataset: Component[DatasetSpec]) -> str:
    """Return a file name for the parameters of ``dataset`` that choose what is prepared.

    Example: ``default``, ``domain-lab_n-200``; with a hash where characters had to go.
    """
    defaults = type(dataset.params)().model_dump(mode="json")
    changed = {name: value for name, value in stored_params(dataset).items() if value != defaults[name]}
    if not changed:
        return "default"
    text = "_".join(f"{name}-{value}" for name, value in changed.items())
    safe = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:CONFIG_LENGTH].rstrip("-._")
    if safe == text:
        return safe
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
    return f"{safe}-{digest[:8]}"


def stored_params(dataset: Component[DatasetSpec]) -> dict[str, Any]:
    """Return the parameters of ``dataset`` that choose what is prepared: all but those that are marked as a view."""
    values, views = dataset.params.model_dump(mode="json"), marked(type(dataset.params), "view")
    return {name: values[name] for name in sorted(values) if name not in views}
