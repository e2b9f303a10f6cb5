"""A pass of images through the frozen stages of a backbone, whose outputs go to the cache batch by batch."""

from __future__ import annotations

import itertools
import math
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxlib import version as compiler

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.parts import Writer
from fer_bench.keeping.travel import MADE_BY
from fer_bench.networks import devices, transforms
from fer_bench.networks.ahead import read_ahead
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.devices import describe_machine
from fer_bench.networks.forward import BATCH, Extraction, Forward, Output, accelerator_batch
from fer_bench.networks.source import BackboneSource
from fer_bench.tasks.view import View


@dataclass(frozen=True, eq=False)
class Target:
    """An output that a pass writes.

    Attributes:
        key: under which the cache keeps it.
        output: what is kept of a batch.
        wanted: (k,) bool, of which images of the pass.
    """

    key: str
    output: Output
    wanted: Array


class _DoesNotFit(Exception):
    """Half precision does not hold the values."""


@dataclass(frozen=True, eq=False)
class Pass:
    """Images that run through the frozen stages of a backbone.

    Attributes:
        cache: where the outputs are written; their keys are locked.
        source: the backbone.
        view: the images.
        positions: (k,) int, rising, of those that run; different images.
    """

    cache: Cache
    source: BackboneSource
    view: View
    positions: Array

    def write(self, targets: Sequence[Target], advance: Callable[[int], None]) -> None:
        """Write a part for each target; only for the first of them if several fail.

        A part has half precision unless that does not hold the values of all its images. The answers of a finished
        classifier are kept as they are: rounding must not turn them.

        Args:
            targets: what is kept.
            advance: called with the number of images done since the last call.

        Raises:
            PluginError: the backbone returns something else than it declares, or values that are not finite.
            FerBenchError: the cache cannot be written, or is too small.
        """
        first = targets[0]
        try:
            self._write(targets, advance)
        except Exception as error:  # a later stage may raise anything, which is no fault of the first output
            if len(targets) == 1 and not isinstance(error, _DoesNotFit):
                raise
            if len(targets) > 1:
                self.write([first], advance)
            else:
                wide = replace(first, output=replace(first.output, dtype=np.dtype(np.float32)))
                self._write([wide], advance)

    def _write(self, targets: Sequence[Target], advance: Callable[[int], None]) -> None:
        """Write all targets; on an accelerator in batches of half the size where its memory is too small."""
        backbone, outputs = self.source.built, [target.output for target in targets]
        smallest = len(devices.available())
        if backbone.extractor is not None:
            self._run(Extraction(backbone, outputs), targets, advance)
            return
        last = max(output.stop for output in outputs)
        batch = batch_size(self.source, self.view, last)
        while True:
            try:
                self._run(Forward(backbone, outputs, batch), targets, advance)
            except jax.errors.JaxRuntimeError as error:
                if not devices.lacks_memory(error) or not devices.accelerated():
                    raise
                if batch == smallest:
                    raise MemoryError(
                        f"the device has too little memory for one image of {backbone.input_size} pixels in "
                        f"{backbone.name!r}; take a smaller input_size, or JAX_PLATFORMS=cpu"
                    ) from error
                batch = max(smallest, batch // 2)
                self.source.remember("batches", str(batch), **_batch_facts(self.source, self.view, last))
            else:
                return

    def _run(self, forward: Forward | Extraction, targets: Sequence[Target], advance: Callable[[int], None]) -> None:
        """Write all targets; where that fails, none of the images count as done."""
        start, backbone, n = time.perf_counter(), self.source.built, len(self.positions)
        outputs, hashes = [target.output for target in targets], self.view.hashes()[self.positions]
        last, variants = max(output.stop for output in outputs), max(output.variants for output in outputs)
        batches = read_batches(self.source, self.view, self.positions, forward.batch)
        first = next(batches)
        stops = [output.stop for output in outputs]
        shapes = backbone.shapes(first[1], stops)
        with ExitStack() as stack:
            writers: list[Writer] = []
            for target, output in zip(targets, outputs, strict=True):
                inner = _output_shape(self.source, output.stop, shapes[output.stop])
                images = hashes[target.wanted]
                shape = (len(images), output.variants, *inner)
                writers.append(stack.enter_context(self.cache.writer(target.key, images, shape, output.dtype)))
            compiled, done = start, 0
            stack.callback(lambda: advance(-done) if done < n else None)
            for at, images, count in itertools.chain([first], batches):
                for writer, target, (values, finite, fits) in zip(writers, targets, forward(images), strict=True):
                    output, needed = target.output, target.wanted[at : at + count]
                    if not finite[:count].all():
                        sample = self.view.column("id")[self.positions[at + np.flatnonzero(~finite)[0]]]
                        raise PluginError(
                            f"Backbone {backbone.name!r} returned {_words(backbone, output.stop)} that are not finite, "
                            f"first for sample {sample!r}."
                        )
                    if output.dtype == np.float16 and not fits[:count][needed].all():
                        raise _DoesNotFit
                    writer.append(values[:count] if needed.all() else values[:count][needed])
                if at == 0:
                    compiled = time.perf_counter()
                advance(count)
                done += count
            end = time.perf_counter()
            rate = variants * ((n - forward.batch) / (end - compiled) if n > forward.batch else n / (end - start))
            facts = {
                "seconds": end - start,
                "images_per_second": rate,
                "batch": forward.batch,
                "pass": uuid.uuid4().hex,
                "passed": n,
            }
            for writer, target in zip(writers, targets, strict=True):
                writer.facts |= {**self._description(target), **facts}
        self.source.record_rate(last, rate)

    def _description(self, target: Target) -> dict[str, Any]:
        """Return what a part is, for `fer-bench cache status`."""
        return {
            "dataset": str(self.view.dataset),
            "faces": str(self.view.faces.crop) if self.view.faces else "",
            "jaxlib": compiler.__version__,
            "images": int(target.wanted.sum()),
            "backbone": str(self.source.component),
            "precision": self.source.identity["precision"],
            "holds": _words(self.source.built, target.output.stop),
            "variants": target.output.variants,
            "type": target.output.dtype.name,
            MADE_BY: describe_machine(),
        }


def batch_size(source: BackboneSource, view: View, stop: int) -> int:
    """Return the size of a batch; on an accelerator the one that fills it, or a smaller one that fitted before."""
    if not devices.accelerated():
        return BATCH
    facts, backbone = _batch_facts(source, view, stop), source.built
    remembered = source.recall("batches", **facts)
    if remembered and remembered.strip().isdigit():
        return int(remembered)
    image = np.zeros((1, *facts["shape"]), np.uint8)
    shapes = backbone.shapes(image, range(1, stop + 1))
    largest = max((math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)), default=image.size)
    return accelerator_batch(backbone.input_size**2, largest, devices.free_memory(), len(devices.available()))


