"""A network of timm with its weights, which sees images as its own configuration says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from PIL import Image

from fer_bench.errors import FerBenchError
from fer_bench_torch import checkpoints
from fer_bench_torch.extractor import TorchExtractor, each
from fer_bench_torch.libraries import import_timm, import_torch
from fer_bench_torch.timm_catalogue import config_of, files, weights_file

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

    from fer_bench_torch.extractor import Picture
    from fer_bench_torch.parameters import TimmParams


def build(params: TimmParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> TorchExtractor:
    """Return a model of timm without its classifier, which sees images as its own configuration says.

    Args:
        params: which model, and its weights.
        rngs: random streams; random weights are drawn by a seed from ``params``.
        compute_dtype: of the products, ``float32`` or ``bfloat16``.

    Raises:
        FerBenchError: torch or timm is not installed, or the weights are not here or not those of the model.
    """
    timm, torch = import_timm(), import_torch()
    size = 3, params.input_size, params.input_size
    config = timm.data.resolve_data_config({"input_size": size}, pretrained_cfg=config_of(params.name).to_dict())
    # Without the normalisation: arithmetic of torch in several threads would start a pool of threads for each.
    transform = timm.data.create_transform(**config, normalize=False)
    mean, std = (torch.tensor(config[name]).view(3, 1, 1) for name in ("mean", "std"))

    def prepare(images: Sequence[Picture]) -> Any:
        cropped = torch.from_numpy(each(lambda image: transform(Image.fromarray(image)).numpy(), images))
        return cropped.float().div_(255).sub_(mean).div_(std)

    module = load(params, int(jax.random.bits(rngs.params())))
    half = jnp.dtype(compute_dtype) == jnp.bfloat16
    return TorchExtractor(module, prepare, lambda features: features, half, f"timm's {params.name!r}")


def check(params: TimmParams) -> Mapping[str, Path]:
    """Return the file of a model's weights that timm keeps on this machine, once a user's own file was tried.

    Raises:
        FerBenchError: as `fer_bench_torch.timm_catalogue.files` and `load`.
    """
    kept = files(params)
    if params.file:
        load(params, 0)
    return kept


def load(params: TimmParams, seed: int) -> Any:
    """Return a model of timm without its classifier, in eval mode on the CPU.

    Args:
        params: which one, and its weights.
        seed: of the initial values, where weights are random.

    Raises:
        FerBenchError: the weights are not here, cannot be read, or are not those of this model.
    """
    timm, torch = import_timm(), import_torch()
    config, file = config_of(params.name), weights_file(params)
    sizes = {"img_size": params.input_size} if config.fixed_input_size else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if file is None:
            return timm.create_model(params.name, pretrained=False, num_classes=0, **sizes).eval()
        state = checkpoints.read(file)
        with _checked(torch, str(file), _classifier(config)):
            try:
                model = timm.create_model(
                    params.name, pretrained=True, num_classes=0, pretrained_cfg_overlay={"state_dict": state}, **sizes
                )
            except (KeyError, RuntimeError, ValueError, AssertionError) as error:  # of its converter of other names
                what = f"{type(error).__name__}: {error}"
                raise FerBenchError(f"{str(file)!r} is no file of timm's {params.name!r}: {what}") from None
    return model.eval()


def _classifier(config: Any) -> tuple[str, ...]:
    """Return how the names of the classifier's tensors begin, which features need not."""
    names = config.classifier or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


@contextmanager
def _checked(torch: Any, source: str, ignore: tuple[str, ...]) -> Iterator[None]:
    """Hold every tensor against the model that timm puts it into within the block, by `checkpoints.check`.

    timm converts the names of other projects itself, and logs only what does not fit then.
    """
    usual = torch.nn.Module.load_state_dict

    def load_state_dict(module: Any, state: Any, strict: bool = True, assign: bool = False) -> Any:
        torch.nn.Module.load_state_dict = usual
        checkpoints.check(module, state, repr(source), ignore)
        return module.load_state_dict(state, strict=False, assign=assign)

    torch.nn.Module.load_state_dict = load_state_dict
    try:
        yield
    finally:
        torch.nn.Module.load_state_dict = usual
