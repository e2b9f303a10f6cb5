"""Images per second through ViT-B/16 at 224 pixels: PyTorch, transformers, and rows of fer-bench, in turn.

    tox run -e peers-vit
    python benchmarks/peers/vit_forward.py --row 'timm[name=vit_base_patch16_224,weights=random]' --rounds 5

Each program is a process of its own with random weights. It runs one batch to warm up, then batches until
``--seconds`` are over, and tells the speed of its fastest batch. The table has the median over the rounds, and its
ratio to the faster of PyTorch's two precisions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

BATCH = 32
SIDE = 224
ROWS = ("vit-b16[weights=random]", "timm[name=vit_base_patch16_224.augreg_in21k,weights=random]")
PRECISIONS = ("float32", "bfloat16")
PEERS = {"PyTorch (timm)": "timm", "transformers": "transformers"}
"""Program -> the package that it needs."""


def images() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return (BATCH, SIDE, SIDE, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)


def of_torch(program: str, precision: str) -> Callable[[], Any]:
    """Return what runs a batch through a model of PyTorch in eager mode, all of it in the precision."""
    import torch

    dtype = getattr(torch, precision)
    if program == "transformers":
        from transformers import ViTConfig, ViTModel

        model: Any = ViTModel(ViTConfig(), add_pooling_layer=False)
    else:
        import timm

        model = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
    model = model.eval().to(dtype)
    x = torch.from_numpy(images()).permute(0, 3, 1, 2).float().div(127.5).sub(1).to(dtype).contiguous()

    def run() -> Any:
        with torch.inference_mode():
            return model(x)

    return run


def of_row(text: str, precision: str) -> Callable[[], Any]:
    """Return what runs a batch through a backbone of fer-bench, from stored images to features on the host."""
    from fer_bench.networks.backbone import build
    from fer_bench.networks.forward import Extraction, Forward, Output
    from fer_bench.registry import Registry

    backbone = build(Registry.load().backbone(text), precision, 0)
    outputs = [Output(len(backbone.stages), 1, np.dtype(np.float32))]
    forward = Forward(backbone, outputs) if backbone.extractor is None else Extraction(backbone, outputs)
    batch: Any = images()
    return lambda: forward(batch)


def measure(run: Callable[[], Any], seconds: float) -> float:
    """Return images per second of the fastest batch."""
    run()
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        fastest = min(fastest, time.perf_counter() - start)
    return BATCH / fastest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every program in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", action="append", help="a backbone of fer-bench; may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of measuring in each process")
    parser.add_argument("--only", nargs=2, metavar=("PROGRAM", "PRECISION"), help="measure one in this process")
    options = parser.parse_args(arguments)
    if options.only:
        program, precision = options.only
        run = of_torch(program, precision) if program in PEERS else of_row(program, precision)
        print(json.dumps(measure(run, options.seconds)))
        return
    here = [program for program, package in PEERS.items() if importlib.util.find_spec(package)]
    programs = [(name, precision) for name in (*here, *(options.row or ROWS)) for precision in PRECISIONS]
    speeds: dict[tuple[str, str], list[float]] = {program: [] for program in programs}
    for _ in range(options.rounds):
        for program in programs:
            command = [sys.executable, __file__, "--only", *program, "--seconds", str(options.seconds)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            speeds[program].append(json.loads(done.stdout.splitlines()[-1]))
            print(*program, f"{speeds[program][-1]:.2f} images/s", file=sys.stderr, flush=True)
    medians = {program: statistics.median(values) for program, values in speeds.items()}
    best = max((value for (name, _), value in medians.items() if name == "PyTorch (timm)"), default=float("nan"))
    print("| program | precision | images/s | of PyTorch's best |\n| --- | --- | --- | --- |")
    for (name, precision), value in medians.items():
        print(f"| {name} | {precision} | {value:.2f} | {value / best:.2f} |")


if __name__ == "__main__":
    main()
