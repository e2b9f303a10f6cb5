"""The packaged weights, through the functions that the command line uses."""

import functools
import http.server
import threading
from dataclasses import replace
from hashlib import sha256

import pytest
from fer_bench_xception import IMAGENET
from safetensors.numpy import save_file

from fer_bench import FerBenchError
from fer_bench.keeping import weights
from fer_bench.networks.backbone import build
from fer_bench.registry import Registry


@pytest.fixture
def server(tmp_path):
    """Serve one file on localhost; yields (url, sha256 of the file)."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.h5").write_bytes(b"published")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/weights.h5", sha256(b"published").hexdigest()
        httpd.shutdown()
        thread.join()


def test_the_packaged_file_is_the_pinned_one():
    assert weights.verify(IMAGENET) == 234
    with weights.packaged_file(IMAGENET.file) as path:
        assert path.stat().st_size < 43_000_000
        assert weights.weights_digest(IMAGENET) == sha256(path.read_bytes()).hexdigest()


def test_a_changed_file_names_every_tensor_that_differs(tmp_path):
    with weights.packaged_file(IMAGENET.file) as path:
        tensors = weights.load_tensors(path)
    tensors["block5/sepconv1/norm/mean"] = -tensors["block5/sepconv1/norm/mean"]
    tensors["added"] = tensors.pop("block1/conv1/kernel")
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(FerBenchError) as caught:
        weights.verify(IMAGENET, tmp_path / "x.safetensors")
    lines = str(caught.value).splitlines()[1:]
    assert lines == [
        "  - missing: block1/conv1/kernel",
        "  - unexpected: added",
        "  - different: block5/sepconv1/norm/mean",
    ]


def test_one_bit_that_turned_in_the_packaged_weights_ends_what_loads_them(tmp_path, monkeypatch):
    package = tmp_path / "turned"
    package.mkdir()
    (package / "__init__.py").touch()
    with weights.packaged_file(IMAGENET.file) as path:
        whole = path.read_bytes()
    changed = bytearray(whole)
    changed[-1_000_000] ^= 1
    (package / "w.safetensors").write_bytes(changed)
    monkeypatch.syspath_prepend(str(tmp_path))
    component = Registry.load().backbone("xception[input_size=71]")
    spec = replace(IMAGENET, file="turned:w.safetensors")
    component = replace(component, spec=replace(component.spec, weights=(spec,)))
    with pytest.raises(FerBenchError, match=r"1 tensor differs(.|\n)*different: block"):
        build(component, "float32", 0)
    (package / "w.safetensors").write_bytes(whole)
    weights.ensure_pinned(spec)
    monkeypatch.setattr(weights, "verify", lambda *_: pytest.fail("compared again"))
    weights.ensure_pinned(spec)


@pytest.mark.slow
def test_convert_writes_the_same_bytes_every_time_and_says_what_differs(keras_files, tmp_path):
    one = weights.convert(IMAGENET, keras_files["weights"], tmp_path / "new" / "one.safetensors")
    two = weights.convert(IMAGENET, keras_files["nested archive"], tmp_path / "two.safetensors")
    assert one.sha256 == two.sha256 == sha256(two.path.read_bytes()).hexdigest()
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.tensors == len(one.differences) == 234
    assert [path.name for path in one.path.parent.iterdir()] == ["one.safetensors"], "no temporary file stays behind"


def test_a_damaged_file_is_one_message(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(FerBenchError, match="Cannot read"):
        weights.verify(IMAGENET, tmp_path / "x.safetensors")


def test_fetch_downloads_once_and_checks_the_hash(server, tmp_path):
    url, digest = server
    spec = replace(IMAGENET, url=url, sha256=digest)
    path = weights.fetch("xception", spec, tmp_path / "cache")
    assert path.read_bytes() == b"published"
    offline = replace(spec, url="http://127.0.0.1:9/weights.h5")
    assert weights.fetch("xception", offline, tmp_path / "cache") == path


@pytest.mark.parametrize("fault", ["hash", "path", "port"])
def test_fetch_failures_say_how_to_go_on_by_hand(fault, server, tmp_path):
    url, digest = server
    wrong = {"hash": (url, "0" * 64), "path": (f"{url}x", digest), "port": ("http://127.0.0.1:9/weights.h5", digest)}
    spec = replace(IMAGENET, url=wrong[fault][0], sha256=wrong[fault][1])
    with pytest.raises(FerBenchError) as caught:
        weights.fetch("xception", spec, tmp_path / "cache")
    assert spec.url in str(caught.value)
    assert "fer-bench weights convert" in str(caught.value)
    assert not (tmp_path / "cache" / "weights.h5").exists()
