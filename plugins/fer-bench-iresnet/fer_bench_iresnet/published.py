"""Where the weights are published, under which licences, and which faces they saw. Nothing here is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench.specs import WeightsSpec

if TYPE_CHECKING:
    from fer_bench_iresnet import IResNetParams

_ZOO = "https://1drv.ms/u/s!AswpsDO2toNKq0lWY69vN58GR6mw?e=p9Ov5d"
_WEBFACE = "identities of WebFace260M, faces from the web, for research on request"
_CELEBRITIES = "celebrities from the web; cleaned from MS-Celeb-1M, withdrawn in 2019"
_DATA = {
    "ms1mv2": f"MS1MV2, 5.8 million faces of 85,000 {_CELEBRITIES}",
    "ms1mv3": f"MS1MV3, 5.2 million faces of 93,000 {_CELEBRITIES}",
    "glint360k": "Glint360K, 17.1 million faces of 360,000 people from the web; for research that is not commercial",
    "webface4m": f"WebFace4M, 10 % of the {_WEBFACE}",
    "webface12m": f"WebFace12M, 30 % of the {_WEBFACE}",
    "vgg2": "VGGFace2, 3.3 million faces of 9,000 people from the web; licences of images unknown",
    "casia": "CASIA-WebFace, 0.5 million faces of 10,500 celebrities from the web; licences of images unknown",
}
"""Training data of face recognition by the name of weights."""


def _insightface(network: str) -> tuple[WeightsSpec, ...]:
    """Return what lies in InsightFace's model zoo, a folder that only a browser opens."""
    folders = {"ms1mv3": f"ms1mv3_arcface_{network}_fp16", "glint360k": f"glint360k_cosface_{network}_fp16_0.1"}
    return tuple(
        WeightsSpec(
            name=name,
            file="",
            digests="",
            convert="",
            url=_ZOO,
            by_hand=True,
            sha256="",
            source=f"{folder}/backbone.pth of InsightFace's model zoo (Deng et al. 2019)",
            licence="research that is not commercial",
            data=_DATA[name],
        )
        for name, folder in folders.items()
    )


def _cvlface(network: str, *names: str, loss: str = "AdaFace") -> tuple[WeightsSpec, ...]:
    """Return what AdaFace's authors distribute by Hugging Face."""
    address = f"https://huggingface.co/minchul/cvlface_{loss.lower()}_{network}_{{}}/resolve/main/model.safetensors"
    return tuple(
        WeightsSpec(
            name=name if loss == "AdaFace" else f"{name}-{loss.lower()}",
            file="",
            digests="",
            convert="",
            url=address.format(name),
            sha256="",
            source=f"Kim et al. 2022, CVLface, trained with the loss of {loss}",
            licence="that of the training data",
            data=_DATA[name],
        )
        for name in names
    )


_LISTED: dict[str, tuple[WeightsSpec, ...]] = {
    "arcface-r18": _insightface("r18"),
    "arcface-r50": _insightface("r50"),
    "arcface-r100": _insightface("r100"),
    "adaface-ir18": _cvlface("ir18", "webface4m", "vgg2", "casia"),
    "adaface-ir50": _cvlface("ir50", "webface4m", "ms1mv2", "casia"),
    "adaface-ir101": (
        *_cvlface("ir101", "webface12m", "webface4m", "ms1mv3", "ms1mv2"),
        *_cvlface("ir101", "webface4m", loss="ArcFace"),
    ),
}
PUBLISHED = {backbone: {weights.name: weights for weights in listed} for backbone, listed in _LISTED.items()}
"""Name of a backbone -> name of weights -> where they are; the first are the default."""


def files_of(params: IResNetParams) -> dict[str, Path]:
    """Return the fetched file of the weights that parameters name; nothing where they are drawn, or a parameter's file.

    Raises:
        FerBenchError: it is not on this machine.
    """
    from fer_bench.keeping.weights import fetched_file

    if params.file or params.weights == "random":
        return {}
    return {"weights": fetched_file(params.architecture, PUBLISHED[params.architecture][params.weights])}
