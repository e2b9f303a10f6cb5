from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fer_bench_datasets

from fer_bench.labels import canonical

README = Path(__file__).parents[1] / "README.md"


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, fer_bench_datasets; fer_bench_datasets.fer_bench_datasets(); "
        "print([name for name in ('numpy', 'pandas', 'tensorflow_datasets', 'PIL', 'jax') if name in sys.modules])"
    )
    paths = [str(Path(module.__file__).parents[1]) for module in (fer_bench_datasets, sys.modules["fer_bench"])]
    code = f"import sys; sys.path[:0] = {paths!r}; " + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_specs():
    specs = {spec.name: spec for spec in fer_bench_datasets.fer_bench_datasets()}
    assert set(specs) == {
        "fer2013",
        "folder",
        "manifest",
        "empathic",
        "affectnet",
        "expw",
        "rafdb",
        "ferplus",
        "mmafedb",
        "sfew",
        "affwild2",
        "ckplus",
        "jaffe",
        "kdef",
        "oulu-casia",
        "synthetic",
    }
    assert [name for name, spec in specs.items() if spec.synthetic] == ["synthetic"]
    for spec in specs.values():
        assert all(canonical(label) or label == "other" for label in spec.labels)
        assert spec.licence
        assert spec.citation
        assert bool(spec.access) != spec.synthetic


def test_readme_names_every_data_set():
    text = README.read_text(encoding="utf-8")
    for spec in fer_bench_datasets.fer_bench_datasets():
        assert f"`{spec.name}`" in text
