"""Trained models: what is kept of a cell predicts what the cell predicted, and foreign or damaged files say so.

The commands are those of docs/models.md and of README.md, on small data.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import shutil

import jsonschema
import numpy as np
import pytest
import yaml
from messages import says
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import fer_bench
from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.executors.kept import file_of
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.run import run_grid
from fer_bench.models.files import KEY
from fer_bench.models.pictures import BATCH
from fer_bench.networks.parameters import divide
from fer_bench.registry import Registry
from fer_bench.results import corrupted
from fer_bench.results.reading import read_predictions
from fer_bench.results.store import Store

STRATEGIES = ("linear-probe", "knn", "lora[epochs=1,rank=2]", "full[augment=affine,epochs=2]")


@pytest.fixture(scope="module")
def kept(small, tmp_path_factory):
    """Return the settings of a run that kept the model of every cell."""
    folder = tmp_path_factory.mktemp("kept")
    config = RunConfig(
        backbones=("tiny",),
        strategies=STRATEGIES,
        limit=42,
        folds=2,
        keep="all",
        corrupt=("brightness[severity=3]",),
        runs_dir=folder / "runs",
    )
    run_grid([config], Registry.load(), TerminalReporter(quiet=True))
    return config


@pytest.fixture(scope="module")
def images(kept):
    """Return sample id -> decoded image of the run's data."""
    registry = Registry.load()
    from fer_bench.data.prepare import prepare
    from fer_bench.tasks.view import select

    dataset = registry.dataset("synthetic")
    view = select(dataset, prepare(dataset, kept.data_folder), kept.limit, kept.labels)
    return dict(zip(view.column("id").tolist(), view.images(np.arange(len(view.rows))), strict=True))


def _cells_of(store, strategy):
    return [cell for cell in store.cells()[0] if cell.record.strategy.name == strategy.partition("[")[0]]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_kept_model_predicts_what_its_cell_predicted(kept, images, strategy):
    cells = [
        cell for cell in Store(kept.runs_dir).cells()[0] if cell.record.strategy.name == strategy.partition("[")[0]
    ]
    assert len(cells) == 2
    assert all(cell.ok for cell in cells), [cell.error for cell in cells]
    for cell in cells:
        predictions, _, _ = read_predictions([cell])
        model = fer_bench.load_model(file_of(kept.runs_dir, cell.id))
        table = cell.table()
        tested = [images[name] for name in table.column("id").to_pylist()]
        said = model.predict(tested)
        # Heads read features that the cache keeps in half precision; it keeps none of corrupted images.
        rounding = {"linear-probe": 5e-4, "knn": 3e-3}.get(strategy, 2e-5)
        np.testing.assert_allclose(said, predictions.probabilities, atol=rounding)
        brighter = [np.minimum(image.astype(int) + 50, 255).astype(np.uint8) for image in tested]
        (one,) = corrupted.find(cell)
        predictions, _, _ = read_predictions([corrupted.corrupted(cell, table, one)])
        np.testing.assert_allclose(model.predict(brighter), predictions.probabilities, atol=2e-5)
        assert model.classes == cell.record.dataset.classes
        assert model.record.fold == cell.record.fold
        assert sum(model.record.counts) + len(said) == 42


@pytest.mark.slow
def test_a_model_holds_only_what_is_not_the_backbones_own(kept):
    sizes = {}
    for cell in Store(kept.runs_dir).cells()[0]:
        names = set(load_file(file_of(kept.runs_dir, cell.id)))
        sizes[cell.record.strategy.name] = names
    assert sizes["linear-probe"] == {"head/kernel", "head/bias"}
    assert sizes["knn"] == {"readout/features", "readout/labels"}
    stages = {name: {key.partition("/")[0] for key in keys} - {"head"} for name, keys in sizes.items()}
    assert stages["full"] == {"stem", "low", "middle", "top"}
    assert stages["lora"] == {"middle", "top"}, "frozen stages are the backbone's own"
    ends = {name.rpartition("/")[2] for name in sizes["lora"] if not name.startswith("head/")}
    assert ends == {"left", "right"}, "low-rank changes are their factors"


@pytest.mark.slow
def test_the_best_model_of_each_row_stays(kept, tmp_path):
    shutil.copytree(kept.runs_dir, tmp_path / "runs")
    best = kept.model_copy(update={"keep": "best", "runs_dir": tmp_path / "runs"})
    run_grid([best], Registry.load(), TerminalReporter(quiet=True))
    store = Store(tmp_path / "runs")
    assert sorted((tmp_path / "runs" / "models").iterdir()) == sorted(
        file_of(tmp_path / "runs", _better(_cells_of(store, strategy)).id) for strategy in STRATEGIES
    )


