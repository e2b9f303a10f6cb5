"""A data set of grey squares, a backbone of one convolution and two strategies, and how tests run them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from typer.testing import CliRunner

from fer_bench.cli import app

TINY = '''
    """A data set of grey squares and a backbone of one convolution."""
    import hashlib, os, pathlib, threading, time
    from fer_bench import hookimpl
    from fer_bench.specs import BackboneParams, BackboneSpec, DatasetSpec
    from fer_bench.specs import ConvexPhase, ImageInput, Params, Plan, StrategySpec
    from pydantic import Field

    class NetParams(BackboneParams):
        input_size: int = Field(16, ge=4)
        width: int = Field(8, ge=1)
        fault: str = ""

    @hookimpl
    def fer_bench_datasets():
        return [DatasetSpec(name="squares", title="squares", builder="tiny_data:Squares",
                            labels=("dark", "light", "odd, \\\\n“ß”"),
                            identity="maybe", licence="none", citation="none", synthetic=True)]

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="net", summary="one convolution", build="tiny:build", stages=("stem", "last"),
                             feature_size=8, image_input=ImageInput(), params=NetParams)]

    class ProbeParams(Params):
        c: float = 1.0

    @hookimpl
    def fer_bench_strategies():
        return [StrategySpec(name="probe", summary="", plan="tiny:plan", params=ProbeParams),
                StrategySpec(name="steps", summary="", plan="tiny:plan_steps")]

    def plan_steps(params):
        from fer_bench.specs import GradientPhase, Rule
        rules = (Rule(leaves="conv/.*"), Rule(head=True))
        phases = [GradientPhase(name=name, rules=rules, epochs=8, batch=8, flip=True, dropout=0.1)
                  for name in ("first", "second")]
        head = ConvexPhase(c=1.0, standardize=False, max_iterations=100, tolerance=1e-5)
        return Plan(phases=(head, *phases))

    def plan(params):
        return Plan(phases=(ConvexPhase(c=params.c, standardize=True, max_iterations=100, tolerance=1e-5),))

    def build(params, *, rngs, compute_dtype):
        import functools, jax, jax.numpy as jnp, numpy as np
        from flax import nnx

        @functools.partial(jax.jit, static_argnums=(1, 2))
        def draw(key, shape, dtype):  # XLA compiles for seconds what draws random numbers
            seed = jax.random.key_data(key)[-1].astype(dtype)
            return jnp.sin(1e4 * (jnp.arange(np.prod(shape), dtype=dtype) + seed % 97)).reshape(shape) / 4

        class Stem(nnx.Module):
            def __init__(self):
                self.conv = nnx.Conv(3, params.width, (3, 3), kernel_init=draw, rngs=rngs)
            def __call__(self, x):
                if params.fault == "nan":
                    return self.conv(x) * jnp.nan
                if params.fault == "trace":
                    raise RuntimeError("stem fell off")
                if params.fault == "exit":
                    raise SystemExit("enough")
                return nnx.relu(self.conv(x))

        class Last(nnx.Module):
            def __call__(self, x):
                return x

        class Net(nnx.Module):
            def __init__(self):
                self.stem = Stem()
                if params.fault != "stages":
                    self.last = Last()

        if params.fault == "build":
            raise OSError("weights are gone")
        if params.fault == "careless":
            import jax
            print("building {")
            jax.config.update("jax_enable_x64", True)
        if params.fault == "slow":
            time.sleep(float(os.environ.get("TINY_SLEEP", 0)))
        if params.fault == "stuck":
            threading.Timer(0.5, pathlib.Path("stuck").touch).start()  # when what follows has begun
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        return Net()
'''
TINY_DATA = '''
    import io
    import numpy as np
    from PIL import Image
    from fer_bench.data.builder import FerBuilder
    from fer_bench.specs import Sample

    class Squares(FerBuilder):
        """Grey squares whose brightness and texture tell the class; nine subjects."""

        @classmethod
        def manual_path(cls, spec, params):
            return None

        def read(self, root, faults):
            rng = np.random.default_rng(0)
            for i in range(90):
                label = i % 3
                image = rng.integers(0, 60, (12, 12)) + (0, 150, 60)[label]
                if label == 2:
                    image[::2] = 0
                file = io.BytesIO()
                Image.fromarray(image.astype(np.uint8)).save(file, "png")
                yield Sample(id=f"{i:03d}", image=file.getvalue(), label=self.spec.labels[label],
                             subject=f"s{i // 3 % 9}", split="train" if i < 60 else "test",
                             groups={"half": "first" if i < 45 else "second"},
                             soft_label={self.spec.labels[label]: 3, self.spec.labels[0]: 1})
'''
BASE = ["--backbone", "net", "--dataset", "squares", "--strategy", "probe"]


def write_distribution(
    site: Path, name: str, code: str, *, module: str = "", version: str = "1.0", distribution: str = ""
) -> Path:
    """Install a plugin into a folder: a module, which is returned, and its dist-info."""
    module = module or name.replace("-", "_")
    distribution = distribution or name
    file = site / f"{module}.py"
    file.write_text(textwrap.dedent(code), encoding="utf-8")
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[fer_bench]\n{name} = {module}\n")
    return file


def install(site: Path) -> None:
    """Install the plugin `TINY` into a folder."""
    write_distribution(site, "tiny", TINY)
    (site / "tiny_data.py").write_text(textwrap.dedent(TINY_DATA), encoding="utf-8")


def invoke(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


PROCESS = """
import signal
# A runner in the background ignores SIGINT and hands that on; a user at a terminal does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
from fer_bench.__main__ import main
main()
"""


def start(folder: Path, *arguments: str, process: str = PROCESS, **environment: str) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(folder / "site"), "FER_BENCH_PLUGINS": "tiny", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", process, *arguments],
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
