"""Published checkpoints (`fer_bench.keeping.published`): read without torch, mapped by a table, refused in words."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import jax.numpy as jnp
import numpy as np
import pytest
from messages import says
from safetensors.numpy import save_file

from fer_bench.errors import FerBenchError
from fer_bench.keeping.published import Rename, Scheme, load, read
from fer_bench.keeping.torch_files import LEGACY

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
SCHEME = Scheme(
    publisher="them",
    anchor="stem.weight",
    renames=(
        Rename(theirs=r"stem\.weight", ours="stem/kernel", change=np.transpose),
        Rename(
            theirs=r"block(\d)\.qk", ours=(r"block\1/query", r"block\1/key"), change=lambda array: np.split(array, 2)
        ),
        Rename(theirs=r"classifier\..*"),
    ),
)
SHAPES = {"stem/kernel": (3, 2), "block0/query": (2,), "block0/key": (2,)}


class FakeStorage:
    """Numbers in a row, of a class of torch's."""

    def __init__(self, array, kind):
        self.numbers, self.kind = array.reshape(-1), kind


class FakeTensor:
    """What pickles as a tensor of torch does: a call of a function of torch with a view of a storage."""

    def __init__(self, array, kind="FloatStorage", **changes):
        strides = tuple(step // array.itemsize for step in array.strides)
        view = {"offset": 0, "shape": array.shape, "strides": strides} | changes
        self.call = (FakeStorage(array, kind), *view.values(), False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.call


class Pickler(pickle.Pickler):
    """Names the storage of a tensor as torch does, and keeps its numbers."""

    def __init__(self, file, *more):
        super().__init__(file, protocol=2)
        self.storages, self.more = {}, more

    def persistent_id(self, obj):
        if not isinstance(obj, FakeStorage):
            return None
        key = str(len(self.storages))
        self.storages[key] = obj.numbers
        return ("storage", getattr(sys.modules["torch"], obj.kind), key, "cpu", obj.numbers.size, *self.more)


@pytest.fixture
def torch_names(monkeypatch):
    """Modules with torch's names, since a pickle only names what can be imported."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "BFloat16Storage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    exec("def _rebuild_tensor_v2(): ...", vars(utils))
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    for module in (torch, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def write_zip(path, saved, **members):
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("net/data.pkl", "w") as file:
            pickler = Pickler(file)
            pickler.dump(saved)
        for key, numbers in pickler.storages.items():
            archive.writestr(f"net/data/{key}", numbers.tobytes())
        for name, content in members.items():
            archive.writestr(f"net/{name}", content)


def write_legacy(path, saved):
    with path.open("wb") as file:
        file.write(LEGACY)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"little_endian": True}, file, protocol=2)
        pickler = Pickler(file, None)
        pickler.dump(saved)
        pickle.dump(list(pickler.storages), file, protocol=2)
        for numbers in pickler.storages.values():
            file.write(struct.pack("<q", numbers.size) + numbers.tobytes())


def refusal(path):
    with pytest.raises(FerBenchError) as error:
        load(path, [SCHEME], SHAPES, "our net")
    return str(error.value)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_tensors_of_torch_are_views_of_the_file(torch_names, tmp_path, write):
    half = jnp.asarray([1.5, -2.0], jnp.bfloat16)
    saved = OrderedDict(
        epoch=3,
        model=OrderedDict(
            [
                ("kernel", FakeTensor(KERNEL)),
                ("turned", FakeTensor(KERNEL, shape=(3, 2), strides=(1, 3))),
                ("half", FakeTensor(np.asarray(half), "BFloat16Storage")),
                ("scalar", FakeTensor(np.asarray(7), "LongStorage")),
            ]
        ),
        more=[FakeTensor(KERNEL, offset=3, shape=(3,), strides=(1,))],
    )
    path = tmp_path / "net.pth"
    write(path, saved)
    tensors = read(path)
    assert list(tensors) == ["model.kernel", "model.turned", "model.half", "model.scalar", "more.0"]
    assert np.array_equal(tensors["model.kernel"], KERNEL)
    assert np.array_equal(tensors["model.turned"], KERNEL.T)
    assert tensors["model.half"].dtype == jnp.bfloat16
    assert np.array_equal(tensors["model.half"], half)
    assert tensors["model.scalar"] == 7
    assert not tensors["model.kernel"].flags.owndata
    assert not tensors["model.kernel"].flags.writeable


def test_foreign_code_in_a_pickle_is_named_and_not_executed(torch_names, tmp_path):
    class Foreign:
        def __init__(self, function, *args):
            self.call = function, args

        def __reduce__(self):
            return self.call

    planted = tmp_path / "planted"
    saved = {
        "stem.weight": FakeTensor(KERNEL),
        "first": Foreign(os.mkdir, str(planted)),
        "second": Foreign(eval, f"__import__('os').mkdir({str(planted)!r})"),
        "third": Foreign(getattr, "", "upper"),
    }
    write_zip(tmp_path / "net.pth", saved)
    assert says(refusal(tmp_path / "net.pth"), "net.pth", "safetensors", "mkdir", ".eval", ".getattr")
    assert not planted.exists()


def test_an_archive_of_torchscript_is_read_by_the_attributes_of_its_objects(torch_names, tmp_path, monkeypatch):
    for name in ("__torch__", "__torch__.net"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    kind = type("Net", (), {"__module__": "__torch__.net", "__qualname__": "Net"})
    sys.modules["__torch__.net"].Net = kind
    net, stem = kind(), kind()
    net.__dict__ |= {"training": True, "stem": stem}
    stem.weight = FakeTensor(KERNEL)
    write_zip(tmp_path / "net.pt", net)
    tensors = read(tmp_path / "net.pt")
    assert list(tensors) == ["stem.weight"]
    assert np.array_equal(tensors["stem.weight"], KERNEL)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"shape": (2, 4)}, ("(2, 4)", "6")),
        ({"offset": 1}, ("(2, 3)", "6")),
        ({"strides": (3, 9)}, ("(2, 3)", "6")),
        ({"shape": (10**6, 10**6), "strides": (0, 0)}, ("(1000000, 1000000)", "6")),
        ({"offset": -1}, ("net.pth",)),
        ({"strides": (1,)}, ("(2, 3)", "(1,)")),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(torch_names, tmp_path, changes, named):
    write_zip(tmp_path / "net.pth", {"stem.weight": FakeTensor(KERNEL, **changes)})
    assert says(refusal(tmp_path / "net.pth"), *named)


def test_half_a_file_of_torch_is_refused(torch_names, tmp_path):
    path = tmp_path / "net.pth"
    write_zip(path, {"stem.weight": FakeTensor(KERNEL)}, byteorder="big")
    assert says(refusal(path), "net.pth", "little-endian")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert says(refusal(path), "net.pth")
    write_legacy(path, {"stem.weight": FakeTensor(KERNEL)})
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 30, 60, len(LEGACY)):
        path.write_bytes(whole[:length])
        assert says(refusal(path), "net.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "none")
    assert says(refusal(path), "net.pth", "data.pkl")


def header(path, **entries):
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + KERNEL.tobytes())


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 30], "data_offsets": [0, 240]},
        {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [-24, 0]},
        {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 24]},
        {"dtype": "X9", "shape": [2, 3], "data_offsets": [0, 24]},
        {"shape": [2, 3], "data_offsets": [0, 24]},
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, entry):
    header(tmp_path / "net.safetensors", **{"stem.weight": entry})
    assert says(refusal(tmp_path / "net.safetensors"), "net.safetensors", "safetensors")


def test_safetensors_are_mapped_in_every_float_type(tmp_path):
    path = tmp_path / "net.safetensors"
    header(path, half={"dtype": "BF16", "shape": [12], "data_offsets": [0, 24]})
    assert np.array_equal(read(path)["half"], KERNEL.reshape(-1).view(jnp.bfloat16))
    save_file({"a": KERNEL, "b": KERNEL.astype(np.float16), "none": np.zeros((0, 3), np.float32)}, path)
    tensors = read(path)
    assert np.array_equal(tensors["a"], KERNEL)
    assert np.array_equal(tensors["b"], KERNEL)
    assert tensors["none"].shape == (0, 3)
    assert not tensors["a"].flags.owndata


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    assert says(refusal(path), "net.pth")
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        assert says(refusal(path), "net.pth", "safetensors", ".pth", repr(content[: len(LEGACY)]))


def test_a_table_maps_names_and_shapes(tmp_path):
    path = tmp_path / "net.safetensors"
    numbers = {"stem.weight": KERNEL, "block0.qk": np.arange(4, dtype=np.float16), "classifier.weight": KERNEL}
    others = {"teacher.stem.bias": KERNEL}
    save_file({f"student.{name}": array for name, array in numbers.items()} | others, path)
    arrays = load(path, [SCHEME], SHAPES, "our net")
    assert {name: array.shape for name, array in arrays.items()} == SHAPES
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert np.array_equal(arrays["stem/kernel"], KERNEL.T)
    assert np.array_equal(arrays["block0/key"], [2, 3])


def test_all_mismatches_are_named_at_once(tmp_path):
    path = tmp_path / "net.safetensors"
    wrong = np.asarray([[1, np.inf]], np.float32)
    save_file({"stem.weight": wrong, "block1.qk": np.zeros(4, np.float32), "bias": KERNEL}, path)
    text = refusal(path)
    assert says(text, "our net", "them", "0 of 3", "6 mismatches")
    for parts in (
        ("stem.weight", "stem/kernel", "(2, 1)", "(3, 2)"),
        ("block1.qk", "block1/query"),
        ("block1.qk", "block1/key"),
        ("bias", "(2, 3)"),
        ("block0/query", "(2,)"),
        ("block0/key", "(2,)"),
    ):
        assert says(text, *parts)
    save_file({"stem.weight": np.full((2, 3), 1e300), "block0.qk": np.zeros(4, np.int32), "block0.qk2": KERNEL}, path)
    text = refusal(path)
    assert says(text, "4 mismatches")
    for parts in (("block0.qk2", "(2, 3)"), ("block0/query", "int32"), ("stem/kernel", "6 of 6")):
        assert says(text, *parts)
    save_file({"block0.qk": np.zeros(3, np.float32), "stem.weight": KERNEL}, path)
    assert says(refusal(path), "1 of 3", "1 mismatch:", "block0.qk")


def test_a_file_of_another_family_or_of_two_models_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"conv1.weight": KERNEL}, path)
    assert says(refusal(path), "our net", "stem.weight", "them", "conv1.weight")
    save_file({"model.stem.weight": KERNEL, "ema.stem.weight": KERNEL}, path)
    assert says(refusal(path), "our net", "model.", "ema.") or says(refusal(path), "our net", "ema.", "model.")
