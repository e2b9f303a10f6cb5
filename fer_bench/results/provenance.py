"""Where a result comes from: code, versions, device and command; no secrets, user names or home folders.

The hashes of data, splits, weights and plugin code are parts of the cell itself, in ``cell.json``.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import psutil

from fer_bench import about, processors
from fer_bench.networks.devices import describe_device, describe_jax
from fer_bench.plugins import Plugins, installed
from fer_bench.privacy import anonymise, anonymise_command, clean_flags, clean_word
from fer_bench.results import source
from fer_bench.results.outcomes import Provenance, Source

ENVIRONMENT = ("JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "OMP_NUM_THREADS")
"""Variables that change results or speed, beside ``XLA_FLAGS``."""


def collect(plugins: Plugins) -> Provenance:
    """Return what this process runs on.

    Args:
        plugins: those whose code is described; the broken ones are left out.
    """
    return Provenance(
        command=(Path(sys.argv[0]).name or "python", *anonymise_command(sys.argv[1:])),
        code=_code(plugins),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        distributions=_distributions(),
        jax=describe_jax(),
        xla_flags=clean_flags(os.environ.get("XLA_FLAGS", "")),
        environment={name: clean_word(os.environ[name]) for name in ENVIRONMENT if name in os.environ},
        device=describe_device(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu={"model": processors.model(), "count": processors.count()},
        memory_bytes=psutil.virtual_memory().total,
    )


def _code(plugins: Plugins) -> dict[str, Source]:
    """Return distribution -> its source, for fer-bench and each plugin that works."""
    sources = {"fer-bench": source.describe("fer-bench", about.__version__, about.__file__)}
    for plugin in plugins:
        if plugin.status == "ok" and plugin.distribution not in sources:
            module = plugins.manager.get_plugin(plugin.name)
            file = getattr(module, "__file__", None)
            sources[plugin.distribution] = source.describe(plugin.distribution, plugin.version, file)
    return {name: sources[name] for name in sorted(sources)}


def _distributions() -> dict[str, str]:
    """Return name -> version of all installed packages; of two of a name, the one that is imported."""
    versions: dict[str, str] = {}
    for name, version in installed():
        versions.setdefault(anonymise(name), anonymise(version or "unknown"))
    return {name: versions[name] for name in sorted(versions, key=str.lower)}
