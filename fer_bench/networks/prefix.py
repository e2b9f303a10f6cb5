"""What the frozen stages of a backbone make of every image: computed once for all folds, epochs, seeds and strategies.

The cache keeps the output of a stage by image, under a key of everything else that decides it: what is kept for some
images of a data set serves every selection of it, and every other data set that holds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxlib import version as compiler

from fer_bench.arrays import Array
from fer_bench.keeping.cache import Cache, Entry
from fer_bench.keeping.outputs import Outputs
from fer_bench.keeping.space import FOLDER, Space
from fer_bench.networks.forward import Output
from fer_bench.networks.passes import Pass, Target
from fer_bench.networks.source import BackboneSource
from fer_bench.networks.transforms import host_side
from fer_bench.numerics import NUMERICS
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneParams
from fer_bench.tasks.view import View
from fer_bench.tasks.windows import WINDOWS


@dataclass(frozen=True, eq=False)
class Prefix:
    """The output of a stage for every image of a view.

    Attributes:
        entries: rows of (variants, …) float16 or float32, mapped from the cache, from which they are not evicted while
            this lives. Values are those of half precision, in either type, where that holds those of the image.
            Variant 1 is of the image mirrored left to right.
        places: (n, 2) int32, of each image the entry and the row in it.
    """

    entries: Sequence[Entry]
    places: Array

    @property
    def seconds(self) -> dict[str, float]:
        """Pass -> seconds that these images' share of it took, whenever that was; outputs of one pass share them."""
        counts = np.bincount(self.places[:, 0], minlength=len(self.entries))
        seconds: dict[str, float] = {}
        for entry, count in zip(self.entries, counts.tolist(), strict=True):
            name, facts = entry.facts["pass"], entry.facts
            seconds[name] = seconds.get(name, 0.0) + facts["seconds"] * min(1.0, count / facts["passed"])
        return seconds

    @property
    def images_per_second(self) -> float:
        """Of the slowest pass, without compilation; a mirrored image counts."""
        return min(entry.facts["images_per_second"] for entry in self.entries)

    @property
    def batch(self) -> int:
        """Images that ran together in the largest part."""
        return self.entries[0].facts["batch"]


def join(prefixes: Sequence[Prefix], dtype: type[np.floating[Any]] | None = np.float32) -> Outputs:
    """Return the outputs of several views, one after another; ``dtype`` as for `Outputs`."""
    firsts = np.cumsum([0, *(len(prefix.entries) for prefix in prefixes)], dtype=np.int32)
    places = np.concatenate([prefix.places for prefix in prefixes])
    places[:, 0] += np.repeat(firsts[:-1], [len(prefix.places) for prefix in prefixes])
    return Outputs([entry.values for prefix in prefixes for entry in prefix.entries], dtype, places)


def cache_of(cache_dir: Path, limit: int | None = None, warn: Callable[[str], None] = lambda text: None) -> Cache:
    """Return the cache of stage outputs below ``cache_dir``; the arguments are those of `Space`."""
    return Cache(Space(cache_dir / FOLDER, limit, warn))


def key(view: View, source: BackboneSource, digests: tuple[str, ...], stop: int) -> str:
    """Return the hash of what decides an output beside the image: numerics and the compiler's version, how images are
    cut out and prepared, the code of the backbone, its parameters and precision, and the arrays of the first stages.

    Weights of later stages do not count, nor does the name under which weights were found.
    """
    params = source.component.params
    assert isinstance(params, BackboneParams)
    identity = {name: value for name, value in source.identity.items() if name not in ("text", "weights_sha256")}
    identity["params"] = {name: value for name, value in identity["params"].items() if name != "weights"}
    as_stored = source.component.spec.frozen_only  # an extractor prepares images by itself
    record = {
        "numerics": NUMERICS,
        "jaxlib": compiler.__version__,
        "images": {
            "side": None if as_stored else host_side(view.shape, params.input_size),
            "channels": 3 if as_stored else view.channels,
            "faces": view.faces and view.faces.crop.identity(),
            **({"window": [view.window, *WINDOWS[view.window]]} if view.window else {}),
        },
        "backbone": identity,
        "stages": list(zip(source.component.spec.stages[:stop], digests[:stop], strict=True)),
        "end": stop == len(source.component.spec.stages),  # where values are averaged over space
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def missing(cache: Cache, view: View, source: BackboneSource, stop: int, variants: int) -> Array:
    """Return the hashes of the images that `fetch` would compute, each once, of type ``S32``.

    It neither builds the backbone nor reads the values.
    """
    images = np.unique(view.hashes())
    digests = source.known_digests
    if digests is None:
        return images
    return images[cache.missing(key(view, source, digests, stop), images, _serves(variants))]


def fetch(
    cache: Cache,
    source: BackboneSource,
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

    Of processes that want images of the same key, one computes and the others wait.

    Args:
        cache: from `cache_of`.
        source: the backbone.
        view: the images.
        stop: number of stages that run; all of them give the features, averaged over space.
        variants: 1, or 2 for the mirrored image beside each; two serve also those that want one.
        also: stop -> variants of what will be asked for later; what of it is missing for the images that must be
            computed is made by the same pass, unless another process computes it, or it makes the pass fail.
        begin: called with the stops and the number of images that must be computed, if there are any.
        advance: called with the number of images done since the last call.
        waiting: called if another process computes them.

    Raises:
        PluginError: the backbone returns something else than it declares, or values that are not finite.
        FerBenchError: the cache cannot be written, or is too small.
    """
    if variants not in (1, 2) or not 0 <= stop <= len(source.component.spec.stages):
        raise ValueError(f"no {number_of(variants, 'variant')} after {number_of(stop, 'stage')}")
    digests, hashes = source.digests(), view.hashes()
    name, serves = key(view, source, digests, stop), _serves(variants)
    entries, places = cache.open(name, hashes, serves)
    if (places >= 0).all():
        return Prefix(entries, places)
    with cache.locked(name, waiting), ExitStack() as locks:
        entries, places = cache.open(name, hashes, serves)
        positions = _first_of_each(hashes, places[:, 0] < 0)
        if len(positions):
            dtype = np.dtype(np.float32 if source.component.spec.answers else np.float16)
            exact = bool(source.component.spec.answers)
            targets = [Target(name, Output(stop, variants, dtype, not exact), np.ones(len(positions), bool))]
            for later, count in also.items():
                other = key(view, source, digests, later)
                if later != stop and locks.enter_context(cache.locked_if_free(other)):
                    missing = cache.missing(other, hashes[positions], _serves(count))
                    if missing.any():
                        targets.append(Target(other, Output(later, count, dtype, not exact), missing))
            begin(sorted(target.output.stop for target in targets), len(positions))
            Pass(cache, source, view, positions).write(targets, advance)
            entries, places = cache.open(name, hashes, serves)
            assert (places >= 0).all(), "rows that were just written are there"
    return Prefix(entries, places)


def _serves(variants: int) -> Callable[[dict[str, Any]], bool]:
    """Return whether the facts of a part say that it has that number of variants of each image."""
    return lambda facts: facts["variants"] >= variants


def _first_of_each(hashes: Array, missing: Array) -> Array:
    """Return the first position of each image that is wanted, rising."""
    rows = np.flatnonzero(missing)
    return np.sort(rows[np.unique(hashes[rows], return_index=True)[1]])
