"""Measure on one GPU, in one call: single operations, steps and passes in every formulation, beside torch.compile.

    python benchmarks/gpu.py                              # at most 8 minutes on an H100
    JAX_PLATFORMS=cpu python benchmarks/gpu.py --tiny     # every part on any machine, which says nothing of speed

It runs from a plain checkout: packages of this tree need not be installed, only what they depend on. First all programs
are compiled, several at once, into caches of this call. Then each part runs in a process of its own, in the order of
what a decision needs: one that fails or takes too long loses nothing of the others. Every answer is printed when it is
there, and written to ``gpu.json`` in ``--output``, by default ``$OUT``; a table ends the call.

A formulation is `before` (activations in float32, as they were), `usual` (bfloat16, the default), `fused` (Pallas for
depthwise convolution and max-pool), `aligned` (728 channels as 768 in products), or the last two together. torch is
measured where it is installed.
"""

from __future__ import annotations

import argparse
import configparser
import importlib.util
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
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
AT_ONCE = 4
"""Programs that are compiled at once, at most: they share the device's memory."""
COMPILING = 0.4
"""Share of the minutes after which a program that is compiled is stopped."""
LEAST_S = 20.0
"""Seconds below which no part is begun."""
TORCH = "torch.compile"


def choose(formulation: str) -> None:
    """Set a formulation of Xception in this process; a CPU takes that of accelerators, too."""
    import jax.numpy as jnp
    from fer_bench_xception import half

    from fer_bench.networks import backbone

    for name, value in FORMULATIONS[formulation].items():
        setattr(half, name, value)
    taken = jnp.dtype(jnp.float32 if formulation == "before" else jnp.bfloat16)
    backbone.activations = lambda spec, precision: taken


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


