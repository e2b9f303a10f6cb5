"""Backbones that are computed outside of JAX: their features, what is refused before a run, and their rules."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import says
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.data.prepare import prepare
from fer_bench.errors import MissingError, PluginError
from fer_bench.models.model import load_model
from fer_bench.networks import prefix
from fer_bench.networks.backbone import build
from fer_bench.networks.identity import identity
from fer_bench.networks.source import BackboneSource
from fer_bench.registry import Registry
from fer_bench.tasks.view import select
from fer_bench.testing.conformance import Suite, cases
from fer_bench.testing.conformance.backbone_subject import BackboneSubject
from fer_bench.testing.conformance.extractor import RULES

CODE = '''
    """The mean of the left and of the right half of an image, in as many copies as a parameter says."""
    import random
    from fer_bench import hookimpl
    from fer_bench.errors import FerBenchError, MissingError
    from fer_bench.specs import BackboneParams, BackboneSpec
    from pydantic import Field

    class HalvesParams(BackboneParams):
        input_size: int = Field(8, ge=2)
        copies: int = Field(1, ge=1)
        fault: str = ""
        card: str = Field("", json_schema_extra={"file": True})

    @hookimpl
    def fer_bench_backbones():
        return [BackboneSpec(name="halves", summary="", build="halves:build", frozen_only=True, files="halves:files",
                             by_params="halves:adapt", params=HalvesParams)]

    def adapt(params):
        if params.fault == "fields":
            return {"layers": 3}
        return {"answers": "halves:knows"} if params.fault == "answers" else {}

    def knows(params):
        return ["fear"]

    def files(params):
        if params.fault == "missing":
            raise MissingError(f"the weights of {params.copies} halves are not here; get them with 'halves-get'")
        return {}

    class Halves:
        batch, parameter_count, digest = 4, 7, "abc"

        def __init__(self, params):
            self.feature_size, self.fault = 2 * params.copies, params.fault
            if params.fault == "size":
                self.feature_size, self.digest = 0, None
            if params.fault == "digest":
                self.digest = str(random.random())

        def __call__(self, images):
            import numpy as np
            halves = [[part.mean() for part in np.array_split(image, 2, axis=1)] for image in images]
            made = np.array(halves, np.float32).repeat(self.feature_size // 2, axis=1)
            if self.fault == "wide":
                return made[:, :1]
            if self.fault == "neighbours":
                return made - made.mean()
            return made * np.nan if self.fault == "nan" else made

    def build(params, *, rngs, compute_dtype):
        return object() if params.fault == "none" else Halves(params)
'''


@pytest.fixture
def registry(tiny, write_plugin):
    write_plugin("halves", CODE)
    return Registry.load()


def test_features_are_those_of_the_stored_image_and_of_the_mirrored_one(registry, tmp_path):
    dataset, component = registry.dataset("squares"), registry.backbone("halves[copies=2]")
    view = select(dataset, prepare(dataset, tmp_path / "data"), None)
    source = BackboneSource(component, {"text": str(component), **identity(component, "float32")}, tmp_path / "cache")
    done: list[int] = []
    made = prefix.fetch(
        prefix.cache_of(source.cache_dir),
        source,
        view,
        1,
        2,
        begin=lambda stops, images: done.append(-images),
        advance=done.append,
        waiting=pytest.fail,
    )
    outputs, rows = prefix.join([made], dtype=None), np.arange(90)
    images = [image.astype(np.float64) for image in view.images(rows)]  # 12 x 12, grey
    halves = np.array([[image[:, :6].mean(), image[:, 6:].mean()] for image in images]).repeat(2, axis=1)
    np.testing.assert_allclose(outputs.take(rows, 0), halves, rtol=1e-3)
    np.testing.assert_allclose(outputs.take(rows, 1), halves[:, ::-1], rtol=1e-3)
    assert done == [-90, *[4] * 22, 2]  # as the extractor wants them, without images that fill up the last batch
    assert source.built.parameters == 7
    assert source.flops() is None


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("none", ("object", "feature_size is None", "batch is None", "digest is None")),
        ("size", ("Halves", "feature_size is 0", "digest is None")),
        ("answers", ("2 features", "expected 8")),
        ("fields", ("'halves", "layers")),
    ],
)
def test_what_is_no_extractor_says_all_that_it_lacks(registry, fault, parts):
    with pytest.raises(PluginError) as caught:
        build(registry.backbone(f"halves[fault={fault}]"), "float32", 0)
    assert says(str(caught.value), *parts)


def test_strategies_of_gradients_and_missing_weights_are_refused_before_a_run_all_at_once(registry):
    base = ["run", "--dataset", "squares", "--runs-dir", "runs"]
    wanted = ["--backbone", "halves", "--backbone", "halves[copies=2]", "--backbone", "net", "--strategy", "steps"]
    refused = CliRunner().invoke(app, [*base, *wanted])
    assert refused.exit_code == 2 or isinstance(refused.exception, PluginError)
    message = str(refused.exception)
    assert says(message, "'steps'", "'halves'", "linear-probe", "'steps'", "'halves[copies=2]'")
    assert "'net'" not in message
    missing = ["--backbone", "halves[fault=missing]", "--backbone", "halves[fault=missing,copies=3]"]
    message = str(CliRunner().invoke(app, [*base, *missing, "--strategy", "probe"]).exception)
    assert says(message, "2 backbones", "fault=missing", "1 halves", "halves-get", "3 halves", "halves-get")
    assert "--skip-missing" not in message  # nothing would be left
    elsewhere = ["--backbone", "keras-resnet50", "--backbone", "halves", "--strategy", "probe"]
    message = str(CliRunner().invoke(app, [*base, *missing, *elsewhere]).exception)
    assert says(message, "3 backbones", "'keras-resnet50'", "pip install fer-bench-keras", "--skip-missing")
    planned = CliRunner().invoke(app, ["plan", *base[1:], *missing, *elsewhere, "--skip-missing"])
    assert planned.exit_code == 0, planned.output
    assert says(planned.stderr, "3 backbones", "halves-get", "fer-bench-keras")
    assert says(planned.stdout, "halves")
    unknown = CliRunner().invoke(app, [*base, *elsewhere, "--backbone", "halvse", "--skip-missing"])
    assert says(str(unknown.exception), "'halvse'", "'halves'")


@pytest.mark.slow
def test_a_run_trains_a_head_on_them_and_its_model_predicts_and_replays_elsewhere(registry, tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    card = tmp_path / "nets" / "card.yaml"
    card.write_text("mine")
    backbone = ["--backbone", "halves[card=nets/card.yaml]"]
    wanted = ["--dataset", "squares", "--strategy", "probe", *backbone, "--keep", "all"]
    result = CliRunner().invoke(app, ["run", *wanted, "--runs-dir", "runs", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = [row for row in json.loads(result.stdout)["rows"] if row["backbone"]]
    assert row["scores"]["uar"]["mean"] > 0.6  # dark and light are told apart by brightness
    assert row["parameters"] == 7 + 3 * (2 + 1)
    (kept, *_) = sorted((tmp_path / "runs").rglob("*.safetensors"))
    images = [np.full(shape, value, np.uint8) for shape, value in (((12, 12, 1), 30), ((20, 9, 3), 180))]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    probabilities = load_model(kept).predict(images)
    assert probabilities.argmax(1).tolist() == [0, 1]
    replay = ["replay", kept.stem[:8], "--runs-dir", "../runs", "--reuse-cache", "--trust"]
    repeated = CliRunner().invoke(app, [*replay, "--json"])
    assert json.loads(repeated.stdout)["answer"] == "bit-identical"
    card.rename(tmp_path / "elsewhere" / "card.txt")
    for needs in (lambda: load_model(kept), lambda: CliRunner().invoke(app, replay, catch_exceptions=False)):
        with pytest.raises(MissingError, match=r"card 'card\.yaml' of backbone 'halves', sha256 [0-9a-f]{64}\n"):
            needs()
    (tmp_path / "there").mkdir()
    (tmp_path / "elsewhere" / "card.txt").rename(tmp_path / "there" / "card.yaml")
    np.testing.assert_array_equal(load_model(kept, [tmp_path / "there"]).predict(images), probabilities)


FAULTS = {
    "none": ("builds", "feature_size is None"),
    "wide": ("shapes", "one image"),
    "digest": ("deterministic", "built again"),
    "neighbours": ("batch-independent", "differ by"),
    "nan": ("input-is-honoured", "finite"),
}


def test_the_rules_of_extractors_can_fail_and_those_of_gradients_do_not_apply(registry):
    checked = {case.rule: case.run().status for case in cases("halves")}
    assert checked.pop("loads") == "passed"  # of the plugin, which has the same name
    assert checked == {rule.name: "passed" for rule in RULES} | {"weights-match-their-hash": "skipped"}
    assert not {"gradients", "prefix-splits", "one-compilation"} & set(checked)
    for fault, (rule, found) in FAULTS.items():
        subject = BackboneSubject(registry.backbone(f"halves[fault={fault}]"))
        finding = Suite("halves", "backbone", fault, subject, RULES).finding(rule)
        assert finding.status == "failed"
        assert found in finding.found
    assert {rule for rule, _ in FAULTS.values()} == set(checked) - {"spec-pickles", "weights-match-their-hash"}
