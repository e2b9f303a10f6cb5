"""A module of the user's own, with its weights, which sees images and answers as its card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from fer_bench_predictors import arithmetic

from fer_bench.errors import FerBenchError, PluginError
from fer_bench.registry import file_sha256
from fer_bench.specs import NetworkInput, resolve
from fer_bench_torch import checkpoints
from fer_bench_torch.card import TorchCard, card_of
from fer_bench_torch.extractor import TorchExtractor, each
from fer_bench_torch.libraries import import_torch

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

    from fer_bench_torch.extractor import Numbers, Picture
    from fer_bench_torch.parameters import TorchParams


class OwnModule(TorchExtractor):
    """A module and its card, as a `fer_bench.specs.AdjustableExtractor`.

    Args:
        card: what the module takes and returns.
        module: in any mode.
        half: whether products are bfloat16.
        what: the module in words, for errors.

    Raises:
        FerBenchError: the module does not take or return what the card says.
    """

    def __init__(self, card: TorchCard, module: Any, half: bool, what: str) -> None:
        torch = import_torch()

        def prepare(images: Sequence[Picture]) -> Any:
            resized = each(lambda image: arithmetic.resize(image, card.input_size), images)
            return torch.from_numpy(arithmetic.prepare(resized, card))

        def finish(made: Numbers) -> Numbers:
            return made if card.output == "features" else arithmetic.to_expressions(made, card)

        self._card, self._make = card, lambda other: OwnModule(other, module, half, what)
        self.network_input = card.network_input(any_side=True)  # a module refuses what it does not take
        super().__init__(module, prepare, finish, half, what)

    def with_input(self, network_input: NetworkInput) -> OwnModule:
        """Return the module with another input; see `fer_bench.specs.AdjustableExtractor`."""
        return self._make(self._card.with_input(network_input))


def build(params: TorchParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> OwnModule:
    """Return the module that the parameters name, in eval mode, with its weights.

    Args:
        params: code, weights and card.
        rngs: random streams; what the module draws follows from a seed from ``params``.
        compute_dtype: of the products, ``float32`` or ``bfloat16``.

    Raises:
        FerBenchError: torch is not installed, the code makes no module, the weights are not those of the module, or the
            module does not fit its card.
    """
    return _extractor(params, int(jax.random.bits(rngs.params())), half=jnp.dtype(compute_dtype) == jnp.bfloat16)


def _extractor(params: TorchParams, seed: int, *, half: bool) -> OwnModule:
    return OwnModule(card_of(params), load(params, seed), half, f"The module of {params.build!r}")


def check(params: TorchParams) -> Mapping[str, Path]:
    """Return no files, since parameters name all of them, once the module was built and tried on two images.

    Raises:
        FerBenchError: as `build`, or the card is about other weights.
        MissingError: torch is not installed.
    """
    card = card_of(params)
    if card.sha256 and params.weights and (digest := file_sha256(Path(params.weights))) != card.sha256:
        raise FerBenchError(
            f"{params.weights!r} has sha256 {digest}; the card {params.card!r} is about a file with {card.sha256}. "
            "Take the right file, or write the new hash into the card once you have checked that all else in it holds."
        )
    _extractor(params, 0, half=False)
    return {}


def load(params: TorchParams, seed: int) -> Any:
    """Return the module with its weights, on the CPU.

    Args:
        params: code and weights.
        seed: of what the code draws.

    Raises:
        FerBenchError: the code cannot be found, raises or makes no module, or the weights do not fit.
    """
    torch = import_torch()
    try:
        make = resolve(params.build)
    except (ValueError, ImportError) as error:
        raise FerBenchError(f"build={params.build}: {error}. Expected 'package.module:function'.") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = make()
        except Exception as error:
            raise PluginError(f"build={params.build}: it raised {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise FerBenchError(
            f"build={params.build}: it returned a {type(module).__name__}; expected a torch.nn.Module, from a call "
            "without arguments."
        )
    if params.weights:
        state = checkpoints.read(Path(params.weights))
        checkpoints.check(module, state, repr(params.weights))
        module.load_state_dict(state, strict=False)
    return module
