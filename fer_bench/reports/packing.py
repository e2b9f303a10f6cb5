"""Write results that others can read, check and repeat as one file: cells, settings, versions and the board."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from fer_bench import atomic
from fer_bench.about import __version__
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.reports import boards
from fer_bench.reports.formats import markdown
from fer_bench.reports.leaderboard import build
from fer_bench.results import corrupted
from fer_bench.results.find import find_cells
from fer_bench.results.keyed import SEAL, copied, name_key, seal
from fer_bench.results.private import find_private
from fer_bench.results.records import CANONICAL
from fer_bench.results.rows import group
from fer_bench.results.store import Store, StoredCell
from fer_bench.results.unpacking import CONFIG, MANIFEST, README, SCHEMA
from fer_bench.sizes import number_of

_TIME = (1980, 1, 1, 0, 0, 0)
"""Of each member, so that the same cells give the same bytes."""
_UNIONS = ("seeds", "split_seeds")
"""Settings in which the cells of a row differ."""


def pack(runs_dir: Path, rows: Sequence[str], output: Path, key: bytes | None = None) -> int:
    """Write cells as a zip file and return how many.

    Args:
        runs_dir: the runs folder.
        rows: names or ids of rows, as `fer_bench.results.find.find_cells` takes them; none means all.
        output: the file.
        key: hides the ids of samples, subjects and groups, and seals the file; None leaves names.

    Raises:
        FerBenchError: there is nothing to pack, a cell is damaged or holds what is private, or the file cannot be
            written.
    """
    store = Store(runs_dir)
    cells, damaged = store.cells()
    if damaged and not rows:
        raise FerBenchError(f"Damaged cells cannot be packed; delete their folders:\n{bullet_list(damaged)}")
    if rows:
        cells = find_cells(store, rows)
    if key is None:
        return _write(cells, runs_dir, output, None)
    with copied(cells, key) as folder:
        return _write(Store(folder).cells()[0], runs_dir, output, key)


def _write(cells: Sequence[StoredCell], runs_dir: Path, output: Path, key: bytes | None) -> int:
    """Write cells as a zip file and return how many; arguments and errors as for `pack`."""
    if not cells:
        raise FerBenchError(f"The runs folder {str(runs_dir)!r} holds no cells. Run 'fer-bench run' first.")
    if private := [f"{cell.id[:16]}: {text[:80]!r}" for cell in cells for text in find_private(cell)]:
        raise FerBenchError(
            f"Some cells hold what is private, as those of older versions may:\n{bullet_list(private)}\n"
            "Repeat them, or leave their rows out with --rows."
        )
    files = {f"cells/{cell.folder.name}/{name}": data for cell in cells for name, data in cell.files().items()}
    for cell in cells:
        files |= corrupted.read_files(cell)
    config, alone = _settings(cells)
    files[CONFIG] = yaml.safe_dump({"runs": config}, sort_keys=True, allow_unicode=True).encode()
    facts = {"cells": len(cells), "fer_bench": sorted(_versions(cells)), "data": _data(cells)}
    files[README] = _readme(cells, alone, facts).encode()
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest: dict[str, Any] = {"schema": SCHEMA, "written_by": __version__, **facts, "files": hashes}
    if key is not None:
        manifest["key"] = name_key(key)
        manifest[SEAL] = seal(key, manifest)
    files[MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _TIME)
            member.external_attr, member.create_system = 0o100644 << 16, 3
            archive.writestr(member, files[name], zipfile.ZIP_DEFLATED)
    atomic.write_file(output, buffer.getvalue(), "the pack")
    return len(cells)


def _settings(cells: Iterable[StoredCell]) -> tuple[list[dict[str, Any]], int]:
    """Return the settings of runs that make the cells again, and how many cells do not say theirs."""
    runs: dict[str, dict[str, Any]] = {}
    alone = 0
    for cell in cells:
        config = cell.provenance.config
        if not config:
            alone += 1
            continue
        rest = {name: value for name, value in config.items() if name not in _UNIONS}
        run = runs.setdefault(CANONICAL.encode(rest), {**rest, **{name: [] for name in _UNIONS if name in config}})
        for name in _UNIONS:
            if name in config:
                run[name] = sorted({*run[name], *config[name]})
    return [runs[key] for key in sorted(runs)], alone


def _versions(cells: Iterable[StoredCell]) -> set[str]:
    return {source.version for cell in cells if (source := cell.provenance.code.get("fer-bench"))}


def _data(cells: Iterable[StoredCell]) -> dict[str, str]:
    """Return data set, as typed -> its fingerprint; several where one name means several data."""
    known: dict[str, set[str]] = {}
    for cell in cells:
        for dataset in (cell.record.dataset, *cell.record.dataset.trained_with):
            known.setdefault(dataset.text, set()).add(dataset.fingerprint)
    return {name: ", ".join(sorted(hashes)) for name, hashes in sorted(known.items())}


def _readme(cells: Sequence[StoredCell], alone: int, facts: dict[str, Any]) -> str:
    left_out: list[str] = []
    tables = boards.to_tables(build(cells, left_out=left_out.append), left_out)
    lines = [
        "# Results of fer-bench",
        "",
        f"{number_of(len(cells), 'cell')} of {len(group(cells))} rows, made by fer-bench "
        f"{', '.join(facts['fer_bench'])}.",
        "Predictions and records of runs; no images.",
        "",
        "    fer-bench unpack results.zip --into runs",
        "    fer-bench leaderboard --runs-dir runs",
        "    fer-bench run --config config.yaml --runs-dir repeated",
        "",
        f"`{CONFIG}` repeats all cells" + (f" but {alone} of older versions." if alone else "."),
        "The last command needs the same data, whose hashes are:",
        "",
        *(f"- {markdown.escape(name)}: `{value}`" for name, value in facts["data"].items()),
        "",
        markdown.write(tables),
    ]
    return "\n".join(lines)
