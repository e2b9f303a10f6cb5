"""Features beside those of timm and transformers, on weights that are all different: ``tox run -e parity``.

Each reference model writes its weights as its publisher does, and our backbone reads that file. The other size is one
at which positions are resampled; where the reference resamples otherwise than the family's own code, its positions are
replaced by those of torch's ``interpolate``, called as that code calls it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm
import torch
import transformers
from fer_bench_vit.architectures import ARCHITECTURES, Architecture
from parity_table import apart, differences  # noqa: F401 (a fixture)
from safetensors.torch import load_file, save_file
from tiny_models import CASES, GOLDEN, NATIVE, OTHER, images, numbers, tiny

from fer_bench.networks.backbone import Backbone, build
from fer_bench.registry import Registry
from fer_bench.testing.conformance import cases

TOLERANCE = 1e-4
"""Largest difference of a feature, relative to the largest feature."""
SHALLOW = 4
"""Blocks of the large models here: their width is what is new in them, and all have 24 or 27 alike."""

TIMM = {
    "vit-ti16": "vit_tiny_patch16_224",
    "vit-s16": "vit_small_patch16_224",
    "vit-b16": "vit_base_patch16_224",
    "vit-l16": "vit_large_patch16_224",
    "mae-b16": "vit_base_patch16_224.mae",
    "mae-l16": "vit_large_patch16_224.mae",
    "dinov2-s14": "vit_small_patch14_dinov2",
    "dinov2-b14": "vit_base_patch14_dinov2",
    "dinov2-l14": "vit_large_patch14_dinov2",
    "clip-b32": "vit_base_patch32_clip_quickgelu_224",
    "clip-b16": "vit_base_patch16_clip_quickgelu_224",
    "clip-l14": "vit_large_patch14_clip_quickgelu_224",
    "farl-b16": "vit_base_patch16_clip_quickgelu_224",
    "siglip-b16": "vit_base_patch16_siglip_224",
    "siglip-l16": "vit_large_patch16_siglip_256",
    "siglip-so400m14": "vit_so400m_patch14_siglip_384",
}
HUGGING_FACE = {
    "vit": ("ViTModel", "ViTConfig", "vit-ti16 vit-s16 vit-b16 vit-l16"),
    "mae": ("ViTMAEModel", "ViTMAEConfig", "mae-b16 mae-l16"),
    "dinov2": ("Dinov2Model", "Dinov2Config", "dinov2-s14 dinov2-b14 dinov2-l14"),
    "registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", "dinov2-s14 dinov2-b14 dinov2-l14"),
    "clip": ("CLIPVisionModel", "CLIPVisionConfig", "clip-b32 clip-b16 clip-l14 farl-b16"),
    "siglip": ("SiglipVisionModel", "SiglipVisionConfig", "siglip-b16 siglip-l16 siglip-so400m14"),
}
RESAMPLED_OTHERWISE = ("vit", "clip", "dinov2")
"""Families whose positions transformers resamples otherwise than their own code, whose way `timm_model` takes."""


def shuffled(model: torch.nn.Module) -> torch.nn.Module:
    """Give every number of a model another value, so that no two tensors can be taken for each other."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            fan = parameter[0].numel() if parameter.ndim > 1 else 1
            spread = 0.5 if parameter.ndim < 2 or "pos" in name or "token" in name else 1 / math.sqrt(fan)
            centre = 1.0 if parameter.ndim == 1 and ("norm" in name or "ln" in name) and "weight" in name else 0.0
            parameter.copy_(centre + spread * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def ours(monkeypatch: pytest.MonkeyPatch, file: Path, name: str, depth: int, side: int, **params: object) -> np.ndarray:
    """Return our features (1, width) at a size of input."""
    backbone = load(monkeypatch, file, name, depth, side, **params)
    run = jax.jit(lambda state, x: backbone.prefix(state, x, len(backbone.stages)))
    return np.asarray(run(backbone.state, jnp.asarray(images(side))))


def load(monkeypatch: pytest.MonkeyPatch, file: Path, name: str, depth: int, side: int, **params: object) -> Backbone:
    """Return our backbone with the weights of a file."""
    if depth != ARCHITECTURES[name].depth:
        shorten(monkeypatch, name, depth)
    more = "".join(f",{key}={value}" for key, value in params.items())
    return build(Registry.load().backbone(f"{name}[input_size={side},file={file}{more}]"), "float32", 0)


def shorten(monkeypatch: pytest.MonkeyPatch, name: str, depth: int) -> None:
    """Give an architecture fewer blocks."""
    monkeypatch.setitem(ARCHITECTURES, name, dataclasses.replace(ARCHITECTURES[name], depth=depth))


def tensor(a: Architecture, side: int) -> torch.Tensor:
    """Return the images as the reference takes them."""
    mean, deviation = map(np.asarray, a.colours)
    x = (images(side) / 255 - mean) / deviation
    return torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32)


