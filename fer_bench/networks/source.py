"""A frozen backbone that is built when it is needed first, and what is remembered of it on a machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fer_bench import memos, processors
from fer_bench.networks import backbone as backbones
from fer_bench.networks import devices
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.identity import BACKBONE_SEED
from fer_bench.networks.meter import forward_flops
from fer_bench.registry import Component
from fer_bench.specs import BackboneSpec


class BackboneSource:
    """A frozen backbone.

    Args:
        component: the backbone.
        identity: from `fer_bench.networks.identity.identity`.
        cache_dir: where digests, speeds, sizes of batches and operations are remembered.
        warn: told once where they cannot be.
    """

    def __init__(
        self,
        component: Component[BackboneSpec],
        identity: dict[str, Any],
        cache_dir: Path,
        warn: Callable[[str], None] = lambda text: None,
    ):
        self.component, self.identity, self.cache_dir = component, identity, cache_dir
        self._warn, self._warned = warn, False

    @cached_property
    def built(self) -> Backbone:
        """The backbone in memory."""
        return backbones.build(self.component, self.identity["precision"], seed=BACKBONE_SEED)

    def afresh(self, seed: int) -> Backbone:
        """Return the backbone with random weights, drawn by ``seed``."""
        component = self.component
        params = component.params.model_copy(update={"weights": "random"})
        return backbones.build(replace(component, params=params), self.identity["precision"], seed)

    def flops(self) -> float | None:
        """Return the operations of one image of the input's size through the backbone; traces it once on a machine."""
        if (remembered := _number(self.recall("flops"))) is not None:
            return remembered
        side = self.built.input_size
        counted = forward_flops(self.built, (side, side, self.built.image_input.channels))
        if counted is not None:
            self.remember("flops", repr(counted))
        return counted

    @property
    def known_digests(self) -> tuple[str, ...] | None:
        """A sha256 of each stage's arrays as remembered from an earlier build, or None."""
        try:
            digests = json.loads(self.recall("stages") or "null")
        except ValueError:
            return None
        stages = len(self.component.spec.stages)
        return tuple(map(str, digests)) if isinstance(digests, list) and len(digests) == stages else None

    def digests(self) -> tuple[str, ...]:
        """Return a sha256 of each stage's arrays; builds the backbone once on a machine."""
        if (digests := self.known_digests) is not None:
            return digests
        digests = self.built.digests()
        self.remember("stages", json.dumps(digests))
        return digests

    def known_rate(self, stop: int, *, corrupted: bool = False) -> float | None:
        """Return images per second through the first ``stop`` stages when they last ran on this machine, or None;
        where asked for, of images that were corrupted first.
        """
        return _number(self.recall("rates", stop=stop, **_only(corrupted)))

    def record_rate(self, stop: int, images_per_second: float, *, corrupted: bool = False) -> None:
        """Remember a speed for `known_rate`."""
        self.remember("rates", f"{images_per_second:.3f}", stop=stop, **_only(corrupted))

    def recall(self, kind: str, **more: Any) -> str | None:
        """Return what `remember` was given, or None."""
        remembered = memos.recall(self.cache_dir, kind, self._key(kind, more))
        return None if remembered is None else remembered.decode(errors="replace")

    def remember(self, kind: str, text: str, **more: Any) -> None:
        """Keep a fact of this backbone on this machine, of a kind of `fer_bench.memos`; warn where that fails."""
        try:
            memos.remember(self.cache_dir, kind, self._key(kind, more), f"{text}\n".encode())
        except OSError as error:
            if not self._warned:
                self._warned = True
                self._warn(
                    f"The cache {str(self.cache_dir)!r} cannot be written ({error.strerror or error}): what was "
                    f"measured of {self.component} is not remembered."
                )

    def _key(self, kind: str, more: dict[str, Any]) -> dict[str, Any]:
        """Return all that a fact depends on: speeds and batches also on the machine, since several share a folder."""
        machine = {"processors": processors.kind(), "devices": devices.kinds()} if kind in ("batches", "rates") else {}
        return {**self.identity, **machine, **more}


def _only(corrupted: bool) -> dict[str, bool]:
    return {"corrupted": True} if corrupted else {}


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
