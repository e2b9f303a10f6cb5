"""A stored cell is made again from its own record, and told from one that was changed or has other inputs."""

from __future__ import annotations

import hashlib
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_measures, make_result
from tiny_run import BASE, TINY, invoke

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.executors.replay import Terms, compare
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Result, Store, StoredCell

TERMS = Terms(tolerance=1e-3, metric=STANDARD["uar"], margin=0.02, alpha=0.05)


@pytest.fixture
def cell(tiny) -> StoredCell:
    invoke("run", *BASE, "--folds", "3", "--seeds", "0,1", "--split-seeds", "1", "--precision", "float32")
    return next(cell for cell in Store(tiny / "runs").cells()[0] if cell.record.training == (1, 0))


def rewrite(cell: StoredCell, name: str, content: bytes) -> None:
    """Replace a file of a cell and its checksum, as somebody would who forges a result."""
    (cell.folder / name).write_bytes(content)
    sums = json.loads((cell.folder / "checksums.json").read_text())
    sums[name] = hashlib.sha256(content).hexdigest()
    (cell.folder / "checksums.json").write_text(json.dumps(sums))


def tamper(cell: StoredCell, change) -> None:
    table = pd.read_feather(cell.folder / "predictions.feather")
    columns = ["p0", "p1", "p2"]
    table[columns] = change(table[columns].to_numpy()).astype(np.float32)
    content = io.BytesIO()
    table.to_feather(content)
    rewrite(cell, "predictions.feather", content.getvalue())


def test_the_same_machine_gives_the_same_bits_and_the_runs_stay_as_they_are(cell, tiny):
    before = {file: file.stat().st_mtime_ns for file in (tiny / "runs").rglob("*")}
    done = invoke("replay", "net, probe", "--require", "bit-identical")
    assert done.exit_code == 0, done.output
    n = len(cell.table())
    assert says(done.stdout, f"bit-identical: all {3 * n} probabilities of {n} images", "the same", "6 bit-identical")
    assert done.stderr.count("data: ") == 1
    assert {file: file.stat().st_mtime_ns for file in (tiny / "runs").rglob("*")} == before


def test_changed_predictions_are_found(cell):
    tamper(cell, lambda p: p + np.array([2e-4, -2e-4, 0]))
    done = invoke("replay", cell.id, "--require", "bit-identical")
    assert done.exit_code == 1
    assert says(done.stdout, "equal", "0.0002", "tolerance 0.001")
    assert invoke("replay", cell.id).exit_code == 0
    tamper(cell, lambda p: p[:, ::-1])
    done = invoke("replay", cell.id, "--json")
    assert done.exit_code == 1
    record = json.loads(done.stdout)
    assert (record["answer"], record["differences"]) == ("different", [])


def test_another_precision_is_the_first_difference(cell):
    record = json.loads(invoke("replay", cell.id, "--precision", "bfloat16", "--json").stdout)
    assert record["differences"][0] == {"field": "cell.backbone.precision", "then": "float32", "now": "bfloat16"}


def test_other_data_are_the_first_difference(cell, tiny, monkeypatch):
    source = tiny / "site" / "tiny_data.py"
    # Another length, since Python goes by length and second to tell that its compiled copy is old.
    source.write_text(source.read_text().replace("default_rng(0)", "default_rng(1234)"))
    monkeypatch.delitem(sys.modules, "tiny_data")
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tiny / "other"))
    record = json.loads(invoke("replay", cell.id, "--json").stdout)
    assert record["answer"] != "bit-identical"
    assert record["differences"][0]["field"] == "cell.dataset.fingerprint"


def test_what_cannot_be_repeated_is_refused(cell, tiny):
    store = Store(tiny / "runs")
    bad = store.write(make_cell(), failed(), UNKNOWN)
    with pytest.raises(FerBenchError, match=r"failed \(ValueError: no\)"):
        invoke("replay", bad.id)
    old = store.write(make_cell(1), make_result(), Provenance(python="3"))
    with pytest.raises(FerBenchError, match=f"{old.id[:8]}.*settings"):
        invoke("replay", old.id)
    with pytest.raises(FerBenchError, match=r"--alpha 0.7:"):
        invoke("replay", cell.id, "--alpha", "0.7")


def reseal(cell: StoredCell, **config: object) -> str:
    """Change the settings that a cell says it was made with, as a stranger would; return the start of its id."""
    known = json.loads((cell.folder / "provenance.json").read_text())
    known["config"] = {**known["config"], **config}
    rewrite(cell, "provenance.json", json.dumps(known).encode())
    return cell.id[:8]


class Reached(list[str]):
    """Files that are opened and hosts that are looked up while it is on; Python cannot take an audit hook away."""

    on = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event == "open":
            self.append(str(arguments[0]))
        if self.on and event.startswith("socket."):
            self.append("socket")


