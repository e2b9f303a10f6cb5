"""``--private`` (docs/share.md): no name leaves, labs with one key pair their predictions, changed packs are caught."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from messages import says
from synthetic_runs import write_runs
from tiny_run import invoke

from fer_bench.errors import FerBenchError
from fer_bench.reports.packing import pack
from fer_bench.results import keyed
from fer_bench.results.consistency import pair_boards
from fer_bench.results.keyed import copied, name_key, read_key, seal
from fer_bench.results.outcomes import Provenance
from fer_bench.results.parsing import join_cell, split_cell
from fer_bench.results.store import Store
from fer_bench.results.unpacking import unpacked

KEY = "5f0c3b1e9a7d48266f0c3b1e9a7d4826"
OTHER = "00112233445566778899aabbccddeeff"
CONFIG = {"backbones": ["xception"], "datasets": ["synthetic"], "strategies": ["linear-probe"], "seeds": [3]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Runs with names, a key, and the private pack of them."""
    folder = tmp_path_factory.mktemp("lab")
    options = {"datasets": 1, "methods": 2, "folds": 2, "seeds": 2, "n": 60, "failed": 1}
    write_runs(folder / "runs", **options, provenance=Provenance(config=CONFIG))
    (folder / "lab.key").write_text(f"{KEY}\n")
    pack(folder / "runs", (), folder / "pack.zip", read_key(folder / "lab.key"))
    return folder


def hide(kind, name, key=KEY):
    return hmac.new(key.encode(), f"{kind}\0{name}".encode(), hashlib.sha256).hexdigest()[:32]


def tables(runs_dir):
    return {cell.record.place: cell.table().to_pandas() for cell in Store(runs_dir).cells()[0] if cell.ok}


def test_no_name_leaves_and_each_has_its_keyed_hash(lab, tmp_path):
    assert invoke("unpack", str(lab / "pack.zip"), "--into", str(tmp_path), "--private", str(lab / "lab.key"))
    hidden, named = tables(tmp_path), tables(lab / "runs")
    assert hidden.keys() == named.keys()
    for place, before in named.items():
        before["id"] = [hide("id", name) for name in before["id"]]
        before["group"] = [hide("unit", name) for name in before["group"]]
        pd.testing.assert_frame_equal(hidden[place], before.sort_values("id", ignore_index=True))
    boards = [
        json.loads(invoke("leaderboard", "--runs-dir", str(folder), "--format", "json").stdout)
        for folder in (lab / "runs", tmp_path)
    ]
    means = [[score["mean"] for row in board["rows"] for score in row["scores"].values()] for board in boards]
    assert means[0] == pytest.approx(means[1], rel=1e-12)  # rows come in another order, and sums round


def test_groups_are_hidden_and_what_has_none_stays_without(lab):
    frame = pd.DataFrame({"id": ["b", "a"], "group": ["subject:anna", ""], "group:ward": ["north", None], "label": 1})
    buffer = io.BytesIO()
    frame.to_feather(buffer)
    after = pd.read_feather(io.BytesIO(keyed._hide_table(buffer.getvalue(), KEY.encode())))
    after = after.set_index("id").loc[[hide("id", "b"), hide("id", "a")]]
    assert after["group"].tolist() == [f"subject:{hide('unit', 'anna')}", ""]
    assert after["group:ward"].tolist()[0] == hide("group:ward", "north")
    assert after["group:ward"].isna().tolist() == [False, True]


def test_boards_are_paired_where_the_key_is_the_same(lab, tmp_path):
    cells, _ = Store(lab / "runs").cells()
    with copied(cells, KEY.encode()) as one, copied(cells, OTHER.encode()) as two:
        (pairing,) = pair_boards([*Store(one).cells()[0], *Store(two).cells()[0]])
        assert says(" ".join(pairing.why_not), name_key(KEY.encode()), name_key(OTHER.encode()))
        assert not pair_boards([*Store(one).cells()[0], *Store(one).cells()[0]])  # one board
        with pytest.raises(FerBenchError) as error, copied(Store(one).cells()[0], OTHER.encode()):
            pass
        assert says(str(error.value), name_key(KEY.encode()))
        merged = invoke("merge", str(one), str(lab / "runs"), "--into", str(tmp_path / "both"))
        assert says(merged.stdout, "not paired", name_key(KEY.encode()), "none")