def operations(batch: int, tiny: bool) -> Iterator[tuple[str, str, Callable[[], float], float]]:
    """Yield operation, formulation, what measures its microseconds, and the floor: bytes read and written once at
    `BANDWIDTH`.

    Measure each before the next is asked for: the formulation is set in this process.
    """
    import jax
    import jax.numpy as jnp
    from fer_bench_xception import half, kernels

    def ours(x: Any, kernel: Any) -> Any:
        return half.depthwise(x, kernel, True, jnp.bfloat16)

    def grouped(x: Any, kernel: Any) -> Any:
        return kernels._depthwise_grouped(jax.nn.relu(x), kernel.astype(x.dtype))

    def forward(function: Callable[..., Any], x: Any, kernel: Any) -> tuple[Any, ...]:
        return function(x, kernel), kernel

    def to_image(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        return jax.vjp(lambda x: function(x, kernel), x)[1](g)[0], x, kernel

    def to_both(function: Callable[..., Any], g: Any, x: Any, kernel: Any) -> tuple[Any, ...]:
        of_x, of_kernel = jax.vjp(function, x, kernel)[1](g)
        return of_x, x, kernel + of_kernel * 1e-9

    def pool_and_back(x: Any) -> tuple[Any, ...]:
        y, pull_back = jax.vjp(half.max_pool, x)
        return pull_back(y)

    def multiplied(x: Any, kernel: Any) -> tuple[Any, ...]:
        made: Any = half.product(x, kernel, jnp.bfloat16)
        return made[:, : len(kernel)], kernel

    for shape in [(batch, 5, 5, 24)] if tiny else [(batch, 19, 19, 728), (batch, 74, 74, 128)]:
        x = jax.random.normal(jax.random.key(0), shape, jnp.bfloat16)
        kernel = 0.3 * jax.random.normal(jax.random.key(1), (3, 3, shape[3]))
        floor, where = x.nbytes / BANDWIDTH * 1e6, "x".join(map(str, shape[1:]))
        for name, function in {"XLA grouped": grouped, "usual": ours, "fused": ours}.items():
            half.FUSED = name == "fused"
            back = partial(microseconds, partial(to_image, function), x, x, kernel)
            both = partial(microseconds, partial(to_both, function), x, x, kernel)
            yield f"depthwise {where}", name, partial(microseconds, partial(forward, function), x, kernel), 2 * floor
            yield f"to image {where}", name, back, 3 * floor
            yield f"both gradients {where}", name, both, 3 * floor
            if name != "XLA grouped":
                yield f"max-pool and back {where}", name, partial(microseconds, pool_and_back, x), 3.75 * floor
        half.FUSED = False
    for rows, c, d in [(64, 24, 24)] if tiny else [(batch * 361, 728, 728), (batch * 100, 1536, 2048)]:
        x = jax.random.normal(jax.random.key(0), (rows, c), jnp.bfloat16)
        kernel = 0.03 * jax.random.normal(jax.random.key(1), (c, d))
        for name, multiple in (("usual", 1), ("aligned", 16 if tiny else 64)):
            half.ALIGNED = multiple
            took = partial(microseconds, multiplied, x, kernel)
            yield f"product {rows}x{c}x{d}", name, took, 2 * rows * c * d / PRODUCTS * 1e6
        half.ALIGNED = 1


def measure_operations(batch: int, tiny: bool, output: Path) -> None:
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


@dataclass(frozen=True)
class Part:
    """A process of its own.

    Attributes:
        title: what it measures.
        command: of Python, without the interpreter.
        answer: JSON file that it writes; None where it prints its answer.
        most: seconds after which it is stopped.
        compiled: whether it runs once before, so that it finds its programs compiled.
    """

    title: str
    command: list[str]
    answer: Path | None
    most: float
    compiled: bool = True


def parts(folder: Path, tiny: bool) -> Iterator[Part]:
    """Yield the parts in the order of what a decision needs."""
    rng, n = np.random.default_rng(0), 28 if tiny else 6144
    images = rng.integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(n) % 7, fold=np.arange(n) // 7 % 2)
    weights = ROOT / "plugins/fer-bench-xception/fer_bench_xception/weights/imagenet.safetensors"
    size, large, small = ("71", 4, 2) if tiny else ("299", 128, 32)

    def program(name: str, kind: str, batch: int) -> Part:
        torch = [str(PEERS / "torch_kfold.py"), "--compile"]
        command = [*(torch if name == TORCH else [str(HERE), "--steps", name])]
        command += ["--images", f"{folder}/images.npz", "--weights", str(weights), "--size", size, "--kind", kind]
        answer = folder / f"{name} {kind} {batch}.json"
        command += ["--batch", str(batch), "--tail-epochs", "1", "--seconds", "0.1" if tiny else "3"]
        return Part(f"{kind} {batch} {name}", [*command, "--output", str(answer)], answer, 90)

    torch = [TORCH] if importlib.util.find_spec("torch") else []
    tried, answer = ["--tiny"] if tiny else [], folder / "operations.json"
    yield Part("operations", [str(HERE), "--operations", *tried, "--output", str(answer)], answer, 120)
    for name in ("usual", "fused", "aligned", *torch, "before", "fused and aligned"):
        yield program(name, "full", large)
    for name in ("usual", "fused", *torch):
        yield program(name, "forward", 2 * large)
        yield program(name, "full", small)
    rate = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(HERE.parent / "test_rate.py")]
    yield Part("run beside its bare steps", [*rate, *(["-k", "augmentation"] if tiny else [])], None, 150, False)