def _better(cells):
    def uar(cell):
        predictions, _, _ = read_predictions([cell])
        hits = predictions.probabilities.argmax(1) == predictions.labels
        return np.mean([hits[predictions.labels == c].mean() for c in np.unique(predictions.labels)])

    return max(cells, key=uar)


@pytest.fixture(scope="module")
def fitted(kept):
    """Return the file of a model that was trained on all data, after `kept` tested the method."""
    output = kept.runs_dir.parent / "model.safetensors"
    words = ["--backbone", "tiny", "--limit", "42", "--folds", "2", "--runs-dir", str(kept.runs_dir)]
    done = CliRunner().invoke(app, ["fit", *words, "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "2 folds" not in done.stderr
    return output


@pytest.mark.slow
def test_fit_trains_on_all_and_records_the_cross_validated_score(kept, fitted):
    record = fer_bench.load_model(fitted).record
    assert sum(record.counts) == 42
    assert record.fold is None
    assert record.score is not None
    cells = [cell for cell in Store(kept.runs_dir).cells()[0] if cell.record.strategy.text == "linear-probe"]
    predictions, _, _ = read_predictions(cells)
    hits = predictions.probabilities.argmax(1) == predictions.labels
    assert record.score.value == pytest.approx(np.mean([hits[predictions.labels == c].mean() for c in range(7)]))
    assert record.score.images == 42
    assert record.score.low < record.score.value < record.score.high


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    """Return a folder of pictures, one below another folder, and a text."""
    made = tmp_path_factory.mktemp("pictures")
    (made / "deeper").mkdir()
    for number, image in enumerate(list(images.values())[:5]):
        Image.fromarray(image.squeeze()).save(made / ("deeper" if number == 4 else ".") / f"{number}.png")
    (made / "notes.txt").write_text("no picture")
    return made


def _predict(model, *words, **more):
    return CliRunner().invoke(app, ["predict", str(model), *map(str, words)], **more)


@pytest.mark.slow
def test_predict_reads_a_folder_a_table_a_list_and_a_picture(fitted, folder, images):
    model = fer_bench.load_model(fitted)
    expected = model.predict(list(images.values())[:5])
    names = [str(folder / f"{number}.png") for number in range(4)] + [str(folder / "deeper" / "4.png")]
    done = _predict(fitted, folder, "--format", "json")
    assert done.exit_code == 0, done.output
    records = {record["picture"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert set(records) == set(names)
    for name, chances in zip(names, expected, strict=True):
        np.testing.assert_allclose(list(records[name]["probabilities"].values()), chances, atol=1e-5)
        assert records[name]["expression"] == model.classes[chances.argmax()]
        assert records[name]["box"] is None
    (folder / "list.csv").write_text("image,x\n3.png,1\ndeeper/4.png,2\n")
    rows = list(csv.DictReader(io.StringIO(_predict(fitted, folder / "list.csv", "--format", "csv").stdout)))
    assert [row["picture"] for row in rows] == [names[3], names[4]]
    assert float(rows[0][f"p_{model.classes[2]}"]) == pytest.approx(expected[3][2], abs=1e-5)
    listed = _predict(fitted, "-", "--format", "json", input="\n".join(names[:2]).encode())
    assert [json.loads(line)["picture"] for line in listed.stdout.splitlines()] == names[:2]
    piped = _predict(fitted, "-", "--format", "json", input=(folder / "2.png").read_bytes())
    assert json.loads(piped.stdout)["expression"] == model.classes[expected[2].argmax()]
    table = _predict(fitted, names[0])
    assert says(table.stderr, "linear-probe", "42 images", "synthetic", "UAR")
    assert model.classes[expected[0].argmax()] in table.stdout


@pytest.mark.slow
def test_images_of_any_size_and_colour_are_taken_and_more_than_a_batch(fitted, images):
    model = fer_bench.load_model(fitted)
    few = list(images.values())[:3]
    many = (few * BATCH)[: BATCH + 5]
    np.testing.assert_array_equal(model.predict(many)[:3], model.predict(few))
    tall = np.random.default_rng(0).integers(0, 255, (90, 50, 1), np.uint8)
    coloured = np.repeat(tall, 3, axis=2)
    np.testing.assert_allclose(model.predict([tall]), model.predict([coloured]), atol=1e-3)
    assert model.predict([]).shape == (0, 7)
    for wrong in (tall.astype(np.float32), tall[..., 0], np.zeros((0, 5, 1), np.uint8)):
        with pytest.raises(ValueError, match="image 1"):
            model.predict([tall, wrong])


@pytest.mark.slow
def test_pictures_that_cannot_be_read_are_named_and_the_others_answered(fitted, folder, tmp_path):
    (tmp_path / "broken.png").write_bytes((folder / "0.png").read_bytes()[:60])
    done = _predict(fitted, folder / "0.png", tmp_path / "broken.png", "--format", "json")
    assert isinstance(done.exception, FerBenchError)
    assert says(str(done.exception), "1 of 2", "broken.png")
    assert len(done.stdout.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare.csv").write_text("a,b\n1,2\n")
    wrong = [tmp_path / "gone.png", tmp_path / "empty", tmp_path / "bare.csv"]
    assert says(str(_predict(fitted, *wrong).exception), "gone.png", "empty", "bare.csv", "image, file")
    assert says(str(_predict(fitted, "-", input=b"\xff\xfe\x00").exception), "tandard input")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record.pop("counts"), ["counts"]),
        (lambda record: record.update(start=99), ["99"]),
        (lambda record: record.update(channels=7), ["channels"]),
        (lambda record: record["experiment"]["dataset"]["classes"].append("bored"), ["head", "8"]),
        (lambda record: record.update(schema=2), ["schema"]),
        (lambda record: record.update(stages=["0" * 64] * len(record["stages"])), ["weights"]),
        (lambda record: record["experiment"]["backbone"].update(code_sha256="f" * 64), ["code_sha256", "fit"]),
        (lambda record: record["experiment"]["backbone"].update(text="tinny"), ["tiny"]),
    ],
    ids=[
        "incomplete",
        "no stage",
        "no channels",
        "classes",
        "other schema",
        "other weights",
        "other code",
        "unknown backbone",
    ],
)
def test_a_model_of_something_else_is_refused(fitted, tmp_path, change, words):
    with safe_open(fitted, "numpy") as opened:
        record = json.loads(opened.metadata()[KEY])
    change(record)
    save_file(load_file(fitted), tmp_path / "m.safetensors", {KEY: json.dumps(record)})
    with pytest.raises(FerBenchError) as refused:
        fer_bench.load_model(tmp_path / "m.safetensors")
    assert says(str(refused.value), *words)


@pytest.mark.slow
@pytest.mark.parametrize("faces", [{}, {"detection": 3}, {"method": "align", "size": 10**9, "detection": {}}])
def test_a_model_that_does_not_say_how_faces_are_cut_out_is_refused(fitted, tmp_path, faces):
    with safe_open(fitted, "numpy") as opened:
        record = json.loads(opened.metadata()[KEY])
    record["experiment"]["dataset"]["faces"] = faces
    save_file(load_file(fitted), tmp_path / "m.safetensors", {KEY: json.dumps(record)})
    with pytest.raises(FerBenchError, match="faces"):
        assert fer_bench.load_model(tmp_path / "m.safetensors").crop


@pytest.mark.slow
def test_damaged_files_are_refused(fitted, tmp_path):
    content = fitted.read_bytes()
    file = tmp_path / "m.safetensors"
    for damaged in (
        b"",
        content[:100],
        content[:-10],
        (1 << 50).to_bytes(8, "little") + content[8:],
        b"\x80\x04pickle",
    ):
        file.write_bytes(damaged)
        with pytest.raises(FerBenchError, match=r"m\.safetensors"):
            fer_bench.load_model(file)
    save_file({"x": np.zeros(2)}, file)
    with pytest.raises(FerBenchError, match="fer-bench"):
        fer_bench.load_model(file)
    with safe_open(fitted, "numpy") as opened:
        header = opened.metadata()
    for table, word in (
        ({"head/kernel": np.zeros((3, 7), np.float32), "head/bias": np.zeros(7, np.float32)}, "head"),
        ({**load_file(fitted), "nowhere/kernel": np.zeros(2)}, "nowhere/kernel"),
        ({"x": np.zeros(1)}, "complete"),
        ({**load_file(fitted), "top/point/kernel/left": np.zeros((16, 2), np.float32)}, "factors"),
        ({**load_file(fitted), "gone/left": np.zeros(3), "gone/right": np.zeros(())}, "gone"),
    ):
        save_file(table, file, header)
        with pytest.raises(FerBenchError, match=word):
            fer_bench.load_model(file)
    with pytest.raises(FerBenchError, match="fit"):
        fer_bench.load_model(tmp_path / "gone.safetensors")


@pytest.mark.slow
def test_exported_arrays_are_whole_and_predict_as_their_model(fitted, images, tmp_path, monkeypatch):
    """They are those of backbone and head, and a model of their own; what else may stand in the folder is refused."""
    done = CliRunner().invoke(app, ["export", str(fitted), "--to", "safetensors", "--output", str(tmp_path / "made")])
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == ["config.json", "model.safetensors"]
    exported = fer_bench.load_model(tmp_path / "made" / "model.safetensors")
    few = list(images.values())[:5]
    np.testing.assert_array_equal(exported.predict(few), fer_bench.load_model(fitted).predict(few))
    arrays = load_file(tmp_path / "made" / "model.safetensors")
    backbone = {name: np.asarray(values) for part in divide(exported.backbone) for name, values in part.items()}
    assert set(arrays) == {*backbone, "head/kernel", "head/bias"}
    for name, values in backbone.items():
        np.testing.assert_array_equal(arrays[name], values)
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (config["classes"], config["stages"]) == (list(exported.classes), list(exported.backbone.stages))
    (tmp_path / "made" / "mine.txt").write_text("kept")
    refused = CliRunner().invoke(app, ["export", str(fitted), "--to", "onnx", "--output", str(tmp_path / "made")])
    assert says(str(refused.exception), "--output", "mine.txt")
    monkeypatch.setattr("fer_bench.models.onnx_graph.PACKAGES", ("onnx", "no_such_converter"))
    refused = CliRunner().invoke(app, ["export", str(fitted), "--to", "onnx", "--output", str(tmp_path / "graph")])
    assert says(str(refused.exception), "no_such_converter", "fer-bench[export]")
    assert not (tmp_path / "graph").exists()


def test_fit_refuses_several_methods_and_what_trains_nothing(tmp_path):
    words = ["fit", "--output", str(tmp_path / "m.safetensors"), "--backbone", "mini-xception"]
    several = CliRunner().invoke(app, [*words, "--strategy", "knn", "--strategy", "svm"])
    assert says(str(several.exception), "knn", "svm")
    named = CliRunner().invoke(app, ["fit", "--output", str(tmp_path / "m.pt")])
    assert says(str(named.exception), ".safetensors")


_METRIC = {"required": ["type", "value"], "properties": {"value": {"type": "number"}, "args": {"required": ["low"]}}}
_RESULT = {
    "required": ["task", "dataset", "metrics"],
    "properties": {
        "task": {"required": ["type"]},
        "dataset": {"required": ["name", "type"]},
        "metrics": {"type": "array", "minItems": 4, "items": _METRIC},
    },
}
_MODEL = {"required": ["name", "results"], "properties": {"results": {"minItems": 1, "items": _RESULT}}}
HEAD_SCHEMA = {
    "required": ["library_name", "pipeline_tag", "license", "tags", "metrics", "model-index"],
    "properties": {"model-index": {"type": "array", "minItems": 1, "items": _MODEL}},
}
"""What Hugging Face reads of a card: its documentation of model-index, and EvalResult of huggingface_hub."""


@pytest.mark.slow
def test_a_card_says_all_of_a_model_that_its_records_know(kept, tmp_path, monkeypatch):
    """The head is read by huggingface_hub, too, where that is installed."""
    monkeypatch.setattr("fer_bench.reports.model_card.MOST_SECONDS", 0.0)
    cells, card = _cells_of(Store(kept.runs_dir), "knn"), tmp_path / "README.md"
    write = ["card", "write", str(file_of(kept.runs_dir, cells[0].id)), "--output", str(card), "--runs-dir"]
    written = CliRunner().invoke(app, [*write, str(kept.runs_dir)])
    assert written.exit_code == 0, written.output
    text = card.read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    values = yaml.safe_load(head)
    jsonschema.validate(values, HEAD_SCHEMA)
    metrics = {metric["type"]: metric for metric in values["model-index"][0]["results"][0]["metrics"]}
    predictions, _, _ = read_predictions(cells)
    likelihood = predictions.probabilities[np.arange(len(predictions)), predictions.labels]
    assert metrics["nll"]["value"] == pytest.approx(-np.log(np.maximum(likelihood, 1e-12)).mean(), rel=0.5)
    assert all(one["args"]["low"] <= one["value"] <= one["args"]["high"] for one in metrics.values())
    parts = (
        "2024/1689",
        "5(1)(f)",
        "Apache-2.0",
        "NLL",
        "ECE",
        "p95",
        "5 predictions",
        "--strategy knn",
        "--limit 42",
        "--keep all",
    )
    rows = tuple(f"| {name} |" for name in cells[0].record.dataset.classes)
    assert [part for part in (*parts, *rows) if part not in body] == []
    if importlib.util.find_spec("huggingface_hub"):
        assert len(importlib.import_module("huggingface_hub").ModelCard(text).data.eval_results) == 4
    assert CliRunner().invoke(app, [*write, str(tmp_path)]).exit_code == 0
    assert "model-index" not in card.read_text(encoding="utf-8")
