"""All kinds of cases by name."""

from __future__ import annotations

from collections.abc import Callable

from campaign import corruption, faults, names, strangers, texts
from campaign.draw import Draw
from campaign.stock import Stock

Kind = Callable[[Draw, Stock], None]
KINDS: dict[str, Kind] = {
    "names-tables": names.tables,
    "names-boards": names.boards,
    "encodings": texts.encodings,
    "kill-calls": faults.killed_at_call,
    "kill-writer": faults.write_killed,
    "kill-run": faults.run_killed,
    "disk-writer": faults.write_fails,
    "disk-run": faults.run_fails,
    "damage-runs": corruption.runs,
    "damage-rows": corruption.rows,
    "damage-data": corruption.data,
    "damage-cache": corruption.cache,
    "manifests": texts.manifests,
    "options": texts.options,
    "brackets": texts.brackets,
    "yaml": texts.yaml,
    "ends": texts.ends,
    "strangers": strangers.cells,
}
FEWEST = {"kill-calls": 400}
"""Cases of a kind that are tried before kinds share the time that is left; `FAIR` of the others."""
FAIR = 40
