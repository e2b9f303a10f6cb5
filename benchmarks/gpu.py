"""Measure on one GPU, in one call: single operations, steps and passes in every formulation, beside torch.compile.

    python benchmarks/gpu.py                       # at most 10 minutes on an H100
    JAX_PLATFORMS=cpu python benchmarks/gpu.py --tiny     # a try of every part on any machine

Parts run in the order of what a decision needs, each in a process of its own, and print their table when they end; a
part for which too few minutes are left is named. A formulation is `before` (activations in float32, as they were),
`usual` (bfloat16, the default), `fused` (Pallas for depthwise convolution and max-pool), `aligned` (728 channels as 768
in products), or the last two together. torch is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__)
PEERS = HERE.parent / "peers"
FORMULATIONS: dict[str, dict[str, Any]] = {
    "before": {},
    "usual": {},
    "fused": {"FUSED": True},
    "aligned": {"ALIGNED": 64},
    "fused and aligned": {"FUSED": True, "ALIGNED": 64},
}
BANDWIDTH = 3.0e12
"""Bytes that an H100 reads or writes in a second, about: what floors are counted with."""
PRODUCTS = 8.0e14
"""Floating-point operations of products in bfloat16 in a second there."""
REPEATS = 20


def choose(formulation: str) -> None:
    """Set a formulation of Xception in this process."""
    import fer_bench_xception
    from fer_bench_xception import half

    for name, value in FORMULATIONS[formulation].items():
        setattr(half, name, value)
    if formulation == "before":
        specs = fer_bench_xception.fer_bench_backbones()
        for spec in specs:
            object.__setattr__(spec, "half_precision", False)
        fer_bench_xception.fer_bench_backbones = lambda: specs


def steps(formulation: str, arguments: Sequence[str]) -> None:
    """Run the program of `fer_bench_steps` in a formulation."""
    choose(formulation)
    sys.path.insert(0, str(PEERS))
    sys.argv = ["fer_bench_steps", *arguments]
    runpy.run_module("fer_bench_steps", run_name="__main__")


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


def operations(batch: int, tiny: bool) -> Iterator[tuple[str, str, float, float]]:
    """Yield operation, formulation, microseconds and the floor: bytes read and written once at `BANDWIDTH`."""
    import jax
    import jax.numpy as jnp
    from fer_bench_xception import half, kernels

    def ours(x: Any, kernel: Any) -> Any:
        return half.depthwise(x, kernel, True, jnp.bfloat16)

    def grouped(x: Any, kernel: Any) -> Any:
        return kernels._depthwise_grouped(jax.nn.relu(x), kernel.astype(x.dtype))

    def to_image(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        return jax.vjp(lambda x: function(x, kernel), x)[1](g)[0], x, kernel

    def to_both(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        of_x, of_kernel = jax.vjp(function, x, kernel)[1](g)
        return of_x, x, kernel + of_kernel * 1e-9

    def pool_and_back(x: Any) -> tuple[Any, ...]:
        y, pull_back = jax.vjp(half.max_pool, x)
        return pull_back(y)

    def multiplied(x: Any, kernel: Any) -> tuple[Any, ...]:
        return half.product(x, kernel, jnp.bfloat16)[:, : len(kernel)], kernel

    for shape in [(batch, 5, 5, 24)] if tiny else [(batch, 19, 19, 728), (batch, 74, 74, 128)]:
        x = jax.random.normal(jax.random.key(0), shape, jnp.bfloat16)
        kernel = 0.3 * jax.random.normal(jax.random.key(1), (3, 3, shape[3]))
        floor, where = x.nbytes / BANDWIDTH * 1e6, "x".join(map(str, shape[1:]))
        for name, function in {"XLA grouped": grouped, "usual": ours, "fused": ours}.items():
            half.FUSED = name == "fused"
            forward = microseconds(lambda x, kernel, f=function: (f(x, kernel), kernel), x, kernel)
            yield f"depthwise {where}", name, forward, 2 * floor
            yield f"to image {where}", name, microseconds(partial(to_image, function), x, x, kernel), 3 * floor
            yield f"both gradients {where}", name, microseconds(partial(to_both, function), x, x, kernel), 3 * floor
            if name != "XLA grouped":
                yield f"max-pool and back {where}", name, microseconds(pool_and_back, x), 3.75 * floor
        half.FUSED = False
    for rows, c, d in [(64, 24, 24)] if tiny else [(batch * 361, 728, 728), (batch * 100, 1536, 2048)]:
        x = jax.random.normal(jax.random.key(0), (rows, c), jnp.bfloat16)
        kernel = 0.03 * jax.random.normal(jax.random.key(1), (c, d))
        for name, multiple in (("usual", 1), ("aligned", 16 if tiny else 64)):
            half.ALIGNED = multiple
            took = microseconds(multiplied, x, kernel)
            yield f"product {rows}x{c}x{d}", name, took, 2 * rows * c * d / PRODUCTS * 1e6
        half.ALIGNED = 1


def measure_operations(batch: int, tiny: bool) -> None:
    """Print a line for each operation and formulation."""
    for operation, formulation, took, floor in operations(batch, tiny):
        print(f"{operation:32s} {formulation:12s} {took:9.1f} us, {took / floor:6.2f} x the floor", flush=True)


def run_part(title: str, command: list[str], output: Path | None, left: float) -> None:
    """Run one part in a process of its own and print what it answered."""
    begun = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=left, check=False)
        text, fault = done.stdout, done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        text, fault = said.decode() if isinstance(said, bytes) else said, [f"stopped after {left:.0f} s"]
    print(f"== {title} ({time.monotonic() - begun:.0f} s)", *fault, flush=True)
    if output is not None and output.exists():
        for phase in json.loads(output.read_text())["phases"]:
            print(f"{phase['name']:8s} {phase['images'] / phase['seconds']:9.0f} images/s ({phase['images']} images)")
    elif output is None:
        print(text.rstrip())


def parts(folder: Path, tiny: bool) -> Iterator[tuple[str, list[str], Path | None, float]]:
    """Yield title, command, file of the answer, and the seconds below which the part is not begun."""
    import fer_bench_xception

    rng, n = np.random.default_rng(0), 28 if tiny else 6144
    images = rng.integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(n) % 7, fold=np.arange(n) // 7 % 5)
    weights = Path(fer_bench_xception.__file__).parent / "weights" / "imagenet.safetensors"
    size, large, small = ("71", 4, 2) if tiny else ("299", 128, 32)

    def program(name: str, start: list[str], kind: str, batch: int, least: float) -> tuple[str, list[str], Path, float]:
        output = folder / f"{name} {kind} {batch}.json"
        command = [*start, "--images", f"{folder}/images.npz", "--weights", str(weights), "--size", size]
        command += ["--output", str(output), "--kind", kind, "--batch", str(batch), "--tail-epochs", "1"]
        return f"{name}, {kind}, batch {batch}", [*command, "--seconds", "0.1" if tiny else "3"], output, least

    ours = {name: [str(HERE), "--steps", name] for name in FORMULATIONS}
    torch = [str(PEERS / "torch_kfold.py"), "--compile"]
    yield "single operations", [str(HERE), "--operations", *["--tiny"] * tiny], None, 60
    for name in ("usual", "fused", "aligned", "before"):
        yield program(name, ours[name], "full", large, 60)
    yield program("torch.compile", torch, "full", large, 60)
    yield program("fused and aligned", ours["fused and aligned"], "full", large, 60)
    for name, start in (("usual", ours["usual"]), ("fused", ours["fused"]), ("torch.compile", torch)):
        yield program(name, start, "forward", 2 * large, 45)
        yield program(name, start, "full", small, 45)
    if not tiny:
        rate = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(HERE.parent / "test_rate.py")]
        yield "a run beside its bare steps", rate, None, 60


def main() -> None:
    """Run all parts, or the one that the options name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="that all parts may take together")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to try the script")
    parser.add_argument("--operations", action="store_true", help="single operations alone, in this process")
    parser.add_argument("--steps", choices=FORMULATIONS, help="steps alone, in this process; other options are theirs")
    options, others = parser.parse_known_args()
    if options.steps:
        steps(options.steps, others)
    elif options.operations:
        measure_operations(2 if options.tiny else 128, options.tiny)
    else:
        measure_parts(options.minutes, options.tiny)


def measure_parts(minutes: float, tiny: bool) -> None:
    """Run all parts for which there is time, and print what each answers."""
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        for title, command, output, least in parts(Path(folder), tiny):
            left = end - time.monotonic()
            if left < least:
                print(f"== {title}: left out, {left:.0f} s are left", flush=True)
            else:
                run_part(title, command, output, left)


if __name__ == "__main__":
    main()
