"""Published checkpoints of others: read them, and map their names and shapes to those of a backbone of ours by a table.

A plugin writes one `Scheme` for each way in which its weights are published, and calls `load`. Tensors are mapped, not
read, as far as a file allows it; each becomes float32 when it is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.keeping import torch_files
from fer_bench.keeping.weights import Tensors
from fer_bench.sizes import number_of

_DTYPES = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": jnp.bfloat16},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "BOOL": "bool"},
    **{"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8"},
}
"""safetensors's name of a type -> NumPy's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rename:
    r"""Where a published tensor goes.

    Attributes:
        theirs: regular expression of whole names, below the prefix of the file.
        ours: name of our array, in which ``\1`` stands for what the first group matched; several where the tensor is
            divided; none where it is left out, such as a classifier.
        change: from their array to ours, a view where possible; several where ``ours`` has several; None changes
            nothing. It may raise ValueError, whose text becomes a line of the message.
    """

    theirs: str
    ours: str | tuple[str, ...] = ()
    change: Callable[[Array], Array | list[Array]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How one publisher names the tensors of a family.

    Attributes:
        publisher: for messages, such as ``timm``.
        anchor: name of a tensor that every such file has and files of other schemes lack. What stands before it in a
            file, such as ``module.``, is the prefix of all names; tensors without the prefix belong to other models.
            Of the anchors that fit one name, the longest counts.
        renames: the first whose expression matches a name counts.
        respell: changes a name below the prefix before an expression sees it, such as where numbers need arithmetic.
    """

    publisher: str
    anchor: str
    renames: tuple[Rename, ...]
    respell: Callable[[str], str] = str


def read(path: Path) -> Tensors:
    """Return the tensors of a safetensors file or of one that torch wrote, by the names in it.

    They are views of the file where it is not compressed, of the types in which it holds them.

    Raises:
        FerBenchError: the file cannot be read, is damaged or of another kind, or names foreign code.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(torch_files.LEGACY))
    except OSError as error:
        raise FerBenchError(f"Cannot read the weights {str(path)!r}: {error.strerror or error}.") from error
    if begin.startswith(b"PK") or begin == torch_files.LEGACY:
        return torch_files.read(path)
    if begin[8:9] == b"{":
        return _map_safetensors(path)
    raise FerBenchError(
        f"{str(path)!r} holds no weights that can be read: expected safetensors, or a file of torch.save (.pth, .pt, "
        f".bin); it begins with {begin!r}."
    )


