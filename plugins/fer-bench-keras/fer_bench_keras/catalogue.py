"""The models of ``keras.applications`` that become backbones, and after which of their layers a stage ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A function of ``keras.applications`` that makes a model, and how the model is divided.

    Attributes:
        name: of the function.
        module: of its ``preprocess_input``.
        reference: the paper.
        parameters: in millions, without the classifier; of the summary.
        feature_size: channels of the output.
        cuts: stage -> the last layer in it. A layer that Keras numbers by itself (``add_26``) is numbered from 0 within
            the model, the first without a number. The last stage ends where the model does.
        input_size: side that the model was trained at, pixels.
        smallest: side, below which the model has no output.
    """

    name: str
    module: str
    reference: str
    parameters: float
    feature_size: int
    cuts: dict[str, str]
    input_size: int = 224
    smallest: int = 32


def _vgg() -> dict[str, str]:
    return {f"block{number}": f"block{number}_pool" for number in range(1, 6)}


def _resnet(blocks: tuple[int, ...]) -> dict[str, str]:
    stages = {"stem": "pool1_pool"}
    for group, count in enumerate(blocks, 2):
        stages |= {f"conv{group}_block{block}": f"conv{group}_block{block}_out" for block in range(1, count + 1)}
    return stages


def _mobilenet() -> dict[str, str]:
    return {"stem": "conv1_relu"} | {f"block{number}": f"conv_pw_{number}_relu" for number in range(1, 14)}


def _inverted(added: Iterable[int], count: int, norm: str) -> Iterator[tuple[str, str]]:
    """Yield the stages of MobileNet V2 and V3: a block ends in a sum where its input has the shape of its output."""
    for block in range(count):
        name = f"block_{block}" if norm == "BN" and block else "expanded_conv" + (f"_{block}" if block else "")
        yield f"block{block}", f"{name}_add" if block in added else f"{name}_project_{norm}"


def _mobilenet_v2() -> dict[str, str]:
    return dict(_inverted({2, 4, 5, 7, 8, 9, 11, 12, 14, 15}, 17, "BN")) | {"top": ""}


def _mobilenet_v3(added: set[int], count: int) -> dict[str, str]:
    return dict(_inverted(added, count, "bn")) | {"top": ""}


def _densenet() -> dict[str, str]:
    return {"stem": "pool1", "dense1": "pool2_pool", "dense2": "pool3_pool", "dense3": "pool4_pool", "dense4": ""}


def _inception_v3() -> dict[str, str]:
    return {"stem": "max_pooling2d_1"} | {f"mixed{number}": f"mixed{number}" for number in range(11)}


def _inception_resnet_v2() -> dict[str, str]:
    last = {"block35": "block35_10_ac", "mixed_6a": "mixed_6a", "block17": "block17_20_ac", "mixed_7a": "mixed_7a"}
    return {"mixed_5b": "mixed_5b"} | last | {"block8": ""}


def _xception() -> dict[str, str]:
    sums = {f"block{number}": "add" + (f"_{number - 2}" if number > 2 else "") for number in range(2, 14)}
    return {"block1": "block1_conv2_act"} | sums | {"block14": ""}


def _efficientnet_v2(*blocks: int) -> dict[str, str]:
    stages = {"stem": "stem_activation"}
    for group, count in enumerate(blocks, 1):
        last = f"block{group}{chr(ord('a') + count - 1)}"
        stages[f"block{group}"] = f"{last}_add" if count > 1 else f"{last}_project_activation"
    return stages | {"top": ""}


def _convnext(name: str, *blocks: int) -> dict[str, str]:
    sums = {f"stage{number}": f"add_{total - 1}" for number, total in enumerate(accumulate(blocks), 1)}
    return {"stem": f"{name}_stem"} | sums | {"stage4": ""}


_VGG = "Simonyan & Zisserman 2015"
_RESNET = "He et al. 2016, CVPR"
_RESNET_V2 = "He et al. 2016, ECCV"
_DENSENET = "Huang et al. 2017"
_MOBILENET_V3 = "Howard et al. 2019"
_EFFICIENTNET_V2 = "Tan & Le 2021"
_CONVNEXT = "Liu et al. 2022"
_SMALL, _LARGE = {2, 4, 5, 7, 9, 10}, {0, 2, 4, 5, 7, 8, 9, 11, 13, 14}


