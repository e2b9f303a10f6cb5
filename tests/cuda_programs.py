"""The programs of a run, compiled for an H100 that is not here: XLA's compiler for GPUs can end with the process.

`tox run -e cuda` runs it. It needs jax's plugin for CUDA and NVIDIA's libraries, and no device. What is tuned on the
device is not tuned here. Products are of cuBLAS, and those of Xception take the shift and the ReLU after them along.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 }
runtime_version { major: 13 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""The device as XLA describes it (`xla/tools/hlo_opt/gpu_specs`)."""
VARIABLES = {
    "JAX_PLATFORMS": "cpu,cuda",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",  # of libraries that ask a driver
    "XLA_FLAGS": "--xla_gpu_autotune_level=0",
}


def compile_programs(name: str, precision: str, batch_norm: str) -> None:
    """Compile all programs of a backbone, in this process."""
    import jax
    from half_programs import everything, lowered_programs
    from jax._src import xla_bridge
    from jax.experimental import topologies
    from jax.sharding import NamedSharding, PartitionSpec

    from fer_bench.networks import devices
    from fer_bench.networks.backbone import build
    from fer_bench.registry import Registry

    known = xla_bridge.canonicalize_platform
    # jax knows a platform only once it has a device of it.
    xla_bridge.canonicalize_platform = lambda platform: "cuda" if platform in ("cuda", "gpu") else known(platform)
    there = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    sharding = NamedSharding(topologies.make_mesh(there, (1,), ("one",)), PartitionSpec())

    def place(values: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), values)

    devices.accelerated, devices.compiler_options = lambda: True, lambda: devices.GPU_OPTIONS
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        network = build(Registry.load().backbone(name), precision, 0)
        phase = everything(batch_norm)
        for title, program in lowered_programs(network, phase, network.input_size, place=place).items():
            text = program.compile().as_text()
            # Not norms of the batch, and not two small products that XLA joins, of images and their mirror images.
            asked = (precision, batch_norm) == ("bfloat16", "frozen") and title in ("steps", "prediction")
            joined = "BIAS_RELU" in text or not (asked and "xception" in name)
            print(title, joined and "gemm_fusion" not in text, flush=True)


NETWORKS = [
    ("mini-xception", "bfloat16", "frozen"),
    ("mini-xception", "float32", "frozen"),
    ("xception[input_size=149]", "bfloat16", "frozen"),
    ("xception[input_size=149]", "bfloat16", "train"),
    ("xception[input_size=149]", "float32", "frozen"),
    ("xception[input_size=299]", "bfloat16", "frozen"),
    ("arcface-r18[weights=random]", "bfloat16", "frozen"),
]
"""No Vision Transformer: XLA compiles its products, of 197 rows an image, only after tuning them on a device."""


@pytest.mark.parametrize(("name", "precision", "batch_norm"), NETWORKS)
def test_an_h100_gets_every_program_of_a_run(name, precision, batch_norm):
    command = [sys.executable, __file__, name, precision, batch_norm]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **VARIABLES})
    assert done.stdout.splitlines() == [
        f"{title} True" for title in ("steps", "statistics", "prediction", "forward")
    ], done.stderr[:3000]


if __name__ == "__main__":
    compile_programs(*sys.argv[1:])
