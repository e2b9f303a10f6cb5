"""Pre-trained weights of backbones: find, check, fetch and convert them, for any plugin's `WeightsSpec`."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from fer_bench import atomic, paths
from fer_bench.digests import sha256_of, sha256_once
from fer_bench.errors import FerBenchError, MissingError, bullet_list, did_you_mean
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneSpec, WeightsSpec, resolve

if TYPE_CHECKING:
    from fer_bench.arrays import Array

Tensors = dict[str, "Array"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedWeights:
    """What `convert` wrote.

    Attributes:
        path: the safetensors file.
        tensors: how many it holds.
        size_bytes: its size.
        sha256: of the file.
        differences: what differs from the pinned digests; empty for the very weights that the plugin ships.
    """

    path: Path
    tensors: int
    size_bytes: int
    sha256: str
    differences: tuple[str, ...]


def find_weights(backbone: BackboneSpec, name: str = "") -> WeightsSpec:
    """Return the weights called ``name`` of ``backbone``, or its default weights.

    Raises:
        FerBenchError: it has no weights, or none of that name.
    """
    if not backbone.weights:
        raise FerBenchError(f"Backbone {backbone.name!r} has no pre-trained weights.")
    by_name = {weights.name: weights for weights in backbone.weights}
    name = name or backbone.weights[0].name
    if name not in by_name:
        raise FerBenchError(f"Backbone {backbone.name!r} has no weights {name!r}. {did_you_mean(name, list(by_name))}")
    return by_name[name]


def ensure_packaged(backbone: str, spec: WeightsSpec) -> None:
    """Refuse weights of which no file is in the plugin's package.

    Raises:
        FerBenchError: says where they come from.
    """
    if not spec.file:
        where = "'fer-bench weights fetch' gets them" if spec.url else "its plugin gets them when the backbone is built"
        raise FerBenchError(f"No file of the weights {spec.name!r} of backbone {backbone!r} is in a package: {where}.")


@contextmanager
def packaged_file(reference: str) -> Iterator[Path]:
    """Yield the path of ``"package:path"``, a file inside an installed package, wherever that is installed.

    Raises:
        FerBenchError: the package or the file is not there.
    """
    package, _, inner = reference.partition(":")
    try:
        resource = resources.files(package).joinpath(*PurePosixPath(inner).parts)
        missing = not resource.is_file()
    except ModuleNotFoundError:
        raise FerBenchError(f"Cannot find {reference!r}: package {package!r} is not installed.") from None
    if missing:
        raise FerBenchError(f"Package {package!r} lacks its file {inner!r}. Reinstall the package.")
    with resources.as_file(resource) as path:
        yield path


def weights_digest(spec: WeightsSpec) -> str:
    """Return the sha256 of the packaged weights file: the identity of the weights, part of a cell's id.

    Raises:
        FerBenchError: the file is not there.
    """
    with packaged_file(spec.file) as path:
        return sha256_of(path)


def load_tensors(path: Path) -> Tensors:
    """Return the tensors of a safetensors file.

    Raises:
        FerBenchError: it is not there, or it is not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise FerBenchError(f"Cannot read {str(path)!r} as safetensors: {error}. Is the file complete?") from error


def tensor_digests(tensors: Mapping[str, Array]) -> dict[str, str]:
    """Return the sha256 of every tensor's little-endian bytes in row-major order, by name, sorted."""
    return {name: _digest(tensors[name]) for name in sorted(tensors)}


