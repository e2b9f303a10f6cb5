"""What the frozen stages of a backbone make of every image: computed once for all folds, epochs, seeds and strategies.

An entry of the cache holds the output of one stage for all images of a view, under a hash of what decides it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.errors import PluginError
from fer_bench.keeping.cache import Cache, Entry, Writer
from fer_bench.networks import backbone as backbones
from fer_bench.networks import transforms
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.forward import BATCH, Forward, Output, fitting_batch
from fer_bench.networks.meter import forward_flops
from fer_bench.registry import Component
from fer_bench.specs import BackboneSpec
from fer_bench.tasks.view import View

Array = np.ndarray[Any, Any]

VERSION = 2
"""Part of every key; grows when any number or fact that this module stores changes."""


class Source:
    """A frozen backbone that is built when it is needed first.

    Attributes:
        component: the backbone.
        identity: from `fer_bench.networks.backbone.identity`.
        cache_dir: where digests and speeds are remembered.
    """

    def __init__(self, component: Component[BackboneSpec], identity: dict[str, Any], cache_dir: Path):
        self.component, self.identity, self.cache_dir = component, identity, cache_dir

    @cached_property
    def built(self) -> Backbone:
        """The backbone in memory."""
        return backbones.build(self.component, self.identity["precision"], seed=backbones.BACKBONE_SEED)

    def afresh(self, seed: int) -> Backbone:
        """Return the backbone with random weights, drawn by ``seed``."""
        component = self.component
        params = component.params.model_copy(update={"weights": "random"})
        return backbones.build(replace(component, params=params), self.identity["precision"], seed)

    def flops(self) -> float | None:
        """Return the operations of one image of the input's size through the backbone; traces it once on a machine."""
        memo = self.memo("flops", {})
        try:
            return float(memo.read_text(encoding="ascii"))
        except (OSError, ValueError):
            pass
        side = self.built.input_size
        counted = forward_flops(self.built, (side, side, self.built.image_input.channels))
        if counted is not None:
            _remember(memo, f"{counted!r}\n")
        return counted

    @property
    def known_digests(self) -> tuple[str, ...] | None:
        """A sha256 of each stage's arrays as remembered from an earlier build, or None."""
        try:
            digests = json.loads(self.memo("stages", {}).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        stages = len(self.component.spec.stages)
        return tuple(map(str, digests)) if isinstance(digests, list) and len(digests) == stages else None

    def digests(self) -> tuple[str, ...]:
        """Return a sha256 of each stage's arrays; builds the backbone once on a machine."""
        if (known := self.known_digests) is not None:
            return known
        digests = self.built.digests()
        _remember(self.memo("stages", {}), json.dumps(digests))
        return digests

    def known_rate(self, stop: int) -> float | None:
        """Return images per second through the first ``stop`` stages when they last ran on this machine, or None."""
        try:
            return float(self.memo("rates", {"stop": stop}).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def record_rate(self, stop: int, images_per_second: float) -> None:
        """Remember a speed for `known_rate`."""
        _remember(self.memo("rates", {"stop": stop}), f"{images_per_second:.3f}\n")

    def memo(self, kind: str, more: dict[str, Any]) -> Path:
        """Return the file that remembers a fact of this backbone on this machine."""
        return self.cache_dir / kind / f"{_hash({**self.identity, **more})[:16]}.txt"


@dataclass(frozen=True, eq=False)
class Prefix:
    """The output of a stage for every image of a view.

    Attributes:
        values: (n, variants, …) float16, or float32 where half precision does not hold them; mapped from the cache.
            Variant 1 is of the image mirrored left to right.
        parameters: trainable parameters of the whole backbone.
        seconds: that computing them took, whenever that was.
        images_per_second: of that computation, without compilation; a mirrored image counts.
        batch: images that ran together then.
        run: the pass that computed it; outputs of one pass share its seconds.
        entry: keeps them from being evicted.
    """

    values: Array
    parameters: int
    seconds: float
    images_per_second: float
    batch: int
    run: str
    entry: Entry


def cache_of(cache_dir: Path, limit: int | None = None) -> Cache:
    """Return the cache of stage outputs below ``cache_dir``; ``limit`` in bytes, None for the default."""
    return Cache(cache_dir / "prefix", limit)


def key(view: View, source: Source, digests: tuple[str, ...], stop: int, variants: int) -> str:
    """Return the hash of what decides an entry: images, transform, code, the first stages' weights, size, precision.

    Weights of later stages do not count, nor does the name under which weights were found.
    """
    identity = {name: value for name, value in source.identity.items() if name not in ("text", "weights_sha256")}
    identity["params"] = {name: value for name, value in identity["params"].items() if name != "weights"}
    stages = list(zip(source.component.spec.stages[:stop], digests[:stop], strict=True))
    end = stop == len(source.component.spec.stages)  # where values are averaged over space
    return _hash(
        {
            "version": VERSION,
            "images": view.content_sha256(),
            "transform": transforms.VERSION,
            "backbone": identity,
            "stages": stages,
            "end": end,
            "variants": variants,
            "type": "float16",
        }
    )


def is_cached(cache: Cache, view: View, source: Source, stop: int, variants: int) -> bool:
    """Return whether `fetch` would find its entry; neither builds the backbone nor reads the values."""
    digests = source.known_digests
    return digests is not None and any(
        cache.has(key(view, source, digests, stop, number)) for number in range(variants, 3)
    )


def fetch(
    cache: Cache,
    source: Source,
    view: View,
    stop: int,
    variants: int,
    *,
    also: Mapping[int, int] = MappingProxyType({}),
    begin: Callable[[Sequence[int], int], None],
    advance: Callable[[int], None],
    waiting: Callable[[], None],
) -> Prefix:
    """Return the output of the first ``stop`` stages for every image of ``view``: from the cache, or computed now.

    Of processes that want the same, one computes and the others wait.

    Args:
        cache: from `cache_of`.
        source: the backbone.
        view: the images.
        stop: number of stages that run; all of them give the features, averaged over space.
        variants: 1, or 2 for the mirrored image beside each; two serve whoever wants one.
        also: stop -> variants of what will be asked for later; it is computed in the same pass, unless it is cached,
            another process computes it, or it makes the pass fail.
        begin: called with the stops and the number of images if they must be computed.
        advance: called with the number of images done since the last call.
        waiting: called if another process computes them.

    Raises:
        PluginError: the backbone returns something else than it declares, or values that are not finite.
        FerBenchError: the cache cannot be written, or is too small.
    """
    if variants not in (1, 2) or not 0 <= stop <= len(source.component.spec.stages):
        raise ValueError(f"no {variants} variants after {stop} stages")
    digests = source.digests()
    if variants == 1 and cache.has(both := key(view, source, digests, stop, 2)):
        with cache.locked(both, waiting):
            if (entry := cache.open(both)) is not None:
                return _prefix(entry)
    name = key(view, source, digests, stop, variants)
    with cache.locked(name, waiting), ExitStack() as locks:
        entry = cache.open(name)
        if entry is None:
            dtype = np.dtype(np.float32 if source.component.spec.answers else np.float16)
            wanted = {name: Output(stop, variants, dtype)}
            for later, count in also.items():
                if later != stop and not is_cached(cache, view, source, later, count):
                    other = key(view, source, digests, later, count)
                    if locks.enter_context(cache.locked_if_free(other)) and not cache.has(other):
                        wanted[other] = Output(later, count, dtype)
            begin(sorted(output.stop for output in wanted.values()), len(view.rows))
            _compute(cache, wanted, source, view, advance)
            entry = cache.open(name)
            assert entry is not None, "an entry that was just written is there"
    return _prefix(entry)


def _prefix(entry: Entry) -> Prefix:
    facts = entry.facts
    seconds, rate, run = facts["seconds"], facts["images_per_second"], facts["pass"]
    return Prefix(entry.values, facts["parameters"], seconds, rate, facts["batch"], run, entry)


class _DoesNotFit(Exception):
    """Half precision does not hold the values."""


def _compute(
    cache: Cache, wanted: Mapping[str, Output], source: Source, view: View, advance: Callable[[int], None]
) -> None:
    """Write entries, batch by batch; the first of them alone if several fail.

    In half precision unless a value does not fit. The answers of a finished classifier are kept as they are: rounding
    must not turn them.
    """
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        advance(images)

    name, output = next(iter(wanted.items()))
    try:
        _write(cache, wanted, source, view, count)
    except Exception as error:  # a later stage may raise anything, which is no fault of the first output
        if len(wanted) == 1 and not isinstance(error, _DoesNotFit):
            raise
        if done:
            advance(-done)
        if len(wanted) > 1:
            _compute(cache, {name: output}, source, view, advance)
        else:
            _write(cache, {name: replace(output, dtype=np.dtype(np.float32))}, source, view, advance)


def _write(
    cache: Cache, wanted: Mapping[str, Output], source: Source, view: View, advance: Callable[[int], None]
) -> None:
    start, backbone, n = time.perf_counter(), source.built, len(view.rows)
    outputs = list(wanted.values())
    last, variants = max(output.stop for output in outputs), max(output.variants for output in outputs)
    make = partial(Forward, backbone, outputs)
    forward = make(batch=_batch(source, view, last, make))
    batches = _batches(view, forward.batch, backbone.input_size)
    first = next(batches)
    stops = [output.stop for output in outputs]
    shapes = jax.eval_shape(partial(backbone.outputs, stops=stops), backbone.state, first[1])
    with ExitStack() as stack:
        writers: list[Writer] = []
        for name, output in wanted.items():
            shape = (n, output.variants, *_output_shape(source, output.stop, shapes[output.stop]))
            writers.append(stack.enter_context(cache.writer(name, shape, output.dtype)))
        compiled = start
        for at, images, count in itertools.chain([first], batches):
            for writer, output, (values, finite, fits) in zip(writers, outputs, forward(images), strict=True):
                if not finite.all():
                    sample = view.column("id")[at + int(np.flatnonzero(~finite[:count])[:1].sum())]
                    raise PluginError(
                        f"Backbone {backbone.name!r} returned {_words(backbone, output.stop)} that are not finite, "
                        f"first for sample {sample!r}."
                    )
                if not fits and output.dtype == np.float16:
                    raise _DoesNotFit
                writer.append(values[:count])
            if at == 0:
                compiled = time.perf_counter()
            advance(count)
        end = time.perf_counter()
        rate = variants * ((n - forward.batch) / (end - compiled) if n > forward.batch else n / (end - start))
        facts = {"seconds": end - start, "images_per_second": rate, "batch": forward.batch, "pass": uuid.uuid4().hex}
        for writer, output in zip(writers, outputs, strict=True):
            writer.facts |= {**_description(source, view, output), **facts, "variants": output.variants}
    source.record_rate(last, rate)


def _batch(source: Source, view: View, stop: int, make: Callable[..., Forward]) -> int:
    """Return the size of a batch; for a GPU or TPU as remembered for these stages and images, or found now."""
    if jax.default_backend() == "cpu":
        return BATCH
    shape, _ = _shape(view, source.built.input_size)
    kinds = sorted(device.device_kind for device in jax.local_devices())
    memo = source.memo("batches", {"stop": stop, "shape": shape, "devices": kinds})
    with suppress(OSError, ValueError):
        return int(memo.read_text(encoding="ascii"))
    size = fitting_batch(lambda size: make(batch=size), shape)
    _remember(memo, f"{size}\n")
    return size


def _shape(view: View, input_size: int) -> tuple[tuple[int, int, int], int | None]:
    """Return the shape of the images that go to the device, and the side that they are resized to before, if any."""
    shape, channels = view.shape, view.channels
    if shape is not None and max(shape) <= 2 * input_size:
        return (*shape[:2], channels), None
    return (input_size, input_size, channels), input_size


def _output_shape(source: Source, stop: int, out: Any) -> tuple[int, ...]:
    """Return the shape of one image's output; raise PluginError if it cannot be stored or is not as declared."""
    name, spec = str(source.component), source.component.spec
    if not isinstance(out, jax.ShapeDtypeStruct) or not jnp.issubdtype(out.dtype, jnp.floating):
        raise PluginError(
            f"Stage {spec.stages[stop - 1]!r} of backbone {name!r} returns {out}; expected one array of "
            "floating-point numbers."
        )
    declared = (*out.shape[:1], spec.feature_size)
    if stop == len(spec.stages) and (out.shape != declared or out.dtype != np.float32):
        raise PluginError(
            f"Backbone {name!r} returned features {out.shape} {out.dtype}; it declares {declared} float32."
        )
    return out.shape[1:]


def _words(backbone: Backbone, stop: int) -> str:
    if stop == len(backbone.stages):
        return "features"
    return f"outputs of stage {backbone.stages[stop - 1]!r}" if stop else "input images"


def _description(source: Source, view: View, output: Output) -> dict[str, Any]:
    """Return what an entry is, for `fer-bench cache status`."""
    return {
        "dataset": str(view.dataset),
        "images": len(view.rows),
        "backbone": str(source.component),
        "precision": source.identity["precision"],
        "holds": _words(source.built, output.stop),
        "type": output.dtype.name,
        "parameters": source.built.parameters,
    }


def _batches(view: View, batch: int, input_size: int) -> Iterator[tuple[int, Array, int]]:
    """Yield (first index, (batch, h, w, c) uint8, images that count); the last batch is filled up by its last image.

    The next batch is decoded while the device works on this one.
    """
    _, side = _shape(view, input_size)

    def read(at: int) -> tuple[int, Array, int]:
        positions = np.arange(at, min(at + batch, len(view.rows)))
        images = transforms.to_batch(view.images(positions), side, view.channels)
        return at, np.concatenate([images, np.repeat(images[-1:], batch - len(positions), axis=0)]), len(positions)

    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(read, 0)
        for at in range(0, len(view.rows), batch):
            ready = pending.result()
            if at + batch < len(view.rows):
                pending = reader.submit(read, at + batch)
            yield ready


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _remember(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
