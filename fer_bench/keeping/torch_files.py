"""Read the tensors of a file that ``torch.save`` or ``torch.jit.save`` wrote, without torch and without executing it.

A pickle names the functions that build its objects. Here a name stands for one of ours or for nothing: the storages and
the functions that rebuild a tensor from one, and ``OrderedDict``. Classes of a TorchScript archive, which lie in the
archive itself, become objects with attributes and no code.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.foreign_files import BROKEN_ZIP
from fer_bench.sizes import number_of

LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file of torch before 1.6 begins: a pickle of the format's number."""
LARGEST_PICKLE = 1 << 28
"""Bytes. The pickle of a file names its tensors; their numbers lie beside it."""
STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
"""torch's class -> the type of its numbers."""
BROKEN_PICKLE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What a damaged pickle raises; what it names is ours or nothing, so no other code runs."""


class _Storage(NamedTuple):
    """Numbers in a row.

    Attributes:
        key: the name of the file's part that holds them.
        dtype: of `STORAGES`.
        size: how many there are.
    """

    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Inert:
    """An object of a class whose code is not here: it takes what a pickle gives, and does nothing with it."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __call__(self, *args: object, **kwargs: object) -> _Inert:
        return self

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, value: object) -> None: ...

    def extend(self, values: object) -> None: ...