def _digest(tensor: Array) -> str:
    little = tensor.astype(tensor.dtype.newbyteorder("<"), order="C", copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def compare_with_pinned(spec: WeightsSpec, tensors: Mapping[str, Array]) -> tuple[str, ...]:
    """Return a line for each tensor that is missing, unexpected or different from what ``spec`` pins.

    Raises:
        FerBenchError: the file of digests is not there or not JSON.
    """
    with packaged_file(spec.digests) as path:
        try:
            pinned: dict[str, str] = dict(json.loads(path.read_text("utf-8")))
        except ValueError as error:
            raise FerBenchError(f"Cannot read the digests {str(path)!r}: {error}. Reinstall the package.") from error
    digests = tensor_digests(tensors)
    lines = [f"missing: {name}" for name in pinned if name not in digests]
    lines += [f"unexpected: {name}" for name in digests if name not in pinned]
    lines += [f"different: {name}" for name in pinned if name in digests and digests[name] != pinned[name]]
    return tuple(lines)


def verify(spec: WeightsSpec, file: Path | None = None) -> int:
    """Check every tensor of ``file``, or of the packaged weights, against the pinned digests.

    Returns:
        The number of tensors, all right.

    Raises:
        FerBenchError: the file cannot be read, or names every tensor that is missing, unexpected or different.
    """
    if file is None:
        with packaged_file(spec.file) as path:
            return verify(spec, path)
    tensors = load_tensors(file)
    differences = compare_with_pinned(spec, tensors)
    if differences:
        raise FerBenchError(
            f"{str(file)!r} does not hold the weights {spec.name!r}: "
            f"{number_of(len(differences), 'tensor differs', 'tensors differ')} from the "
            f"pinned digests. Reinstall the package, or convert the published file again.\n"
            f"{bullet_list(differences, len(differences))}"
        )
    return len(tensors)


def ensure_pinned(spec: WeightsSpec) -> None:
    """Check the packaged weights as `verify` does, once a process while the file keeps its size and time.

    Raises:
        FerBenchError: as `verify`; a bit that turned on the disk must not become a result.
    """
    with packaged_file(spec.file) as path:
        state = path.stat()
        _ensure_pinned(spec, path, state.st_size, state.st_mtime_ns)


@functools.lru_cache
def _ensure_pinned(spec: WeightsSpec, path: Path, size: int, mtime_ns: int) -> None:
    verify(spec, path)


def fetch(backbone: str, spec: WeightsSpec, cache_dir: Path) -> Path:
    """Download the published file into ``cache_dir``, or find it there; a published sha256 is checked either way.

    Args:
        backbone: its name.
        spec: one of its weights.
        cache_dir: the file lies below it where `fetched_path` says.

    Raises:
        FerBenchError: no connection, or another file than expected; it says how to go on by hand.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    path = fetched_path(backbone, spec, cache_dir)
    known_hash = f"sha256:{spec.sha256}" if spec.sha256 else None
    try:
        pooch.retrieve(spec.url, known_hash=known_hash, fname=path.name, path=path.parent)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        expected = f"Expected a file with sha256 {spec.sha256}. " if spec.sha256 else ""
        use = (
            "run 'fer-bench weights convert BACKBONE FILE --output OUT.safetensors'"
            if spec.convert
            else f"put it at {str(path)!r} or give it as {backbone}[file=FILE]"
        )
        raise FerBenchError(
            f"Cannot fetch {spec.url!r}: {error}\n{expected}Download it by hand, then {use}."
        ) from error
    return path


def fetched_path(backbone: str, spec: WeightsSpec, cache_dir: Path) -> Path:
    """Return where `fetch` keeps the published file of some weights."""
    return cache_dir / "weights" / f"{backbone}-{spec.name}-{PurePosixPath(urlparse(spec.url).path).name}"


def by_hand(backbone: str, spec: WeightsSpec) -> str:
    """Return how a person gets weights that no program can fetch, without a full stop."""
    return f"Get {spec.source} with a browser from {spec.url}, and give it as {backbone}[file=FILE]"


def fetched_file(backbone: str, spec: WeightsSpec) -> Path:
    """Return the published file of some weights as `fetch` got it.

    Raises:
        MissingError: it is not there; the message says all ways to get it.
        FerBenchError: it has another sha256 than published.
    """
    if spec.by_hand:
        raise MissingError(
            f"The weights {spec.name!r} of {backbone} are not on this machine. {by_hand(backbone, spec)}; "
            "weights=random starts afresh."
        )
    path = fetched_path(backbone, spec, paths.cache_dir())
    if not path.is_file():
        raise MissingError(
            f"The weights {spec.name!r} of {backbone} are not on this machine: there is no {str(path)!r}. Run "
            f"'fer-bench weights fetch {backbone} --weights {spec.name}', or download {spec.url} and give it as "
            f"{backbone}[file=FILE]; weights=random starts afresh."
        )
    if spec.sha256 and (digest := sha256_once(path)) != spec.sha256:
        raise FerBenchError(
            f"{str(path)!r} has the sha256 {digest}; expected {spec.sha256}. Remove it, and run "
            f"'fer-bench weights fetch {backbone} --weights {spec.name}'."
        )
    return path


def convert(spec: WeightsSpec, source: Path, output: Path) -> ConvertedWeights:
    """Convert a published file with the plugin's converter and write safetensors, atomically.

    The converter returns every tensor in the type that it is to be stored in. The same tensors give the same bytes.

    Raises:
        FerBenchError: the converter lists what does not fit, or ``output`` cannot be written.
    """
    from safetensors.numpy import save

    tensors: Tensors = resolve(spec.convert)(source)
    content = save({name: tensors[name] for name in sorted(tensors)})
    atomic.write_file(output, content, "the weights")
    return ConvertedWeights(
        path=output,
        tensors=len(tensors),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        differences=compare_with_pinned(spec, tensors),
    )
