"""From stored pixels to what a backbone's first stage expects, on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fer_bench.arrays import Array
from fer_bench.specs import ImageInput

VERSION = 1
"""Part of the identity of features; grows when any number that this module returns changes."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


def to_input(images: jax.Array, size: int, spec: ImageInput) -> jax.Array:
    """Return images as the first stage of a backbone expects them.

    Args:
        images: (b, h, w, 1 or 3) uint8.
        size: side of the result, pixels; the picture is stretched if it is not square.
        spec: what the backbone expects.

    Returns:
        (b, size, size, ``spec.channels``) float32; 0 and 255 lie at the ends of ``spec.value_range``. Grey is repeated;
        colour becomes grey by ITU-R BT.601 luma.
    """
    x = images.astype(jnp.float32)
    if spec.channels == 1 and x.shape[-1] == 3:
        x = x @ jnp.asarray(LUMA, jnp.float32)[:, None]
    b, _, _, c = x.shape
    if x.shape[1:3] != (size, size):
        x = jax.image.resize(x, (b, size, size, c), method=spec.resize, antialias=True)
    low, high = spec.value_range
    x = low + x * ((high - low) / 255.0)
    return jnp.repeat(x, spec.channels, axis=-1) if c < spec.channels else x


def to_colour(image: Array) -> Array:
    """Return an image (h, w, 1 or 3) uint8 as (h, w, 3); grey is repeated."""
    return image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1)


def to_grey(image: Array) -> Array:
    """Return an image (h, w, 1 or 3) uint8 as (h, w, 1); colour becomes grey by ITU-R BT.601 luma."""
    return image if image.shape[-1] == 1 else np.rint(image @ np.array(LUMA)[:, None]).astype(np.uint8)


def host_side(shape: tuple[int, int] | None, input_size: int) -> int | None:
    """Return the side that images are resized to on the host; None where the device resizes them.

    Args:
        shape: height and width that all images of the data set share; None where they differ.
        input_size: side of the backbone's input, pixels.
    """
    return None if shape is not None and max(shape) <= 2 * input_size else input_size


def fill_up(batch: Array, size: int) -> Array:
    """Return a batch (b, …) of ``size`` images, of which the last is repeated."""
    return np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])


def to_batch(images: list[Array], side: int | None, channels: int) -> Array:
    """Return images as one (b, h, w, ``channels``) uint8 batch that `to_input` takes.

    Args:
        images: each (h, w, 1 or 3) uint8.
        side: of `host_side`: None leaves images as they are. Otherwise each is resized to (side, side) with an
            antialiased bilinear kernel, since the device would compile again for every shape.
        channels: of the batch; grey is repeated where some images of the data set are in colour.
    """
    if side is not None:
        pictures = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in images]
        resized = [np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)) for picture in pictures]
        images = [image[..., None] if image.ndim == 2 else image for image in resized]
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
