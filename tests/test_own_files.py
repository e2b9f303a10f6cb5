"""A backbone's plugin finds files by itself, and takes a user's own code as a parameter: both count by content."""

from __future__ import annotations

import hashlib

import pytest

from fer_bench.errors import FerBenchError
from fer_bench.networks.identity import identity
from fer_bench.registry import Registry

PLUGIN = """
    from pathlib import Path

    from pydantic import Field

    from fer_bench import hookimpl
    from fer_bench.specs import BackboneParams, BackboneSpec

    class OwnParams(BackboneParams):
        input_size: int = 8
        kept: str = ""
        code: str = Field("", json_schema_extra={"code": True})

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="own", summary="", build="own:build", stages=("all",), feature_size=3,
                             files="own:kept", params=OwnParams)]

    def kept(params):
        return {"kept weights": Path(params.kept)} if params.kept else {}
"""


def test_files_that_a_plugin_finds_and_a_users_own_code_count_by_content(write_plugin, site, tmp_path):
    write_plugin("own", PLUGIN)
    registry = Registry.load()
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
