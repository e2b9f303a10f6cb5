"""`fer-bench verify`: claims with planted defects on drawn faces, claims in which nothing is wrong, and bad files.

The classifier reads the red channel of 24 x 24 pixels by one matrix, which is fitted to the drawn faces that it is
tested on, so that it knows them well; `tests/claims_campaign.py` does the same with a real one on real faces.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from messages import says
from PIL import Image
from planted_claims import permute_outputs, write_card, write_claim, write_folder
from typer.testing import CliRunner

from fer_bench import paths
from fer_bench.claims import search
from fer_bench.claims.changes import KERNELS, PLAIN, crop_centre, resize, undo_softmax
from fer_bench.claims.claim import Claim, read_claim
from fer_bench.claims.judging import ClaimTerms, cut_in_halves, explains, judge, score
from fer_bench.claims.orders import fit_order, known_orders, read_outputs
from fer_bench.cli import app
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.labels import BASIC_7
from fer_bench.registry import Registry

SIDE = 24
TERMS = ClaimTerms(metric=STANDARD["accuracy"], claimed=0.7, margin=0.02, alpha=0.05)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return a folder with drawn faces in splits, and the card of a classifier that knows them."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("claims")
    registry = Registry.load()
    prepared = prepare(registry.dataset("synthetic[n=140,size=48]"), paths.data_dir())
    images = prepared.images(np.arange(140))
    names = [BASIC_7[label] for label in prepared.samples["label"].to_numpy()]
    small = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE)))[..., 0] for image in images]
    x = np.stack(small).reshape(140, -1) / 127.5 - 1
    targets = np.eye(7)[[BASIC_7.index(name) for name in names]]
    matrix = 8 * np.linalg.solve(x.T @ x + 10 * np.eye(SIDE**2), x.T @ targets)
    constants = {"red": np.array([0], np.int64), "flat": np.array([0, -1], np.int64), "matrix": np.float32(matrix)}
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["reds"], axis=3),
        helper.make_node("Reshape", ["reds", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reds",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    (folder / "reds.onnx").write_bytes(model.SerializeToString())
    card = folder / "card.yaml"
    values = {"title": "reds", "model": "reds.onnx", "labels": list(BASIC_7), "input_size": SIDE, "channels": 3}
    values |= {"value_range": [-1, 1], "layout": "nhwc", "output": "probabilities", "trained_on": "the same faces"}
    values["sha256"] = hashlib.sha256((folder / "reds.onnx").read_bytes()).hexdigest()
    card.write_text(yaml.safe_dump(values))
    half = (np.arange(140) % 2).astype(bool)
    mixed = [image if even else image[::-1] for image, even in zip(images, half, strict=True)]
    write_folder(folder / "plain", {"test": (images, names), "val": (mixed, names)})
    return folder, card, onnx.load(folder / "reds.onnx")


def _verify(claim):
    """Return the exit code and the record of a verdict."""
    result = CliRunner().invoke(app, ["verify", str(claim), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture(scope="module")
def true_score(drawn):
    folder, card, _ = drawn
    code, record = _verify(write_claim(folder / "low.yaml", card, folder / "plain", metric="accuracy", score=0.1))
    assert (code, record["verdict"], record["reason"]) == (0, "CONFIRMED", None)
    assert record["measured"]["score"] > 0.8
    return round(record["measured"]["score"], 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("planted", "kinds", "part"),
    [
        ("order", ["order"], "AffectNet"),
        ("nobody", ["order"], "happiness, neutral, surprise"),
        ("values", ["values"], "pixels of"),  # a sum answers the same for several ranges
    ],
)
def test_a_planted_defect_is_named(drawn, true_score, planted, kinds, part):
    folder, card, graph = drawn
    made, data = folder / f"{planted}.yaml", folder / "plain"
    labels = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
    changes = {"order": {"labels": labels}, "values": {"value_range": [0, 255]}}
    if planted == "nobody":
        changes["nobody"] = {"graph": permute_outputs(graph, [1, 0, 3, 2, 5, 4, 6])}
    write_card(card, made, **changes.get(planted, {}))
    claim = write_claim(folder / f"{planted}-claim.yaml", made, data, metric="accuracy", score=true_score)
    code, record = _verify(claim)
    assert (code, record["verdict"]) == (2, "NOT COMPARABLE")
    assert record["reason"]["kinds"] == kinds
    assert part in record["reason"]["what"]
    assert record["reason"]["reached"]["images"] == 70  # the half that the search did not see
    assert record["reason"]["reached"]["score"] > true_score - 0.05


@pytest.mark.slow
def test_a_claim_that_nothing_explains_is_refuted_and_another_split_is_named(drawn, true_score, monkeypatch):
    monkeypatch.setattr(search, "DEEPEST", 1)  # pairs of changes are the campaign's
    folder, card, _ = drawn
    mixed = write_claim(folder / "mixed.yaml", card, folder / "plain", split="val", metric="accuracy", score=1.0)
    code, record = _verify(mixed)
    assert (code, record["verdict"], record["reason"]) == (1, "REFUTED", None)
    assert record["settings_tried"] > 20
    mixed = write_claim(mixed, card, folder / "plain", split="val", metric="accuracy", score=true_score)
    result = CliRunner().invoke(app, ["verify", str(mixed)])
    assert result.exit_code == 1
    assert says(result.stdout, "REFUTED", "'test'", f"{100 * true_score:.1f}", "140 images")


def test_bad_claims_say_all_that_is_wrong_in_one_message(tmp_path):
    file = tmp_path / "claim.yaml"
    file.write_text("dataset: folder[split=test]\nmetric: uar\nscor: 0.6\nscore: 65.7\nmargin: 2\nfaces: cut\n")
    result = CliRunner().invoke(app, ["verify", str(file)])
    assert isinstance(result.exception, FerBenchError)
    faults = (
        "scor",
        "'score'",
        "model",
        "split",
        "all",
        "faces",
        "'align'",
        "margin",
        "2pt",
        "score",
        "65.7pt",
        "dataset",
    )
    assert says(str(result.exception), *faults)
    for content, parts in ((None, ("claim", "claim.yaml")), ("- model: m", ("list", "onnx[card=model.yaml]"))):
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(FerBenchError) as caught:
            read_claim(file)
        assert says(str(caught.value), *parts)
    good = {"model": "m", "dataset": "folder[path=x]", "split": "test", "metric": "accuracy", "score": 65.7}
    for change, parts in (
        ({}, ("score", "0 to 1", "65.7pt")),
        ({"score": 0.5, "metric": "acuracy"}, ("acuracy", "'accuracy'")),
        ({"score": 0.5, "dataset": "folder[split=test]"}, ("split",)),
        ({"score": 0.5, "margin": 2, "alpha": 0.7}, ("margin", "2pt", "alpha", "0.7")),
        ({"score": 0.5, "metric": "ece"}, ("ECE", "nll")),
        ({"score": 0.5, "faces": "aligned"}, ("faces", "'align'")),
        ({"score": "half"}, ("score", "half")),
    ):
        file.write_text(yaml.safe_dump(good | change))
        with pytest.raises(FerBenchError) as caught:
            read_claim(file)
        assert says(str(caught.value), *parts), (change, str(caught.value))
    file.write_text(yaml.safe_dump(good | {"score": "65.7pt", "margin": "3pt"}))
    claim, metric = read_claim(file)
    assert (claim.score, claim.margin, metric.name) == (pytest.approx(0.657), 0.03, "accuracy")


def test_models_and_classes_that_do_not_fit_are_refused(drawn, tmp_path):
    folder, card, _ = drawn
    claim = write_claim(tmp_path / "claim.yaml", card, folder / "plain", metric="accuracy", score=0.5)
    for change, parts in (
        ({"model": "mini-xception"}, ("mini-xception", "finished")),
        ({"model": "none.safetensors"}, ("none.safetensors",)),
        ({"split": "tset"}, ("tset", "'test'")),
        ({"labels": "happy,bored"}, ("bored",)),
    ):
        values = yaml.safe_load(claim.read_text()) | change
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
        result = CliRunner().invoke(app, ["verify", str(tmp_path / "other.yaml")])
        assert isinstance(result.exception, FerBenchError), change
        assert says(str(result.exception), *parts), (change, str(result.exception))


def test_a_model_that_lacks_a_class_cannot_be_compared(drawn, tmp_path):
    folder, card, _ = drawn
    partial = write_card(card, tmp_path / "partial.yaml", labels=["bored", *BASIC_7[1:]], drop=["bored"])
    claim = write_claim(tmp_path / "claim.yaml", partial, folder / "plain", metric="accuracy", score=0.5)
    code, record = _verify(claim)
    assert (code, record["verdict"], record["measured"]) == (2, "NOT COMPARABLE", None)
    assert says(record["why"], "neutral", "labels:")


def _measured(right, n):
    """Return the score of n answers, the first ``right`` of them right."""
    labels = np.arange(n) % 2
    answers = np.where(np.arange(n) < right, labels, 1 - labels)
    return score(TERMS, labels, np.eye(2)[answers], None)


@pytest.mark.parametrize(
    ("right", "n", "verdict"),
    [
        (1400, 2000, "CONFIRMED"),
        (1900, 2000, "CONFIRMED"),  # better than the claim
        (7, 10, "CONFIRMED"),  # the claimed score to the last digit
        (1340, 2000, "REFUTED"),
        (27, 40, "UNDERPOWERED"),
    ],
)
def test_a_verdict_is_the_gates_against_the_claimed_score(right, n, verdict):
    assert judge(TERMS, _measured(right, n)) == verdict


def test_a_reason_must_reach_the_claim_and_close_half_of_the_shortfall():
    low, half, near = (_measured(right, 2000) for right in (1200, 1290, 1390))
    assert explains(TERMS, low, near)
    assert not explains(TERMS, low, half)  # 64.5 of 70 claimed
    assert not explains(TERMS, near, near)  # nothing is gained


def test_halves_keep_units_whole():
    units = np.repeat(np.arange(11), 3)
    searched, unseen = cut_in_halves(units, 33)
    assert sorted([*searched, *unseen]) == list(range(33))
    assert not {*units[searched].tolist()} & {*units[unseen].tolist()}
    assert abs(len(searched) - len(unseen)) == 3


def test_a_second_softmax_is_undone():
    once = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    twice = np.exp(once) / np.exp(once).sum(1, keepdims=True)
    np.testing.assert_allclose(undo_softmax(twice), once, atol=1e-6)


def test_pictures_are_resized_and_cropped_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    assert crop_centre(0.5, image)[..., 0].tolist() == [[5, 6], [9, 10]]
    assert resize(2, "nearest", image)[..., 0].tolist() == [[5, 7], [13, 15]]
    assert resize(2, "box", image)[..., 0].tolist() == [[3, 5], [11, 13]]  # means of four, halves rounded up
    assert {resize(2, kernel, np.repeat(image, 3, axis=2)).shape for kernel in (*KERNELS, PLAIN)} == {(2, 2, 3)}


def test_orders_are_those_of_data_sets_and_the_fitted_one():
    outputs = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    known = {order.labels: order.origin for order in known_orders(Registry.load(), outputs)}
    assert outputs not in known
    assert "AffectNet" in known[BASIC_7]
    assert "RAF-DB" in known["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
    labels = np.repeat([0, 1, 2], 20)
    raw = np.eye(3)[(labels + 1) % 3]  # the output beside the right one
    assert fit_order(("a", "b", "c"), raw, labels, ("a", "b", "c")).labels == ("c", "a", "b")
    seen = labels < 2  # of c nothing is known, and it keeps what is left
    assert fit_order(("a", "b", "c"), raw[seen], labels[seen], ("a", "b", "c")).labels == ("c", "a", "b")


def test_outputs_are_read_by_their_names():
    raw = np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    read = read_outputs(raw, ("happiness", "anger", "contempt"), ("Angry", "happy"))
    np.testing.assert_allclose(read, [[0.375, 0.625], [0.5, 0.5]])
    with pytest.raises(FerBenchError, match="anger"):
        read_outputs(raw, ("anger", "angry", "happy"), ("anger", "happy"))


def test_the_schema_names_every_key():
    schema = Claim.model_json_schema()
    assert set(schema["required"]) == {"model", "dataset", "split", "metric", "score"}
    assert all(part.get("description") for part in schema["properties"].values())
    assert schema["additionalProperties"] is False


def test_the_claim_of_the_page_is_one(tmp_path):
    """The first block of docs/verify.md; README.md shows the command that the other tests run."""
    page = (Path(__file__).parents[1] / "docs" / "verify.md").read_text(encoding="utf-8")
    file = tmp_path / "claim.yaml"
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    schema = json.loads((Path(__file__).parents[1] / "docs" / "schemas" / "claim.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), schema)
    claim, metric = read_claim(file)
    assert (claim.dataset, claim.split, metric.name, claim.score) == ("fer2013", "privatetest", "accuracy", 0.657)