def _row(
    name: str,
    module: str,
    reference: str,
    parameters: float,
    features: int,
    cuts: dict[str, str],
    size: int = 224,
    smallest: int = 32,
) -> Application:
    return Application(
        name=name,
        module=module,
        reference=reference,
        parameters=parameters,
        feature_size=features,
        cuts=cuts,
        input_size=size,
        smallest=smallest,
    )


def _vggs_and_resnets() -> Iterator[Application]:
    yield _row("VGG16", "vgg16", _VGG, 14.7, 512, _vgg())
    yield _row("VGG19", "vgg19", _VGG, 20.0, 512, _vgg())
    for depth, parameters, parameters_v2, blocks in (
        (50, 23.5, 23.5, (3, 4, 6, 3)),
        (101, 42.6, 42.5, (3, 4, 23, 3)),
        (152, 58.2, 58.2, (3, 8, 36, 3)),
    ):
        yield _row(f"ResNet{depth}", "resnet", _RESNET, parameters, 2048, _resnet(blocks))
        after = _resnet(blocks) | {"top": ""}
        yield _row(f"ResNet{depth}V2", "resnet_v2", _RESNET_V2, parameters_v2, 2048, after)


def _mobilenets() -> Iterator[Application]:
    yield _row("MobileNet", "mobilenet", "Howard et al. 2017", 3.2, 1024, _mobilenet())
    yield _row("MobileNetV2", "mobilenet_v2", "Sandler et al. 2018", 2.2, 1280, _mobilenet_v2())
    yield _row("MobileNetV3Small", "mobilenet_v3", _MOBILENET_V3, 0.9, 576, _mobilenet_v3(_SMALL, 11))
    yield _row("MobileNetV3Large", "mobilenet_v3", _MOBILENET_V3, 3.0, 960, _mobilenet_v3(_LARGE, 15))


def _densenets_and_inceptions() -> Iterator[Application]:
    yield _row("DenseNet121", "densenet", _DENSENET, 7.0, 1024, _densenet())
    yield _row("DenseNet169", "densenet", _DENSENET, 12.5, 1664, _densenet())
    yield _row("DenseNet201", "densenet", _DENSENET, 18.1, 1920, _densenet())
    yield _row("InceptionV3", "inception_v3", "Szegedy et al. 2016", 21.8, 2048, _inception_v3(), 299, 75)
    inception_resnet = _inception_resnet_v2()
    yield _row("InceptionResNetV2", "inception_resnet_v2", "Szegedy et al. 2017", 54.3, 1536, inception_resnet, 299, 75)
    yield _row("Xception", "xception", "Chollet 2017", 20.8, 2048, _xception(), 299, 71)


def _efficientnets() -> Iterator[Application]:
    for name, size, parameters, blocks in (
        ("B0", 224, 5.9, (1, 2, 2, 3, 5, 8)),
        ("B1", 240, 6.9, (2, 3, 3, 4, 6, 9)),
        ("B2", 260, 8.7, (2, 3, 3, 4, 6, 10)),
        ("B3", 300, 12.8, (2, 3, 3, 5, 7, 12)),
        ("S", 384, 20.2, (2, 4, 4, 6, 9, 15)),
        ("M", 480, 52.9, (3, 5, 5, 7, 14, 18, 5)),
        ("L", 480, 117.2, (4, 7, 7, 10, 19, 25, 7)),
    ):
        features = {"B2": 1408, "B3": 1536}.get(name, 1280)
        cuts = _efficientnet_v2(*blocks)
        yield _row(f"EfficientNetV2{name}", "efficientnet_v2", _EFFICIENTNET_V2, parameters, features, cuts, size)


def _convnexts() -> Iterator[Application]:
    for name, parameters, features, third in (
        ("Tiny", 27.8, 768, 9),
        ("Small", 49.5, 768, 27),
        ("Base", 87.6, 1024, 27),
        ("Large", 196.2, 1536, 27),
        ("XLarge", 348.1, 2048, 27),
    ):
        cuts = _convnext(f"convnext_{name.lower()}", 3, 3, third, 3)
        yield _row(f"ConvNeXt{name}", "convnext", _CONVNEXT, parameters, features, cuts)


_FAMILIES = (_vggs_and_resnets, _mobilenets, _densenets_and_inceptions, _efficientnets, _convnexts)
APPLICATIONS = {application.name.lower(): application for family in _FAMILIES for application in family()}
"""By name in lower case. Not here: EfficientNet, whose graph depends on its weights, and NASNet, whose cells hand on
two tensors.
"""