def _batch_facts(source: BackboneSource, view: View, stop: int) -> dict[str, Any]:
    """Return what decides which batch fits."""
    side = transforms.host_side(view.shape, source.built.input_size)
    shape = (*((view.shape or ()) if side is None else (side, side)), view.channels)
    return {"stop": stop, "shape": shape}


def read_batches(source: BackboneSource, view: View, positions: Array, batch: int) -> Iterator[tuple[int, Any, int]]:
    """Return (first index, (b, h, w, c) uint8, images that count) of each batch; the last image fills up the last one.

    An extractor gets a list of images instead, each (h, w, 3) uint8, which nothing fills up. The next batch is decoded
    while the device works on this one.

    Args:
        source: the backbone.
        view: the images.
        positions: (k,) int, of those that are read.
        batch: images in a batch.
    """
    backbone = source.built
    side = transforms.host_side(view.shape, backbone.input_size)

    def read(at: int) -> tuple[int, Any, int]:
        piece = positions[at : at + batch]
        if backbone.extractor is not None:
            return at, [transforms.to_colour(image) for image in view.images(piece)], len(piece)
        images = transforms.to_batch(view.images(piece), side, view.channels)
        return at, transforms.fill_up(images, batch), len(piece)

    return read_ahead(read, range(0, len(positions), batch))


def _output_shape(source: BackboneSource, stop: int, out: object) -> tuple[int, ...]:
    """Return the shape of one image's output; raise PluginError if it cannot be stored or is not as declared."""
    name, spec, feature_size = str(source.component), source.component.spec, source.built.feature_size
    if not isinstance(out, jax.ShapeDtypeStruct) or not jnp.issubdtype(out.dtype, jnp.floating):
        raise PluginError(
            f"Stage {spec.stages[stop - 1]!r} of backbone {name!r} returns {out}; expected one array of "
            "floating-point numbers."
        )
    declared = (*out.shape[:1], feature_size)
    if stop == len(spec.stages) and (out.shape != declared or out.dtype != np.float32):
        raise PluginError(
            f"Backbone {name!r} returned features {out.shape} {out.dtype}; it declares {declared} float32."
        )
    return out.shape[1:]


def _words(backbone: Backbone, stop: int) -> str:
    if stop == len(backbone.stages):
        return "features"
    return f"outputs of stage {backbone.stages[stop - 1]!r}" if stop else "input images"
