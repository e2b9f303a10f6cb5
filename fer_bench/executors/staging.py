"""Run a grid on Dask workers that share no folder with this process: ``--stage``.

Leases need one folder, so this process takes them, and deals units to the workers: half of an even share of what is
left at a time (guided self-scheduling; Polychronopoulos and Kuck, IEEE Transactions on Computers C-36, 1987), so that
few processes start and all workers end together. Before its first share a worker is given what it lacks.
"""

from __future__ import annotations

import itertools
import queue
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fer_bench.data.prepared import SUMMARY_FILE
from fer_bench.executors import copies
from fer_bench.executors.cells import demand_of
from fer_bench.executors.dask_task import BEGUN, MOST_LOSSES, explain_loss, run_worker
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import Unit, by_outputs, divide
from fer_bench.executors.work import Work
from fer_bench.faces.store import FOLDER as FACES
from fer_bench.keeping import parts
from fer_bench.keeping.space import FOLDER as OUTPUTS
from fer_bench.learning.plans import by_view
from fer_bench.networks.prefix import key
from fer_bench.networks.source import BackboneSource

POLL_S = 1.0
"""Between two looks at which workers are there."""


def needed(work: Work) -> dict[str, Path]:
    """Return the files that workers need for what is left of a grid: name below their cache folder -> file here.

    These are the prepared data with what is known of copies in them, the faces that were found, and the stage outputs
    that are cached. Weights come with the plugins. The file that makes others count is the last of its folder.
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
            for seen, stop in ((seen, stop) for seen, stops in by_view(demands, view) for stop in stops):
                name = key(seen, source, source.known_digests or (), stop)
                for part in (cache_dir / OUTPUTS).glob(f"{name}-*/"):
                    add(part, f"{OUTPUTS}/{part.name}", parts.ENTRY)
    return files


@dataclass(eq=False)
class _DealtUnits:
    """Units that a worker is at."""

    number: int
    address: str
    units: list[Unit]
    held: ExitStack


@dataclass(eq=False)
class _Dealer:
    client: Any
    work: Work
    leases: Leases
    units: list[Unit]
    files: dict[str, Path]
    digests: dict[str, str]
    watch: Callable[[], None]
    topic: str = field(default_factory=lambda: f"fer-bench-{uuid.uuid4().hex}")
    heard: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    shares: dict[Any, _DealtUnits] = field(default_factory=dict[Any, _DealtUnits])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    losses: int = 0

    def addresses(self) -> list[str]:
        """Return the workers that are there."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def deal(self) -> None:
        """Give each worker that has nothing to do a share of what is left."""
        there = self.addresses()
        if not there:
            self.watch()
        for task, share in list(self.shares.items()):
            if share.address not in there:
                self.client.cancel([task], force=True)
                self.take_back(task, "its Dask worker is gone")
        busy = {share.address for share in self.shares.values()}
        for address in (address for address in there if address not in busy):
            share = self.take(address, max(1, len(self.units) // (2 * len(there))))
            if not share.units:
                return
            task = self.client.submit(
                run_worker,
                self.work.describe([job.cell.id for unit in share.units for job in unit.jobs]),
                self.topic,
                share.number,
                key=f"{self.topic}-{uuid.uuid4().hex[:8]}",
                pure=False,
                workers=[address],
            )
            self.shares[task] = share
            task.add_done_callback(self.heard.put)

    def take(self, address: str, count: int) -> _DealtUnits:
        """Take the leases of some units for a worker, which is given what it lacks before its first one."""
        if address not in self.numbers:
            self.numbers[address] = len(self.numbers) + 1
            sent = copies.send(self.client, address, self.files, self.digests)
            self.work.reporter.say(f"worker {self.numbers[address]} at {address}: {sent / 1e6:,.1f} MB copied")
        share = _DealtUnits(number=self.numbers[address], address=address, units=[], held=ExitStack())
        for unit in list(self.units):
            known = [cell for job in unit.jobs if (cell := self.work.stored(job))]
            for cell in known:  # another process did it
                self.work.add(cell, new=False)
            if len(known) == len(unit.jobs):
                self.units.remove(unit)
            elif len(share.units) < count and share.held.enter_context(self.leases.take(unit.name)):
                self.units.remove(unit)
                share.units.append(unit)
        return share

    def take_back(self, task: Any, why: str = "") -> None:
        """End a share; what of it is not stored is dealt again."""
        share = self.shares.pop(task)
        share.held.close()
        left = [unit for unit in share.units if not all(self.work.stored(job) for job in unit.jobs)]
        self.units += left
        self.losses = self.losses + 1 if len(left) == len(share.units) else 0
        if why:
            self.work.reporter.warn(f"worker {share.number} was lost: {why}")

    def hear(self, number: int, message: dict[str, Any]) -> None:
        """Show what a worker tells, and fetch the cell that it has stored."""
        address = next(address for address, other in self.numbers.items() if other == number)
        if "cell" in message:
            try:
                files = copies.call(self.client, address, copies.fetch, message["cell"])
            except (KeyError, OSError, ValueError):  # the worker is gone, and the cell with it
                return
            self.work.store.put(self.work.store.folder(message["cell"]), files)
        self.work.hear(number, message)

    def run(self) -> None:
        """Deal until all is stored or workers are lost without a new cell again and again."""
        self.client.subscribe_topic(self.topic, lambda event: self.heard.put(event[1]))
        try:
            while (self.units or self.shares) and self.losses < MOST_LOSSES:
                self.deal()
                for told in self.listen():
                    if isinstance(told, dict):
                        message = cast("dict[str, Any]", told)
                        if message["message"] != BEGUN:
                            self.hear(message["number"], message["message"])
                    elif told in self.shares:
                        self.take_back(told, "" if told.status == "finished" else explain_loss(told))
        finally:
            self.client.cancel([*self.shares], force=True)
            for share in self.shares.values():
                share.held.close()

    def listen(self) -> Iterator[Any]:
        """Yield what is heard now, after at most `POLL_S` seconds."""
        with_wait = itertools.chain([POLL_S], itertools.repeat(0.0))
        for wait in with_wait:
            try:
                yield self.heard.get(timeout=wait) if wait else self.heard.get_nowait()
            except queue.Empty:
                return


def hand_out(client: Any, work: Work, watch: Callable[[], None] = lambda: None) -> None:
    """Run a grid by tasks of Dask on workers that share no folder with this process.

    Args:
        client: of the scheduler.
        work: the grid.
        watch: called now and then while no worker is there.

    Raises:
        FerBenchError: a worker refused the work or cannot keep what it is given.
    """
    files = needed(work)
    digests = {name: copies.digest(file) for name, file in files.items()}
    with Leases(work.store.runs_dir) as leases:
        leases.tidy()
        _Dealer(client, work, leases, divide(work.grid, work.pending), files, digests, watch).run()
