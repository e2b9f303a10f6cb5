"""Write golden_features.json: pooled features of four drawn faces with the float32 ImageNet weights.

Run once, with Keras's published file or one with its names; tests read the result only:

    python make_golden.py FILE

``drawn_faces.png`` holds images 1, 3, 5 and 9 of ``synthetic[domain=lab,size=96]``: nobody's portrait.
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
from PIL import Image

SIZE = 150
HERE = Path(__file__).parent


def drawn_faces() -> jax.Array:
    """Return the four faces, (4, 150, 150, 3) float32 in [-1, 1]."""
    sheet = np.asarray(Image.open(HERE / "drawn_faces.png"), np.float32)
    faces = np.stack([sheet[y : y + 96, x : x + 96] for y in (0, 96) for x in (0, 96)])
    return jax.image.resize(jnp.asarray(faces), (4, SIZE, SIZE, 3), "linear") / 127.5 - 1


if __name__ == "__main__":
    model = Xception(rngs=nnx.Rngs(0), compute_dtype=jnp.float32)
    model.eval()
    assign(model, read(Path(sys.argv[1])))
    with jax.default_matmul_precision("highest"):
        features = np.asarray(model(drawn_faces()).mean((1, 2)), np.float64)
    golden = {"features": [[float(f"{value:.6g}") for value in row] for row in features]}
    (HERE / "golden_features.json").write_text(json.dumps(golden) + "\n", "utf-8")
