"""Which files the workers of ``--stage`` need, and what these are called there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fer_bench import brackets
from fer_bench.config import RunConfig
from fer_bench.data.prepared import SUMMARY_FILE
from fer_bench.digests import sha256_of
from fer_bench.executors import copies
from fer_bench.executors.cells import demand_of
from fer_bench.executors.kept import file_of, is_kept
from fer_bench.executors.sharing import Unit, by_outputs, divide
from fer_bench.executors.work import Work
from fer_bench.faces.store import FOLDER as FACES
from fer_bench.keeping import parts
from fer_bench.keeping.space import FOLDER as OUTPUTS
from fer_bench.learning.plans import by_view
from fer_bench.networks.prefix import key
from fer_bench.networks.source import BackboneSource
from fer_bench.registry import Component, Registry
from fer_bench.results import corrupted
from fer_bench.specs import BackboneSpec


def needed(work: Work) -> dict[str, Path]:
    """Return the files that workers need for what is left of a grid: name below their cache folder -> file here.

    These are the prepared data with what is known of copies in them, the faces that were found, and the stage outputs
    that are cached. The file that makes others count is the last of its folder.
    """
    files: dict[str, Path] = {}

    def add(folder: Path, prefix: str, last: str) -> None:
        names = [file.relative_to(folder) for file in folder.rglob("*") if file.is_file()]
        for name in sorted(names, key=lambda name: (name.as_posix() == last, name)):
            if not name.name.startswith((".", "lease-")) and name.suffix != ".lock":
                files[f"{prefix}/{name.as_posix()}"] = folder / name

    data_dir, cache_dir = work.runs[0].data_folder.absolute(), work.cache_dir
    for units in by_outputs(divide(work.grid, work.pending)):
        block = units[0].block
        source = BackboneSource(block.backbone, block.backbone_identity, cache_dir)
        for view in block.task.parts:
            place = view.prepared.folder.absolute()
            add(place, f"{copies.FOLDER}/data/{place.relative_to(data_dir).as_posix()}", SUMMARY_FILE)
            if view.faces is not None:
                add(cache_dir / FACES, FACES, "")
            demands = [demand_of(unit.block) for unit in units] if source.known_digests else []
            for windowed, stop in ((windowed, stop) for windowed, stops in by_view(demands, view) for stop in stops):
                name = key(windowed, source, source.known_digests or (), stop)
                for part in (cache_dir / OUTPUTS).glob(f"{name}-*/"):
                    add(part, f"{OUTPUTS}/{part.name}", parts.ENTRY)
    return files


def kept_of(work: Work, units: Iterable[Unit]) -> dict[str, Path]:
    """Return the files of cells that lack only predictions of corrupted images and whose models are kept, as `needed`.

    A worker then predicts by the model and trains nothing. Models that are heads on features are fitted again instead,
    in seconds.
    """
    files: dict[str, Path] = {}
    runs_dir = work.store.runs_dir
    for unit in units if work.corruptions else ():
        for job in unit.jobs:
            cell = work.store.find(job.cell)
            if cell and is_kept(runs_dir, unit.block, cell):
                names = [*corrupted.read_files(cell), *(f"cells/{cell.folder.name}/{name}" for name in cell.files())]
                sources = [file_of(runs_dir, cell.id), *(runs_dir / name for name in names)]
                files |= {f"{copies.FOLDER}/runs/{file.relative_to(runs_dir).as_posix()}": file for file in sources}
    return files


def give_files(work: Work) -> tuple[list[RunConfig], dict[str, Path]]:
    """Return the settings of a grid as its workers know them, and the files that backbones and strategies bring.

    A file that a parameter names goes under its sha256, so that it keeps its name, which is part of a cell's identity.
    A file that a plugin keeps below this machine's cache folder, such as downloaded weights, goes to the same place
    there; others come with the plugins.

    Returns:
        Settings; and name below the cache folder of a worker -> file here.
    """
    registry, files = Registry(work.plugins), dict[str, Path]()

    def rename(kind: str, text: str, component: Component[Any]) -> str:
        local = component.files()
        places = {name: f"{copies.FOLDER}/files/{sha256_of(file)}/{file.name}" for name, file in local.items()}
        files.update({places[name]: file for name, file in local.items()})
        return brackets.rewrite(kind, text, places) if places else text

    runs: list[RunConfig] = []
    for run in work.runs:
        backbones = [registry.backbone(text) for text in run.backbones]
        strategies = [registry.strategy(text) for text in run.strategies]
        for component in backbones:
            files |= _kept_files(component, work.cache_dir)
        typed = {
            "backbones": tuple(rename("backbone", *pair) for pair in zip(run.backbones, backbones, strict=True)),
            "strategies": tuple(rename("strategy", *pair) for pair in zip(run.strategies, strategies, strict=True)),
        }
        runs.append(run.model_copy(update=typed))
    return runs, files


def _kept_files(component: Component[BackboneSpec], cache_dir: Path) -> dict[str, Path]:
    """Return the files that a plugin finds for a backbone below the cache folder, by their place there."""
    if not component.spec.files:
        return {}
    paths: Mapping[str, Path] = component.ask(f"find the files of {str(component)!r}", component.spec.files)
    below = cache_dir.absolute()
    return {
        file.absolute().relative_to(below).as_posix(): file
        for file in paths.values()
        if file.absolute().is_relative_to(below)
    }
