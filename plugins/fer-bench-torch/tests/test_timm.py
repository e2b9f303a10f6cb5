"""timm's networks: features against timm itself, weights from files and from timm's cache, and what is refused."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
import timm
import torch
from fer_bench_torch import TimmParams, checkpoints, timm_catalogue, timm_network
from flax import nnx
from messages import says
from PIL import Image
from safetensors.torch import save_file

from fer_bench.errors import FerBenchError

SMALL = "test_vit.r160_in1k"


def build(dtype="float32", **params):
    return timm_network.build(TimmParams(**params), rngs=nnx.Rngs(0), compute_dtype=dtype)


def drawn(name, **options):
    """Return a model of timm all of whose numbers differ."""
    torch.manual_seed(1)
    model = timm.create_model(name, pretrained=False, **options).eval()
    with torch.no_grad():
        for index, value in enumerate(model.state_dict().values()):
            if value.is_floating_point():
                value.add_(0.02 * torch.rand(value.shape, generator=torch.Generator().manual_seed(index)) + 0.01)
    return model


def pictures(count=3):
    """Return images of several sizes, one of them grey in three channels."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40 + 90 * i, 70 + 60 * i, 3), dtype=np.uint8) for i in range(count)]
    images[-1] = np.repeat(images[-1][..., :1], 3, axis=-1)
    return images


def features_of(model, images):
    """Return what timm's documentation computes."""
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    with torch.inference_mode():
        x = model.forward_features(torch.stack([transform(Image.fromarray(image)) for image in images]))
        return model.forward_head(x, pre_logits=True).float().numpy()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model with a classifier of seven classes, and a folder with its weights in several forms."""
    model, folder = drawn(SMALL, num_classes=7), tmp_path_factory.mktemp("weights")
    state = model.state_dict()
    save_file(state, folder / "plain.safetensors")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, folder / "own.pth"
    )
    torch.save({name: value for name, value in state.items() if not name.startswith("head.")}, folder / "bare.pth")
    return model, folder


@pytest.mark.parametrize(
    "name",
    [
        SMALL,
        "test_efficientnet.r160_in1k",
        "resnet18.tv_in1k",
        pytest.param("vit_base_patch16_clip_224.openai", marks=pytest.mark.slow),
        pytest.param("vit_small_patch14_dinov2.lvd142m", marks=pytest.mark.slow),
        pytest.param("convnext_atto.d2_in1k", marks=pytest.mark.slow),
    ],
)
def test_features_are_timms_own_on_its_own_transform(name, tmp_path):
    model, images = drawn(name), pictures()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    extractor = build(name=name, file=str(tmp_path / "model.safetensors"))
    features, expected = extractor(images), features_of(model, images)
    assert features.dtype == np.float32
    assert features.shape == expected.shape == (3, extractor.feature_size)
    assert np.abs(features - expected).max() <= 1e-5 * np.abs(expected).max()
    assert extractor.parameter_count == sum(p.numel() for n, p in model.named_parameters() if p.requires_grad) - sum(
        p.numel() for p in model.get_classifier().parameters()
    )


@pytest.mark.parametrize("file", ["plain.safetensors", "own.pth", "bare.pth"])
def test_weights_come_from_files_of_several_forms(saved, file):
    model, folder = saved
    extractor = build(name=SMALL, file=str(folder / file))
    np.testing.assert_allclose(extractor(pictures()), features_of(model, pictures()), rtol=1e-5, atol=1e-6)
    assert extractor.digest == build(name=SMALL, file=str(folder / "plain.safetensors")).digest


def test_another_size_moves_the_positions_as_timm_does(saved):
    model, folder = saved
    extractor = build(name=SMALL, file=str(folder / "plain.safetensors"), input_size=96)
    other = timm.create_model(
        SMALL, pretrained=True, num_classes=7, img_size=96,
        pretrained_cfg_overlay={"state_dict": model.state_dict(), "num_classes": 7},
    ).eval()  # fmt: skip
    other.pretrained_cfg = {**other.pretrained_cfg, "input_size": (3, 96, 96)}
    np.testing.assert_allclose(extractor(pictures()), features_of(other, pictures()), rtol=1e-4, atol=1e-5)


def test_weights_come_from_timms_cache_by_content_or_every_way_to_them_is_told(saved, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    params = TimmParams(name="resnet18")
    assert params.name == "resnet18.a1_in1k"
    with pytest.raises(FerBenchError) as caught:
        timm_catalogue.files(params)
    assert says(
        str(caught.value), "'resnet18.a1_in1k'", f"model.safetensors of timm/resnet18.a1_in1k in {tmp_path}",
        f"{tmp_path}/torch/hub/checkpoints/resnet18_a1_0-d63eafa0.pth", "pretrained=True", "file=", "weights=random",
    )  # fmt: skip
    model, folder = saved
    repository = tmp_path / "models--timm--test_vit.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    there = repository / "snapshots" / "abc" / "model.safetensors"
    there.write_bytes((folder / "plain.safetensors").read_bytes())
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    params = TimmParams(name=SMALL)
    assert timm_catalogue.files(params) == {"weights": there}
    np.testing.assert_allclose(build(name=SMALL)(pictures()), features_of(model, pictures()), rtol=1e-5, atol=1e-6)


def test_random_weights_follow_the_seed_and_leave_torchs_own_as_it_was():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again = (build(name=SMALL, weights="random") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    other = timm_network.build(TimmParams(name=SMALL, weights="random"), rngs=nnx.Rngs(1), compute_dtype="float32")
    assert one.digest == again.digest != other.digest
    np.testing.assert_array_equal(one(pictures()), again(pictures()))


def test_bfloat16_is_torchs_mixed_precision_to_the_bit_and_close_to_float32(saved):
    model, folder = saved
    file = str(folder / "plain.safetensors")
    exact, half = (build(dtype, name=SMALL, file=file)(pictures()) for dtype in ("float32", "bfloat16"))
    gap = np.abs(exact - half).max() / np.abs(exact).max()
    assert 1e-5 < gap < 0.05
    assert half.dtype == np.float32
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(half, features_of(model, pictures()))


def test_half_a_checkpoint_is_refused_with_all_its_faults(saved, tmp_path):
    model, _ = saved
    state = {name: value for name, value in model.state_dict().items() if "blocks.1." not in name}
    state["pos_embed"], state["extra.weight"] = torch.zeros(1, 2, 3), torch.zeros(2)
    save_file(state, tmp_path / "half.safetensors")
    missing = [name for name in model.state_dict() if "blocks.1." in name]
    with pytest.raises(FerBenchError) as caught:
        build(name="test_efficientnet.r160_in1k", file=str(tmp_path / "half.safetensors"))
    assert "conv_stem.weight" in str(caught.value)
    del state["pos_embed"]
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(FerBenchError) as caught:
        build(name=SMALL, file=str(tmp_path / "half.safetensors"))
    assert says(str(caught.value), "half.safetensors", "pos_embed", *missing, "extra.weight")


class Planted:
    """Makes a folder where it is unpickled as Python would."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("legacy", [False, True])
