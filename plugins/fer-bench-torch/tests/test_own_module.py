"""A module of the user's own: its answers worked out by hand, its code and weights, whole runs, and what is refused."""

import hashlib
import json
import sys
import textwrap

import numpy as np
import pytest
import torch
import yaml
from fer_bench_torch import TorchParams, card, own_module
from flax import nnx
from messages import says
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.labels import EXPRESSIONS
from fer_bench.networks.identity import identity
from fer_bench.registry import Registry
from fer_bench.specs import NetworkInput

CODE = """
    import torch

    class Brightness(torch.nn.Module):
        "Logits of happy, bored and sad, each a multiple of the average of all channels."
        def __init__(self):
            super().__init__()
            self.slopes = torch.nn.Parameter(torch.rand(3))
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None] * self.slopes

    class Shaped(torch.nn.Module):
        def __init__(self, answer, most=99):
            super().__init__()
            self.answer, self.most = answer, most
        def forward(self, x):
            if len(x) > self.most:
                raise torch.OutOfMemoryError("too many")
            return self.answer(x)

    def make():
        return Brightness()

    def space():
        return Shaped(lambda x: x)

    def pair():
        return Shaped(lambda x: (x, x))

    def crowded():
        return Shaped(lambda x: x.mean((2, 3)), most=2)

    def raises():
        raise ValueError("no such file")

    def number():
        return 3
"""
SLOPES = [1.0, 0.5, -1.0]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes code, weights and a card, and returns what names them."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    (tmp_path / "own_net.py").write_text(textwrap.dedent(CODE), encoding="utf-8")
    torch.save({"slopes": torch.tensor(SLOPES)}, tmp_path / "best.pth")

    def write(function="make", weights="best.pth", **changes):
        fields = {
            "title": "brightness",
            "labels": ["happy", "bored", "sad"],
            "drop": ["bored"],
            "input_size": 8,
            "channels": 3,
            "value_range": [0, 1],
            "output": "logits",
            "trained_on": "nothing",
        } | changes
        file = tmp_path / "card.yaml"
        file.write_text(yaml.safe_dump({name: value for name, value in fields.items() if value is not None}))
        values = {"build": f"own_net:{function}", "card": str(file), "weights": weights and str(tmp_path / weights)}
        return {name: value for name, value in values.items() if value}

    return write


FEATURES = {"output": "features", "labels": None, "drop": None}


def text_of(values):
    return f"torch[{','.join(f'{name}={value}' for name, value in values.items())}]"


def build(values, dtype="float32", seed=0):
    return own_module.build(TorchParams(**values), rngs=nnx.Rngs(seed), compute_dtype=dtype)


def test_answers_are_those_worked_out_by_hand(write):
    """Brightness 1, 0 and 1/3 of white, black and red pictures of any size."""
    images = [np.full((5, 9, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((30, 20, 3), np.uint8)]
    images[2][..., 0] = 255
    answers = build(write())(images)
    assert answers.shape == (3, 8)
    for row, brightness in zip(answers, (1, 0, 1 / 3), strict=True):
        share = np.exp(np.array(SLOPES) * brightness)
        share /= share.sum()
        assert row[EXPRESSIONS.index("happiness")] == pytest.approx(share[0], rel=1e-5)
        assert row[EXPRESSIONS.index("sadness")] == pytest.approx(share[2], rel=1e-5)
        assert row.sum() == pytest.approx(share[0] + share[2], rel=1e-5)


def test_features_are_the_modules_own_numbers_of_pixels_as_the_card_says(write):
    """BGR pixels (51, 0, 255) in RGB are (255, 0, 51): 1, 0 and 0.2, less the means, through the deviations."""
    image = np.broadcast_to(np.array([51, 0, 255], np.uint8), (8, 8, 3))
    values = write("crowded", weights="", **FEATURES, colours="bgr", mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.1])
    extractor = build(values)
    assert extractor.feature_size == 3
    np.testing.assert_allclose(extractor([image]), [[1, -2, -1]], atol=1e-6)
    assert extractor.network_input.mean == (0.3, 0.4, 0.5), "of red, green and blue"
    other = extractor.with_input(NetworkInput(side=4, value_range=(0, 255), mean=(10, 20, 30), std=(1.0,)))
    np.testing.assert_allclose(other([image]), [[225, -20, 41]], atol=1e-4)


def test_a_batch_that_the_device_does_not_hold_is_divided(write):
    """Three channels of one value are three equal logits, whose order the images keep."""
    extractor = build(write("crowded", weights=""))
    images = [np.full((8, 8, 3), value, np.uint8) for value in (0, 0, 0, 0, 255)]
    images[3][..., 0] = 255
    answers = extractor(images)[:, EXPRESSIONS.index("happiness")]
    np.testing.assert_allclose(answers, [1 / 3, 1 / 3, 1 / 3, np.e / (np.e + 2), 1 / 3], rtol=1e-6)


def test_code_weights_and_card_count_by_content_and_no_folder_does(write, tmp_path):
    values = write()
    registry = Registry.load()

    def record():
        return identity(registry.backbone(text_of(values)), "float32")

    first = record()
    assert first["files"] == {
        "build": first["files"]["build"],
        "card": hashlib.sha256((tmp_path / "card.yaml").read_bytes()).hexdigest(),
        "weights": hashlib.sha256((tmp_path / "best.pth").read_bytes()).hexdigest(),
    }
    assert str(tmp_path) not in json.dumps(first)
    assert first["params"]["weights"] == "best.pth"
    code = tmp_path / "own_net.py"
    code.write_text(code.read_text() + "\n# a comment\n")
    assert record() == first
    code.write_text(code.read_text().replace("x.mean((1, 2, 3))", "x.amax((1, 2, 3))"))
    assert {name for name, digest in record()["files"].items() if digest != first["files"][name]} == {"build"}


def test_numbers_that_code_draws_follow_the_seed(write):
    values = write(weights="")
    assert build(values).digest == build(values).digest != build(values, seed=1).digest
    assert "own_net:make" in card.notes(TorchParams(**values))[0]


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        ("space", FerBenchError, ("own_net:space", "(2, 3, 8, 8)", "(2, f)")),
        ("pair", FerBenchError, ("own_net:pair", "tuple", "(2, f)")),
        ("raises", PluginError, ("own_net:raises", "ValueError: no such file")),
        ("number", FerBenchError, ("own_net:number", "int", "torch.nn.Module")),
        ("lost", FerBenchError, ("own_net:lost", "'lost'")),
    ],
)
def test_code_that_makes_no_module_or_none_of_features_is_named(write, function, error, words):
    with pytest.raises(error) as caught:
        build(write(function, weights=""))
    assert says(str(caught.value), *words)


