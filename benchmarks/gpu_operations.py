"""Time single operations of Xception on an accelerator, in every formulation, beside their floors.

`benchmarks/gpu.py` runs it as a part, in a process of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

BANDWIDTH = 3.0e12
"""Bytes that an H100 reads or writes in a second, about: what floors are counted with."""
PRODUCTS = 8.0e14
"""Floating-point operations of products in bfloat16 in a second there."""
REPEATS = 20


def microseconds(function: Callable[..., tuple[Any, ...]], *values: Any) -> float:
    """Return the time of a call, repeated within one program so that starting it does not count.

    Args:
        function: returns new values of the same shapes, each of which depends on what it was given: what does not could
            be computed once.
        values: to begin with.
    """
    import jax

    run = jax.jit(lambda *values: jax.lax.fori_loop(0, REPEATS, lambda _, values: function(*values), values))
    jax.block_until_ready(run(*values))
    times: list[float] = []
    for _ in range(3):
        begun = time.perf_counter()
        jax.block_until_ready(run(*values))
        times.append(time.perf_counter() - begun)
    return min(times) / REPEATS * 1e6


def operations(batch: int, tiny: bool) -> Iterator[tuple[str, str, Callable[[], float], float]]:
    """Yield operation, formulation, what measures its microseconds, and the floor: bytes read and written once at
    `BANDWIDTH`.

    Measure each before the next is asked for: the formulation is set in this process.
    """
    import jax
    import jax.numpy as jnp
    from fer_bench_xception import half, kernels

    def ours(x: Any, kernel: Any) -> Any:
        return half.depthwise(x, kernel, True)

    def shifted(x: Any, kernel: Any) -> Any:
        seen = jax.numpy.pad(jax.nn.relu(x), ((0, 0), (1, 1), (1, 1), (0, 0))).astype(jnp.float32)
        rows, columns = x.shape[1:3]
        taps = [seen[:, i : i + rows, j : j + columns] * kernel[i, j] for i, j in kernels.TAPS]
        return sum(taps).astype(x.dtype)  # type: ignore[union-attr]

    def forward(function: Callable[..., Any], x: Any, kernel: Any) -> tuple[Any, ...]:
        return function(x, kernel), kernel

    def to_image(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        return jax.vjp(lambda x: function(x, kernel), x)[1](g)[0], x, kernel

    def to_both(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        of_x, of_kernel = jax.vjp(function, x, kernel)[1](g)
        return of_x, x, kernel + of_kernel * 1e-9

    def pool_and_back(x: Any) -> tuple[Any, ...]:
        y, pull_back = jax.vjp(kernels.max_pool, x)
        return pull_back(y)

    def multiplied(x: Any, kernel: Any) -> tuple[Any, ...]:
        made: Any = half.product(x, kernel, jnp.bfloat16)
        return made[:, : len(kernel)], kernel

    for shape in [(batch, 5, 5, 24)] if tiny else [(batch, 19, 19, 728), (batch, 74, 74, 128)]:
        x = jax.random.normal(jax.random.key(0), shape, jnp.bfloat16)
        kernel = 0.3 * jax.random.normal(jax.random.key(1), (3, 3, shape[3]))
        floor, where = x.nbytes / BANDWIDTH * 1e6, "x".join(map(str, shape[1:]))
        for name, function in {"usual": ours, "shifted": shifted}.items():
            back = partial(microseconds, partial(to_image, function), x, x, kernel)
            both = partial(microseconds, partial(to_both, function), x, x, kernel)
            yield f"depthwise {where}", name, partial(microseconds, partial(forward, function), x, kernel), 2 * floor
            yield f"to image {where}", name, back, 3 * floor
            yield f"both gradients {where}", name, both, 3 * floor
            if name == "usual":
                yield f"max-pool and back {where}", name, partial(microseconds, pool_and_back, x), 3.75 * floor
    many = batch * 361
    for rows, c, d in [(64, 24, 24)] if tiny else [(many, 728, 728), (many, 768, 768), (batch * 100, 1536, 2048)]:
        x = jax.random.normal(jax.random.key(0), (rows, c), jnp.bfloat16)
        kernel = 0.03 * jax.random.normal(jax.random.key(1), (c, d))
        took = partial(microseconds, multiplied, x, kernel)
        yield f"product {rows}x{c}x{d}", "usual", took, 2 * rows * c * d / PRODUCTS * 1e6


def measure(batch: int, tiny: bool, output: Path) -> None:
    """Print a line for each operation and formulation, and write all of them; one that fails says why."""
    rows: list[dict[str, Any]] = []
    for operation, formulation, measure, floor in operations(batch, tiny):
        row: dict[str, Any] = {"operation": operation, "formulation": formulation, "floor_us": floor}
        try:
            row["us"] = measure()
            said = f"{row['us']:9.1f} us, {row['us'] / floor:6.2f} x the floor"
        except Exception as error:  # whatever a compiler raises, the next operation may work
            said = row["fault"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        print(f"{operation:32s} {formulation:12s} {said}", flush=True)
        rows.append(row)
        output.write_text(json.dumps(rows))
