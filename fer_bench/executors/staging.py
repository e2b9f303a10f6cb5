"""Run a grid on Dask workers that share no folder with this process: ``--stage``.

Leases need one folder, so this process takes them, and deals units to the workers: half of an even share of what is
left at a time (guided self-scheduling; Polychronopoulos and Kuck, IEEE Transactions on Computers C-36, 1987), so that
few processes start and all workers end together. Before its first share a worker is given what it lacks.
"""

from __future__ import annotations

import itertools
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fer_bench.config import RunConfig
from fer_bench.digests import sha256_of
from fer_bench.executors import copies
from fer_bench.executors.dask_task import BEGUN, MOST_LOSSES, explain_loss, refuse_other_versions, run_worker
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import Unit, divide
from fer_bench.executors.staged_files import give_files, kept_of, needed
from fer_bench.executors.work import Work, versions

POLL_S = 1.0
"""Between two looks at which workers are there."""


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
    runs: list[RunConfig]
    files: dict[str, Path]
    digests: dict[str, str]
    watch: Callable[[], None]
    topic: str = field(default_factory=lambda: f"fer-bench-{uuid.uuid4().hex}")
    heard: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    shares: dict[Any, _DealtUnits] = field(default_factory=dict[Any, _DealtUnits])
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    given: set[str] = field(default_factory=set[str])
    losses: int = 0

    def addresses(self) -> list[str]:
        """Return the workers that are there."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def deal(self) -> None:
        """Give each worker that has nothing to do a share of what is left."""
        addresses = self.addresses()
        if not addresses:
            self.watch()
        for task, share in list(self.shares.items()):
            if share.address not in addresses:
                self.client.cancel([task], force=True)
                self.take_back(task, "its Dask worker is gone")
        if new := [address for address in addresses if address not in self.numbers]:
            try:
                self.client.run(refuse_other_versions, versions(self.work.plugins), workers=new)
            except (KeyError, OSError) as error:
                self.lose("a worker", error)
                return
            self.numbers |= {address: len(self.numbers) + place for place, address in enumerate(new, 1)}
        busy = {share.address for share in self.shares.values()}
        for address in (address for address in addresses if address not in busy):
            share = self.take(address, max(1, len(self.units) // (2 * len(addresses))))
            if not share.units:
                return
            task = self.client.submit(
                run_worker,
                self.work.describe([job.cell.id for unit in share.units for job in unit.jobs], self.runs),
                self.topic,
                share.number,
                key=f"{self.topic}-{uuid.uuid4().hex[:8]}",
                pure=False,
                workers=[address],
            )
            self.shares[task] = share
            task.add_done_callback(self.heard.put)

    def take(self, address: str, count: int) -> _DealtUnits:
        """Take the leases of some units for a worker, which is given what it lacks."""
        share = _DealtUnits(number=self.numbers[address], address=address, units=[], held=ExitStack())
        if address not in self.given:
            if (sent := self.give(share, self.files, self.digests)) is None:
                return share
            self.given.add(address)
            self.work.reporter.say(f"worker {share.number} at {address}: {sent / 1e6:,.1f} MB copied")
        for unit in list(self.units):
            stored = [cell for job in unit.jobs if (cell := self.work.stored(job))]
            for cell in stored:  # another process did it
                self.work.add(cell, new=False)
            if len(stored) == len(unit.jobs):
                self.units.remove(unit)
            elif len(share.units) < count and share.held.enter_context(self.leases.take(unit.name)):
                self.units.remove(unit)
                share.units.append(unit)
        model_files = kept_of(self.work, share.units)
        if (
            model_files
            and self.give(share, model_files, {name: sha256_of(file) for name, file in model_files.items()}) is None
        ):
            share.held.close()
            self.units += share.units
            share.units = []
        return share

    def give(self, share: _DealtUnits, files: Mapping[str, Path], digests: Mapping[str, str]) -> int | None:
        """Copy what a worker lacks and return how many bytes it were; None if it is lost."""
        try:
            return copies.send(self.client, share.address, files, digests)
        except (KeyError, OSError) as error:
            self.lose(f"worker {share.number}", error)
            return None

    def lose(self, who: str, error: Exception) -> None:
        """Count a worker that went while it was asked for its versions or given files; the others go on."""
        self.work.reporter.warn(f"{who} was lost before it began: {error}")
        self.losses += 1

    def take_back(self, task: Any, why: str = "") -> None:
        """End a share; what of it is not stored is dealt again."""
        share = self.shares.pop(task)
        share.held.close()
        undone = [unit for unit in share.units if not all(self.work.stored(job) for job in unit.jobs)]
        self.units += undone
        self.losses = self.losses + 1 if len(undone) == len(share.units) else 0
        if why:
            self.work.reporter.warn(f"worker {share.number} was lost: {why}")

    def hear(self, number: int, message: dict[str, Any]) -> None:
        """Show what a worker tells, and fetch the cell that it has stored."""
        address = next(address for address, other in self.numbers.items() if other == number)
        if "cell" in message:
            try:
                files, beside = copies.call(self.client, address, copies.fetch, message["cell"])
            except (KeyError, OSError, ValueError):  # the worker is gone, and the cell with it
                return
            self.work.store.take(message["cell"], files, beside)
        self.work.hear(number, message)

    def run(self) -> None:
        """Deal until all is stored or workers are lost without a new cell again and again."""
        self.client.subscribe_topic(self.topic, lambda event: self.heard.put(event[1]))
        try:
            while (self.units or self.shares) and self.losses < MOST_LOSSES:
                self.deal()
                for news in self.listen():
                    if isinstance(news, dict):
                        message = cast("dict[str, Any]", news)
                        if message["message"] != BEGUN:
                            self.hear(message["number"], message["message"])
                    elif news in self.shares:
                        self.take_back(news, "" if news.status == "finished" else explain_loss(news))
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
    runs, files = give_files(work)
    files |= needed(work)
    digests = {name: sha256_of(file) for name, file in files.items()}
    with Leases(work.store.runs_dir) as leases:
        leases.tidy()
        _Dealer(client, work, leases, divide(work.grid, work.pending), runs, files, digests, watch).run()
