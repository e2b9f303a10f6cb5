"""The networks of timm: their names and configurations, and where their weights lie on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from fer_bench.errors import FerBenchError, MissingError, bullet_list, suggest
from fer_bench_torch.libraries import import_hub, import_timm, import_torch

if TYPE_CHECKING:
    from fer_bench_torch.parameters import TimmParams

EXAMPLE = "timm[name=vit_base_patch16_clip_224.openai]"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in timm's repositories on the Hugging Face hub, the preferred first."""


@cache
def config_of(name: str) -> Any:
    """Return timm's configuration of a model with the tag of its weights.

    Args:
        name: as timm has it, such as ``resnet18.a1_in1k``; without a tag, timm's default tag is meant.

    Raises:
        FerBenchError: timm has no such model or tag, or the input is no square of three channels.
        MissingError: timm is not installed.
    """
    timm = import_timm()
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        near = suggest(model, timm.list_models()) or "'python -c \"import timm; print(timm.list_models())\"' lists all."
        raise FerBenchError(f"timm has no model {model!r}. {near}")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model}.*")]
        known = f"Known: {', '.join(sorted(tags)) or 'none'}."
        raise FerBenchError(f"timm's {model!r} has no weights with the tag {tag!r}. {known}") from None
    channels, height, width = config.input_size
    if channels != 3 or height != width:
        raise FerBenchError(
            f"timm's {name!r} takes {channels} x {height} x {width}; fer-bench gives squares of 3 channels."
        )
    return config


def full_name(config: Any) -> str:
    """Return the name of a model with the tag of its weights."""
    return f"{config.architecture}.{config.tag}" if config.tag else config.architecture


def files(params: TimmParams) -> dict[str, Path]:
    """Return the file of a model's weights on this machine, if no parameter names it. Nothing is downloaded.

    Raises:
        FerBenchError: no model is named.
        MissingError: timm or the weights are not here; the message has every way to get them.
    """
    if not params.name:
        raise FerBenchError(f"Backbone 'timm' needs the name of a model of timm: {EXAMPLE}")
    config = config_of(params.name)
    if params.weights == "random" or params.file:
        return {}
    places = list(_places(config))
    here = [place for _, place in places if place is not None and place.is_file()]
    if here:
        return {"weights": here[0]}
    ways = [
        f"where there is a network: python -c \"import timm; timm.create_model('{params.name}', pretrained=True)\"",
        f"with a copy of the file: timm[name={params.name},file=model.safetensors]",
        f"without training: timm[name={params.name},weights=random]",
    ]
    raise MissingError(
        f"The weights of timm's {params.name!r} are not on this machine, and fer-bench downloads nothing. Looked for:\n"
        f"{bullet_list([words for words, _ in places])}\nWays to go on:\n{bullet_list(ways)}"
    )


def weights_file(params: TimmParams) -> Path | None:
    """Return the file of a model's weights; None where they are random. Errors are those of `files`."""
    return Path(params.file) if params.file else files(params).get("weights")


def notes(params: TimmParams) -> list[str]:
    """Return whose weights these are and under which licence, as timm states them."""
    if params.weights == "random":
        return [f"timm's {params.name}: random weights, nothing is pretrained."]
    config = config_of(params.name)
    source = f"the file {Path(params.file).name}" if params.file else config.hf_hub_id or config.url
    licence = config.license or "none"
    return [f"timm's {params.name}: weights of {source}; licence as timm states it: {licence}."]


def _places(config: Any) -> Iterator[tuple[str, Path | None]]:
    """Yield where timm would read the weights from without a network, in words, and the file if it may be there."""
    if config.hf_hub_id:
        hub = import_hub()
        repository, _, revision = config.hf_hub_id.partition("@")
        for name in (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES:
            known = hub.try_to_load_from_cache(repository, name, revision=revision or None)
            words = f"{name} of {repository} in {hub.constants.HF_HUB_CACHE}"
            yield words, Path(known) if isinstance(known, str) else None
    if config.url and not config.custom_load:
        name = PurePosixPath(urlparse(config.url).path).name
        place = Path(import_torch().hub.get_dir()) / "checkpoints" / name
        yield str(place), place