def depth_of(a: Architecture) -> int:
    return SHALLOW if a.depth > 12 else a.depth


def sides_of(a: Architecture) -> tuple[int, int]:
    """Return the native size of input, and another."""
    return a.input_size, {16: 176, 14: 252, 32: 320}[a.patch]


def torch_positions(positions: torch.Tensor, a: Architecture, side: int, how: str) -> torch.Tensor:
    """Return positions (1, n, d) for another size of input, by torch's interpolate."""
    grid, after = math.isqrt(positions.shape[1]), side // a.patch
    own = positions.shape[1] - grid**2
    patches = positions[:, own:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    options: dict[str, object] = {"size": (after, after), "antialias": how == "antialiased"}
    if how == "offset":
        options = {"scale_factor": ((after + 0.1) / grid, (after + 0.1) / grid)}
    patches = torch.nn.functional.interpolate(patches, mode="bicubic", **options)
    return torch.cat([positions[:, :own], patches.permute(0, 2, 3, 1).reshape(1, after**2, -1)], 1)


def timm_model(
    a: Architecture, registers: int, side: int, state: dict[str, torch.Tensor] | None, how: str
) -> torch.nn.Module:
    """Return a model of timm; with ``state``, its weights with positions resampled for the size."""
    name = TIMM[a.name].replace("patch14_", "patch14_reg4_") if registers else TIMM[a.name]
    widths = {"embed_dim": a.width, "num_heads": a.heads, "mlp_ratio": a.hidden / a.width, "patch_size": a.patch}
    # SigLIP's own code approximates GELU by tanh, as transformers does; timm does so only where it is asked.
    more = {"act_layer": "gelu_tanh"} if a.attention_pool else {}
    model = timm.create_model(name, num_classes=0, img_size=side, depth=depth_of(a), **widths, **more)
    if state:
        resampled = state["pos_embed"] if side == a.input_size else torch_positions(state["pos_embed"], a, side, how)
        model.load_state_dict(state | {"pos_embed": resampled})
    return model


def timm_features(a: Architecture, registers: int, side: int, state: dict[str, torch.Tensor]) -> tuple[np.ndarray, ...]:
    """Return the family's own features (1, width), and the mean of the patches."""
    how = a.resampling_with_registers if registers else a.resampling
    model = timm_model(a, registers, side, state, how).eval()
    with torch.no_grad():
        tokens = model.forward_features(tensor(a, side))
        own = model.forward_head(tokens, pre_logits=True) if a.attention_pool else tokens[:, 0]
        return own.numpy(), tokens[:, registers + a.class_token :].mean(1).numpy()


def timm_cases() -> list[tuple[str, int]]:
    return [(name, registers) for name, a in ARCHITECTURES.items() for registers in a.registers]


@pytest.mark.parametrize(("name", "registers"), timm_cases())
def test_features_are_those_of_timm(name, registers, tmp_path, monkeypatch):
    a = ARCHITECTURES[name]
    native, other = sides_of(a)
    reference = shuffled(timm_model(a, registers, native, None, ""))
    state = reference.state_dict()
    file = tmp_path / "model.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    more = {"registers": registers} if registers else {}
    row = f"{name.partition('-')[0]}{' with registers' * bool(registers)} beside timm"
    for side in (native, other):
        own, mean = timm_features(a, registers, side, state)
        assert apart(row, ours(monkeypatch, file, name, depth_of(a), side, **more), own) < TOLERANCE
    assert apart(row, ours(monkeypatch, file, name, depth_of(a), other, features="mean", **more), mean) < TOLERANCE


def hugging_face_model(family: str, a: Architecture) -> torch.nn.Module:
    """Return a model of transformers."""
    model_class, config_class, _ = HUGGING_FACE[family]
    settings: dict[str, object] = {
        "hidden_size": a.width,
        "num_hidden_layers": depth_of(a),
        "num_attention_heads": a.heads,
        "patch_size": a.patch,
        "image_size": a.input_size,
    }
    if family in ("dinov2", "registers"):
        settings["mlp_ratio"] = a.hidden // a.width
    else:
        settings["intermediate_size"] = a.hidden
    if family == "mae":
        settings["mask_ratio"] = 0.0
    return getattr(transformers, model_class)(getattr(transformers, config_class)(**settings))


def hugging_face_features(family: str, model: torch.nn.Module, a: Architecture, side: int) -> np.ndarray:
    """Return the family's own features (1, width)."""
    options: dict[str, object] = {}
    if side != a.input_size and family != "registers":
        options["interpolate_pos_encoding"] = True
    if family == "mae":
        options["noise"] = torch.arange((side // a.patch) ** 2)[None]  # keeps the patches in their order
    with torch.no_grad():
        made = model(tensor(a, side), **options)
    return (made.pooler_output if family in ("clip", "siglip") else made.last_hidden_state[:, 0]).numpy()


def hugging_face_cases() -> list[tuple[str, str]]:
    return [(family, name) for family, (_, _, names) in HUGGING_FACE.items() for name in names.split()]


@pytest.mark.parametrize(("family", "name"), hugging_face_cases())
def test_features_are_those_of_transformers(family, name, tmp_path, monkeypatch):
    a = ARCHITECTURES[name]
    native, other = sides_of(a)
    model = shuffled(hugging_face_model(family, a))
    model.save_pretrained(tmp_path)
    more = {"registers": 4} if family == "registers" else {}
    for side in (native, other):
        if side != native and family in RESAMPLED_OTHERWISE:
            continue
        own = hugging_face_features(family, model, a, side)
        features = ours(monkeypatch, tmp_path / "model.safetensors", name, depth_of(a), side, **more)
        assert apart(f"{family} beside transformers", features, own) < TOLERANCE, side


@pytest.mark.parametrize(
    "case",
    [case for name in ("vit-ti16", "clip-b32") for case in cases(f"{name}[input_size=32,weights=random]")],
    ids=str,
)
def test_keeps_the_rules(case):
    case.check()


def openai_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return timm's CLIP under the names of OpenAI."""
    renamed = {
        "cls_token": "class_embedding",
        "pos_embed": "positional_embedding",
        "patch_embed.proj": "conv1",
        "norm_pre": "ln_pre",
        "blocks": "transformer.resblocks",
        "attn.qkv.": "attn.in_proj_",
        "attn.proj": "attn.out_proj",
        "norm1": "ln_1",
        "norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "norm.": "ln_post.",
    }
    named: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        for theirs, openai in renamed.items():
            name = name.replace(theirs, openai)
        named[f"visual.{name}"] = value.reshape(-1) if name == "class_embedding" else value
    named["visual.positional_embedding"] = named["visual.positional_embedding"][0]
    return named | {"visual.proj": torch.zeros(768, 512), "text_projection": torch.zeros(512, 512)}


def test_a_file_of_openai_is_read_as_timm_reads_it(tmp_path, monkeypatch):
    from timm.models.vision_transformer import checkpoint_filter_fn

    a = ARCHITECTURES["clip-b16"]
    reference = shuffled(timm_model(a, 0, a.input_size, None, ""))
    published = openai_names(reference.state_dict())
    torch.save(published, tmp_path / "ViT-B-16.pt")
    again = timm_model(a, 0, a.input_size, None, "")
    again.load_state_dict(checkpoint_filter_fn(published, again), strict=False)
    with torch.no_grad():
        own = again.eval().forward_features(tensor(a, a.input_size))[:, 0].numpy()
    features = ours(monkeypatch, tmp_path / "ViT-B-16.pt", a.name, a.depth, a.input_size)
    assert apart("clip, OpenAI's names", features, own) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_goldens_are_the_features_of_the_references(case, tmp_path, monkeypatch):
    name, registers = CASES[case]
    a = tiny(name)
    publisher, family = case.split(" ")[:2]
    if publisher == "timm":
        shapes = {
            key: list(value.shape) for key, value in timm_model(a, registers, NATIVE, None, "").state_dict().items()
        }
        state = {key: torch.tensor(value) for key, value in numbers(shapes).items()}
        features = {side: timm_features(a, registers, side, state)[0] for side in (NATIVE, OTHER)}
    else:
        model = hugging_face_model(family, a)
        model.save_pretrained(tmp_path)
        shapes = {key: list(value.shape) for key, value in load_file(tmp_path / "model.safetensors").items()}
        tensors = {key: torch.tensor(value) for key, value in numbers(shapes).items()}
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        model = type(model).from_pretrained(tmp_path, attn_implementation="eager").eval()
        sides = (NATIVE,) if family in RESAMPLED_OTHERWISE else (NATIVE, OTHER)
        features = {side: hugging_face_features(family, model, a, side) for side in sides}
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("FER_BENCH_WRITE_GOLDEN"):
        rounded = {str(side): [float(f"{x:.7g}") for x in values[0]] for side, values in features.items()}
        golden[case] = {"shapes": shapes, "features": rounded}
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert golden[case]["shapes"] == shapes
    for side, values in features.items():
        assert apart("goldens", np.asarray([golden[case]["features"][str(side)]]), values) < 1e-6
