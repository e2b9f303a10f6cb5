"""What a user types: the nearest of a wrong name is offered, no library speaks in its own words, answers are kept."""

from __future__ import annotations

import re

import pytest
import yaml
from messages import says
from test_gate import write_runs
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.cli.card import OPEN, _ask

LIBRARY = re.compile(r"Value error|Input should|Field required|Extra inputs|Assertion failed|unable to parse")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("typed") / "runs"
    write_runs(folder, n=40)
    return str(folder)


def say(*words: str) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0
    text = done.output + str(done.exception)
    assert not LIBRARY.search(text), text
    return text


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("plan --dataset synthetc", "synthetic"),
        ("plan --dataset synthetic --backbone xcepton", "xception"),
        ("plan --dataset synthetic --strategy linearprobe", "linear-probe"),
        ("plan --dataset synthetic --protocol kfld", "kfold"),
        ("plan --dataset synthetic[sise=3]", "size"),
        ("plan --dataset synthetic[domain=lba]", "lab"),
        ("plan --labels basic7", "basic-7"),
        ("plan --faces alin", "align"),
        ("plan --precision float23", "float32"),
        ("plan --missed exclud", "exclude"),
        ("run --dataset synthetic --executor proceses", "processes"),
        ("leaderboard --runs-dir RUNS --metric ua", "uar"),
        ("leaderboard --runs-dir RUNS --columns cot", "cost"),
        ("leaderboard --runs-dir RUNS --format jsn", "json"),
        ("leaderboard --runs-dir RUNS --figure x.svg --figure-kind conf_usion", "confusion"),
        ("check --baseline x --underpowered wrn", "warn"),
        ("compare net-probee probe --runs-dir RUNS", "probe"),
        ("new bakbone x", "backbone"),
        ("plugins check strategis", "strategies"),
        ("weights verify xcepton", "xception"),
        ("data prepare fer213", "fer2013"),
        ("data list fer213", "fer2013"),
        ("baseline dif a b", "diff"),
        ("plan --bakbone x", "--backbone"),
    ],
)
def test_the_nearest_name_is_offered(words, near, runs):
    text = say(*(runs if word == "RUNS" else word for word in words.split()))
    assert near in text.rpartition("ossible option")[2].rpartition("Did you mean")[2], text


def test_keys_and_values_of_a_file_are_offered_and_all_faults_are_named(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("bakbones: [xception]\nrun: []\n")
    assert says(say("plan", "--config", str(file)), "'bakbones'", "'backbones'?", "'run'", "'runs'")
    file.write_text("datasets: synthetic\nfolds: many\nfaces: alin\nleak_free: perhaps\nface_size: 1\n")
    text = say("plan", "--config", str(file))
    assert says(text, "datasets: ", "list", "'synthetic'", "folds: ", "whole number", "'many'")
    assert says(text, "faces: ", "'align'?")
    assert says(text, "leak_free: ", "true or false", "'perhaps'")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("check --baseline x --alpha much", ("--alpha", "number", "'much'")),
        ("compare a b --rope=-1", ("--rope", "0", "'-1'")),
        ("leaderboard --gallery 99", ("--gallery", "20", "'99'")),
        ("plan --folds many", ("--folds", "whole number", "'many'")),
    ],
)
def test_a_value_that_is_not_allowed_is_named(words, parts):
    assert says(say(*words.split()), *parts)


@pytest.mark.parametrize(
    ("answer", "text", "several"),
    [
        ("AffectNet: 8 classes # public", "AffectNet: 8 classes # public", None),
        ("no", "no", ["no"]),
        ("'angry', happy,  “neutral” ☺", "'angry', happy,  “neutral” ☺", ["angry", "happy", "“neutral” ☺"]),
        ("[0, 1.5]", "[0, 1.5]", [0, 1.5]),
        ("- {a", "- {a", ["- {a"]),
        ('a\x1b[2J\\"', 'a\x1b[2J\\"', None),
    ],
)
def test_a_card_holds_what_was_typed(answer, text, several, monkeypatch):
    monkeypatch.setattr("typer.prompt", lambda *_, **__: answer)
    draft = "trained_on: # which images\nlabels: # such as [angry, happy]\n"
    written = yaml.safe_load(OPEN.sub(_ask, draft))
    assert written["trained_on"] == text
    assert several is None or written["labels"] == several
