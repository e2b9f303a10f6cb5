"""Claims about models that ``fer-bench fit`` and ``run --keep`` wrote: their records say what they were trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from messages import says
from PIL import Image
from typer.testing import CliRunner

import fer_bench
from fer_bench.claims.claim import Claim
from fer_bench.claims.images import ClaimImages
from fer_bench.claims.seen import seen_by
from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.executors.progress import TerminalReporter
from fer_bench.models import files
from fer_bench.registry import Registry

pytestmark = pytest.mark.slow
TESTED = 12


@pytest.fixture(scope="module")
def fitted(small, tmp_path_factory):
    """Return a folder with data of two splits, test and train, and a model of the protocol ``official``.

    The images are noise, brighter from class to class; the first that is tested is a copy of one that trains.
    """
    folder = tmp_path_factory.mktemp("kept")
    data = folder / "data" / "manual" / "manifest" / "mine"
    data.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), ["path,label,split"]
    for number in range(36):
        image = rng.integers(80 * (number % 3), 80 * (number % 3) + 80, (48, 48), np.uint8)
        Image.fromarray(image).save(data / f"{number}.png")
        split = "test" if number < TESTED else "train"
        lines.append(f"{number}.png,{('happy', 'sad', 'angry')[number % 3]},{split}")
    (data / "0.png").write_bytes((data / "33.png").read_bytes())
    (data / "manifest.csv").write_text("\n".join(lines))
    words = ["--dataset", "manifest[name=mine]", "--backbone", "tiny", "--data-dir", str(folder / "data")]
    words += ["--protocol", "official", "--runs-dir", str(folder / "runs")]
    done = CliRunner().invoke(app, ["fit", *words, "--output", str(folder / "m.safetensors")])
    assert done.exit_code == 0, done.output
    return folder


def _verify(folder, model, **values):
    """Return the exit code and the record of a verdict on a claim about the data of a folder."""
    claim = {"model": str(model), "dataset": "manifest[name=mine]", "split": "test", "metric": "accuracy", "score": 0}
    (folder / "claim.yaml").write_text(yaml.safe_dump(claim | values))
    words = ["verify", str(folder / "claim.yaml"), "--json", "--data-dir", str(folder / "data")]
    done = CliRunner().invoke(app, words)
    if isinstance(done.exception, FerBenchError):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


def test_fit_on_official_splits_leaves_the_test_split_alone(fitted):
    record = fer_bench.load_model(fitted / "m.safetensors").record
    assert record.counts == (8, 8, 8)
    assert record.score is None, "nothing was run before"
    assert says(record.describe(), "24 images", "mine", "the training split")


def test_a_model_is_measured_on_the_test_split_with_its_copies(fitted):
    pictures = [fitted / "data" / "manual" / "manifest" / "mine" / f"{number}.png" for number in range(TESTED)]
    images = [np.asarray(Image.open(file))[..., None] for file in pictures]
    code, record = _verify(fitted, fitted / "m.safetensors")
    assert (code, record["verdict"]) == (0, "CONFIRMED")
    loaded = fer_bench.load_model(fitted / "m.safetensors")
    names = [("happy", "sad", "angry")[number % 3] for number in range(TESTED)]
    right = np.array(loaded.classes)[loaded.predict(images).argmax(1)] == names
    assert record["measured"]["score"] == pytest.approx(right.mean())
    assert record["measured"]["images"] == TESTED
    assert says(" ".join(record["notes"]), f"1 of {TESTED}", "mine", "train")


def test_a_kept_model_of_a_cell_was_trained_as_its_protocol_says(fitted, tmp_path):
    record, _ = files.read(fitted / "m.safetensors")
    (official,) = seen_by(replace(record, fold=0, cell="0" * 64))
    assert official.official
    protocol = replace(record.experiment.protocol, name="kfold", text="kfold")
    (folds,) = seen_by(replace(record, fold=2, experiment=replace(record.experiment, protocol=protocol)))
    assert not folds.official
    assert says(folds.text, "fold 2", "mine", "kfold")
    claim = Claim(model="m", dataset="manifest[name=mine]", split="test", metric="accuracy", score=0)
    for limit, copies in ((None, 1), (30, 0)):  # the copy is the twelfth image of its class
        seen = [replace(official, limit=limit)]
        images = ClaimImages(claim, None, Registry.load(), fitted / "data", tmp_path, TerminalReporter(True), seen)
        assert images.copies(images.view)[0].sum() == copies


def test_a_claim_about_what_trained_a_model_cannot_be_compared(fitted):
    for split in ("train", "all"):
        code, record = _verify(fitted, fitted / "m.safetensors", split=split)
        assert (code, record["verdict"], record["measured"]) == (2, "NOT COMPARABLE", None)
        assert says(record["why"], "training split", "mine")


def test_records_say_what_else_trained_a_model(fitted, tmp_path):
    """Other data sets that trained beside, all but a fold, an answer for a sequence, and data that are not here."""
    with (fitted / "m.safetensors").open("rb") as content:
        whole = json.loads(content.read(int.from_bytes(content.read(8), "little")))["__metadata__"][files.KEY]
    _, table = files.read(fitted / "m.safetensors")

    def verify(change):
        record = json.loads(whole)
        change(record["experiment"], record["experiment"]["dataset"])
        from safetensors.numpy import save_file

        save_file(table, tmp_path / "m.safetensors", {files.KEY: json.dumps(record)})
        return _verify(fitted, tmp_path / "m.safetensors")

    def group_kfold(experiment, dataset):
        experiment["protocol"] |= {"name": "group-kfold", "text": "group-kfold"}

    def beside(experiment, dataset):
        other = {**dataset, "text": "manifest[name=other]"}
        dataset |= {"fingerprint": "0" * 64, "text": "synthetic[n=28]", "trained_with": [other]}

    def sequences(experiment, dataset):
        experiment["strategy"]["params"]["aggregate"] = "mean"

    def elsewhere(experiment, dataset):
        dataset |= {"fingerprint": "0" * 64, "text": "manifest[name=gone]"}

    for change, parts in (
        (group_kfold, ("all images", "group-kfold")),
        (beside, ("manifest[name=other]",)),
        (sequences, ("aggregate=mean",)),
    ):
        code, record = verify(change)
        assert (code, record["measured"]) == (2, None), change
        assert says(record["why"], *parts), change
    with pytest.raises(FerBenchError) as refused:
        verify(elsewhere)
    assert says(str(refused.value), "manifest[name=gone]", "trained_on")
