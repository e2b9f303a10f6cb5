"""Peak memory of ``data prepare`` and ``run`` against the number of images: `python benchmarks/scale.py 20000 300000`.

Faces of the data set ``synthetic`` are drawn once, 48 pixels wide, and repeated with noise, so that no two images are
alike and drawing takes no time. They go through a backbone of three convolutions and a linear probe of five folds: real
files, the real commands, each a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

PLUGIN = """
    from fer_bench import hookimpl
    from fer_bench.specs import BackboneParams, BackboneSpec, DatasetParams, DatasetSpec
    from pydantic import Field

    class Params(DatasetParams):
        n: int = Field(1000, ge=1)

    class NetParams(BackboneParams):
        input_size: int = 48

    @hookimpl
    def fer_bench_datasets():
        from fer_bench.labels import BASIC_7
        return [DatasetSpec(name="many", title="Faces with noise", builder="scale_plugin_code:Many", identity="yes",
                            labels=BASIC_7, licence="", citation="", synthetic=True, params=Params)]

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="small", summary="three convolutions", build="scale_plugin_code:build",
                             stages=("body",),
                             feature_size=64, params=NetParams)]
"""
CODE = '''
    import jax
    import numpy as np
    from fer_bench.data.builder import FerBuilder, encode_png
    from fer_bench.specs import Sample
    from fer_bench_datasets.synthetic import draw
    from flax import nnx

    class Many(FerBuilder):
        """Four hundred drawn faces, again and again under noise."""

        def read(self, root, faults):
            faces = [draw(i, size=48, domain="wild", seed=0, subjects=40) for i in range(400)]
            rng = np.random.default_rng(0)
            for i in range(self.params.n):
                face = faces[i % len(faces)]
                noise = rng.integers(0, 32, face.image.shape, np.uint8)
                image = encode_png(face.image // 8 * 7 + noise)
                yield Sample(id=f"{face.label}/{i:07d}.png", image=image, label=face.label,
                             subject=f"{face.subject}-{i // 4000}")

    class Body(nnx.Module):
        def __init__(self, rngs):
            sizes = zip((3, 16, 32), (16, 32, 64))
            self.layers = nnx.List([nnx.Conv(a, b, (3, 3), strides=(3, 3), rngs=rngs) for a, b in sizes])

        def __call__(self, x):
            for layer in self.layers:
                x = jax.nn.relu(layer(x))
            return x

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.body = Body(rngs)

    def build(params, *, rngs, compute_dtype):
        return Net(rngs)
'''


def main() -> None:
    """Run both commands for each number of images and print a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=int, nargs="+")
    parser.add_argument("--folder", type=Path, help="where data, features and results go; a temporary one otherwise")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        site = _install(folder / "site")
        rows = [row for n in given.images for row in _measure(n, folder, site)]
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print("| command | images | seconds | peak RSS, MB | peak anonymous, MB | features, MB | ratio of peak RSS |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        first = next(other for other in rows if other["command"] == row["command"])
        print(
            f"| `{row['command']}` | {row['images']:,} | {row['seconds']:.0f} | {row['peak_rss_mb']:.0f} | "
            f"{row['peak_anonymous_mb']:.0f} | {row['features_mb']:.1f} | "
            f"{row['peak_rss_mb'] / first['peak_rss_mb']:.2f} |"
        )


def _install(site: Path) -> Path:
    """Write the plugin and what makes it one."""
    info = site / "scale_plugin-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / "scale_plugin.py").write_text(textwrap.dedent(PLUGIN), encoding="utf-8")
    (site / "scale_plugin_code.py").write_text(textwrap.dedent(CODE), encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scale-plugin\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[fer_bench]\nscale = scale_plugin\n", encoding="utf-8")
    return site


def _measure(n: int, folder: Path, site: Path) -> list[dict[str, Any]]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "FER_BENCH_DATA_DIR": str(folder / "data"),
        "FER_BENCH_CACHE_DIR": str(folder / f"cache-{n}"),
    }
    name = f"many[n={n}]"
    commands = {
        "data prepare": ["data", "prepare", name],
        "run": ["run", "--dataset", name, "--backbone", "small", "--runs-dir", str(folder / f"runs-{n}")],
    }
    rows: list[dict[str, Any]] = []
    for command, arguments in commands.items():
        start = time.perf_counter()
        peak, anonymous = run_measured(
            [sys.executable, "-c", "from fer_bench.cli import main; main()", *arguments], environment
        )
        stored = sum(file.stat().st_size for file in (folder / f"cache-{n}").rglob("values.npy"))
        rows.append(
            {
                "command": command,
                "images": n,
                "seconds": time.perf_counter() - start,
                "peak_rss_mb": peak / 1e6,
                "peak_anonymous_mb": anonymous / 1e6,
                "features_mb": stored / 1e6,
            }
        )
        print(rows[-1], file=sys.stderr)
    return rows


def run_measured(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, int]:
    """Run a process; return the peak of its resident memory and of the part of it that no file backs, in bytes."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peaks = {"VmHWM": 0, "RssAnon": 0}

    def watch() -> None:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
            except OSError:
                return
            for name in peaks:
                if peak := re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE):
                    peaks[name] = max(peaks[name], int(peak[1]) * 1024)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return peaks["VmHWM"], peaks["RssAnon"]


if __name__ == "__main__":
    main()
