"""Strategies that calibrate, predict several views and answer for sequences: in a run, on the board and in a model.

They are what docs/strategies.md shows.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hurry import in_a_hurry
from messages import says
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from typer.testing import CliRunner

import fer_bench
from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.calibration import ece, nll
from fer_bench.executors.grid import expand
from fer_bench.executors.kept import file_of
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.run import run_grid
from fer_bench.learning.plans import make_plan
from fer_bench.learning.prediction import aggregate
from fer_bench.registry import Component, Registry
from fer_bench.results.store import Store
from fer_bench.specs import ConvexPhase, Params, Plan, StrategySpec

hurried = in_a_hurry()

NEIGHBOURS = "knn[calibrate=temperature,views=crops]"
FRAMES = "finetune[aggregate=mean,calibrate=bias,epochs=1,views=mirror]"
STRATEGIES = (NEIGHBOURS, FRAMES)
QUIET = TerminalReporter(quiet=True)


@pytest.fixture(scope="module")
def config(small, tmp_path_factory):
    """Return the settings of a run on 48 sequences of three noisy frames of three classes, of 12 people."""
    folder = tmp_path_factory.mktemp("calibrated")
    manual = folder / "data" / "manual" / "manifest" / "frames"
    manual.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), ["path,label,subject,sequence"]
    for number in range(144):
        sequence, label = number // 3, number // 3 % 3
        image = rng.normal(110 + 12 * label, 70, (48, 48)) + 30 * label * np.linspace(-1, 1, 48)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(manual / f"{number}.png")
        lines.append(f"{number}.png,{('happy', 'sad', 'angry')[label]},p{sequence // 4},v{sequence}")
    (manual / "manifest.csv").write_text("\n".join(lines) + "\n")
    return RunConfig(
        datasets=("manifest[name=frames]",),
        backbones=("tiny[input_size=24]",),
        strategies=STRATEGIES,
        folds=2,
        keep="all",
        precision="float32",
        data_dir=folder / "data",
        runs_dir=folder / "runs",
    )


@pytest.fixture(scope="module")
def jobs(config):
    """Return strategy -> [(job, stored cell, its model, task) of each fold], after the run."""
    run_grid([config], Registry.load(), QUIET)
    grid = expand(config, Registry.load(), config.data_folder, config.cache_folder, QUIET)
    store = Store(config.runs_dir)
    made = {}
    for block in grid.blocks:
        cells = [store.find(job.cell) for job in block.jobs]
        assert all(cell.ok for cell in cells), [cell.error for cell in cells]
        models = [fer_bench.load_model(file_of(config.runs_dir, cell.id)) for cell in cells]
        made[str(block.strategy)] = [
            (job, cell, model, block.task) for job, cell, model in zip(block.jobs, cells, models, strict=True)
        ]
    return made


def _look(job, model, task, part, strategy):
    """Return what a model says of a part of its fold before calibration, and the labels."""
    rows = np.flatnonzero(getattr(job.fold, part))
    said = model.look(task.parts[0].images(rows))
    how = "mean" if strategy == FRAMES else "none"
    return aggregate(said, task.sequences[rows], how), task.labels[rows]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_temperature_is_fitted_on_the_validation_part_alone_and_kept_with_the_model(jobs, strategy):
    job, cell, model, task = jobs[strategy][0]
    known = cell.measures.calibration
    assert known == model.record.calibration
    assert known.images == job.fold.valid.sum() >= 10
    assert not (job.fold.valid & (job.fold.train | job.fold.test)).any()
    groups = [set(task.groups[part]) for part in (job.fold.train, job.fold.valid, job.fold.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)), "people are kept apart"
    said, labels = _look(job, model, task, "valid", strategy)
    logs, biases = np.log(np.maximum(said, 1e-30)), np.array(known.biases or [0.0])

    def loss(log_temperature):
        p = softmax(logs / np.exp(log_temperature) + biases, axis=1)
        return -np.log(p[np.arange(len(labels)), labels]).mean()

    best = minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded", options={"xatol": 1e-9})
    assert loss(np.log(known.temperature)) == pytest.approx(best.fun, abs=1e-5)
    if not known.bounded:
        assert known.temperature == pytest.approx(np.exp(best.x), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_kept_model_predicts_what_its_cell_predicted(jobs, strategy):
    job, cell, model, task = jobs[strategy][0]
    rows, table = np.flatnonzero(job.fold.test), cell.table()
    stored = np.stack([table[f"p{c}"].to_numpy() for c in range(3)], axis=1)
    images = task.parts[0].images(rows)
    sequences = task.parts[0].texts("sequence").take(rows).to_pylist()
    how = {"aggregate": "mean", "sequences": sequences} if strategy == FRAMES else {}
    np.testing.assert_allclose(model.predict(images, **how), stored, atol=3e-4)
    if strategy == FRAMES:
        alike = {tuple(stored[np.array(sequences) == name].round(6).ravel()) for name in sequences}
        assert all(answer[:3] == answer[3:6] == answer[6:] for answer in alike)
    else:
        assert np.abs(model.predict(images, views="image") - stored).max() > 1e-3, "views count"


@pytest.mark.slow
def test_the_board_shows_nll_and_ece_before_and_after(config, jobs):
    done = CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(config.runs_dir), "--format", "json"])
    records = {row["strategy"]: row for row in json.loads(done.stdout)["rows"]}
    assert records["majority-class"]["calibration"] is None
    for strategy in STRATEGIES:
        parts = [_look(job, model, task, "test", strategy) for job, _, model, task in jobs[strategy]]
        before, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
        shown = records[strategy]["calibration"]
        assert shown["nll_before"] == pytest.approx(nll(labels, before), abs=2e-3)
        assert shown["ece_before"] == pytest.approx(ece(labels, before), abs=5e-3)
        temperatures = [cell.measures.calibration.temperature for _, cell, _, _ in jobs[strategy]]
        assert (shown["temperature_lowest"], shown["temperature_highest"]) == (min(temperatures), max(temperatures))
    words = ["leaderboard", "--runs-dir", str(config.runs_dir), "--columns", "calibration", "--format", "csv"]
    assert "calibration_nll_before" in CliRunner().invoke(app, words).stdout.partition("\n")[0]


@pytest.mark.slow
def test_a_replay_repeats_views_sequences_and_calibration(config, jobs):
    cell = jobs[FRAMES][0][1]
    words = ["replay", cell.id[:8], "--runs-dir", str(config.runs_dir), "--data-dir", str(config.data_dir)]
    done = CliRunner().invoke(app, [*words, "--cache-dir", str(config.cache_folder)])
    assert "bit-identical" in done.stdout, done.output


@pytest.mark.slow
def test_pictures_of_a_sequence_get_one_answer(config, jobs, tmp_path):
    model = file_of(config.runs_dir, jobs[FRAMES][0][1].id)
    manual = config.data_folder / "manual" / "manifest" / "frames"
    lines = ["image,sequence", *(f"{manual / f'{n}.png'},{'v' if n < 3 else ''}" for n in range(5))]
    (tmp_path / "frames.csv").write_text("\n".join(lines) + "\n")
    words = ["predict", str(model), str(tmp_path / "frames.csv"), "--format", "json", "--aggregate"]
    done = CliRunner().invoke(app, [*words, "majority"])
    answers = [json.loads(line)["probabilities"] for line in done.stdout.splitlines()]
    assert answers[0] == answers[1] == answers[2] != answers[3]
    assert answers[3] != answers[4]
    assert says(done.stderr, "--views mirror", "--aggregate mean")


def test_sequences_by_hand():
    p = np.array([[0.8, 0.2], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]], np.float32)
    sequences = np.array([4, 4, -1, 4])
    # Geometric means of 0.8, 0.2, 0.6 and of 0.2, 0.8, 0.4, scaled: (0.096 / 0.064)^(1/3) to 1.
    odds = (0.096 / 0.064) ** (1 / 3)
    mean = aggregate(p, sequences, "mean")
    np.testing.assert_allclose(mean[[0, 1, 3]], [[odds / (1 + odds), 1 / (1 + odds)]] * 3, rtol=1e-6)
    majority = aggregate(p, sequences, "majority")
    np.testing.assert_allclose(majority[[0, 1, 3]], [[2 / 3, 1 / 3]] * 3, rtol=1e-6)
    for answered in (mean, majority):
        np.testing.assert_array_equal(answered[2], p[2])
    np.testing.assert_array_equal(aggregate(p, sequences, "none"), p)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategies": ("linear-probe[aggregate=mean]",)}, ["aggregate=mean", "synthetic"]),
        ({"strategies": ("linear-probe[calibrate=temperature]",), "limit": 28}, ["calibrate=temperature", "10"]),
        (
            {"strategies": ("linear-probe[calibrate=temperature]",), "limit": 14, "protocol": "kfold"},
            ["1 training", "calibrate=none"],
        ),
        ({"strategies": ("linear-probe[calibrate=platt]",)}, ["temperature", "bias", "platt"]),
        ({"strategies": ("linear-probe[views=tencrop]",)}, ["mirror", "crops", "tencrop"]),
    ],
    ids=["no sequences", "few images", "one of a class", "no method", "no view"],
)
def test_what_a_strategy_cannot_do_is_refused_when_the_grid_is_made(changes, words):
    data = ("synthetic[n=70]",)
    config = RunConfig(**{"datasets": data, "backbones": ("mini-xception",), "limit": 70, "folds": 2, **changes})
    with pytest.raises(FerBenchError) as refused:
        expand(config, Registry.load(), config.data_folder, config.cache_folder, QUIET)
    assert says(str(refused.value), *words)


@pytest.mark.slow
def test_the_time_of_a_strategy_that_calibrates_is_measured_before_a_run(small, recwarn, tmp_path):
    words = ["plan", "--backbone", "tiny", "--strategy", "linear-probe[calibrate=bias,views=mirror]"]
    words += ["--dataset", "synthetic[n=140]", "--folds", "2"]
    words += ["--runs-dir", str(tmp_path), "--cache-dir", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "never ran here" not in done.stdout
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


class _Own(Params):
    c: float = 2.0


def _plan(params):
    assert set(params.model_dump()) == {"c"}, "a strategy sees its own parameters only"
    return Plan(phases=(ConvexPhase(**params.model_dump(), standardize=True, max_iterations=9, tolerance=1e-3),))


def test_strategies_of_plugins_get_the_common_parameters():
    spec = StrategySpec(name="own", summary="s", plan="test_calibrated_runs:_plan", params=_Own)
    plugin = Registry.load().strategy("linear-probe").plugin
    plan = make_plan(Component(spec, spec.params(calibrate="bias", views="crops", c=3.0), plugin))
    assert (plan.calibrate, plan.views, plan.aggregate, plan.phases[0].c) == ("bias", "crops", "none", 3.0)
    assert 0 < plan.validation < 0.5
    assert make_plan(Component(spec, spec.params(), plugin)).validation == 0


def test_a_parameter_that_every_strategy_has_cannot_be_declared():
    class Clash(Params):
        views: int = 3

    with pytest.raises(ValueError, match="'views'"):
        StrategySpec(name="clash", summary="s", plan="a:b", params=Clash)