def test_weights_and_cards_that_do_not_fit_are_named(write, tmp_path):
    torch.save({"slope": torch.zeros(2), "slopes": torch.zeros(4)}, tmp_path / "other.pth")
    with pytest.raises(FerBenchError) as caught:
        build(write(weights="other.pth"))
    assert says(str(caught.value), "other.pth", "Brightness", "slope (2,)", "slopes is (4,), expected (3,)")
    with pytest.raises(FerBenchError) as caught:
        own_module.check(TorchParams(**write(sha256="0" * 64)))
    digest = hashlib.sha256((tmp_path / "best.pth").read_bytes()).hexdigest()
    assert says(str(caught.value), "best.pth", digest, "0" * 64)
    with pytest.raises(FerBenchError, match=r"\(2, 3\).*2 labels: happy, sad"):
        build(write(labels=["happy", "sad"], drop=None))
    with pytest.raises(FerBenchError, match=r"torch\[build="):
        own_module.check(TorchParams())


def run(tmp_path, backbone, *arguments):
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("runs", "data", "cache")]
    dataset = ["--dataset", "synthetic[n=70,size=32]", "--folds", "2", "--precision", "float32"]
    return CliRunner().invoke(app, ["run", *dataset, *folders, "--backbone", backbone, *arguments])


@pytest.mark.slow
def test_a_run_scores_a_finished_classifier_and_trains_on_its_answers(write, tmp_path):
    backbone = text_of(write())
    result = run(tmp_path, backbone, "--strategy", "as-is", "--strategy", "linear-probe", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["strategy"]: row for row in json.loads(result.stdout)["rows"] if row["backbone"]}
    assert rows["as-is"]["n"] == rows["linear-probe"]["n"] == 70
    assert (rows["as-is"]["parameters"], rows["as-is"]["trained_parameters"]) == (3, 0)
    assert rows["as-is"]["scores"]["uar"]["mean"] <= 2 / 7
    assert says(result.stderr, "trained on: nothing", "not know")


def test_a_module_of_features_is_no_classifier(write):
    registry = Registry.load()
    assert registry.backbone(text_of(write())).spec.answers
    assert not registry.backbone(text_of(write("crowded", weights="", **FEATURES))).spec.answers
    with pytest.raises(FerBenchError, match="'conv1'"):
        registry.backbone(text_of(write(tensor="conv1")))


@pytest.mark.slow
def test_a_run_takes_features_from_a_network_of_timm_once(tmp_path):
    backbone = "timm[name=test_vit.r160_in1k,weights=random]"
    strategies = ["--strategy", "linear-probe", "--strategy", "knn", "--strategy", "svm"]
    result = run(tmp_path, backbone, *strategies, "--json")
    assert result.exit_code == 0, result.output
    workers = ["--runs-dir", str(tmp_path / "again"), "--cache-dir", str(tmp_path / "other")]
    again = run(tmp_path, backbone, *strategies, "--json", *workers, "--executor", "processes[workers=2]")
    assert again.exit_code == 0, again.output
    rows = [json.loads(made.stdout)["rows"] for made in (result, again)]
    first, second = ({row["strategy"]: row["scores"] for row in made if row["backbone"]} for made in rows)
    assert first == second
    assert set(first) == {"linear-probe", "knn", "svm"}
    refused = run(tmp_path, backbone, "--strategy", "finetune")
    assert says(str(refused.exception), "finetune", "test_vit")


@pytest.mark.slow
def test_labels_that_the_data_set_lacks_are_told(write, tmp_path):
    backbone = text_of(write(labels=["contempt", "bored", "sleepy"], drop=["bored", "sleepy"]))
    result = run(tmp_path, backbone, "--strategy", "as-is")
    assert says(str(result.exception), "contempt", "happiness")
