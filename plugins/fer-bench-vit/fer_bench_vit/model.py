"""Vision Transformers in Flax NNX: supervised, MAE, DINOv2, CLIP, FaRL and SigLIP are one module with a few switches.

A. Dosovitskiy et al., "An Image Is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
arXiv:2010.11929. Every stage takes and returns tokens (b, n, d), the class token first, then registers, then patches
row by row. They are float32, or bfloat16 on accelerators: then what is stored is bfloat16, and what happens to each
number between two products is float32, which XLA joins with the product or the norm beside it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax
from jax.typing import DTypeLike

from fer_bench_vit.architectures import ARCHITECTURES, Architecture
from fer_bench_vit.attention import attend

if TYPE_CHECKING:
    from fer_bench_vit import VitParams

ACTIVATIONS = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
}
DEVIATION = 0.02
"""Of random weights, which are drawn within two of it."""


def _draw(rngs: nnx.Rngs, *shape: int) -> nnx.Param[Array]:
    return nnx.Param(DEVIATION * jax.random.truncated_normal(rngs.params(), -2, 2, shape, jnp.float32))


class Norm(nnx.Module):
    """Layer normalisation over channels; sums are float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.epsilon = epsilon

    def __call__(self, x: Array) -> Array:
        """Map (..., width) to the same shape and type."""
        wide = x.astype(jnp.float32)
        wide = wide - wide.mean(-1, keepdims=True)
        variance = jnp.square(wide).mean(-1, keepdims=True)
        wide = wide * lax.rsqrt(variance + self.epsilon) * self.scale[...] + self.bias[...]
        return wide.astype(x.dtype)


class Dense(nnx.Module):
    """A matrix and a bias. Operands of the product have the compute type; sums are float32."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.kernel = _draw(rngs, inputs, outputs)
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (..., inputs) to (..., outputs) of the same type."""
        return (product(x, self.kernel[...], self.compute_dtype) + self.bias[...]).astype(x.dtype)


def product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """Multiply the last axis of (..., c) by a matrix (c, d); return (..., d) of the type of ``x``."""
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x.astype(dtype), kernel.astype(dtype), axes, preferred_element_type=x.dtype)


class Attention(nnx.Module):
    """Multi-head attention, from some tokens to others (section 3.1 and appendix A of the paper)."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        dense = partial(Dense, width, width, rngs=rngs, compute_dtype=compute_dtype)
        self.query, self.key, self.value, self.out = dense(), dense(), dense(), dense()
        self.heads = heads
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array, y: Array) -> Array:
        """Map queries' tokens (b, n, d) and tokens that are looked at (b, m, d) to (b, n, d), all of one type."""
        query, key, value = (
            tokens.reshape(*tokens.shape[:2], self.heads, -1).astype(self.compute_dtype)
            for tokens in (self.query(x), self.key(y), self.value(y))
        )
        return self.out(attend(query, key, value, x.dtype).reshape(x.shape))


class Mlp(nnx.Module):
    """Two dense layers with an activation between them."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        a = architecture
        self.first = Dense(a.width, a.hidden, rngs=rngs, compute_dtype=compute_dtype)
        self.second = Dense(a.hidden, a.width, rngs=rngs, compute_dtype=compute_dtype)
        self.activation = a.activation

    def __call__(self, x: Array) -> Array:
        """Map (..., width) to the same shape and type."""
        hidden = ACTIVATIONS[self.activation](self.first(x).astype(jnp.float32))
        return self.second(hidden.astype(x.dtype))


class Embedding(nnx.Module):
    """The first stage: patches as tokens with their positions, after the class token and registers."""

    def __init__(
        self, architecture: Architecture, side: int, registers: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike
    ) -> None:
        a, grid = architecture, side // architecture.patch
        self.kernel = _draw(rngs, a.patch, a.patch, 3, a.width)
        if a.patch_bias:
            self.bias = nnx.Param(jnp.zeros(a.width))
        self.positions = _draw(rngs, grid, grid, a.width)
        if a.class_token:
            self.class_token, self.class_position = _draw(rngs, 1, a.width), _draw(rngs, 1, a.width)
        if registers:
            # The axis of length one in the middle: they are tokens, and no matrix for `lora` to change.
            self.registers = _draw(rngs, registers, 1, a.width)
        if a.norm_first:
            self.norm = Norm(a.width, a.epsilon)
        self.colours = a.colours
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (b, s, s, 3) in 0 to 1 to tokens (b, n, width) of the same type."""
        dtype = x.dtype
        mean, deviation = (jnp.asarray(numbers, jnp.float32) for numbers in self.colours)
        (batch, *_), (patch, _, _, width) = x.shape, self.kernel.shape
        grid = self.positions.shape[0]
        x = x[:, : grid * patch, : grid * patch]  # 384 pixels are 27 patches of 14 and a margin that SigLIP drops
        x = ((x - mean) / deviation).astype(dtype).reshape(batch, grid, patch, grid, patch, 3).swapaxes(2, 3)
        x = product(x.reshape(batch, grid**2, -1), self.kernel[...].reshape(-1, width), self.compute_dtype)
        if hasattr(self, "bias"):
            x = x + self.bias[...]
        tokens = [x + self.positions[...].reshape(-1, width)]
        if hasattr(self, "registers"):
            tokens.insert(0, jnp.broadcast_to(self.registers[...][:, 0], (batch, *self.registers.shape[::2])))
        if hasattr(self, "class_token"):
            first = self.class_token[...] + self.class_position[...]
            tokens.insert(0, jnp.broadcast_to(first, (batch, 1, width)))
        x = jnp.concatenate([token.astype(dtype) for token in tokens], axis=1)
        return self.norm(x) if hasattr(self, "norm") else x


