"""Scaled dot-product attention, one way for each kind of device."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array, lax


def attend(query: Array, key: Array, value: Array) -> Array:
    """Return softmax(q k' / sqrt(c)) v for every head; jax's own kernel, but on a CPU two products and a softmax.

    Args:
        query: (b, n, h, c) float32 or bfloat16.
        key: (b, m, h, c), of the same type.
        value: (b, m, h, c), likewise.

    Returns:
        (b, n, h, c) of float32 or of the type of the operands; sums are float32.
    """
    return lax.platform_dependent(query, key, value, cpu=_two_products, default=_of_jax)


def _of_jax(query: Array, key: Array, value: Array) -> Array:
    return jax.nn.dot_product_attention(query, key, value).astype(jnp.float32)


def _two_products(query: Array, key: Array, value: Array) -> Array:
    scale = 1 / math.sqrt(query.shape[-1])
    logits = scale * jnp.einsum("bnhc,bmhc->bhnm", query, key, preferred_element_type=jnp.float32)
    shares = jax.nn.softmax(logits).astype(query.dtype)
    return jnp.einsum("bhnm,bmhc->bnhc", shares, value, preferred_element_type=jnp.float32)
