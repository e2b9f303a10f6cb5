"""Faces in the cache and in runs: looked for once, and what a missed one costs."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_faces import Fake
from messages import says
from tiny_run import BASE, invoke

from fer_bench.cli import main
from fer_bench.errors import FerBenchError
from fer_bench.faces import store, weights
from fer_bench.faces.parameters import Crop, Detection
from fer_bench.tasks.crops import as_errors

OTHER = "others[split=test]"
SECOND = """synthetic=True), DatasetSpec(name="others", title="", builder="tiny_data:Squares", licence="n",
    identity="maybe", labels=("dark", "light", "odd, \\\\n“ß”"), citation="none", synthetic=True)]"""


def _detect(folder, count, detection=None, dataset="data"):
    images = [np.full((4, 4, 1), i, np.uint8) for i in range(count)]
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    silent = lambda _: None  # noqa: E731
    read = lambda positions: [images[i] for i in positions]  # noqa: E731
    return store.detect(folder, dataset, hashes, read, detection or Detection(), silent, silent, Fake)


def test_an_image_is_looked_at_once(tmp_path):
    Fake.looked = 0
    first = _detect(tmp_path, 20)
    assert first.found.tolist() == [True, False] * 10
    assert first.boxes[2].tolist() == [1, 1, 11, 11]
    assert first.boxes[3].tolist() == [0, 0, 0, 0]
    assert Fake.looked == 20
    assert _detect(tmp_path, 30).found.tolist() == [True, False] * 15
    assert Fake.looked == 30  # the first 20 were known
    _detect(tmp_path, 30, Detection(smallest=0.2))
    assert Fake.looked == 60
    (file,) = [f for f in (tmp_path / "faces").glob("*.faces") if len(store._load(f)) == 30][:1]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert store._load(file) == {}


def _process(folder, results):
    Fake.looked = 0
    found = _detect(folder, 40)
    results.put((Fake.looked, int(found.found.sum())))


def test_two_processes_share_the_work(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_process, args=(tmp_path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    got = sorted(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert got == [(0, 20), (40, 20)]


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "faces").write_text("a file, not a folder")
    with pytest.raises(FerBenchError, match="--cache-dir"):
        _detect(tmp_path, 3)


def test_missed_faces_are_errors_by_every_metric():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [1.0, 0, 0]])
    out = as_errors(probabilities, np.array([0, 1, 0]), np.array([True, False, False]))
    np.testing.assert_allclose(out, [[0.7, 0.2, 0.1], [0.25, 0, 0.75], [0, 0.5, 0.5]])


@pytest.fixture
def fake(tiny, monkeypatch):
    """The tiny plugins, and a detector that misses about half of the images."""
    from fer_bench.tasks import cropping

    monkeypatch.setattr(cropping, "Detector", Fake)
    Fake.looked = 0
    return tiny


def _cells(folder: Path):
    for cell in sorted((folder / "runs" / "cells").iterdir()):
        result = json.loads((cell / "result.json").read_text())["measures"]
        yield json.loads((cell / "cell.json").read_text()), result, pd.read_feather(cell / "predictions.feather")


def test_missed_faces_count_as_errors_train_nothing_and_are_shown(fake):
    result = invoke("run", *BASE, "--folds", "3", "--faces", "align", "--json")
    assert result.exit_code == 0, result.stderr
    row = next(row for row in json.loads(result.stdout)["rows"] if not row["baseline"])
    assert row["dataset"] == "squares faces=align"
    assert row["n"] == 90
    assert 0.2 < row["faces"] < 0.8
    assert says(result.stderr, f"{100 * row['faces']:.1f} % of 90 images")
    tables, trained = [], 0
    for cell, measures, table in _cells(fake):
        assert cell["dataset"]["faces"]["method"] == "align"
        assert cell["dataset"]["faces"]["detection"]["weights_sha256"] == weights.SHA256
        assert measures["faces"] == {"coverage": row["faces"], "tested": len(table), "found": table["found"].sum()}
        tables.append(table)
        trained += sum(measures["train_counts"])
    table = pd.concat(tables)
    missed = table[~table["found"]]
    assert len(missed) == round(90 * (1 - row["faces"]))
    answers = table[["p0", "p1", "p2"]].to_numpy()
    right = answers.argmax(1) == table["label"]
    assert not right[~table["found"]].any()
    assert right.mean() == pytest.approx(row["scores"]["accuracy"]["mean"], abs=0.02)
    assert trained == 2 * table["found"].sum()
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-5)
    text = invoke("leaderboard").stdout
    assert "faces" in text.splitlines()[2].split()  # the head of a column, above "%"
    assert Fake.looked == 90


def test_missed_faces_can_be_left_out_and_whole_images_stay_as_they_were(fake):
    arguments = ["run", *BASE, "--folds", "3", "--json", "--protocol", "kfold"]
    left = json.loads(invoke(*arguments, "--faces", "box", "--missed", "exclude").stdout)["rows"][0]
    assert left["n"] == round(90 * left["faces"]) < 90
    assert left["dataset"] == "squares faces=box,missed=exclude"
    whole = json.loads(invoke(*arguments).stdout)["rows"][0]
    assert (whole["n"], whole["faces"], whole["dataset"]) == (90, None, "squares")
    assert all("faces" not in cell["dataset"] for cell, *_ in _cells(fake) if cell["dataset"]["text"] == "squares")
    again = invoke(*arguments, "--faces", "box", "--missed", "exclude")
    assert says(again.stderr, "3 cells", "3", "done")
    assert Fake.looked == 90


@pytest.fixture(scope="module")
def loaded():
    return weights.load()


# The nets, in plain numpy ---------------------------------------------------------------------------------------------


def test_squares_have_no_face_and_that_is_said(tiny, loaded, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run", *BASE, "--faces", "box"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert says(capsys.readouterr().err, "90", "'squares'", "--faces")


def test_unknown_values_are_refused(tiny, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run", *BASE, "--faces", "crop", "--missed", "ignore"])
    with pytest.raises(SystemExit):
        main()
    error = capsys.readouterr().err
    assert says(error, "faces:", "'none'", "'align'", "'box'", "'crop'")
    assert says(error, "missed:", "'error'", "'exclude'", "'ignore'")


def test_crops_that_reach_beyond_their_pictures_are_said(fake):
    run = ["run", *BASE, "--folds", "2", "--faces", "box", "--face-margin"]
    wide = invoke(*run, "1")
    assert wide.exit_code == 0, wide.stderr
    # A crop of 30 pixels around the middle of pictures of 12: 6 of its 16 points lie inside in each direction.
    assert says(wide.stderr, f"{100 * (1 - (6 / 16) ** 2):.0f} %", "outside of")
    narrow = invoke(*run, "0")
    assert narrow.exit_code == 0, narrow.stderr
    assert "outside of" not in narrow.stderr


@pytest.mark.parametrize("added", ["--train-with", "--train-on"])
def test_faces_are_cut_out_of_the_added_data_too(fake, site, added):
    """The tested data set is one split of the squares, the added one the other, of people of their own."""
    plugin = site / "tiny.py"
    text = plugin.read_text(encoding="utf-8")
    assert "synthetic=True)]" in text
    plugin.write_text(text.replace("synthetic=True)]", SECOND), encoding="utf-8")
    own = ["run", "--backbone", "net", "--strategy", "probe", "--dataset", "squares[split=train]", added, OTHER]
    result = invoke(*own, "--folds", "2", "--faces", "align", "--json")
    assert result.exit_code == 0, result.stderr
    row = next(row for row in json.loads(result.stdout)["rows"] if not row["baseline"])
    assert row["dataset"] == "squares[split=train] faces=align"
    for name, images in (("squares[split=train]", 60), (OTHER, 30)):
        assert any(says(line, f"{name} faces=align: ", f"% of {images} images") for line in result.stderr.splitlines())
    found = {True: 0, False: 0}
    for cell, measures, table in _cells(fake):
        assert cell["dataset"]["faces"]["method"] == "align"
        assert [part["faces"]["method"] for part in cell["dataset"]["trained_with"]] == ["align"]
        # Images in which no face was found train nothing, whichever data set they are of.
        assert sum(measures["train_counts"]) <= 90 - len(table) * (added == "--train-with")
        for value, number in table["found"].value_counts().items():
            found[bool(value)] += int(number)
        right = table[["p0", "p1", "p2"]].to_numpy().argmax(1) == table["label"]
        assert not right[~table["found"]].any()
    assert sum(found.values()) == 60
    assert row["faces"] == pytest.approx(found[True] / 60)
    assert Fake.looked == 90


def test_options_of_the_detector_are_part_of_the_cell_and_of_the_name(fake):
    options = [
        "--face-size",
        "32",
        "--face-margin",
        "0.3",
        "--face-smallest",
        "0.2",
        "--face-thresholds",
        "0.5,0.6,0.7",
    ]
    result = invoke("run", *BASE, "--folds", "2", "--faces", "box", *options, "--json")
    assert result.exit_code == 0, result.stderr
    row = json.loads(result.stdout)["rows"][0]
    assert row["dataset"] == "squares faces=box,smallest=0.2,thresholds=[0.5,0.6,0.7],size=32,margin=0.3"
    (faces,) = {json.dumps(cell["dataset"]["faces"], sort_keys=True) for cell, *_ in _cells(fake)}
    identity = json.loads(faces)
    assert (identity["size"], identity["margin"]) == (32, 0.3)
    assert (identity["detection"]["smallest"], identity["detection"]["thresholds"]) == (0.2, [0.5, 0.6, 0.7])
    assert Fake.looked == 90
    # Only what decides where faces are makes a second search; another size does not.
    assert invoke("run", *BASE, "--folds", "2", "--faces", "box", *options[2:]).exit_code == 0
    assert Fake.looked == 90
    entries = json.loads(invoke("cache", "status", "--json").stdout)["entries"]
    assert len({entry["faces"] for entry in entries}) == len(entries) == 2, "rows of other cuts tell themselves apart"
    text = "".join(invoke("cache", "status").stdout.split())
    assert text.count("faces=box") == 2
    assert str(Crop(method="align", margin=0.3)) == "align"


def test_options_of_the_detector_out_of_range(tiny, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run", *BASE, "--face-size", "8", "--face-thresholds", "0.5,2"])
    with pytest.raises(SystemExit):
        main()
    error = capsys.readouterr().err
    assert says(error, "face_size:", "16", "8")
    assert says(error, "face_thresholds 1:", "1")
    assert "face_thresholds 2: is missing" in error
