"""Random changes of images on the device: pure functions of a key and a batch.

Images are (b, h, w, c) float32 from 0 to 255, before they are resized for the backbone. Each change comes as a function
of numbers (`warp`, `adjust`, `fill`, `blend`) and one that draws them. The cache of stage outputs cannot hold any of
them, since they are new each epoch; mirroring, which it can hold, is `GradientPhase.flip`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from fer_bench.networks.transforms import LUMA
from fer_bench.specs import GradientPhase, Plan

DEGREES, ZOOM, SHIFT = 15.0, 0.1, 0.1
"""`affine`: largest angle; factors of size lie in 1 - ZOOM to 1 + ZOOM; largest shift as a share of the side."""
COLOUR = 0.2
"""`colour`: factors of brightness, contrast and saturation lie in 1 - COLOUR to 1 + COLOUR."""
ERASED, AREA, ASPECT = 0.25, (0.02, 0.2), (0.3, 1 / 0.3)
"""`erase`: share of the images that lose a rectangle, its share of the area, its height over its width."""


def apply(key: jax.Array, images: jax.Array, phase: GradientPhase) -> jax.Array:
    """Return images changed as a phase asks for, each in its own way.

    Args:
        key: random.
        images: (b, h, w, c) of any real type, 0 to 255.
        phase: its ``augment``, in the order affine, colour, erase.

    Returns:
        (b, h, w, c) float32, 0 to 255.
    """
    images = images.astype(jnp.float32)
    for number, (name, change) in enumerate((("affine", affine), ("colour", colour), ("erase", erase))):
        if name in phase.augment:
            images = change(jax.random.fold_in(key, number), images)
    return images


def affine(key: jax.Array, images: jax.Array) -> jax.Array:
    """Rotate, scale and shift each image about its centre; what comes in from outside repeats the edge."""
    b, h, w, _ = images.shape
    turn, size, shift = jax.random.split(key, 3)
    angle = jax.random.uniform(turn, (b,), minval=-1, maxval=1) * math.radians(DEGREES)
    zoom = 1 + jax.random.uniform(size, (b,), minval=-ZOOM, maxval=ZOOM)
    moved = jax.random.uniform(shift, (b, 2), minval=-SHIFT, maxval=SHIFT) * jnp.asarray([h, w], jnp.float32)
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    turned = jnp.stack([jnp.stack([cos, -sin], 1), jnp.stack([sin, cos], 1)], 1)
    centre = jnp.asarray([(h - 1) / 2, (w - 1) / 2])
    offset = centre - jnp.einsum("bij,bj->bi", turned, centre + moved, precision="highest")
    return warp(images, jnp.concatenate([turned, offset[:, :, None]], 2))


def warp(images: jax.Array, maps: jax.Array) -> jax.Array:
    """Return images sampled elsewhere, bilinearly; outside, the nearest edge goes on.

    Args:
        images: (b, h, w, c) float32.
        maps: (b, 2, 3): pixel (y, x) of the result shows the place ``maps @ (y, x, 1)`` of the image.
    """
    _, h, w, _ = images.shape
    y, x = jnp.meshgrid(jnp.arange(h, dtype=jnp.float32), jnp.arange(w, dtype=jnp.float32), indexing="ij")
    places = jnp.einsum("bij,jhw->bihw", maps, jnp.stack([y, x, jnp.ones_like(y)]), precision="highest")
    places = jnp.clip(places, 0, jnp.asarray([h - 1, w - 1], jnp.float32)[:, None, None])
    low = jnp.floor(places).astype(jnp.int32)
    part = (places - low)[..., None]
    y0, x0 = low[:, 0], low[:, 1]
    y1, x1 = jnp.minimum(y0 + 1, h - 1), jnp.minimum(x0 + 1, w - 1)

    def at(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        return image[y, x]

    corner = jax.vmap(at)
    top = corner(images, y0, x0) * (1 - part[:, 1]) + corner(images, y0, x1) * part[:, 1]
    bottom = corner(images, y1, x0) * (1 - part[:, 1]) + corner(images, y1, x1) * part[:, 1]
    return top * (1 - part[:, 0]) + bottom * part[:, 0]


def colour(key: jax.Array, images: jax.Array) -> jax.Array:
    """Change brightness, contrast and saturation of each image."""
    factors = 1 + jax.random.uniform(key, (3, len(images)), minval=-COLOUR, maxval=COLOUR)
    return adjust(images, *factors)


def adjust(images: jax.Array, brightness: jax.Array, contrast: jax.Array, saturation: jax.Array) -> jax.Array:
    """Return images between black, their mean grey and their grey version (factor 0) and themselves (factor 1).

    As `PIL.ImageEnhance` does it, in this order, without rounding.

    Args:
        images: (b, h, w, 1 or 3) float32, 0 to 255; grey has no saturation.
        brightness: (b,) factors >= 0.
        contrast: likewise.
        saturation: likewise.
    """

    def between(grey: jax.Array | float, images: jax.Array, factor: jax.Array) -> jax.Array:
        return jnp.clip(grey + factor[:, None, None, None] * (images - grey), 0, 255)

    images = between(0.0, images, brightness)
    images = between(_grey(images).mean((1, 2, 3), keepdims=True), images, contrast)
    return between(_grey(images), images, saturation) if images.shape[3] == 3 else images


def _grey(images: jax.Array) -> jax.Array:
    if images.shape[3] == 1:
        return images
    return (images * jnp.asarray(LUMA, jnp.float32)).sum(3, keepdims=True)


def erase(key: jax.Array, images: jax.Array) -> jax.Array:
    """Fill a rectangle of some images with noise (Zhong et al., arXiv:1708.04896, algorithm 1)."""
    b, h, w, _ = images.shape
    chosen, size, form, place, noise = jax.random.split(key, 5)
    area = jax.random.uniform(size, (b,), minval=AREA[0], maxval=AREA[1]) * (h * w)
    aspect = jnp.exp(jax.random.uniform(form, (b,), minval=math.log(ASPECT[0]), maxval=math.log(ASPECT[1])))
    sides = jnp.stack([jnp.sqrt(area * aspect), jnp.sqrt(area / aspect)], 1)
    whole = jnp.asarray([h, w])
    # The paper draws again what does not fit; here it is cut to the image's side.
    sides = jnp.clip(jnp.round(sides).astype(jnp.int32), 1, whole)
    sides = jnp.where(jax.random.bernoulli(chosen, ERASED, (b, 1)), sides, 0)
    corners = jnp.floor(jax.random.uniform(place, (b, 2)) * (whole - sides + 1)).astype(jnp.int32)
    return fill(images, corners, sides, jax.random.uniform(noise, images.shape, maxval=255.0))


def fill(images: jax.Array, corners: jax.Array, sides: jax.Array, by: jax.Array) -> jax.Array:
    """Return images of which a rectangle comes from others.

    Args:
        images: (b, h, w, c).
        corners: (b, 2) int, (y, x) of the upper left pixel of the rectangle.
        sides: (b, 2) int, its height and width; 0 fills nothing.
        by: (b, h, w, c).
    """
    _, h, w, _ = images.shape
    y, x = jnp.arange(h)[None, :, None, None], jnp.arange(w)[None, None, :, None]
    (top, left), (height, width) = (part.T[:, :, None, None, None] for part in (corners, sides))
    inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return jnp.where(inside, by, images)


def mix(key: jax.Array, images: jax.Array, targets: jax.Array, phase: GradientPhase) -> tuple[jax.Array, jax.Array]:
    """Return images and targets mixed as a phase asks for, if it does."""
    if phase.mixup:
        return mixup(key, images, targets, phase.mixup)
    if phase.cutmix:
        return cutmix(key, images, targets, phase.cutmix)
    return images, targets


def mixup(key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Return convex mixtures of a batch with itself in another order (Zhang et al., arXiv:1710.09412, sec. 2).

    Args:
        key: random.
        images: (b, h, w, c) float32.
        targets: (b, k) probabilities.
        alpha: of the symmetric Beta distribution that draws the share, one a batch; > 0.
    """
    share, order = _partners(key, len(images), alpha)
    return blend(images, images[order], share), blend(targets, targets[order], share)


