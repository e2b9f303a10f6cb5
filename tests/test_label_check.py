"""Wrong labels and annotators: by hand, cleanlab beside ours, labels that were made wrong, the command of labels.md."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from drawn_predictions import draw
from messages import says
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from test_results import make_cell, make_measures
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.annotators import answers_of, find_ceiling, score_against_annotators, score_annotators
from fer_bench.evaluation.label_noise import bound_label_noise, estimate_label_noise
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Result, Store


def test_confident_learning_by_hand():
    # On average class 0 has (0.9 + 0.8 + 0.1) / 3 = 0.6 in its own samples, class 1 0.5: the third sample of class 0 is
    # confidently of class 1, the last of class 1 of class 0. The sample with 0.55 and 0.45 is of neither.
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.55, 0.75])
    noise = estimate_label_noise(labels, np.stack([first, 1 - first], axis=1))
    assert noise.suspects.tolist() == [2, 5]
    assert noise.suggested.tolist() == [1, 0]
    assert noise.margins == pytest.approx([-0.8, -0.5])
    # Two of three are sure of class 0, one of class 1; of class 1 one each.
    assert noise.joint == pytest.approx(np.array([[2 / 6, 1 / 6], [1 / 4, 1 / 4]]))
    assert noise.wrong == pytest.approx(5 / 12)
    assert noise.wrong_by_class == pytest.approx([1 / 3, 1 / 2])


@pytest.mark.parametrize("signal", [0.5, 2.0])
def test_suspects_and_joint_are_those_of_cleanlab(signal):
    rng = np.random.default_rng(3)
    true, probabilities = draw(5, n=900, classes=5, signal=signal)
    given = np.where(rng.random(900) < 0.15, rng.integers(5, size=900), true)
    noise = estimate_label_noise(given, probabilities)
    joint, suspects = compute_confident_joint(given, probabilities, return_indices_of_off_diagonals=True)
    assert sorted(noise.suspects.tolist()) == sorted(suspects)
    assert noise.joint == pytest.approx(joint / joint.sum(), abs=1 / 900)  # its counts are whole
    ranked = find_label_issues(
        given, probabilities, filter_by="confident_learning", return_indices_ranked_by="normalized_margin"
    )
    assert noise.suspects.tolist() == ranked.tolist()


def test_labels_that_were_made_wrong_are_found_by_a_strong_method():
    rng = np.random.default_rng(0)
    true = rng.integers(7, size=1400)
    images = rng.normal(size=(7, 16))[true] * 1.5 + rng.normal(size=(1400, 16))
    wrong = rng.random(1400) < 0.1
    given = np.where(wrong, (true + rng.integers(1, 7, size=1400)) % 7, true)
    probabilities = cross_val_predict(LogisticRegression(), images, given, cv=3, method="predict_proba")
    noise = estimate_label_noise(given, probabilities)
    (low, high), by_class = bound_label_noise(given, probabilities)
    assert low < wrong.mean() < high
    assert high - low < 0.06
    assert ((by_class[:, 0] <= noise.wrong_by_class) & (noise.wrong_by_class <= by_class[:, 1])).all()
    assert wrong[noise.suspects].mean() > 0.9
    assert np.isin(np.flatnonzero(wrong), noise.suspects).mean() > 0.7


def test_annotators_by_hand():
    soft = np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    annotator = score_annotators(soft, np.array([0, 1, 1, 0]))
    assert (annotator.accuracy, annotator.uar) == pytest.approx((0.7, (0.75 + 0.65) / 2))
    # Votes are 2.2 and 1.8: a class that has more of its own votes in an image is the better answer for the UAR.
    ceiling = find_ceiling(soft)
    assert ceiling.accuracy == pytest.approx((0.6 + 0.8 + 0.5 + 0.9) / 4)
    assert ceiling.uar == pytest.approx((1.5 / 2.2 + 1.3 / 1.8) / 2)
    half = answers_of(np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0], [1.0, 0.0]]))
    score = score_against_annotators(soft, half)
    assert score.accuracy == pytest.approx((0.5 + 0.8 + 0.5 + 0.9) / 4)
    assert score.uar == pytest.approx(((0.3 + 0.5 + 0.9) / 2.2 + (0.2 + 0.8) / 1.8) / 2)


@pytest.fixture
def runs_dir(tmp_path):
    """Two methods, two folds, three classes; every tenth label is wrong, and both methods see it."""
    rng = np.random.default_rng(1)
    for strategy, strength in (("probe", 8.0), ("guess", 2.0)):
        for fold in range(2):
            true = np.arange(60) % 3
            label = np.where(np.arange(60) % 10 == 9, (true + 1) % 3, true)
            logits = strength * np.eye(3)[true] + rng.normal(size=(60, 3))
            p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32")
            table = pd.DataFrame({"id": [f"{fold}-{i:02}" for i in range(60)], "group": "", "label": label})
            table = table.assign(**{f"soft{c}": np.float32(0.75 * (true == c) + 0.25 * (label == c)) for c in range(3)})
            names = np.array(["anger", "fear", "happy"])
            table["group:annotator:anna"] = pd.Categorical(names[true])
            table["group:annotator:ben"] = pd.Categorical(np.where(np.arange(60) % 2 == 0, names[label], ""))
            table = table.assign(**{f"p{c}": p[:, c] for c in range(3)})
            cell = make_cell(fold, strategy=strategy, classes=("anger", "fear", "happy"), n=120)
            result = Result("ok", "", make_measures((1, 2, 1)), table, pd.DataFrame({"phase": ["p"]}))
            Store(tmp_path / "runs").write(cell, result, Provenance(command=("x",)))
    return tmp_path / "runs"


def invoke(*words: str):
    return CliRunner().invoke(app, ["labels", *words], catch_exceptions=False)


def test_the_command_lists_suspects_and_what_annotators_reach(runs_dir, tmp_path):
    file = tmp_path / "suspects.csv"
    done = invoke("--runs-dir", str(runs_dir), "--output", str(file), "--json")
    (check,) = json.loads(done.stdout)["data_sets"]
    assert check["images"] == 120
    assert check["wrong"]["estimate"] == pytest.approx(0.1, abs=0.03)
    suspects = list(csv.DictReader(io.StringIO(file.read_text())))
    wrong = {f"{fold}-{i:02}" for fold in (0, 1) for i in range(9, 60, 10)}
    assert len(wrong & {one["id"] for one in suspects}) >= 10
    assert [one["margin"] for one in check["suspects"]] == [float(one["margin"]) for one in suspects]
    assert float(suspects[0]["annotators"]) == 0.25
    # Where the label is wrong, three of four annotators say so.
    assert check["ceiling"]["accuracy"] == pytest.approx(0.9 + 0.1 * 0.75)
    assert check["annotator_against_labels"]["accuracy"] == pytest.approx(0.9 + 0.1 * 0.25)
    # Anna sees the true class of all images; a tenth of each class is labelled wrong. Ben gave half the labels.
    each = {(one["annotator"], one["answers"]): one for one in check["annotators"]}
    assert {pair[0] for pair in each} == {"anna", "ben"}
    anna, ben = (each[name, "the labels"] for name in ("anna", "ben"))
    assert (anna["images"], anna["everything"]["estimate"]) == (120, pytest.approx(0.9))
    assert (ben["images"], ben["everything"]["estimate"]) == (60, 1)
    assert (anna["agreed"]["estimate"], anna["doubtful"]["estimate"]) == (1, 0), "doubtful where the label is wrong"
    assert each["anna", "net, probe"]["everything"]["estimate"] > 0.9
    methods = {method["name"]: method for method in check["methods"]}
    assert set(methods) == {"net, probe", "net, guess"}
    assert methods["net, probe"]["everything"]["tier"] != methods["net, guess"]["everything"]["tier"]
    assert methods["net, probe"]["kept"]["value"]["estimate"] > methods["net, probe"]["everything"]["value"]["estimate"]
    board = CliRunner().invoke(app, ["leaderboard", "--runs-dir", str(runs_dir), "--format", "json"])
    rows = {f"net, {row['strategy']}": row["interval"] for row in json.loads(board.stdout)["rows"]}
    for name, method in methods.items():
        ends = [method["everything"]["value"][end] for end in ("low", "high")]
        assert ends == pytest.approx([rows[name]["low"], rows[name]["high"]]), "the interval of the board"
    text = invoke("--runs-dir", str(runs_dir)).stdout
    assert says(text, "120 images", "anger", "net, probe", "an annotator", "anna", "the labels", "90.0", "ben")
    with pytest.raises(FerBenchError):  # votes group no people
        CliRunner().invoke(app, ["groups", "probe", "--runs-dir", str(runs_dir), "--json"], catch_exceptions=False)


def test_labels_of_nothing_are_refused(tmp_path):
    with pytest.raises(FerBenchError):
        invoke("--runs-dir", str(tmp_path))