def environment(folder: Path) -> dict[str, str]:
    """Return variables under which Python finds the packages of this tree and their plugins, and compilers a cache."""
    paths = [folder / "packages"]
    for project in (ROOT, *(ROOT / "plugins" / f"fer-bench-{name}" for name in ("xception", "datasets", "strategies"))):
        facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = paths[0] / f"{facts['name'].replace('-', '_')}-{facts['version']}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {facts['name']}\nVersion: {facts['version']}\n")
        points = configparser.ConfigParser()
        points.read_dict(facts["entry-points"])
        with (info / "entry_points.txt").open("w") as file:
            points.write(file)
        paths.append(project)
    own = {
        "PYTHONPATH": os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FER_BENCH_CACHE_DIR": str(folder / "cache"),
        "FER_BENCH_DATA_DIR": str(folder / "data"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share the device while they compile
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return {**os.environ, **own}


def run_part(part: Part, variables: dict[str, str], most: float) -> dict[str, Any]:
    """Run a part and return what it answered: title, seconds, fault (empty if it ended well), text, answer."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *part.command],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        text, errors = process.communicate(timeout=most)
        fault = f"exit code {process.returncode}: {errors.strip()[-2000:]}" if process.returncode else ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # compilers start processes of their own
        text, fault = process.communicate()[0], f"stopped after {most:.0f} s"
    answer = json.loads(part.answer.read_text()) if part.answer and part.answer.exists() else None
    seconds = round(time.monotonic() - begun, 1)
    return {"title": part.title, "seconds": seconds, "fault": fault, "text": text, "answer": answer}


def measure_parts(minutes: float, tiny: bool, output: Path) -> None:
    """Compile what all parts need, run each for which there is time, and print and write what they answer."""
    end, answers = time.monotonic() + 60 * minutes, list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        variables, every = environment(Path(folder)), list(parts(Path(folder), tiny))
        with ThreadPoolExecutor(max(1, min(AT_ONCE, (os.cpu_count() or 1) // 4))) as pool:
            run = partial(run_part, variables=variables, most=60 * minutes * COMPILING)
            for made in pool.map(run, [part for part in every if part.compiled]):
                print(f"compiled for {made['seconds']:.0f} s: {made['title']} {made['fault'][-300:]}", flush=True)
        for part in every:
            if part.answer:
                part.answer.unlink(missing_ok=True)
            left = end - time.monotonic()
            if left < LEAST_S:
                print(f"== {part.title}: left out, {left:.0f} s are left", flush=True)
                continue
            answers.append(made := run_part(part, variables, min(part.most, left)))
            print(f"== {part.title} ({made['seconds']:.0f} s) {made['fault'][-1000:]}")
            print(made["text"].rstrip(), flush=True)
            output.mkdir(parents=True, exist_ok=True)
            (output / "gpu.json").write_text(json.dumps(answers, indent=1))
    print_table(answers)


def print_table(answers: Sequence[dict[str, Any]]) -> None:
    """Print images a second of each program, and their ratio to those of torch.compile for the same work."""
    rates = {
        (phase["name"], *made["title"].split(" ", 2)): phase["images"] / phase["seconds"]
        for made in answers
        if isinstance(made["answer"], dict)
        for phase in made["answer"]["phases"]
    }
    print(f"\n{'work':24s} {'program':18s} {'images/s':>10s} {'of ' + TORCH:>18s}")
    for (*work, name), rate in sorted(rates.items()):
        peer = rates.get((*work, TORCH))
        ratio = f"{rate / peer:.2f}" if peer else "-"
        print(f"{work[0] + ' at batch ' + work[2]:24s} {name:18s} {rate:10.0f} {ratio:>18s}")


def main() -> None:
    """Run all parts, or the one that the options name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=8, help="that all parts may take together")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to try the script")
    parser.add_argument("--operations", action="store_true", help="only single operations, in this process")
    parser.add_argument("--steps", choices=FORMULATIONS, help="only steps, in this process; others are theirs")
    parser.add_argument("--output", type=Path, default=os.environ.get("OUT", "."), help="folder; of a part its file")
    options, others = parser.parse_known_args()
    if options.steps:
        steps(options.steps, [*others, "--output", str(options.output)])
    elif options.operations:
        measure_operations(2 if options.tiny else 128, options.tiny, options.output)
    else:
        measure_parts(options.minutes, options.tiny, options.output)


if __name__ == "__main__":
    main()