def blend(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    """Return ``share`` of the first and the rest of the second."""
    return share * first + (1 - share) * second


def cutmix(key: jax.Array, images: jax.Array, targets: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Paste one rectangle of other images of the batch, and mix targets by its area (Yun et al., arXiv:1905.04899).

    As in section 3.2 and its appendix A, the centre of the rectangle is uniform and what sticks out is cut off.

    Args:
        key: random.
        images: (b, h, w, c) float32.
        targets: (b, k) probabilities.
        alpha: of the symmetric Beta distribution that draws the share that stays; > 0.
    """
    b, h, w, _ = images.shape
    drawn, middle = jax.random.split(key)
    share, order = _partners(drawn, b, alpha)
    whole = jnp.asarray([h, w])
    centre = jnp.floor(jax.random.uniform(middle, (2,)) * whole)
    half = jnp.sqrt(1 - share) * whole / 2
    low = jnp.clip(jnp.round(centre - half), 0, whole).astype(jnp.int32)
    high = jnp.clip(jnp.round(centre + half), 0, whole).astype(jnp.int32)
    mixed = fill(images, jnp.tile(low, (b, 1)), jnp.tile(high - low, (b, 1)), images[order])
    return mixed, blend(targets, targets[order], 1 - (high - low).prod() / (h * w))


def _partners(key: jax.Array, b: int, alpha: float) -> tuple[jax.Array, jax.Array]:
    drawn, shuffled = jax.random.split(key)
    return jax.random.beta(drawn, alpha, alpha), jax.random.permutation(shuffled, b)


def needs_images(phase: GradientPhase) -> bool:
    """Return whether a phase must see the images themselves at each step, so that the cache holds nothing for it."""
    return bool(phase.augment or phase.mixup or phase.cutmix)


def notes(plan: Plan) -> list[str]:
    """Return a line for each phase whose changes of images turn the cache off."""
    return [
        f"phase {phase.name!r} changes images by {', '.join(names)}, which the cache cannot hold: it is turned off "
        "there, and every step runs from the image through all stages."
        for phase in plan.phases
        if isinstance(phase, GradientPhase) and needs_images(phase) and (names := _names(phase))
    ]


def _names(phase: GradientPhase) -> list[str]:
    return [*phase.augment, *(name for name in ("mixup", "cutmix") if getattr(phase, name))]
