"""Write golden_features.json: pooled features of a drawn picture with the float32 ImageNet weights.

Run once, with Keras's published file or one with its names; tests read the result only:

    python make_golden.py FILE
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from fer_bench_xception.checkpoint import assign, read
from fer_bench_xception.model import Xception
from flax import nnx

SIZE = 150
HERE = Path(__file__).parent


def picture(size: int) -> jax.Array:
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    channels = [np.sin(5 * x + 3 * y * y + c) * np.cos(7 * y - 2 * x * c) for c in range(3)]
    return jnp.asarray(np.stack(channels, axis=-1)[None], jnp.float32)


model = Xception(rngs=nnx.Rngs(0), compute_dtype=jnp.float32)
model.eval()
assign(model, read(Path(sys.argv[1])))
with jax.default_matmul_precision("highest"):
    features = np.asarray(model(picture(SIZE)).mean((1, 2))[0], np.float64)
golden = {"size": SIZE, "features": [float(f"{value:.6g}") for value in features]}
(HERE / "golden_features.json").write_text(json.dumps(golden) + "\n", "utf-8")
