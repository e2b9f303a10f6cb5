"""Where the weights are published: source, hash where one is published, licences. Nothing here is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.specs import WeightsSpec

if TYPE_CHECKING:
    from fer_bench_vit import VitParams

_IMAGENET_21K = "ImageNet-21k; its images are for research that is not commercial"
_IMAGENET_1K = "ImageNet (ILSVRC 2012); its images are for research that is not commercial"
_LVD = "LVD-142M, images from the web and public data sets; not published, licences of images unknown"
_WIT = "400 million pairs of image and text from the web; not published, licences of images unknown"
_WEBLI = "WebLI, pairs of image and text from the web; not published, licences of images unknown"
_LAION_FACE = "LAION-Face, 20 million faces with text from the web; links only, licences of images unknown"
_DINOV2 = "https://dl.fbaipublicfiles.com/dinov2"
_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_HUB = "https://huggingface.co"


def _weights(name: str, url: str, source: str, data: str, licence: str, sha256: str = "") -> WeightsSpec:
    return WeightsSpec(
        name=name,
        file="",
        digests="",
        convert="",
        url=url,
        sha256=sha256,
        source=source,
        licence=licence,
        data=data,
    )


def _augreg(size: str) -> WeightsSpec:
    return _weights(
        "augreg",
        f"{_HUB}/timm/vit_{size}_patch16_224.augreg_in21k/resolve/main/model.safetensors",
        "Steiner et al. 2022 (AugReg), as timm distributes it",
        _IMAGENET_21K,
        "Apache-2.0",
    )


def _mae(size: str) -> WeightsSpec:
    return _weights(
        "mae",
        f"https://dl.fbaipublicfiles.com/mae/pretrain/mae_pretrain_vit_{size}.pth",
        "He et al. 2022, Meta",
        _IMAGENET_1K,
        "CC-BY-NC-4.0",
    )


def _dinov2(letter: str) -> tuple[WeightsSpec, ...]:
    model = f"dinov2_vit{letter}14"
    return tuple(
        _weights(
            f"lvd142m{suffix.replace('_', '-')}",
            f"{_DINOV2}/{model}/{model}{suffix}_pretrain.pth",
            "Oquab et al. 2024, Meta" + ", with four registers (Darcet et al. 2024)" * bool(suffix),
            _LVD,
            "Apache-2.0",
        )
        for suffix in ("", "_reg4")
    )


def _clip(model: str, sha256: str) -> WeightsSpec:
    url = f"{_OPENAI}/{sha256}/{model}.pt"
    return _weights("openai", url, "Radford et al. 2021, OpenAI", _WIT, "MIT", sha256)


def _siglip(model: str) -> WeightsSpec:
    url = f"{_HUB}/google/siglip-{model}/resolve/main/model.safetensors"
    return _weights("webli", url, "Zhai et al. 2023, Google, converted by Hugging Face", _WEBLI, "Apache-2.0")


_FARL = _weights(
    "laion-face-20m",
    "https://github.com/FacePerceiver/FaRL/releases/download/pretrained_weights/"
    "FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
    "Zheng et al. 2022, Microsoft, 64 epochs",
    _LAION_FACE,
    "MIT",
)

_LISTED: dict[str, tuple[WeightsSpec, ...]] = {
    "vit-ti16": (_augreg("tiny"),),
    "vit-s16": (_augreg("small"),),
    "vit-b16": (_augreg("base"),),
    "vit-l16": (_augreg("large"),),
    "mae-b16": (_mae("base"),),
    "mae-l16": (_mae("large"),),
    "dinov2-s14": _dinov2("s"),
    "dinov2-b14": _dinov2("b"),
    "dinov2-l14": _dinov2("l"),
    "clip-b32": (_clip("ViT-B-32", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),),
    "clip-b16": (_clip("ViT-B-16", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),),
    "clip-l14": (_clip("ViT-L-14", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),),
    "farl-b16": (_FARL,),
    "siglip-b16": (_siglip("base-patch16-224"),),
    "siglip-l16": (_siglip("large-patch16-256"),),
    "siglip-so400m14": (_siglip("so400m-patch14-384"),),
}
PUBLISHED = {backbone: {weights.name: weights for weights in listed} for backbone, listed in _LISTED.items()}
"""Name of a backbone -> name of weights -> where they are; the first are the default."""


def files_of(params: VitParams) -> dict[str, Path]:
    """Return the fetched file of the weights that parameters name; nothing where they are drawn, or a parameter's file.

    Raises:
        FerBenchError: it is not on this machine, or has another sha256 than published.
    """
    from fer_bench.keeping.weights import fetched_file

    if params.file or params.weights == "random":
        return {}
    return {"weights": fetched_file(params.architecture, PUBLISHED[params.architecture][params.weights])}
