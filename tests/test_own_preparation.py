"""A backbone prepares images in its own way, finds files by itself, and takes a user's own code."""

from __future__ import annotations

import hashlib
import sys
import textwrap

import numpy as np
import pytest
from test_prefix import DATA

from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.networks import prefix
from fer_bench.networks.identity import identity
from fer_bench.networks.source import BackboneSource
from fer_bench.registry import Registry
from fer_bench.tasks.view import select

PLUGIN = """
    from pathlib import Path

    import numpy as np
    from pydantic import Field

    from fer_bench import hookimpl
    from fer_bench.specs import BackboneParams, BackboneSpec, DatasetSpec

    class OwnParams(BackboneParams):
        input_size: int = 8
        corner: int = 0
        kept: str = ""
        code: str = Field("", json_schema_extra={"code": True})

    @hookimpl
    def fer_bench_datasets():
        return [DatasetSpec(name="noise", title="", builder="staged_data:Noise", labels=("a", "b"), identity="no",
                            licence="", citation="", synthetic=True)]

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="own", summary="", build="own:build", stages=("all",), feature_size=3,
                             prepare="own:crop", files="own:kept", params=OwnParams)]

    def crop(params):
        "Return what takes 8 columns from a corner, and 8 rows or, at -1, one too many."
        rows = 9 if params.corner < 0 else 8
        return lambda image: np.repeat(image[:rows, abs(params.corner):][:, :8], 3, axis=-1)

    def kept(params):
        return {"kept weights": Path(params.kept)} if params.kept else {}

    def build(params, *, rngs, compute_dtype):
        from flax import nnx

        class All(nnx.Module):
            def __call__(self, x):
                return x

        net = nnx.Module()
        net.all = All()
        return net
"""


@pytest.fixture
def registry(write_plugin, site, monkeypatch):
    write_plugin("own", PLUGIN)
    (site / "staged_data.py").write_text(textwrap.dedent(DATA), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "staged_data", raising=False)
    return Registry.load()


def test_a_backbone_may_prepare_images_in_its_own_way(registry, tmp_path):
    """Eight columns from the second on, of pictures of 10 x 12: no resizing is left to do."""
    dataset = registry.dataset("noise")
    view = select(dataset, prepare(dataset, tmp_path / "data"), None)

    def values(text):
        component = registry.backbone(text)
        source = BackboneSource(component, {"text": text, **identity(component, "float32")}, tmp_path)
        quiet = {"begin": lambda stops, images: None, "advance": lambda images: None, "waiting": pytest.fail}
        made = prefix.fetch(prefix.cache_of(tmp_path), source, view, 0, 2, **quiet)
        outputs = prefix.join([made], dtype=None)
        return [outputs.take(np.arange(70), variant) for variant in (0, 1)]

    plain, mirrored = values("own[corner=1]")
    cropped = np.stack(view.images(np.arange(70)))[:, :8, 1:9].astype(np.float64) * 2 / 255 - 1
    np.testing.assert_allclose(plain, np.repeat(cropped, 3, axis=-1), atol=1e-3)
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])
    with pytest.raises(PluginError, match=r"\(10, 12, 1\) as uint8 \(9, 8, 3\); expected uint8 \(8, 8, 3\)"):
        values("own[corner=-1]")


def test_files_that_a_plugin_finds_and_a_users_own_code_count_by_content(registry, site, tmp_path):
    kept, code = tmp_path / "kept.bin", site / "users_net.py"
    kept.write_bytes(b"one")
    code.write_text("def make():\n    return 1\n", encoding="utf-8")

    def files():
        return identity(registry.backbone(f"own[kept={kept},code=users_net:make]"), "float32")["files"]

    first = files()
    assert first == {"kept weights": hashlib.sha256(b"one").hexdigest(), "code": first["code"]}
    code.write_text("def make():\n    return 1  # a comment\n", encoding="utf-8")
    assert files() == first
    code.write_text("def make():\n    return 2\n", encoding="utf-8")
    kept.write_bytes(b"two")
    second = files()
    assert [name for name in first if first[name] == second[name]] == []
    with pytest.raises(FerBenchError, match=r"code=no\.such:make.*'no\.such'.*pip install -e.*PYTHONPATH"):
        identity(registry.backbone("own[code=no.such:make]"), "float32")
