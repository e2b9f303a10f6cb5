"""Exported graphs in onnxruntime against the models that they were made of, for every strategy that leaves a model.

Runs in ``tox run -e extras``, which has the converters; the commands and the code are those of docs/models.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from messages import says
from PIL import Image
from typer.testing import CliRunner

import fer_bench
from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.executors.kept import file_of
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.run import run_grid
from fer_bench.labels import EXPRESSIONS, canonical
from fer_bench.models import files
from fer_bench.models.export import export
from fer_bench.models.model import TrainedModel
from fer_bench.networks.backbone import build
from fer_bench.registry import Registry
from fer_bench.results.outcomes import Calibration
from fer_bench.results.store import Store
from fer_bench.tasks.view import select

pytest.importorskip("jax2onnx", reason="an extra of its own: 'tox run -e extras' has it")
pytest.importorskip("skl2onnx", reason="an extra of its own: 'tox run -e extras' has it")
pytestmark = pytest.mark.slow

SHORT = {"epochs": "1", "k": "5", "stages": "2", "rank": "2"}
"""Values that make a strategy quick, for parameters that it has."""


def _strategies():
    """Return every installed strategy but ``as-is``, which trains nothing."""
    registry = Registry.load()
    texts = []
    for name, _, _ in registry.specs("strategy"):
        if name != "as-is":
            known = type(registry.strategy(name).params).model_fields
            short = ",".join(f"{key}={value}" for key, value in SHORT.items() if key in known)
            texts.append(f"{name}[{short}]" if short else name)
    return tuple(texts)


STRATEGIES = _strategies()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the settings of a run that kept the model of every cell."""
    config = RunConfig(
        backbones=("mini-xception",),
        strategies=STRATEGIES,
        limit=42,
        folds=2,
        precision="float32",
        keep="all",
        runs_dir=tmp_path_factory.mktemp("kept") / "runs",
    )
    run_grid([config], Registry.load(), TerminalReporter(quiet=True))
    return config


@pytest.fixture(scope="module")
def images(kept):
    """Return the decoded images of the run, (42, 64, 64, 3) uint8."""
    dataset = Registry.load().dataset("synthetic")
    view = select(dataset, prepare(dataset, kept.data_folder), kept.limit, kept.labels)
    return np.stack(view.images(np.arange(len(view.rows))))


def _model_of(kept, strategy):
    """Return the file of the model of the first fold."""
    cells = [cell for cell in Store(kept.runs_dir).cells()[0] if cell.record.strategy.text == strategy]
    assert len(cells) == 2
    assert all(cell.ok for cell in cells), [cell.error for cell in cells]
    return file_of(kept.runs_dir, min(cells, key=lambda cell: cell.record.fold).id)


def _run(folder, images):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (given,) = session.get_inputs()
    return session.run(None, {given.name: images})[0]


