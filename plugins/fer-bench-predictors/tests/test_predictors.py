"""Finished classifiers: hand-computed answers of a small ONNX file, its card, whole runs, and the model of `fer`."""

import hashlib
import json

import numpy as np
import pytest
import yaml
from fer_bench_predictors import OnnxParams, from_fer, network, notes
from fer_bench_predictors.card import Card
from messages import says
from typer.testing import CliRunner

import fer_bench
from fer_bench.cli import app
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.executors.kept import file_of
from fer_bench.labels import EXPRESSIONS
from fer_bench.networks.identity import identity
from fer_bench.registry import Registry
from fer_bench.results.store import Store
from fer_bench.tasks.view import select

SLOPES = [1.0, 0.5, -1.0]
"""Of the logits of happy, bored and sad in the average of all channels."""


CHANNELS = {"output": "features", "layout": "nchw", "channels": 3, "input_size": 4, "value_range": [0, 255]}
"""What a card says of the model that `write_channels` writes."""


@pytest.fixture
def write_channels(tmp_path):
    """Return a function that writes a model of the sums of red and green and twice blue, whose weights lie beside it.

    Its inner tensor ``maps`` (b, 2, 4, 4) and its output ``sums`` (b, 2), of a size that it leaves open.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(name="card.yaml", location="w.bin", size="side", **changes):
        weights = np.array([[1, 1, 0], [0, 0, 2]], np.float32).reshape(2, 3, 1, 1)
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["maps"]),
            helper.make_node("ReduceSum", ["maps", "space"], ["sums"], keepdims=0),
        ]
        graph = helper.make_graph(
            nodes,
            "channels",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, size, size])],
            [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([2, 3]), "space")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
        model.graph.initializer[0].ClearField("raw_data")
        (tmp_path / "w.bin").write_bytes(weights.tobytes())
        content = model.SerializeToString()
        (tmp_path / "channels.onnx").write_bytes(content)
        fields = {"title": "channels", "model": "channels.onnx", "trained_on": "nothing", **CHANNELS}
        card = tmp_path / name
        card.write_text(yaml.safe_dump({**fields, "sha256": hashlib.sha256(content).hexdigest(), **changes}))
        return card

    return write


@pytest.fixture
def write_model(tmp_path):
    """Return a function that writes an ONNX classifier of the average brightness, and its card."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(*, batch="batch", layout="nhwc", softmax=True, uint8=False, **changes):
        axes, pixels = [1, 2, 3], "pixels" if uint8 else "x"
        shape = [batch, 8, 8, 1] if layout == "nhwc" else [batch, 1, 8, 8]
        nodes = [
            *([helper.make_node("Cast", ["x"], ["pixels"], to=TensorProto.FLOAT)] if uint8 else []),
            helper.make_node("ReduceMean", [pixels], ["mean"], axes=axes, keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
            helper.make_node("MatMul", ["column", "slopes"], ["logits" if softmax else "answer"]),
        ]
        nodes += [helper.make_node("Softmax", ["logits"], ["answer"])] if softmax else []
        graph = helper.make_graph(
            nodes,
            "brightness",
            [helper.make_tensor_value_info("x", TensorProto.UINT8 if uint8 else TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, 3])],
            [
                numpy_helper.from_array(np.array([SLOPES], np.float32), "slopes"),
                numpy_helper.from_array(np.array([1], np.int64), "one"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        content = model.SerializeToString()
        (tmp_path / "brightness.onnx").write_bytes(content)
        card = {
            "title": "brightness",
            "model": "brightness.onnx",
            "sha256": hashlib.sha256(content).hexdigest(),
            "labels": ["happy", "bored", "sad"],
            "drop": ["bored"],
            "input_size": 8,
            "channels": 1,
            "value_range": [0, 1],
            "layout": layout,
            "output": "probabilities" if softmax else "logits",
            "trained_on": "nothing",
            "parameters": 3,
        } | changes
        file = tmp_path / "card.yaml"
        file.write_text(yaml.safe_dump(card))
        return file

    return write


def _build(card):
    return network.build(OnnxParams(card=str(card)), rngs=None)


@pytest.mark.parametrize(
    ("batch", "layout", "softmax"), [("batch", "nhwc", True), (2, "nchw", True), (1, "nhwc", False)]
)
def test_answers_are_those_worked_out_by_hand(write_model, batch, layout, softmax):
    """Grey 0.299 r + 0.587 g + 0.114 b of 255, 0 and (255, 0, 0): brightness 1, 0 and 0.299."""
    images = np.zeros((3, 8, 8, 3), np.uint8)
    images[0], images[2, ..., 0] = 255, 255
    answer = _build(write_model(batch=batch, layout=layout, softmax=softmax))(images)
    for row, brightness in zip(answer, (1, 0, 0.299), strict=True):
        share = np.exp(np.array(SLOPES) * brightness)
        share /= share.sum()
        assert row[EXPRESSIONS.index("happiness")] == pytest.approx(share[0], rel=1e-5)
        assert row[EXPRESSIONS.index("sadness")] == pytest.approx(share[2], rel=1e-5)
        assert row.sum() == pytest.approx(share[0] + share[2], rel=1e-5)


def test_a_model_of_bytes_is_given_the_nearest_bytes(write_model):
    """Grey of (10, 20, 31) is 18.264 and of 255s at most 255: 18 and 255 as bytes, which the model averages."""
    images = np.full((2, 8, 8, 3), (10, 20, 31), np.uint8)
    images[1] = 255
    answer = _build(write_model(uint8=True, value_range=[0, 255]))(images)
    for row, brightness in zip(answer, (18, 255), strict=True):
        share = np.exp(np.array(SLOPES) * brightness - 255)
        assert row[EXPRESSIONS.index("happiness")] == pytest.approx(share[0] / share.sum(), rel=1e-5)


def test_a_damaged_file_is_refused_in_words(write_model):
    card = write_model()
    file = card.with_name("brightness.onnx")
    content = file.read_bytes()
    for damaged in (b"", content[:50], content[: len(content) // 2], b"\x80\x04pickle", content[:-40]):
        file.write_bytes(damaged)
        with pytest.raises(FerBenchError, match="sha256"):
            _build(card)
        _relabelled(card, sha256=hashlib.sha256(damaged).hexdigest())
        with pytest.raises(FerBenchError) as refused:
            _build(card)
        assert says(str(refused.value), "brightness.onnx", "ONNX")


def test_pixels_become_what_the_card_says():
    fields = {"title": "t", "model": "m", "sha256": "0" * 64, "labels": ["happy", "sad"], "trained_on": "x"}
    colour = {"input_size": 1, "channels": 3, "layout": "nchw", "output": "logits", "value_range": [0, 1]}
    card = Card(**fields, **colour, colours="bgr", mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.1])
    ready = network.prepare(np.array([[[[255, 51, 0]]]], np.float32), card)
    assert ready.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(ready.ravel(), [-1, -1, 7], atol=1e-6)


def test_a_card_says_all_that_is_wrong_with_it_at_once(write_model):
    card = write_model(labels=["happy", "bored", "Joy"], drop=["sleepy"], std=[0, 1])
    with pytest.raises(FerBenchError) as caught:
        Registry.load().backbone(f"onnx[card={card}]")
    for part in ("'sleepy'", "'bored' is none of neutral", "two labels mean 'happiness'", "2 values for 1", "above 0"):
        assert part in str(caught.value)


def test_a_card_needs_what_would_have_to_be_guessed(tmp_path):
    (tmp_path / "card.yaml").write_text("title: a model\nsize: 3\n")
    with pytest.raises(FerBenchError) as caught:
        Card.of(str(tmp_path / "card.yaml"))
    for part in ("labels", "value_range", "layout", "output", "trained_on", "size: is not known"):
        assert part in str(caught.value)
    with pytest.raises(FerBenchError, match="No such file"):
        Card.of(str(tmp_path / "none.yaml"))
    with pytest.raises(FerBenchError, match="needs a card"):
        Card.of("")


def test_another_file_under_the_same_card_is_an_error(write_model):
    with pytest.raises(FerBenchError, match=r"sha256 [0-9a-f]{64}.* 0{64}"):
        _build(write_model(sha256="0" * 64))


def test_a_card_that_does_not_fit_the_model_is_refused_before_a_run_all_at_once(write_model):
    wrong = {"labels": ["happy", "sad"], "drop": [], "layout": "nchw", "input_size": 9, "channels": 3}
    card = _relabelled(write_model(), **wrong)
    with pytest.raises(FerBenchError) as caught:
        identity(Registry.load().backbone(f"onnx[card={card}]"), "float32")
    assert says(str(caught.value), "(batch, 8, 8, 1)", "(images, 3, 9, 9)", "(batch, 3)", "happy, sad")
    with pytest.raises(FerBenchError, match="output: logits"):
        _build(write_model(softmax=False, output="probabilities"))
    with pytest.raises(FerBenchError, match=r"'colunm'.*'column'"):
        _build(write_model(tensor="colunm"))
    card = write_model(output="features", labels=["happy", "sad"], drop=[])
    with pytest.raises(FerBenchError, match="happy, sad"):
        Card.of(str(card))


def test_features_are_of_any_length_and_of_any_tensor(write_channels, write_model):
    """Of an image of 10, 20, 30 on 16 pixels: sums 16 * (10 + 20) and 16 * 60; maps averaged over space 30 and 60."""
    image = np.full((6, 9, 3), (10, 20, 30), np.uint8)
    sums = _build(write_channels())
    assert (sums.feature_size, sums.parameter_count) == (2, 6)
    np.testing.assert_allclose(sums([image]), [[480, 960]], rtol=1e-6)
    np.testing.assert_allclose(_build(write_channels(tensor="maps"))([image]), [[30, 60]], rtol=1e-6)
    brightness = _build(_relabelled(write_model(tensor="column", output="features"), labels=[], drop=[]))
    np.testing.assert_allclose(brightness([np.full((8, 8, 3), 51, np.uint8)]), [[0.2]], rtol=1e-6)
    backbone = Registry.load().backbone(f"onnx[card={write_channels()}]")
    assert backbone.spec.answers == ""
    assert list(identity(backbone, "float32")["files"]) == ["card", "weights 'w.bin'"]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"location": "../w.bin"}, ("channels.onnx", "'../w.bin'")),
        ({"location": "gone.bin"}, ("channels.onnx", "'gone.bin'")),
        ({"size": 5}, ("(n, 3, 5, 5)", "input_size 4", "(images, 3, 4, 4)")),
        ({"output": "logits"}, ("labels", "missing")),
        ({"tensor": "space"}, ("'space'",)),
        ({"model": "elsewhere.onnx"}, ("elsewhere.onnx",)),
    ],
)
def test_graphs_that_do_not_fit_are_refused_when_the_grid_is_made(write_channels, changes, parts):
    registry, card = Registry.load(), write_channels(**changes)
    with pytest.raises(FerBenchError) as caught:
        identity(registry.backbone(f"onnx[card={card}]"), "float32")
    assert says(str(caught.value), *parts)


