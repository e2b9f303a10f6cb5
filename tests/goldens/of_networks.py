"""Goldens of the way from pixels to features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from goldens.materials import SIZE, net, picture, view, wave
from goldens.record import golden, rounded, summary

from fer_bench.networks import answers, backbone, prefix, transforms
from fer_bench.networks.identity import BACKBONE_SEED, identity
from fer_bench.networks.parameters import divide, run
from fer_bench.networks.pictures import Pictures
from fer_bench.networks.resident import Resident
from fer_bench.networks.source import BackboneSource
from fer_bench.specs import ImageInput
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import View


@golden(1e-3)
def transformed(folder: Path) -> dict[str, Any]:
    """Channels, sizes and ranges. Releases of Pillow differ in single values of resized pixels."""
    colour, grey = picture(1, 7, 5)[None], picture(2, 7, 5, 1)[None]
    inputs = {
        "colour, larger": (colour, 9, ImageInput()),
        "colour, smaller": (colour, 3, ImageInput(resize="cubic", value_range=(0.0, 1.0))),
        "colour to grey": (colour, 5, ImageInput(channels=1)),
        "grey to colour": (grey, 4, ImageInput(value_range=(-2.0, 3.0))),
    }
    found = {name: summary(transforms.to_input(jnp.asarray(x), *how)) for name, (x, *how) in inputs.items()}
    batch = transforms.to_batch([colour[0], picture(3, 4, 6), picture(4, 9, 9, 1)], 4, 3)
    return {**found, "batch": summary(batch), "as they are": summary(transforms.to_batch([grey[0]], None, 3))}


@golden(2e-3)
def pictures(folder: Path) -> dict[str, Any]:
    """Images of a task in the order in which they are asked for, some of them mirrored."""
    alike = Pictures(Task((view([0, 1, 2, 0]), view([2, 1, 0], name="more"))), SIZE - 2)
    mixed = Pictures(Task((view([0, 1, 2, 0], shapes=[(7, 5, 1), (4, 4, 3)]),)), 4)
    kept = Resident(alike, alike.shape, np.uint8, 0)
    rows, mirrored = np.array([5, 0, 3, 0]), np.array([1, 0, 1, 1])
    return {
        "alike": alike.take(rows, mirrored)[:, 1:3, :2].ravel().tolist(),
        "mixed": summary(mixed.take(rows[1:])),
        "on a device": np.asarray(kept.take(rows, mirrored))[:, 1:3, :2].ravel().tolist(),
    }


@golden(1e-3)
def stage_outputs(folder: Path) -> dict[str, Any]:
    """Outputs of both stages with mirrored images: computed in two passes, kept by image, read in another order."""
    component = net()
    source = BackboneSource(component, identity(component, "float32"), folder)
    cache, labels = prefix.cache_of(folder, 1 << 30), [0, 1, 2] * 12
    some, whole = view(labels, limit=6), view(labels)

    def nothing(*arguments: Any) -> None:
        pass

    def fetch(chosen: View, stop: int) -> prefix.Prefix:
        return prefix.fetch(
            cache, source, chosen, stop, 2, also={2: 2}, begin=nothing, advance=nothing, waiting=nothing
        )

    fetch(some, 1)
    rows, mirrored = np.array([38, 3, 36, 0, 35]), np.array([0, 1, 1, 0, 0])
    found = {}
    for stop in (1, 2):
        outputs = prefix.join([fetch(whole, stop), fetch(some, stop)])
        found[f"after {stop}"] = summary(outputs.take(rows, mirrored))
    return {**found, "afresh": summary(divide(source.afresh(3))[0]["low/conv/kernel"])}


@golden(1e-4)
def whole_network(folder: Path) -> dict[str, Any]:
    """A built network in float32: as the host splits it, and as a phase of gradients runs it."""
    made = backbone.build(net(), "float32", BACKBONE_SEED)
    images = _images()
    parameters, others = divide(made)
    x = made.prefix(made.state, images, 0)
    learnt, statistics = run(made, {**parameters, **others}, x, 0, 1)
    forgotten, of_batch = run(made, {**parameters, **others}, x, 0, 0, forget=True)
    return {
        "features": summary(jax.jit(made.prefix, static_argnums=2)(made.state, images, 2)),
        "after one stage": summary(made.rest(made.state, made.prefix(made.state, images, 1), 1)),
        "statistics of the batch": summary(learnt),
        "all statistics of the batch": summary(forgotten),
        "changed": sorted(statistics),
        "norm": [number for name in sorted(statistics) for number in summary(statistics[name])],
        "norms of the batch": [number for name in sorted(of_batch) for number in summary(of_batch[name])],
        "another seed": summary(divide(backbone.build(net(), "float32", 1))[0]["high/conv/kernel"]),
    }


@golden(1e-2)
def whole_network_bfloat16(folder: Path) -> dict[str, Any]:
    """Products in bfloat16: features, and that they are as far from those of float32 as its rounding brings them."""
    exact, coarse = (
        np.asarray(made.prefix(made.state, _images(), 2))
        for made in (backbone.build(net(), precision, BACKBONE_SEED) for precision in ("float32", "bfloat16"))
    )
    distance = np.abs(coarse - exact).max() / np.abs(exact).max()
    return {"features": summary(coarse), "type": str(coarse.dtype), "is rounded": bool(2**-12 < distance < 2**-5)}


def _images() -> jax.Array:
    return jnp.asarray(np.stack([picture(i) for i in range(4)]))


@golden(1e-6)
def finished_classifier(folder: Path) -> dict[str, Any]:
    """From the eight expressions to the classes of a task."""
    said = np.abs(wave(3, 8)) / np.abs(wave(3, 8)).sum(1, keepdims=True)
    said[2] = [0, 0, 0, 0, 0, 0, 0, 1]
    knows = ("happiness", "fear", "sadness", "contempt")
    return {"classes": rounded(answers.take(said, knows, ("sad", "joy", "bored", "afraid")))}
