"""The gallery of errors: which images it shows, that they are those of the samples, and that nobody gets it unasked."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from messages import says
from PIL import Image
from test_results import UNKNOWN, make_cell, make_measures
from tiny_run import invoke

from fer_bench.data.prepare import prepare
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry
from fer_bench.reports.gallery import SIDE, find_errors
from fer_bench.reports.leaderboard import build
from fer_bench.results.store import Result, Store

CLASSES = ("dark", "light", "odd")
IDS = ["003", "000", "001", "004"]


def board(store: Store, fingerprint: str, ids=IDS) -> Store:
    """Two seeds on four squares of the classes dark, dark, light, light; of ``ids``, in this order."""
    known = {"text": "squares", "name": "squares", "fingerprint": fingerprint, "classes": CLASSES}
    known["labels"] = {"set": "native", "map": {name: name for name in CLASSES}}
    table = pd.DataFrame({"id": ids, "group": "", "label": [0, 0, 1, 1]})
    first = [[0.1, 0.9, 0.0], [0.3, 0.1, 0.6], [0.0, 1.0, 0.0], [0.7, 0.2, 0.1]]
    second = [[0.2, 0.0, 0.8], [0.0, 0.3, 0.7], [0.0, 1.0, 0.0], [0.1, 0.8, 0.1]]
    for seed, rows in enumerate((first, second)):
        columns = {f"p{index}": np.array(rows, np.float32)[:, index] for index in range(3)}
        result = Result("ok", "", make_measures((2, 1, 1)), table.assign(**columns), pd.DataFrame({"phase": ["p"]}))
        store.write(make_cell(seed=seed, **known), result, UNKNOWN)
    return store


def test_a_sample_counts_once_with_its_most_confident_error(tmp_path):
    row = next(row for row in build(board(Store(tmp_path), "0" * 64).cells()[0]) if not row.baseline)
    ids = row.pooled.ids.to_pylist()
    errors = {
        label: [(ids[sample], named, round(confidence, 4)) for sample, named, confidence in several]
        for label, several in find_errors(row.pooled, 5).items()
    }
    assert errors == {0: [("003", 1, 0.9), ("000", 2, 0.7)], 1: [("004", 0, 0.7)]}
    assert [len(several) for several in find_errors(row.pooled, 1).values()] == [1, 1]


def test_the_page_shows_the_images_of_the_errors(tiny):
    data = prepare(Registry.load().dataset("squares"), tiny / "data")
    board(Store(tiny / "runs"), data.fingerprint)
    page = tiny / "page.html"
    command = ["leaderboard", "--format", "html", "--output", str(page)]
    result = invoke(*command, "--gallery", "1")
    assert "personal data" in result.stderr
    text = page.read_text()
    shots = dict(re.findall(r'<img alt="(\d+)" title="\d+" src="data:image/jpeg;base64,([^"]+)"', text))
    assert sorted(shots) == ["003", "004"]
    for name, content in shots.items():
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L"), float)
        (image,) = data.images(np.array([int(name)]))
        assert max(shown.shape) <= SIDE
        assert shown == pytest.approx(image[..., 0].astype(float), abs=30), "JPEG changes a grey square little"
    assert "img-src data:;" in text
    assert "personal data" in text
    assert invoke(*command).exit_code == 0
    assert not re.search(r"<img|img-src|personal data|data:image", page.read_text())


def test_images_that_are_not_those_of_the_rows_are_refused(tiny):
    runs = board(Store(tiny / "runs"), "1" * 64).runs_dir

    def ask(*options: str) -> str:
        with pytest.raises(FerBenchError) as error:
            invoke("leaderboard", *options)
        return str(error.value)

    options = ("--format", "html", "--gallery", "2", "--runs-dir")
    assert says(ask(*options, str(runs)), "--gallery", str(tiny / "data"), "'squares'", "--data-dir", "data prepare")
    data = prepare(Registry.load().dataset("squares"), tiny / "data")
    assert says(ask(*options, str(runs)), "'squares'", "data prepare"), "of other content"
    other = board(Store(tiny / "other"), data.fingerprint, [f"x{name}" for name in IDS]).runs_dir
    assert says(ask(*options, str(other)), "--gallery", "'squares'", "ids")
    assert says(ask("--gallery", "2", "--runs-dir", str(runs)), "--gallery 2", "--format html")