def test_a_first_card_says_what_the_graph_says_and_asks_for_the_rest(write_model, tmp_path):
    card = write_model(batch=2, layout="nchw", uint8=True)
    known = yaml.safe_load(card.read_text())
    made = CliRunner().invoke(app, ["card", "make", str(tmp_path / "brightness.onnx")])
    assert made.exit_code == 0, made.output
    draft = tmp_path / "brightness.yaml"
    assert made.stdout.strip() == str(draft)
    written = yaml.safe_load(draft.read_text())
    same = ("model", "sha256", "input_size", "channels", "layout", "output", "parameters", "title")
    assert {name: written[name] for name in same} == {name: known[name] for name in same}
    assert written["value_range"] == [0, 255]
    assert [name for name, value in written.items() if value is None] == ["labels", "trained_on"]
    assert says(made.stderr, "labels", "3", "trained_on")
    with pytest.raises(FerBenchError) as caught:
        Card.of(str(draft))
    assert says(str(caught.value), "labels", "trained_on")
    _relabelled(draft, labels=known["labels"], drop=["bored"], trained_on="nothing")
    np.testing.assert_array_equal(_build(draft)([np.full((8, 8, 3), 9, np.uint8)]).sum(1) > 0, [True])
    again = CliRunner().invoke(app, ["card", "make", str(tmp_path / "brightness.onnx")])
    assert says(str(again.exception), "brightness.yaml")
    (tmp_path / "model.bin").write_bytes(b"")
    unknown = CliRunner().invoke(app, ["card", "make", str(tmp_path / "model.bin")])
    assert says(str(unknown.exception), "model.bin", "fer-bench-predictors")


