"""Measure on one GPU, in one call: steps, passes, their kernels, whole runs, operations; torch.compile beside them.

    python benchmarks/gpu.py                              # at most 8 minutes on an H100
    python benchmarks/gpu.py --done gpu.json              # what that call had no time for
    JAX_PLATFORMS=cpu python benchmarks/gpu.py --tiny --minutes 20   # on any machine, which says nothing of speed

It runs from a plain checkout: packages of this tree need not be installed, only what they depend on. First the programs
are compiled, several at once, into caches of this call. Then each part runs in a process of its own, in the order of
what a decision needs: one that fails or takes too long loses nothing of the others. Every answer is printed when it is
there, and written to ``gpu.json`` in ``--output``, by default ``$OUT``; a table ends the call, and a line for each
target: what was measured, what is asked, and whether it is met.

A formulation is `before` (activations in float32) or `usual` (bfloat16, the default); depthwise convolutions are also
measured as `shifted` multiply-adds. torch is measured where it is installed. The whole command trains on as many drawn
images as FER2013 has, or on FER2013 itself where ``--data-dir`` holds ``manual/fer2013``.
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpu_kernels
import gpu_operations
import numpy as np
from gpu_targets import FIRST, RATE, TORCH, USUAL, WHOLE, print_targets, rates

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
PEERS = HERE.parent / "peers"
FORMULATIONS = ("before", USUAL)
AT_ONCE = 4
"""Programs that are compiled at once, at most: they share the device's memory."""
COMPILING = 0.4
"""Share of the minutes in which programs are compiled before anything is measured."""
LEAST_S = 20.0
"""Seconds below which no part is begun."""
TINY_LONGER = 4
"""How many times as long a part may take with small shapes, on a machine that is no GPU and may be busy."""
FER2013 = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
EPOCHS = 5
STRATEGY = "full[epochs={},batch=128,learning_rate=3e-4,label_smoothing=0.1,augment=[affine]]"
FEW = 256
"""Images of each part of a FER2013 with which the programs of the whole command are compiled."""
LARGE, SMALL = 128, 32
"""Images of a batch."""


def choose(formulation: str) -> None:
    """Set a formulation of Xception in this process; a CPU takes that of accelerators, too."""
    import jax.numpy as jnp

    from fer_bench.networks import backbone

    taken = jnp.dtype(jnp.float32 if formulation == "before" else jnp.bfloat16)
    backbone.activations = lambda spec, precision: taken


def steps(formulation: str, arguments: Sequence[str]) -> None:
    """Run the program of `fer_bench_steps` in a formulation."""
    choose(formulation)
    sys.path.insert(0, str(PEERS))
    sys.argv = ["fer_bench_steps", *arguments]
    runpy.run_module("fer_bench_steps", run_name="__main__")