def _agree(said, expected):
    np.testing.assert_allclose(said, expected, atol=1e-4)
    np.testing.assert_array_equal(said.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_graph_gives_the_probabilities_of_its_model(kept, images, strategy, tmp_path):
    file = _model_of(kept, strategy)
    export(file, "onnx", tmp_path / "faces")
    model = fer_bench.load_model(file)
    _agree(_run(tmp_path / "faces", images), model.predict(list(images)))
    _agree(_run(tmp_path / "faces", images[:1]), model.predict(list(images[:1])))


def _with_params(record, **params):
    """Return the record of a model whose strategy has other parameters beside its own."""
    strategy = replace(record.experiment.strategy, params={**record.experiment.strategy.params, **params})
    return replace(record, experiment=replace(record.experiment, strategy=strategy))


@pytest.mark.parametrize("views", ["mirror", "crops"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_graph_gives_the_mean_of_the_views_of_its_model(kept, images, strategy, views, tmp_path):
    """What a graph gives is not what the model says of the image as it is."""
    record, table = files.read(_model_of(kept, strategy))
    files.write(tmp_path / "m.safetensors", _with_params(record, views=views), table)
    export(tmp_path / "m.safetensors", "onnx", tmp_path / "faces")
    model, said = fer_bench.load_model(tmp_path / "m.safetensors"), _run(tmp_path / "faces", images)
    _agree(said, model.predict(list(images)))
    assert np.abs(said - model.predict(list(images), views="image")).max() > 1e-3
    _agree(_run(tmp_path / "faces", images[:1]), model.predict(list(images[:1])))


def test_a_model_that_answers_for_sequences_is_no_graph(kept, tmp_path):
    record, table = files.read(_model_of(kept, "linear-probe"))
    files.write(tmp_path / "m.safetensors", _with_params(record, aggregate="mean"), table)
    with pytest.raises(FerBenchError) as refused:
        export(tmp_path / "m.safetensors", "onnx", tmp_path / "faces")
    assert says(str(refused.value), "aggregate=mean", "aggregate=none", "--to safetensors")
    assert not (tmp_path / "faces").exists()
    export(tmp_path / "m.safetensors", "safetensors", tmp_path / "faces")
    assert json.loads((tmp_path / "faces" / "config.json").read_text())["aggregate"] == "mean"


@pytest.mark.parametrize("biases", [(), (0.4, -0.1, 0.0, -0.5, 0.1, 0.0, 0.1)])
@pytest.mark.parametrize("strategy", ["linear-probe", "svm"])
def test_a_graph_has_the_calibration_of_its_model(kept, images, strategy, biases, tmp_path):
    record, table = files.read(_model_of(kept, strategy))
    scaling = Calibration(temperature=2.5, biases=biases, images=10)
    files.write(tmp_path / "m.safetensors", replace(record, calibration=scaling), table)
    export(tmp_path / "m.safetensors", "onnx", tmp_path / "faces")
    said, plain = _run(tmp_path / "faces", images), TrainedModel(record, table, Registry.load()).predict(list(images))
    _agree(said, fer_bench.load_model(tmp_path / "m.safetensors").predict(list(images)))
    logs = np.log(plain.astype(float)) / 2.5 + np.array(biases or 0.0)
    np.testing.assert_allclose(said, np.exp(logs) / np.exp(logs).sum(1, keepdims=True), atol=1e-4)


def test_images_of_other_sizes_are_resized_as_by_the_model(kept, tmp_path):
    file = _model_of(kept, "linear-probe")
    export(file, "onnx", tmp_path / "faces")
    model, rng = fer_bench.load_model(file), np.random.default_rng(0)
    for shape in ((48, 48), (30, 150), (200, 200)):
        asked = rng.integers(0, 256, (3, *shape, 3), np.uint8)
        _agree(_run(tmp_path / "faces", asked), model.predict(list(asked)))


DEEP = (
    "xception[input_size=71]",
    "keras[name=mobilenetv2,weights=random,input_size=64]",
    "vit-ti16[weights=random,input_size=64]",
)


@pytest.mark.parametrize("backbone", DEEP)
def test_deep_backbones_are_exported_without_noise_of_converters(backbone, tmp_path, caplog, recwarn):
    words = ["--backbone", backbone, "--dataset", "synthetic[n=28,size=48]", "--folds", "2", "--precision", "float32"]
    words += ["--runs-dir", str(tmp_path / "runs"), "--output", str(tmp_path / "m.safetensors")]
    done = CliRunner().invoke(app, ["fit", *words])
    assert done.exit_code == 0, done.output
    caplog.clear()
    recwarn.clear()
    export(tmp_path / "m.safetensors", "onnx", tmp_path / "faces")
    noise = [record.name for record in caplog.records if not record.name.startswith("jax.")]
    assert noise + [str(warning.message) for warning in recwarn] == []
    asked = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), np.uint8)
    _agree(_run(tmp_path / "faces", asked), fer_bench.load_model(tmp_path / "m.safetensors").predict(list(asked)))


def test_the_commands_and_the_code_of_the_page_serve_a_model(kept, images, tmp_path, monkeypatch, capsys):
    """The ten lines print the class and probability that ``predict`` gives; as-is repeats the model's answers."""
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    section = page.partition("## Take it elsewhere")[2].partition("\n## ")[0]
    (commands,), (code,) = (re.findall(rf"```{name}\n(.*?)```", section, re.DOTALL) for name in ("sh", "python"))
    file = _model_of(kept, "linear-probe")
    monkeypatch.chdir(tmp_path)
    Path("fer2013.safetensors").symlink_to(file)
    for line in commands.splitlines():
        done = CliRunner().invoke(app, line.partition("#")[0].split()[1:])
        assert done.exit_code == 0, done.output
    Image.fromarray(images[3].squeeze()).save("face.png")
    exec(compile(code, "docs/models.md", "exec"), {})
    model = fer_bench.load_model(file)
    (expected,) = model.predict(list(images[3:4]))
    name, share = capsys.readouterr().out.split()[-2:]
    assert name == model.classes[expected.argmax()]
    assert float(share) == pytest.approx(expected.max(), abs=1e-4)
    again = fer_bench.load_model("arrays/model.safetensors").predict(list(images))
    np.testing.assert_array_equal(again, model.predict(list(images)))
    component = Registry.load().backbone("onnx[card=faces/card.yaml]")
    said = build(component, "float32", 0).extractor(list(images))
    _agree(said[:, [EXPRESSIONS.index(canonical(name)) for name in model.classes]], model.predict(list(images)))


def test_a_damaged_export_is_refused_by_the_backbone_in_words(kept, tmp_path):
    export(_model_of(kept, "linear-probe"), "onnx", tmp_path / "faces")
    file, card = tmp_path / "faces" / "model.onnx", tmp_path / "faces" / "card.yaml"
    file.write_bytes(file.read_bytes()[:-100])
    words = ["run", "--backbone", f"onnx[card={card}]", "--strategy", "as-is", "--limit", "14"]
    done = CliRunner().invoke(app, [*words, "--runs-dir", str(tmp_path / "runs")])
    assert done.exit_code != 0
    assert says(f"{done.exception} {done.output}", "sha256", yaml.safe_load(card.read_text())["sha256"])


def test_a_backbone_that_computes_outside_of_jax_is_refused_and_nothing_written(kept, images, tmp_path, monkeypatch):
    export(_model_of(kept, "linear-probe"), "onnx", tmp_path / "faces")
    monkeypatch.chdir(tmp_path / "faces")
    words = ["--backbone", "onnx[card=card.yaml]", "--limit", "28", "--folds", "2", "--output", "m.safetensors"]
    done = CliRunner().invoke(app, ["fit", *words, "--runs-dir", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    with pytest.raises(FerBenchError) as refused:
        export(Path("m.safetensors"), "onnx", tmp_path / "again")
    assert says(str(refused.value), "onnx", "JAX", "m.safetensors")
    assert not (tmp_path / "again").exists()