def test_foreign_code_in_a_pickle_is_named_and_never_executed(tmp_path, legacy):
    trap, file = tmp_path / "executed", tmp_path / "model.pth"
    state = {"weight": torch.zeros(2), "config": Planted(trap)}
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FerBenchError) as caught:
        checkpoints.read(file)
    assert says(str(caught.value), "model.pth", "posix.mkdir", "weights_only=True", "torch.save(model.state_dict()")
    assert "weights_only=False" not in str(caught.value)
    file.write_bytes(pickle.dumps(Planted(trap)))
    with pytest.raises(FerBenchError, match=r"model\.pth"):
        checkpoints.read(file)
    assert not trap.exists()


def test_files_that_hold_no_weights_are_refused_in_words(saved, tmp_path):
    _, folder = saved
    whole = (folder / "plain.safetensors").read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    name = next(iter(header))
    for lie in ({"data_offsets": [0, 10**9]}, {"shape": [10**6, 10**6]}, {"dtype": "F99"}):
        lying = json.dumps(header | {name: header[name] | lie}).encode()
        (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(lying)) + lying + whole[8 + length :])
        with pytest.raises(FerBenchError, match=r"lie\.safetensors"):
            checkpoints.read(tmp_path / "lie.safetensors")
    contents = {
        "cut.safetensors": (whole[:-10], "complete"),
        "huge.safetensors": (struct.pack("<Q", 2**60) + whole[8:], "huge"),
        "cut.pth": ((folder / "own.pth").read_bytes()[:-50], "complete"),
        "text.pth": (b"not a checkpoint", "text.pth"),
        "empty.pth": (b"", "empty.pth"),
    }
    for file, (content, word) in contents.items():
        (tmp_path / file).write_bytes(content)
        with pytest.raises(FerBenchError, match=word):
            checkpoints.read(tmp_path / file)
    for value, words in (
        ([1, 2], ("list",)),
        ({"a": 1, "b": torch.zeros(1)}, ("a: ", "int")),
        ({}, ("dict",)),
        ({"a": torch.tensor([1.0, float("nan")])}, ("finite", "a")),
    ):
        torch.save(value, tmp_path / "odd.pth")
        with pytest.raises(FerBenchError) as caught:
            checkpoints.read(tmp_path / "odd.pth")
        assert says(str(caught.value), "odd.pth", *words)
    with pytest.raises(FerBenchError, match=r"none\.pth.*No such file"):
        checkpoints.read(tmp_path / "none.pth")


def test_names_that_timm_does_not_have_are_told_with_those_that_it_has():
    with pytest.raises(ValueError, match=r"'resnet19'.*'resnet18'"):
        TimmParams(name="resnet19")
    with pytest.raises(ValueError, match=r"'resnet18'.*'foo'.*tv_in1k"):
        TimmParams(name="resnet18.foo")
    with pytest.raises(ValueError, match="3 x 1024 x 768"):
        TimmParams(name="vit_base_patch16_sapiens2.fb")
    with pytest.raises(FerBenchError, match=r"timm\[name=vit_base"):
        timm_catalogue.files(TimmParams())