class _Unpickler(pickle.Unpickler):
    """Makes plain containers, `_Tensor` and `_Inert` of a pickle, and nothing else.

    Attributes:
        foreign: the names that it refused, in their order.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self.foreign: dict[str, None] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name == "collections" and global_name == "OrderedDict":
            return OrderedDict
        if module_name == "torch" and global_name in STORAGES:
            return STORAGES[global_name]
        if module_name == "torch._utils" and global_name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self._tensor
        if module_name == "torch._utils" and global_name == "_rebuild_parameter":
            return self._parameter
        if module_name == "torch.jit._pickle" and global_name.startswith("build_"):
            return self._list
        if module_name.partition(".")[0] != "__torch__":
            self.foreign[f"{module_name}.{global_name}"] = None
        return type("Inert", (_Inert,), {})  # a class of its own: a pickle can set attributes of classes

    def persistent_load(self, pid: Any, /) -> _Storage:
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or dtype not in STORAGES.values() or type(size) is not int or any(view):
            raise pickle.UnpicklingError(f"a storage of an unknown kind: {str(pid)[:80]}")
        return _Storage(str(key), dtype, size)

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: object) -> _Tensor:
        tensor = _Tensor(storage, offset, tuple(shape), tuple(strides))
        numbers = (offset, *tensor.shape, *tensor.strides)
        if not isinstance(storage, _Storage) or any(type(number) is not int or number < 0 for number in numbers):
            raise pickle.UnpicklingError("a tensor that is no view of a storage")
        if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > 16:
            raise pickle.UnpicklingError(f"a tensor of shape {tensor.shape} with strides {tensor.strides}")
        count = int(np.prod(tensor.shape, dtype=object))
        last = offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
        if count and (count > storage.size or last >= storage.size):
            raise pickle.UnpicklingError(
                f"a tensor of shape {tensor.shape} in a storage of {storage.size} numbers, which has not so many"
            )
        return tensor

    def _parameter(self, tensor: Any, *rest: object) -> Any:
        return tensor

    def _list(self, values: Any, *rest: object) -> Any:
        return values


def read(path: Path) -> dict[str, Array]:
    """Return every tensor of a file by its dotted path in the object that was saved, in the file's order.

    Uncompressed numbers are mapped, not read: an array is a view of the file, and must not be written to.

    Raises:
        FerBenchError: the file cannot be read, is damaged, or names foreign code, which is listed and not executed.
    """
    try:
        saved, storage_at = _open(path)
        return {name: _array(tensor, storage_at(tensor.storage)) for name, tensor in _tensors(saved)}
    except (OSError, *BROKEN_ZIP, *BROKEN_PICKLE, struct.error) as error:
        raise FerBenchError(
            f"Cannot read {str(path)!r} as a file of torch.save: {error or type(error).__name__}. Is the file complete?"
        ) from error


def _open(path: Path) -> tuple[Any, Callable[[_Storage], Array]]:
    """Return what was saved, and a function that returns the bytes of a storage."""
    if not zipfile.is_zipfile(path):
        return _open_legacy(path)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        name = next((name for name in members if name.partition("/")[2] == "data.pkl"), "")
        if not name:
            raise FerBenchError(f"{str(path)!r} is a zip file without data.pkl, so torch.save did not write it.")
        if members[name].file_size > LARGEST_PICKLE:
            raise ValueError(f"{name} has {members[name].file_size:,} bytes, more than any list of tensors")
        root = name.removesuffix("data.pkl")
        order = members.get(f"{root}byteorder")
        if order is not None and (order.file_size != len(b"little") or archive.read(order) != b"little"):
            raise ValueError("its numbers are not little-endian")
        with archive.open(name) as file:
            saved = _load(path, file)
    mapped = np.memmap(path, np.uint8, "r")

    def storage_at(storage: _Storage) -> Array:
        member = members[f"{root}data/{storage.key}"]
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member.filename} is compressed, which torch.save does not do")
        head = bytes(mapped[member.header_offset : member.header_offset + 30])
        start = member.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
        return mapped[start : start + member.file_size]

    return saved, storage_at


def _open_legacy(path: Path) -> tuple[Any, Callable[[_Storage], Array]]:
    """Do the same for a file of torch before 1.6: pickles in a row, and then each storage, its length before it."""
    with path.open("rb") as file:
        if file.read(len(LEGACY)) != LEGACY:
            raise ValueError("it is neither a zip file nor one of torch before 1.6")
        _load(path, file)  # the protocol's version
        _load(path, file)  # the sizes of C's types
        saved = _load(path, file)
        sizes = {storage.key: np.dtype(_dtype(storage.dtype)).itemsize for _, (storage, *_) in _tensors(saved)}
        places: dict[str, tuple[int, int]] = {}
        for key in _load(path, file):
            count = int.from_bytes(file.read(8), "little")
            if key not in sizes:
                raise ValueError(f"its storage {key!r} is of no tensor, so that its length is not known")
            places[key] = file.tell(), count * sizes[key]
            file.seek(count * sizes[key], 1)
    mapped = np.memmap(path, np.uint8, "r")

    def storage_at(storage: _Storage) -> Array:
        start, size = places[storage.key]
        return mapped[start : start + size]

    return saved, storage_at


def _load(path: Path, file: IO[bytes]) -> Any:
    """Return what a pickle holds.

    Raises:
        FerBenchError: it names foreign code; all names are listed.
    """
    unpickler = _Unpickler(file)
    try:
        saved = unpickler.load()
    except BROKEN_PICKLE:
        if not unpickler.foreign:
            raise
        saved = None
    if unpickler.foreign:
        names = list(unpickler.foreign)
        raise FerBenchError(
            f"{str(path)!r} names code other than that of tensors, which is not executed. Expected only tensors, "
            "numbers, texts, dicts and lists. Where you trust the file, load it with torch and save "
            f"'model.state_dict()' with safetensors. It names:\n{bullet_list(names)}"
        )
    return saved


def _tensors(saved: Any) -> Iterator[tuple[str, _Tensor]]:
    """Yield the tensors of nested containers by dotted paths; what stands in two places is yielded at the first."""
    waiting: list[tuple[str, Any]] = [("", saved)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _Tensor):
            yield name, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        parts: Any = vars(value) if isinstance(value, _Inert) else value
        if isinstance(parts, list | tuple):
            parts = dict(enumerate(parts))
        if isinstance(parts, dict):
            inner = [(f"{name}.{key}" if name else str(key), part) for key, part in parts.items()]
            waiting += reversed(inner)


def _dtype(name: str) -> Any:
    return jnp.bfloat16 if name == "bfloat16" else name


def _array(tensor: _Tensor, content: Array) -> Array:
    """Return a tensor as a view of its storage's bytes."""
    storage = tensor.storage
    dtype = np.dtype(_dtype(storage.dtype))
    if len(content) < storage.size * dtype.itemsize:
        raise ValueError(
            f"storage {storage.key!r} has {len(content):,} bytes; {number_of(storage.size, 'number')} of "
            f"type {dtype} take "
            f"{storage.size * dtype.itemsize:,}"
        )
    numbers = np.frombuffer(content, dtype, storage.size)
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)