def draw_fer2013(folder: Path, parts: dict[str, int]) -> None:
    """Write a table like that of FER2013, of drawn images."""
    rng, kept = np.random.default_rng(0), [str(value) for value in range(256)]
    folder.mkdir(parents=True)
    with (folder / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for part, count in parts.items():
            for number, row in enumerate(rng.integers(0, 256, (count, 48 * 48)).tolist()):
                file.write(f"{number % 7},{' '.join([kept[value] for value in row])},{part}\n")


def measure_command(tiny: bool, few: bool, data: Path | None, output: Path) -> None:
    """Run the whole command on FER2013 at 299 pixels; write its seconds, and those that it says of each activity.

    Args:
        tiny: whether the backbone is small, and the images are few.
        few: whether it is run for its programs: an epoch of few drawn images.
        data: folder that holds FER2013; None draws as many images.
        output: file of the answer.
    """
    folder = output.parent / ("command-few" if few else "command")
    counts = dict.fromkeys(FER2013, 28 if tiny else FEW) if tiny or few else FER2013
    if data is None or few:
        data = folder / "data"
        draw_fer2013(data / "manual" / "fer2013", counts)
    epochs = 1 if tiny or few else EPOCHS
    backbone = "mini-xception" if tiny else "xception[input_size=299]"
    strategy = f"scratch[epochs={epochs}]" if tiny else STRATEGY.format(epochs)
    runs = ["--runs-dir", str(folder / "runs")]
    grid = ["--dataset", "fer2013", "--protocol", "official", "--backbone", backbone, "--strategy", strategy]
    command = [sys.executable, "-m", "fer_bench"]
    begun = time.monotonic()
    subprocess.run([*command, "run", *grid, "--data-dir", str(data), *runs], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    board = [*command, "leaderboard", *runs, "--columns", "cost", "--format", "json"]
    rows = json.loads(subprocess.run(board, check=True, capture_output=True, text=True).stdout)["rows"]
    (row,) = (row for row in rows if not row["baseline"])
    output.write_text(json.dumps({"seconds": seconds, "row": row, "images": epochs * counts["Training"]}))
    print(f"{seconds:.0f} s from start to end; accuracy {row['scores']['accuracy']['mean']:.3f}; {row['cost']}")


@dataclass(frozen=True)
class Part:
    """A process of its own.

    Attributes:
        title: what it measures.
        command: of Python, without the interpreter.
        answer: JSON file that it writes; None where it prints its answer.
        most: seconds after which it is stopped.
        before: command that compiles its programs before anything is measured; None where it finds them, or compiles.
    """

    title: str
    command: list[str]
    answer: Path | None
    most: float
    before: list[str] | None = None


def batches(tiny: bool) -> tuple[int, int]:
    """Return the images of a large and of a small batch."""
    return (4, 2) if tiny else (LARGE, SMALL)


def parts(folder: Path, tiny: bool, data: Path | None) -> Iterator[Part]:
    """Yield the parts in the order of what a decision needs."""
    rng, n = np.random.default_rng(0), 28 if tiny else 6144
    images = rng.integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(n) % 7, fold=np.arange(n) // 7 % 2)
    weights = ROOT / "plugins/fer-bench-xception/fer_bench_xception/weights/imagenet.safetensors"
    size, large, small = ("48", *batches(tiny)) if tiny else ("299", *batches(tiny))
    tried, network = (["--tiny"], ["--backbone", "mini-xception"]) if tiny else ([], [])

    def program(kind: str, batch: int, name: str) -> Part:
        torch = [str(PEERS / "torch_kfold.py"), "--compile"]
        command = [*(torch if name == TORCH else [str(HERE), "--steps", name, *network])]
        command += ["--images", f"{folder}/images.npz", "--weights", str(weights), "--size", size, "--kind", kind]
        answer = folder / f"{name} {kind} {batch}.json"
        command += ["--batch", str(batch), "--tail-epochs", "1", "--seconds", "0.1" if tiny else "3"]
        command = [*command, "--output", str(answer)]
        return Part(f"{kind} {batch} {name}", command, answer, 90, command)

    def own(title: str, option: str, most: float, *more: str) -> Part:
        answer = folder / f"{option[2:]}.json"
        command = [str(HERE), option, *tried, *more, "--output", str(answer)]
        return Part(title, command, answer, most, [*command, "--few"])

    def benchmark(title: str, name: str) -> Part:
        pytest = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(HERE.parent / name)]
        return Part(title, pytest, None, 150)

    torch = [TORCH] if importlib.util.find_spec("torch") and not tiny else []  # which compiles for minutes on a CPU
    yield program("full", large, USUAL)
    yield Part(
        "kernels", [str(HERE), "--kernels", *tried, "--output", f"{folder}/kernels.json"], folder / "kernels.json", 90
    )
    yield program("forward", 2 * large, USUAL)
    if not tiny:  # on a CPU `tox run -e bench` has them
        yield benchmark(RATE, "test_rate.py")
    yield own(WHOLE, "--whole", 240, *(["--data-dir", str(data)] if data else []))
    for name in torch:
        yield program("full", large, name)
        yield program("forward", 2 * large, name)
    if not tiny:  # the programs of another batch
        yield from (program("full", small, name) for name in (USUAL, *torch))
    yield own("operations", "--operations", 120)
    if not tiny:
        yield benchmark(FIRST, "test_first_run.py")
        yield program("full", large, "before")


def environment(folder: Path, tiny: bool = False) -> dict[str, str]:
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
    return {**os.environ, **own, **({"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} if tiny else {})}


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
        text, errors = process.communicate()
        fault = f"stopped after {most:.0f} s: {errors.strip()[-2000:]}"
    answer = json.loads(part.answer.read_text()) if part.answer and part.answer.exists() else None
    seconds = round(time.monotonic() - begun, 1)
    return {"title": part.title, "seconds": seconds, "fault": fault, "text": text, "answer": answer}


def compile_parts(wanted: Sequence[Part], variables: dict[str, str], end: float) -> None:
    """Run parts once, several at a time and the first ones first, until ``end`` of the monotonic clock."""

    def run(part: Part) -> str:
        left = end - time.monotonic()
        if left < LEAST_S:
            return f"not compiled before it is measured: {part.title}"
        made = run_part(replace(part, command=part.before), variables, left)
        return f"compiled for {made['seconds']:.0f} s: {part.title} {made['fault'][-300:]}"

    with ThreadPoolExecutor(max(1, min(AT_ONCE, (os.cpu_count() or 1) // 4))) as pool:
        for said in pool.map(run, [part for part in wanted if part.before is not None]):
            print(said, flush=True)


def measure_parts(minutes: float, tiny: bool, done: list[dict[str, Any]], data: Path | None, output: Path) -> None:
    """Compile what the parts need, run each for which there is time, and print and write what they answer.

    Args:
        minutes: that all of it takes at most, but for what is killed.
        tiny: whether shapes are small.
        done: answers of an earlier call, which are kept; parts that ended well there are left out.
        data: folder that holds FER2013; None draws as many images.
        output: folder of ``gpu.json``.
    """
    begun, answers = time.monotonic(), list(done)
    end, known = begun + 60 * minutes, {made["title"] for made in done if not made["fault"]}
    with tempfile.TemporaryDirectory() as folder:
        variables = environment(Path(folder), tiny)
        wanted = [part for part in parts(Path(folder), tiny, data) if part.title not in known]
        before = (
            [part for part in wanted if part.title == WHOLE] if tiny else wanted
        )  # one, since a CPU compiles slowly
        compile_parts(before, variables, begun + 60 * minutes * COMPILING)
        for part in wanted:
            if part.answer:
                part.answer.unlink(missing_ok=True)
            left = end - time.monotonic()
            if left < LEAST_S:
                print(f"== {part.title}: left out, {left:.0f} s are left", flush=True)
                continue
            made = run_part(part, variables, min(part.most * (TINY_LONGER if tiny else 1), left))
            answers = [*(one for one in answers if one["title"] != part.title), made]
            print(f"== {part.title} ({made['seconds']:.0f} s) {made['fault'][-1000:]}")
            print(made["text"].rstrip(), flush=True)
            output.mkdir(parents=True, exist_ok=True)
            (output / "gpu.json").write_text(json.dumps(answers, indent=1))
    print_table(answers)
    print_targets(answers, *batches(tiny))


def print_table(answers: Sequence[dict[str, Any]]) -> None:
    """Print images a second of each program, and their ratio to those of torch.compile for the same work."""
    found = rates(answers)
    print(f"\n{'work':24s} {'program':18s} {'images/s':>10s} {'of ' + TORCH:>18s}")
    for (phase, batch, name), rate in sorted(found.items()):
        peer = found.get((phase, batch, TORCH))
        ratio = f"{rate / peer:.2f}" if peer else "-"
        print(f"{f'{phase} at batch {batch}':24s} {name:18s} {rate:10.4g} {ratio:>18s}")


def main() -> None:
    """Run all parts, or the one that the options name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=8, help="that all parts may take together")
    parser.add_argument("--done", type=Path, help="gpu.json of an earlier call, whose parts are not repeated")
    parser.add_argument("--data-dir", type=Path, help="folder with manual/fer2013; else its images are drawn")
    parser.add_argument("--tiny", action="store_true", help="small shapes, to try the script")
    parser.add_argument("--operations", action="store_true", help="only single operations, in this process")
    parser.add_argument(
        "--kernels", action="store_true", help="only the kernels of a pass and of steps, in this process"
    )
    parser.add_argument("--whole", action="store_true", help="only the whole command on FER2013")
    parser.add_argument("--few", action="store_true", help="of --whole: only compile its programs")
    parser.add_argument("--steps", choices=FORMULATIONS, help="only steps, in this process; others are theirs")
    parser.add_argument("--output", type=Path, default=os.environ.get("OUT", "."), help="folder; of a part its file")
    options, others = parser.parse_known_args()
    if options.steps:
        steps(options.steps, [*others, "--output", str(options.output)])
    elif options.operations:
        gpu_operations.measure(2 if options.tiny else 128, options.tiny, options.output)
    elif options.kernels:
        gpu_kernels.measure(options.tiny, options.output)
    elif options.whole:
        measure_command(options.tiny, options.few, options.data_dir, options.output)
    else:
        done = json.loads(options.done.read_text()) if options.done else []
        measure_parts(options.minutes, options.tiny, done, options.data_dir, options.output)


if __name__ == "__main__":
    main()