class Block(nnx.Module):
    """Attention among all tokens, then an MLP on each, both around an identity."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        a = architecture
        self.norm1, self.norm2 = Norm(a.width, a.epsilon), Norm(a.width, a.epsilon)
        self.attention = Attention(a.width, a.heads, rngs=rngs, compute_dtype=compute_dtype)
        self.mlp = Mlp(a, rngs=rngs, compute_dtype=compute_dtype)
        if a.layer_scale:
            self.gamma1, self.gamma2 = nnx.Param(jnp.ones(a.width)), nnx.Param(jnp.ones(a.width))

    def __call__(self, x: Array) -> Array:
        """Map (b, n, width) to the same shape and type."""
        y = self.norm1(x)
        y = self.attention(y, y)
        x = (x + (y * self.gamma1[...] if hasattr(self, "gamma1") else y)).astype(x.dtype)
        y = self.mlp(self.norm2(x))
        return (x + (y * self.gamma2[...] if hasattr(self, "gamma2") else y)).astype(x.dtype)


class Pool(nnx.Module):
    """The last stage: a norm, and the features from all tokens.

    Attributes:
        features: ``class``, the class token; ``mean``, that of the patches; ``attention``, what one learned query takes
            from them.
        before: tokens before the patches.
    """

    def __init__(
        self, architecture: Architecture, features: str, registers: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike
    ) -> None:
        a = architecture
        self.features, self.before = features, registers + a.class_token
        self.norm = Norm(a.width, a.epsilon)
        if features == "attention":
            self.query = _draw(rngs, 1, a.width)
            self.attention = Attention(a.width, a.heads, rngs=rngs, compute_dtype=compute_dtype)
            self.attention_norm = Norm(a.width, a.epsilon)
            self.mlp = Mlp(a, rngs=rngs, compute_dtype=compute_dtype)

    def __call__(self, x: Array) -> Array:
        """Map (b, n, width) to features (b, width), float32."""
        if self.features == "class":
            return self.norm(x[:, 0].astype(jnp.float32))
        x = self.norm(x)
        if self.features == "mean":
            return x[:, self.before :].mean(1, dtype=jnp.float32)
        queries = jnp.broadcast_to(self.query[...], (len(x), 1, x.shape[-1]))
        y = self.attention(queries.astype(x.dtype), x)[:, 0].astype(jnp.float32)
        return y + self.mlp(self.attention_norm(y))


class VisionTransformer(nnx.Module):
    """The stages ``embed``, ``block0`` and so on, and ``pool``: from (b, s, s, 3) in 0 to 1 to features (b, width).

    Parameters are float32; ``compute_dtype`` is the type of the operands of products, whose sums are float32. A stage
    returns the type that it is given, float32 or bfloat16; the last one float32.
    """

    def __init__(
        self,
        architecture: Architecture,
        side: int,
        features: str,
        registers: int,
        *,
        rngs: nnx.Rngs,
        compute_dtype: DTypeLike = jnp.float32,
    ) -> None:
        dtype = jnp.dtype(compute_dtype)
        self.stages = architecture.stages
        self.embed = Embedding(architecture, side, registers, rngs=rngs, compute_dtype=dtype)
        for number in range(architecture.depth):
            setattr(self, f"block{number}", Block(architecture, rngs=rngs, compute_dtype=dtype))
        self.pool = Pool(architecture, features, registers, rngs=rngs, compute_dtype=dtype)

    def __call__(self, x: Array) -> Array:
        """Apply all stages to (b, s, s, 3) in 0 to 1; return (b, width) float32."""
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x


def build(params: VitParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> VisionTransformer:
    """Return a Vision Transformer in eval mode, with the weights that ``params`` names.

    Args:
        params: ``weights="random"`` draws them from ``rngs``; otherwise they come from ``params.file``, or from where
            ``fer-bench weights fetch`` puts them.
        rngs: random streams; all parameters are drawn from ``params``.
        compute_dtype: ``float32`` or ``bfloat16``; see `VisionTransformer`.

    Raises:
        FerBenchError: the weights are not there, or do not fit; every mismatch is listed.
    """
    architecture = ARCHITECTURES[params.architecture]

    def make(rngs: nnx.Rngs) -> VisionTransformer:
        return VisionTransformer(
            architecture,
            params.input_size,
            params.features,
            params.registers,
            rngs=rngs,
            compute_dtype=compute_dtype,
        )

    if params.weights == "random":
        model = make(rngs)
    else:
        from fer_bench.keeping.published import load_into
        from fer_bench_vit.naming import schemes
        from fer_bench_vit.published import files_of

        model = nnx.eval_shape(make, rngs)  # shapes only: the file replaces the numbers
        path = Path(params.file) if params.file else files_of(params)["weights"]
        name = f"the backbone {architecture.name}" + f"[registers={params.registers}]" * bool(params.registers)
        load_into(model, path, schemes(architecture, params), name)
    model.eval()
    return model