def _relabelled(card, **changes):
    card.write_text(yaml.safe_dump(yaml.safe_load(card.read_text()) | changes))
    return card


def test_the_cards_size_is_the_inputs_and_no_other(write_model):
    card = write_model()
    backbone = Registry.load().backbone(f"onnx[card={card}]")
    assert backbone.params.input_size == 8
    assert str(backbone) == "onnx[card=card.yaml]"
    assert backbone.identity()["files"] == {"card": hashlib.sha256(card.read_bytes()).hexdigest()}
    assert str(card.parent) not in json.dumps(backbone.identity())
    with pytest.raises(FerBenchError, match="takes 8 pixels, not 9"):
        Registry.load().backbone(f"onnx[card={card},input_size=9]")
    assert notes(backbone.params)[0].startswith("brightness, trained on")


def _run(tmp_path, *arguments):
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("runs", "data", "cache")]
    dataset = ["--dataset", "synthetic[n=70,size=32]", "--folds", "2"]
    return CliRunner().invoke(app, ["run", *dataset, *folders, *arguments])


@pytest.mark.slow
def test_a_run_scores_the_answers_on_the_same_folds(write_model, write_channels, tmp_path):
    """The classifier knows two of seven classes: it answers with one of them for every image."""
    card, features = write_model(), write_channels(name="features.yaml")
    frozen = ["--strategy", "linear-probe", "--strategy", "knn", "--strategy", "svm"]
    result = _run(tmp_path, "--backbone", f"onnx[card={features}]", *frozen, "--json")
    assert result.exit_code == 0, result.output
    rows = {row["strategy"]: row for row in json.loads(result.stdout)["rows"] if row["backbone"]}
    assert {name: row["n"] for name, row in rows.items()} == {"linear-probe": 70, "knn": 70, "svm": 70}
    assert rows["linear-probe"]["parameters"] == 6 + 7 * (2 + 1)
    refused = _run(tmp_path, "--backbone", f"onnx[card={features}]", "--strategy", "as-is", "--strategy", "finetune")
    assert says(str(refused.exception), "'as-is'", "features.yaml", "'finetune'", "features.yaml")
    result = _run(
        tmp_path, "--backbone", f"onnx[card={card}]", "--strategy", "as-is", "--strategy", "linear-probe", "--json"
    )
    assert result.exit_code == 0, result.output
    board = [row for row in json.loads(result.stdout)["rows"] if "features" not in str(row["backbone"])]
    rows = {row["strategy"]: row for row in board if row["backbone"]}
    assert rows["as-is"]["n"] == rows["linear-probe"]["n"] == 70
    assert (rows["as-is"]["parameters"], rows["as-is"]["trained_parameters"]) == (3, 0)
    assert rows["as-is"]["scores"]["uar"]["mean"] <= 2 / 7
    assert says(result.stderr, "trained on: nothing", "not know")
    import pandas as pd

    tables = [pd.read_feather(file) for file in (tmp_path / "runs").rglob("predictions.feather")]
    answered = [table for table in tables if (table.filter(regex=r"^p\d") > 0).sum(axis=1).eq(2).all()]
    assert len(answered) == 2  # the folds of as-is
    np.testing.assert_allclose(pd.concat(answered).filter(regex=r"^p\d").sum(axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_finished_classifier_is_calibrated_on_the_training_side_and_kept(write_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a record names the card without its folder
    words = ["run", "--backbone", f"onnx[card={write_model()}]", "--strategy", "as-is[calibrate=temperature]"]
    words += ["--dataset", "synthetic[n=140,size=32]", "--folds", "2", "--keep", "all", "--data-dir", "data"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    dataset = Registry.load().dataset("synthetic[n=140,size=32]")
    view = select(dataset, prepare(dataset, tmp_path / "data"), None)
    places = {name: place for place, name in enumerate(view.column("id").tolist())}
    for cell in Store(tmp_path / "runs").cells()[0]:
        model, table = fer_bench.load_model(file_of(tmp_path / "runs", cell.id)), cell.table()
        images = view.images(np.array([places[name] for name in table["id"].to_pylist()]))
        stored = np.stack([table[f"p{c}"].to_numpy() for c in range(7)], axis=1)
        np.testing.assert_allclose(model.predict(images), stored, atol=1e-6)
        assert np.abs(model.look(images) - stored).max() > 1e-3, "it is calibrated"


def test_as_is_needs_a_finished_classifier(tmp_path):
    result = _run(tmp_path, "--backbone", "mini-xception", "--strategy", "as-is")
    assert "finished classifier" in str(result.exception)


@pytest.mark.slow
def test_the_model_of_fer_is_the_papers_network(tmp_path):
    """Held against our own mini-Xception with the same numbers, which shares no code with the converter."""
    pytest.importorskip("onnx")
    h5py = pytest.importorskip("h5py")
    mini = pytest.importorskip("fer_bench_xception.mini")
    try:
        file = from_fer.find()
    except FerBenchError as error:
        pytest.skip(str(error))
    from flax import nnx

    card = from_fer.convert(tmp_path)
    classifier = _build(card)
    assert classifier.card.parameters == 56_951
    model = mini.MiniXception(rngs=nnx.Rngs(0))
    model.eval()
    with h5py.File(file) as opened:
        read = opened["model_weights"]

        def weights(layer):
            names = [name.decode() if isinstance(name, bytes) else name for name in read[layer].attrs["weight_names"]]
            return [np.asarray(read[layer][name]) for name in names]

        convolutions = [(model.stem.conv1, "conv2d_1", 1), (model.stem.conv2, "conv2d_2", 2)]
        separable = []
        for i, block in enumerate((model.block1, model.block2, model.block3, model.block4)):
            # Keras numbers the norm of the shortcut before those of the two convolutions beside it.
            convolutions.append((block.shortcut, f"conv2d_{3 + i}", 3 + 3 * i))
            separable.append((block.sepconv1, f"separable_conv2d_{1 + 2 * i}", 4 + 3 * i))
            separable.append((block.sepconv2, f"separable_conv2d_{2 + 2 * i}", 5 + 3 * i))
        for part, layer, _ in convolutions:
            part.kernel[...] = weights(layer)[0].reshape(part.kernel.shape)
        for part, layer, _ in separable:
            deep, point = weights(layer)
            part.depthwise[...], part.pointwise[...] = deep[..., 0], point[0, 0]
        for part, _, number in (*convolutions, *separable):
            norm = part.norm
            norm.scale[...], norm.bias[...], norm.mean[...], norm.var[...] = weights(f"batch_normalization_{number}")
        kernel, bias = weights("conv2d_7")
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    graph, state = nnx.split(model)
    import jax

    x = network.prepare(images.astype(np.float32), classifier.card)
    with jax.default_matmul_precision("highest"):
        features = np.asarray(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x))
    logits = features @ kernel.reshape(-1, 7) + bias
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    places = [EXPRESSIONS.index(name) for name in classifier.card.expressions]
    np.testing.assert_allclose(classifier(images)[:, places], share, atol=1e-5)