@pytest.mark.parametrize(("content", "part"), [(None, "openssl"), ("short", "5"), ("a" * 64, "64")])
def test_a_key_that_is_none_is_refused(tmp_path, content, part):
    file = tmp_path / "lab.key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(FerBenchError) as error:
        read_key(file)
    assert says(str(error.value), "lab.key", part)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_pack_of_another_key_or_without_seal_is_refused(lab, tmp_path, sealed):
    file, key = lab / "pack.zip", tmp_path / "other.key"
    key.write_text(OTHER)
    if not sealed:
        file = tmp_path / "open.zip"
        pack(lab / "runs", (), file)
    with pytest.raises(FerBenchError) as error:
        invoke("unpack", str(file), "--into", str(tmp_path / "runs"), "--private", str(key))
    assert says(str(error.value), name_key(OTHER.encode()) if sealed else "--private")
    assert not (tmp_path / "runs").exists()


class Forger:
    """A pack in the hands of someone without the key, who makes every public checksum right again."""

    def __init__(self, file):
        with zipfile.ZipFile(file) as archive:
            self.rest = {name: archive.read(name) for name in archive.namelist() if not name.startswith("cells/")}
            members = [name.split("/") for name in archive.namelist() if name.startswith("cells/")]
            self.cells = {}
            for _, cell, name in members:
                self.cells.setdefault(cell, {})[name] = archive.read(f"cells/{cell}/{name}")
        self.manifest = json.loads(self.rest.pop("manifest.json"))

    def find(self, seed=1, fold=0, method="linear-probe"):
        for name, files in self.cells.items():
            record = json.loads(files["cell.json"])
            if (record["seed"], record["fold"], record["strategy"]["text"]) == (seed, fold, method):
                return name
        raise AssertionError

    def edit(self, name, change, **place):
        """Change a file of JSON of a cell."""
        files = self.cells[self.find(**place)]
        record = json.loads(files[name])
        change(record)
        files[name] = json.dumps(record, sort_keys=True).encode()

    def predict(self, change, **place):
        """Change the predictions of a cell."""
        files = self.cells[self.find(**place)]
        table = pd.read_feather(io.BytesIO(files["predictions.feather"]))
        table, buffer = change(table), io.BytesIO()
        table.to_feather(buffer, compression="lz4")
        files["predictions.feather"] = buffer.getvalue()

    def write(self, file):
        cells = {}
        for files in self.cells.values():
            record = json.loads(files["cell.json"])
            number, _ = join_cell(split_cell(files["cell.json"]))
            assert record
            hashes = {
                name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "checksums.json"
            }
            cells[number[:16]] = {**files, "checksums.json": json.dumps(hashes).encode()}
        members = {f"cells/{cell}/{name}": data for cell, files in cells.items() for name, data in files.items()}
        members |= self.rest
        self.manifest["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in {**members, "manifest.json": json.dumps(self.manifest).encode()}.items():
                archive.writestr(name, data)


def swap(column, first=0, second=1):
    """Exchange what two samples have in a column."""

    def change(table):
        values = table[column].copy()
        values.iloc[[first, second]] = values.iloc[[second, first]].to_numpy()
        return table.assign(**{column: values})

    return change


def spread(table):
    """Return two samples with other labels, as places."""
    other = int(np.flatnonzero(table["label"] != table["label"].iloc[0])[0])
    return 0, other


P = [f"p{index}" for index in range(7)]


def set_probabilities(make):
    def change(table):
        values = make(table[P].to_numpy(), table["label"].to_numpy())
        return table.assign(**{name: values[:, index].astype(np.float32) for index, name in enumerate(P)})

    return change


def set_in(part, name, value):
    return lambda record: (record if part is None else record[part]).__setitem__(name, value)


def perfect(p, labels):
    return np.eye(7)[labels]


def predictions(change, **place):
    return lambda forger: forger.predict(change, **place)


def record(part, name, value):
    return lambda forger: forger.edit("cell.json", set_in(part, name, value))


def result(part, name, value):
    return lambda forger: forger.edit("result.json", set_in(part, name, value))


def provenance(name, value):
    return lambda forger: forger.edit("provenance.json", set_in(None, name, value))


def take_from(**place):
    def change(forger):
        there, here = forger.cells[forger.find(**place)], forger.cells[forger.find()]
        here["predictions.feather"] = there["predictions.feather"]

    return change


def drop(*places):
    return lambda forger: [forger.cells.pop(forger.find(**place)) for place in places]


def double_seed(forger):
    for fold in (0, 1):
        copy = dict(forger.cells[forger.find(fold=fold)])
        cell = json.loads(copy["cell.json"])
        copy["cell.json"] = json.dumps({**cell, "seed": 7}).encode()
        forger.cells[f"copy{fold}"] = copy


def rest(name, old, new):
    return lambda forger: forger.rest.__setitem__(name, forger.rest[name].replace(old, new, 1))


def manifest(name, value):
    return lambda forger: forger.manifest.__setitem__(name, value)


def guess_seal(forger):
    forger.manifest["seal"] = seal(OTHER.encode(), forger.manifest)


TAMPERINGS = {
    "two predictions exchanged": predictions(set_probabilities(lambda p, y: p[[1, 0, *range(2, len(p))]])),
    "one answer mended": predictions(set_probabilities(lambda p, y: np.vstack([np.eye(7)[y[:1]], p[1:]]))),
    "all answers right": predictions(set_probabilities(perfect)),
    "all answers of one class": predictions(set_probabilities(lambda p, y: np.eye(7)[np.zeros(len(p), int)])),
    "probabilities sharpened": predictions(set_probabilities(lambda p, y: p**2 / (p**2).sum(1, keepdims=True))),
    "probabilities flattened": predictions(set_probabilities(lambda p, y: 0.9 * p + 0.1 / 7)),
    "two classes exchanged": predictions(set_probabilities(lambda p, y: p[:, [1, 0, *range(2, 7)]])),
    "one probability moved by 1e-6": predictions(set_probabilities(lambda p, y: p + 1e-6 * (np.arange(7) - 3))),
    "probabilities in double precision": predictions(lambda t: t.astype(dict.fromkeys(P, np.float64))),
    "labels swapped": predictions(lambda t: swap("label", *spread(t))(t)),
    "one sample relabelled": predictions(lambda t: t.assign(label=[(t["label"][0] + 1) % 7, *t["label"][1:]])),
    "all labels shifted": predictions(lambda t: t.assign(label=(t["label"] + 1) % 7)),
    "labels made the answers": predictions(lambda t: t.assign(label=t[P].to_numpy().argmax(1))),
    "a hard sample dropped": predictions(lambda t: t.drop(index=3)),
    "a class dropped": predictions(lambda t: t[t["label"] != t["label"][0]]),
    "a sample doubled": predictions(lambda t: pd.concat([t, t.iloc[:1].assign(id="0" * 32)])),
    "an id renamed": predictions(lambda t: t.assign(id=["0" * 32, *t["id"][1:]])),
    "two ids swapped": predictions(lambda t: swap("id", *spread(t))(t)),
    "ids by another key": predictions(lambda t: t.assign(id=[hide("id", name, OTHER) for name in t["id"]])),
    "rows reversed": predictions(lambda t: t[::-1]),
    "two subjects swapped": predictions(lambda t: t.assign(group=t["group"][::-1].to_numpy())),
    "one subject for all": predictions(lambda t: t.assign(group="0" * 32)),
    "a subject for each sample": predictions(lambda t: t.assign(group=t["id"])),
    "predictions of another fold": take_from(fold=1),
    "predictions of another seed": take_from(seed=0),
    "predictions of another method": take_from(method="fine-tune"),
    "another split": record("protocol", "splits_sha256", "9" * 64),
    "another protocol": record("protocol", "name", "kfold"),
    "fewer folds": record("protocol", "folds", 3),
    "a protocol that ignores subjects": record("protocol", "ignores", ["subject"]),
    "other data": record("dataset", "fingerprint", "9" * 64),
    "other samples": record("dataset", "samples_sha256", "9" * 64),
    "more images": record("dataset", "n", 6000),
    "another data set's name": record("dataset", "text", "fer2013"),
    "a drawn set called real": record("dataset", "synthetic", False),
    "another key": record("dataset", "key", "9" * 16),
    "another backbone": record("backbone", "text", "net-9"),
    "other weights": record("backbone", "weights_sha256", "9" * 64),
    "another precision": record("backbone", "precision", "bfloat16"),
    "other code": record("backbone", "code_sha256", "9" * 64),
    "another strategy": record("strategy", "text", "best"),
    "an edited parameter": record("strategy", "params", {"c": 100}),
    "another seed's name": record(None, "seed", 5),
    "fewer parameters": result("measures", "parameters", 1),
    "quicker": result("measures", "seconds", {"features": 0.1, "fit": 0.1}),
    "more training samples": result("measures", "train_counts", [9999] * 7),
    "stored earlier": result(None, "finished", "2020-01-01T00:00:00.000+00:00"),
    "an edited config": provenance("config", {**CONFIG, "seeds": [4]}),
    "another machine": provenance("platform", "a faster one"),
    "a dropped fold": drop({"fold": 1}),
    "a dropped seed": drop({}, {"fold": 1}),
    "a failed cell dropped": drop({"method": "fine-tune", "seed": 0}),
    "a doubled seed": double_seed,
    "settings edited": rest("config.yaml", b"xception", b"mobilenet"),
    "the board edited": rest("README.md", b"linear-probe", b"linear-best"),
    "hash of the data edited": manifest("data", {"faces-0": "9" * 64}),
    "count edited": manifest("cells", 7),
    "the seal guessed": guess_seal,
}
SEEN_WITHOUT_KEY = (
    *("labels swapped", "a hard sample dropped", "a sample doubled", "an id renamed", "two subjects swapped"),
    "predictions of another fold",
)


def test_there_are_fifty_tamperings():
    assert len(TAMPERINGS) >= 50


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_pack_is_caught(lab, tmp_path, name):
    forger, file = Forger(lab / "pack.zip"), tmp_path / "forged.zip"
    TAMPERINGS[name](forger)
    forger.write(file)
    with pytest.raises(FerBenchError) as error, unpacked(file, tmp_path / "runs", KEY.encode()):
        pass
    assert says(str(error.value), "forged.zip", "seal")
    assert not (tmp_path / "runs").exists()


def test_a_pack_that_only_was_written_anew_is_no_tampering(lab, tmp_path):
    Forger(lab / "pack.zip").write(tmp_path / "same.zip")
    done = invoke("unpack", str(tmp_path / "same.zip"), "--into", str(tmp_path / "runs"))
    assert done.exit_code == 0
    assert len(Store(tmp_path / "runs").cells()[0]) == 8


@pytest.mark.parametrize("name", SEEN_WITHOUT_KEY)
def test_cells_that_contradict_others_are_refused_without_a_key(lab, tmp_path, name):
    forger, file = Forger(lab / "pack.zip"), tmp_path / "forged.zip"
    TAMPERINGS[name](forger)
    forger.write(file)
    forged = join_cell(split_cell(forger.cells[forger.find()]["cell.json"]))[0][:16]
    with pytest.raises(FerBenchError) as error:
        invoke("unpack", str(file), "--into", str(tmp_path / "runs"))
    assert says(str(error.value), forged)
    assert not (tmp_path / "runs").exists()
