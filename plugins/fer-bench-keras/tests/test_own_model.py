"""Keras models of the user's own as `keras-model`: against Keras, in a claim, and files that are refused."""

from __future__ import annotations

import hashlib
import json
import os

import h5py
import keras
import numpy as np
import pytest
import yaml
from fer_bench_keras import own_model
from messages import says
from PIL import Image
from typer.testing import CliRunner

from fer_bench.claims.classifier import load_classifier
from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry

LABELS = ["angry", "happy", "sad"]
SIDE = 16


@pytest.fixture(scope="module")
def model():
    """Return a small classifier of grey images of any size, whose three probabilities differ."""
    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.SeparableConv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    for variable in made.weights:
        values = random.normal(0, 0.5, variable.shape)
        variable.assign(values**2 + 0.1 if variable.name == "moving_variance" else values)
    return made


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Return a folder with the model in both of Keras's formats, and pictures in the splits of a data set."""
    made = tmp_path_factory.mktemp("own")
    model.save(made / "best.keras")
    model.save(made / "best.h5")
    random = np.random.default_rng(1)
    for number in range(60):
        part = made / "faces" / "test" / LABELS[number % 3]
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 60 + 60 * (number % 3), (SIDE, SIDE), np.uint8)).save(part / f"{number}.png")
    return made


def _card(folder, file="best.keras", **changes):
    values = {"title": "mine", "model": file, "labels": LABELS, "input_size": SIDE, "channels": 1, "layout": "nhwc"}
    values |= {"value_range": [-1, 1], "output": "probabilities", "trained_on": "noise"}
    values["sha256"] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    card = folder / f"{file}.yaml"
    card.write_text(yaml.safe_dump(values | changes))
    return card


@pytest.mark.parametrize("file", ["best.keras", "best.h5"])
def test_a_model_answers_as_in_keras_also_for_another_input(folder, model, file):
    classifier = load_classifier(f"keras-model[card={_card(folder, file)}]", Registry.load())
    assert classifier.outputs == ("anger", "happiness", "sadness")
    random = np.random.default_rng(2)
    images = [random.integers(0, 10 + 6 * number, (SIDE, SIDE, 1), np.uint8) for number in range(40)]
    expected = np.asarray(model(np.stack(images).astype(np.float32) / 127.5 - 1, training=False))
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-5)
    assert expected.std(0).min() > 0.01
    assert classifier.own.any_side
    other = classifier.own.__class__(side=SIDE, any_side=True, value_range=(0, 255))
    expected = np.asarray(model(np.stack(images).astype(np.float32), training=False))
    np.testing.assert_allclose(classifier.predict(images, other), expected, atol=1e-5)


def test_a_claim_about_a_model_is_verified(folder, model):
    files = sorted((folder / "faces" / "test").rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])[..., None].astype(np.float32)
    said = np.asarray(model(pixels / 127.5 - 1, training=False)).argmax(1)
    right = np.mean([LABELS[place] == file.parent.name for place, file in zip(said, files, strict=True)])
    claim = {"model": f"keras-model[card={_card(folder)}]", "dataset": f"folder[path={folder / 'faces'}]"}
    claim |= {"split": "test", "labels": "happy,sad,angry", "metric": "accuracy", "score": round(float(right), 3)}
    (folder / "claim.yaml").write_text(yaml.safe_dump(claim))
    done = CliRunner().invoke(app, ["verify", str(folder / "claim.yaml"), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["measured"]["score"] == pytest.approx(right)


def test_files_that_hold_code_or_no_model_are_refused_and_nothing_is_executed(folder, model, tmp_path, monkeypatch):
    layer = keras.layers.Lambda(lambda x: os.environ.update(FER_BENCH_EXECUTED="1") or x)
    keras.Sequential([keras.Input((4, 4, 1)), layer]).save(tmp_path / "code.keras")
    monkeypatch.delenv("FER_BENCH_EXECUTED", raising=False)
    model.save_weights(tmp_path / "only.weights.h5")
    (tmp_path / "broken.keras").write_bytes((folder / "best.keras").read_bytes()[:300])
    with h5py.File(tmp_path / "elsewhere.h5", "w") as stored:
        layers = [{"class_name": "Thing", "module": "antigravity", "config": {}}]
        stored.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    for file, parts in (
        ("code.keras", ("code.keras", "Lambda")),
        ("only.weights.h5", ("only.weights.h5", "model_config")),
        ("broken.keras", ("broken.keras", ".keras")),
        ("elsewhere.h5", ("elsewhere.h5", "antigravity.Thing")),
    ):
        with pytest.raises(FerBenchError) as refused:
            own_model.load(tmp_path / file)
        assert says(str(refused.value), *parts), file
    assert "FER_BENCH_EXECUTED" not in os.environ


def test_a_card_that_does_not_fit_is_refused(folder):
    for changes, parts in (
        ({"sha256": "0" * 64}, ("best.keras", "0" * 64)),
        ({"model": "gone.keras"}, ("gone.keras",)),
        ({"channels": 3}, ("best.keras", f"({SIDE}, {SIDE}, 3)")),
        ({"labels": ["happy", "sad"]}, ("happy, sad",)),
    ):
        component = Registry.load().backbone(f"keras-model[card={_card(folder, **changes)}]")
        with pytest.raises(FerBenchError) as refused:
            own_model.check(component.params)
        assert says(str(refused.value), *parts), changes