REACHED = Reached()
sys.addaudithook(REACHED)
REACHING = {
    "card": ("onnx[card=/etc/passwd]", "'/etc/passwd'", "'card'"),
    "relative file": ("keras-mobilenetv2[file=../x.h5]", "x.h5'", "'file'"),
    "download": ("keras-mobilenetv2", "'imagenet'", "'keras'"),
    "named download": ("keras-mobilenetv2[weights='imagenet']", "'imagenet'", "download"),
}


@pytest.mark.parametrize("kind", REACHING)
def test_a_strangers_cell_opens_and_downloads_nothing_unasked(kind, tmp_path, monkeypatch):
    text, *parts = REACHING[kind]
    cell = Store(tmp_path / "runs").write(make_cell(), make_result(), Provenance(config={"backbones": [text]}))
    monkeypatch.setattr(REACHED, "on", True)
    REACHED.clear()
    with pytest.raises(FerBenchError) as raised:
        invoke("replay", cell.id[:8], "--runs-dir", str(tmp_path / "runs"))
    assert says(str(raised.value), cell.id[:8], *parts, "--trust")
    assert [path for path in REACHED if path == "socket" or path.endswith(("passwd", "x.h5"))] == []
    assert len(REACHED) > 4, "the cell's own files are opened"


def test_a_trusted_cell_opens_the_file_that_it_names(tmp_path):
    settings = {"backbones": ["onnx[card=/nowhere/card.yaml]"], "strategies": ["as-is"]}
    cell = Store(tmp_path / "runs").write(make_cell(), make_result(), Provenance(config=settings))
    with pytest.raises(FerBenchError, match=r"'card\.yaml'.*not recorded") as raised:
        invoke("replay", cell.id[:8], "--trust", "--runs-dir", str(tmp_path / "runs"))
    assert "--trust" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ({"datasets": ["squares", "synthetic"]}, ["2 datasets"]),
        ({"backbones": ["net", "net[width=2]"], "strategies": ["probe", "steps"]}, ["2 backbones", "2 strategies"]),
        ({"folds": "many"}, ["folds", "many"]),
        ({"no_such": 1}, ["no_such"]),
        ({"backbones": "net"}, ["backbones", "net"]),
    ],
)
def test_settings_that_make_no_cell_are_one_message(cell, config, parts):
    with pytest.raises(FerBenchError) as raised:
        invoke("replay", reseal(cell, **config))
    assert says(str(raised.value), cell.id[:8], "config", *parts)


def test_a_cell_is_repeated_by_the_packages_that_it_records(cell, write_plugin, monkeypatch):
    # Of the same length and second, Python would take its compiled copy for the first plugin's.
    write_plugin("other", TINY.replace("one convolution", "another net").replace("tiny:", "other:"))
    monkeypatch.setenv("FER_BENCH_PLUGINS", "tiny,other")
    with pytest.raises(FerBenchError, match="2 packages"):
        invoke("run", *BASE, "--folds", "3")
    done = invoke("replay", cell.id[:8], "--require", "bit-identical")
    assert done.exit_code == 0, done.output
    assert says(done.stdout, "first difference: code.other"), "data set, backbone and strategy are tiny's"


@pytest.mark.parametrize(
    ("turned", "answer", "why"),
    [(4, "statistically equivalent", "a difference of 0.02 is excluded"), (400, "different", "is not excluded")],
)
def test_equivalence_is_tested_where_probabilities_differ(tmp_path, turned, answer, why):
    labels = np.arange(4000) % 2
    cells = []
    for index, n in enumerate((0, turned)):
        wrong = np.isin(np.arange(4000), np.arange(0, 4000, 10)) ^ (np.arange(4000) < n)
        table = pd.DataFrame({"id": [f"s{i:04d}" for i in range(4000)], "group": "", "label": labels})
        table["p0"] = np.where(wrong ^ (labels == 0), 0.9, 0.2)
        table["p1"] = 1 - table["p0"]
        result = Result("ok", "", make_measures(), table, pd.DataFrame())
        cells.append(Store(tmp_path / str(index)).write(make_cell(), result, UNKNOWN))
    found = compare(*cells, TERMS)
    assert found.answer == answer
    assert why in found.why


def test_other_samples_and_labels_are_told(tmp_path):
    first = Store(tmp_path / "a").write(make_cell(), make_result(), UNKNOWN)
    fewer = Store(tmp_path / "b").write(make_cell(), make_result(ids=["s0", "s1", "x"]), UNKNOWN)
    other = Store(tmp_path / "c").write(make_cell(), make_result(labels=(0, 1, 1)), UNKNOWN)
    assert says(compare(first, fewer, TERMS).why, "1 of 3", "gone", "1", "new")
    assert says(compare(first, other, TERMS).why, "1 of 3", "label")
    assert compare(first, Store(tmp_path / "d").write(make_cell(), failed(), UNKNOWN), TERMS).answer == "different"
