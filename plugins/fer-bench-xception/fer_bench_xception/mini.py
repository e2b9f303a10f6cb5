"""mini-Xception in Flax NNX: small enough to be trained from random weights on a laptop in minutes.

O. Arriaga, M. Valdenegro-Toro, P. Plöger, "Real-time Convolutional Neural Networks for Emotion and Gender
Classification", arXiv:1710.07557, Fig. 3.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.core import Tracer
from jax.typing import DTypeLike

from fer_bench_xception.model import Convolution, DownBlock

if TYPE_CHECKING:
    from fer_bench_xception import MiniXceptionParams


class Stem(nnx.Module):
    """Two dense 3x3 convolutions with 8 channels."""

    def __init__(self, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.conv1 = Convolution(1, 8, 1, rngs=rngs, compute_dtype=compute_dtype)
        self.conv2 = Convolution(8, 8, 1, rngs=rngs, compute_dtype=compute_dtype)

    def __call__(self, x: Array) -> Array:
        """Map (b, s, s, 1) in [-1, 1] to (b, s - 4, s - 4, 8) of the type of ``x``."""
        return self.conv2(self.conv1(x))


class Neighbours(nnx.Module):
    """What the classifier of the paper, a 3x3 convolution and then the average over space, needs of an image.

    Both are linear: the average of a convolution is the sum over its nine taps of the kernel there times the average
    of the image as that tap sees it. A linear head on these nine averages is therefore the paper's classifier, with
    as many numbers.
    """

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, c) to (b, 9 c) float32: means of x as each tap sees it, zero outside; row-major over taps."""
        _, h, w, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        seen = [padded[:, i : i + h, j : j + w].mean((1, 2), dtype=jnp.float32) for i in range(3) for j in range(3)]
        return jnp.concatenate(seen, axis=-1)


class MiniXception(nnx.Module):
    """mini-Xception without its classifier: stages ``stem``, ``block1`` to ``block4`` and ``neighbours``.

    From (b, s, s, 1) to (b, 1152). Parameters are float32; ``compute_dtype`` is as in
    :class:`fer_bench_xception.model.Xception`.
    """

    def __init__(self, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> None:
        dtype = jnp.dtype(compute_dtype)
        self.stem = Stem(rngs=rngs, compute_dtype=dtype)
        for number, width in enumerate((16, 32, 64, 128), 1):
            block = DownBlock(width // 2, width, width, relu_first=False, rngs=rngs, compute_dtype=dtype)
            setattr(self, f"block{number}", block)
        self.neighbours = Neighbours()

    def __call__(self, x: Array) -> Array:
        """Apply all stages to (b, s, s, 1) in [-1, 1]; return (b, 1152) float32."""
        x = self.stem(x)
        for number in range(1, 5):
            x = getattr(self, f"block{number}")(x)
        return self.neighbours(x)


@partial(jax.jit, static_argnums=(0, 2), compiler_options={"xla_backend_optimization_level": 1})
def _draw(graph: nnx.GraphDef[nnx.Rngs], streams: nnx.State, compute_dtype: jnp.dtype) -> tuple[nnx.State, nnx.State]:
    """Draw all parameters in one program: one for each shape would take longer than an epoch of training.

    It runs once, so a third of the time to compile it is worth more than its speed.

    Returns:
        The state of the network and that of the random streams after it.
    """
    rngs = nnx.merge(graph, streams)
    network = MiniXception(rngs=rngs, compute_dtype=compute_dtype)
    return nnx.state(network), nnx.state(rngs)


def build(params: MiniXceptionParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> MiniXception:
    """Return mini-Xception in eval mode with random weights.

    Args:
        params: nothing in them changes the parameters; there are no trained weights to choose.
        rngs: random streams; all parameters are drawn from ``params``.
        compute_dtype: ``float32`` or ``bfloat16``.
    """
    del params
    dtype = jnp.dtype(compute_dtype)
    graph, streams = nnx.split(rngs)
    if any(isinstance(number, Tracer) for number in jax.tree.leaves(streams)):
        model = MiniXception(rngs=rngs, compute_dtype=dtype)  # within a program, which has options of its own
    else:
        model = nnx.eval_shape(lambda rngs: MiniXception(rngs=rngs, compute_dtype=dtype), rngs)
        state, streams = _draw(graph, streams, dtype)
        nnx.update(model, state)
        nnx.update(rngs, streams)
    model.eval()
    return model
