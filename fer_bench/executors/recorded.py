"""The settings that make a stored cell again, from its own record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.executors.grid import COMPONENTS
from fer_bench.keeping.named_files import Places
from fer_bench.plugins import Kind
from fer_bench.privacy import HIDDEN
from fer_bench.registry import Registry
from fer_bench.results.records import ComponentRecord, ProtocolRecord
from fer_bench.results.store import StoredCell


def config_of(
    cell: StoredCell, registry: Registry, together: list[tuple[int, ...]], precision: str | None
) -> RunConfig:
    """Return the settings that make the cell and those of other seeds that were trained with it."""
    settings = {**_settings(cell), **({"precision": precision} if precision else {})}
    settings["seeds"] = tuple(dict.fromkeys(seed for seed, *_ in together))
    if settings.get("split_seeds"):
        settings["split_seeds"] = tuple(dict.fromkeys([seed, *rest][-1] for seed, _, *rest in together))
    try:
        config = RunConfig.build(None, settings)
        counts = {name: len(getattr(config, name)) for name in ("datasets", "backbones", "strategies")}
        if many := [f"{count} {name}" for name, count in counts.items() if count > 1]:
            raise FerBenchError(f"{' and '.join(many)}; expected one of each.")
    except FerBenchError as error:
        raise FerBenchError(
            f"The settings of cell {cell.id[:8]} ('config' in provenance.json) cannot be used: {error}"
        ) from None
    return _of_recorded_packages(config, cell, registry)


def _of_recorded_packages(config: RunConfig, cell: StoredCell, registry: Registry) -> RunConfig:
    """Name each component with the package that the cell records, since another may bring the same name by now."""
    packages = {key: part.package for key, part in _components(cell).items()}

    def qualified(kind: Kind, text: str) -> str:
        package = packages.get((kind, text.partition("[")[0].strip()))
        return registry.qualify(kind, text, package) if package else text

    return _rename(config, qualified)


def with_files(config: RunConfig, cell: StoredCell, places: Places) -> RunConfig:
    """Name the files of components where they lie on this machine; raises as `Places.locate`."""
    components = _components(cell)

    def located(kind: Kind, text: str) -> str:
        part = components.get((kind, places.registry.read(kind, text)[1].name))
        return places.locate(kind, text, part.files if part else {})

    return _rename(config, located)


def _components(cell: StoredCell) -> dict[tuple[Kind, str], ComponentRecord | ProtocolRecord]:
    """Return what a cell records of its components, by kind and name."""
    record = cell.record
    records: dict[tuple[Kind, str], ComponentRecord | ProtocolRecord] = {
        ("dataset", part.name): part for part in (record.dataset, *record.dataset.trained_with)
    }
    records["protocol", record.protocol.name] = record.protocol
    records["backbone", record.backbone.name] = record.backbone
    records["strategy", record.strategy.name] = record.strategy
    return records


def _rename(config: RunConfig, rename: Callable[[Kind, str], str]) -> RunConfig:
    """Return settings with other texts of their components."""
    kinds: dict[str, Kind] = {"backbones": "backbone", "strategies": "strategy"}
    settings = {
        field: tuple(rename(kinds.get(field, "dataset"), text) for text in getattr(config, field))
        for field in COMPONENTS
    }
    return config.model_copy(update={**settings, "protocol": rename("protocol", config.protocol)})


def _settings(cell: StoredCell) -> dict[str, Any]:
    """Return the settings that make the cell; a folder of data whose place was not recorded is looked for here."""
    config = cell.provenance.config
    if not config:
        raise FerBenchError(
            f"Cell {cell.id[:8]} does not hold the settings that make it again ('config' in provenance.json): it was "
            "written by an older fer-bench. Repeat the run into a fresh folder and use 'fer-bench compare'."
        )
    settings = json.dumps(config)
    if private := next((word for word in (HIDDEN, "<user>") if word in settings), None):
        raise FerBenchError(
            f"Cell {cell.id[:8]} was made with a parameter that is private ({private} in provenance.json): it "
            "cannot be made again from its record. Repeat the run into a fresh folder and use 'fer-bench compare'."
        )
    return json.loads(settings.replace("<path>/", ""))