def _map_safetensors(path: Path) -> Tensors:
    """Return views of a safetensors file, whose header the library checks."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"), path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        numbers = np.memmap(path, np.uint8, "r", offset=8 + length) if path.stat().st_size > 8 + length else None
        header.pop("__metadata__", None)
        tensors: Tensors = {}
        for name, entry in header.items():
            first, stop = entry["data_offsets"]
            content = b"" if numbers is None else numbers[first:stop]
            tensors[name] = np.frombuffer(content, np.dtype(_DTYPES[entry["dtype"]])).reshape(entry["shape"])
        return tensors
    except KeyError as error:
        raise FerBenchError(f"{str(path)!r} holds numbers of type {error}; known: {', '.join(_DTYPES)}.") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise FerBenchError(f"Cannot read {str(path)!r} as safetensors: {error}. Is the file complete?") from error


def load(path: Path, schemes: Sequence[Scheme], shapes: Mapping[str, tuple[int, ...]], model: str) -> Tensors:
    """Return the arrays of a model of ours from a published file.

    Args:
        path: the file, see `read`.
        schemes: the ways in which such weights are published.
        shapes: our arrays, all of which the file must give.
        model: what the arrays belong to, for messages.

    Returns:
        float32 arrays by our names; views of the file where neither type nor layout changes.

    Raises:
        FerBenchError: as `read`, or the file does not hold the model; every tensor that is missing, unexpected, of
            another shape or type or not finite is listed.
    """
    tensors = read(path)
    scheme, prefix = _recognise(path, tensors, schemes, model)
    arrays: dict[str, Array | None] = {}
    faults: list[str] = []
    for name, tensor in tensors.items():
        if not name.startswith(prefix):
            continue
        rename, match = _rename_of(scheme, name.removeprefix(prefix))
        if rename is None or match is None:
            faults.append(f"unexpected: {name} {tensor.shape}")
            continue
        ours = [match.expand(template) for template in ([rename.ours] if isinstance(rename.ours, str) else rename.ours)]
        try:
            changed = rename.change(tensor) if ours and rename.change else [tensor] * len(ours)
        except ValueError as error:
            faults.append(f"{name} {tensor.shape}: {error}")
            arrays.update(dict.fromkeys(ours))
            continue
        for our_name, array in zip(ours, changed if isinstance(changed, list | tuple) else [changed], strict=True):
            fault = _fault(array, shapes.get(our_name), our_name in arrays)
            faults += [f"{name} {tensor.shape}, which is our {our_name}: {fault}"] if fault else []
            arrays[our_name] = None if fault else array
    faults += [f"missing: our {name} {shape}" for name, shape in shapes.items() if name not in arrays]
    fitting = {name: array for name in shapes if (array := arrays.get(name)) is not None}
    if faults:
        raise FerBenchError(
            f"{str(path)!r} does not hold the weights of {model}. It is named as {scheme.publisher} names them; "
            f"{len(fitting)} of {len(shapes)} arrays fit, "
            f"{number_of(len(faults), 'mismatch', 'mismatches')}:\n{bullet_list(faults)}"
        )
    return {name: np.asarray(array, np.float32) for name, array in fitting.items()}


def load_into(module: nnx.Module, path: Path, schemes: Sequence[Scheme], model: str) -> None:
    """Set every parameter and every statistic of a module from a published file.

    Args:
        module: perhaps made by ``nnx.eval_shape``, so that it has shapes only. Our names are the paths of its
            variables, such as ``block0/norm/scale``.
        path: the file, see `read`.
        schemes: the ways in which such weights are published.
        model: what the module is, for messages.

    Raises:
        FerBenchError: as `load`.
    """
    places = {
        "/".join(map(str, where)): (where, tuple(variable.shape))
        for where, variable in nnx.iter_graph(module)
        if isinstance(variable, nnx.Param | nnx.BatchStat)
    }
    arrays = load(path, schemes, {name: shape for name, (_, shape) in places.items()}, model)
    state = {where: jnp.asarray(arrays[name]) for name, (where, _) in places.items()}
    nnx.update(module, nnx.traversals.unflatten_mapping(state))


def _recognise(path: Path, tensors: Tensors, schemes: Sequence[Scheme], model: str) -> tuple[Scheme, str]:
    """Return the scheme by which a file names its tensors, and the prefix of its names."""
    fitting: list[tuple[Scheme, str]] = []
    for name in tensors:
        matching = [scheme for scheme in schemes if f".{name}".endswith(f".{scheme.anchor}")]
        if matching:
            scheme = max(matching, key=lambda scheme: len(scheme.anchor))
            fitting.append((scheme, name.removesuffix(scheme.anchor)))
    if not fitting:
        expected = ", ".join(f"{scheme.anchor!r} ({scheme.publisher})" for scheme in schemes)
        first_names = ", ".join(repr(name) for name in list(tensors)[:5]) or "none"
        raise FerBenchError(
            f"{str(path)!r} does not hold the weights of {model}, but of another family. Expected a tensor "
            f"{expected}, perhaps with a prefix; its "
            f"{number_of(len(tensors), 'tensor begins', 'tensors begin')} with {first_names}."
        )
    if len(fitting) > 1:
        prefixes = ", ".join(f"{prefix!r} ({scheme.publisher})" for scheme, prefix in fitting)
        raise FerBenchError(
            f"{str(path)!r} holds {number_of(len(fitting), 'model')} that could be {model}, with the "
            f"prefixes {prefixes}. "
            "Save the tensors of one of them in a file of its own."
        )
    return fitting[0]


def _rename_of(scheme: Scheme, name: str) -> tuple[Rename, re.Match[str]] | tuple[None, None]:
    name = scheme.respell(name)
    for rename in scheme.renames:
        if match := re.fullmatch(rename.theirs, name):
            return rename, match
    return None, None


def _fault(array: Array, shape: tuple[int, ...] | None, twice: bool) -> str:
    """Return what is wrong with an array that is to become ours, or nothing."""
    if twice:
        return "another tensor is that too"
    if shape is None:
        return "unexpected"
    if array.shape != shape:
        return f"shape {array.shape} as ours, expected {shape}"
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return f"type {array.dtype}, expected floating-point numbers"
    with np.errstate(over="ignore"):
        broken = array.size - int(np.isfinite(array.astype(np.float32, copy=False)).sum())
    return f"{broken} of {array.size} values are not finite in float32" if broken else ""
