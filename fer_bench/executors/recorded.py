"""The settings that make a stored cell again, from its own record."""

from __future__ import annotations

import json
from typing import Any, cast

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.executors.grid import COMPONENTS
from fer_bench.plugins import Kind
from fer_bench.privacy import HIDDEN
from fer_bench.registry import Registry
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
    record = cell.record
    made = [("dataset", part) for part in (record.dataset, *record.dataset.trained_with)]
    made += [("protocol", record.protocol), ("backbone", record.backbone), ("strategy", record.strategy)]
    packages = {(kind, part.name): part.package for kind, part in made}

    def qualified(kind: str, text: str) -> str:
        package = packages.get((kind, text.partition("[")[0].strip()))
        return registry.qualify(cast("Kind", kind), text, package) if package else text

    kinds = {"backbones": "backbone", "strategies": "strategy"}
    named = {
        field: tuple(qualified(kinds.get(field, "dataset"), text) for text in getattr(config, field))
        for field in COMPONENTS
    }
    return config.model_copy(update={**named, "protocol": qualified("protocol", config.protocol)})


def _settings(cell: StoredCell) -> dict[str, Any]:
    """Return the settings that make the cell; a file whose folder was not recorded lies in the working directory."""
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
