"""Results of several people come together in any order; packs carry them, and hostile ones are refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says
from synthetic_runs import write_runs
from tiny_run import invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.results.merging import merge
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Store

CONFIG = {"backbones": ["xception"], "datasets": ["synthetic"], "strategies": ["linear-probe"], "seeds": [3]}
PROVENANCE = Provenance(config=CONFIG, command=("fer-bench", "run"))


def runs(folder, **options):
    write_runs(folder, **{"datasets": 1, "methods": 2, "folds": 2, "n": 60, "provenance": PROVENANCE, **options})
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return runs(tmp_path_factory.mktemp("lab") / "runs")


def content(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def rewrite(cell, name, data):
    """Change a file of a cell, and its checksum with it."""
    (cell / name).write_bytes(data)
    checksums = json.loads((cell / "checksums.json").read_text())
    checksums[name] = hashlib.sha256(data).hexdigest()
    (cell / "checksums.json").write_text(json.dumps(checksums))


def shift(cell, by):
    """Move a share of each probability from the second class to the first."""
    table = pd.read_feather(cell / "predictions.feather")
    table["p0"], table["p1"] = table["p0"] + np.float32(by) * table["p1"], table["p1"] * np.float32(1 - by)
    table.to_feather(cell / "changed", compression="lz4")
    rewrite(cell, "predictions.feather", (cell / "changed").read_bytes())
    (cell / "changed").unlink()


def ok_cells(folder):
    return [cell.folder for cell in Store(folder).cells()[0] if cell.ok]


def test_runs_come_together_in_any_order_as_the_same_bytes(tmp_path):
    one, two = runs(tmp_path / "one"), runs(tmp_path / "two")  # the same cells, stored at another time
    part = tmp_path / "part"
    shutil.copytree(one, part)
    shutil.rmtree(ok_cells(part)[0])
    other = runs(tmp_path / "other", datasets=2)
    results = []
    for number, order in enumerate(itertools.permutations([one, two, part, other])):
        into = tmp_path / f"into{number}"
        at_once = [order] if number % 2 else [[folder] for folder in order]
        merged = [merge(folders, into) for folders in at_once]
        assert sum(each.taken for each in merged) == 8
        results.append(content(into))
    assert all(result == results[0] for result in results)
    assert {cell.id for cell in Store(into).cells()[0]} == {cell.id for cell in Store(other).cells()[0]}


def test_a_cell_that_is_ok_stands_for_one_that_failed(tmp_path):
    runs(tmp_path / "one", failed=2)
    runs(tmp_path / "two", failed=0)
    for number, order in enumerate((["one", "two"], ["two", "one"])):
        merge([tmp_path / name for name in order], tmp_path / f"into{number}")
        assert all(cell.ok for cell in Store(tmp_path / f"into{number}").cells()[0])


def test_a_contradiction_is_refused_with_what_differs_or_kept_aside(lab, tmp_path):
    other, into = tmp_path / "other", tmp_path / "into"
    shutil.copytree(lab, other)
    changed = ok_cells(other)[0]
    shift(changed, 0.25)
    with pytest.raises(FerBenchError) as refused:
        merge([lab, other], into)
    assert says(str(refused.value), changed.name, "--contradictions")
    assert not into.exists()
    assert invoke("merge", str(lab), str(other), "--into", str(into), "--contradictions", "keep").exit_code == 0
    (aside,) = (into / "contradictions").iterdir()
    assert aside.name.startswith(changed.name)
    copies = [(folder / "predictions.feather").read_bytes() for folder in (aside, into / "cells" / changed.name)]
    assert sorted(copies) == sorted(
        (root / "cells" / changed.name / "predictions.feather").read_bytes() for root in (lab, other)
    )
    assert len(Store(into).cells()[0]) == 4


def test_rounding_is_accepted_up_to_the_tolerance(lab, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(lab, other)
    shift(ok_cells(other)[0], 1e-6)
    with pytest.raises(FerBenchError):
        merge([lab, other], tmp_path / "strict")
    assert merge([lab, other], tmp_path / "into", tolerance=1e-5).contradictions == ()


def test_a_folder_without_cells_is_named(lab, tmp_path):
    (tmp_path / "empty").mkdir()
    result = invoke("merge", str(lab), str(tmp_path / "empty"), "--into", str(tmp_path / "all"))
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if str(tmp_path / "empty") in line]
    assert str(lab) not in line
    assert says(line, "no cells", "--runs-dir")
    assert invoke("merge", str(tmp_path / "empty"), "--into", str(tmp_path / "none")).exit_code == 2


def test_a_damaged_or_unsound_cell_is_left_out_by_name(lab, tmp_path):
    other, into = tmp_path / "other", tmp_path / "into"
    shutil.copytree(lab, other)
    damaged, unsound, *_ = ok_cells(other)
    (damaged / "history.csv").write_text("x")
    shift(unsound, 3)  # probabilities below 0
    done = invoke("merge", str(other), "--into", str(into))
    assert done.exit_code == 1
    assert says(done.stderr, damaged.name, "history.csv")
    assert says(done.stderr, unsound.name, "probabilities")
    assert len(Store(into).cells()[0]) == 2


def test_a_pack_gives_the_same_cells_back(lab, tmp_path):
    packs = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in packs:
        assert invoke("pack", "--runs-dir", str(lab), "--output", str(file)).exit_code == 0
    assert packs[0].read_bytes() == packs[1].read_bytes()
    assert invoke("unpack", str(packs[0]), "--into", str(tmp_path / "back")).exit_code == 0
    assert content(tmp_path / "back") == content(lab)
    with zipfile.ZipFile(packs[0]) as archive:
        readme, manifest = archive.read("README.md").decode(), json.loads(archive.read("manifest.json"))
        archive.extract("config.yaml", tmp_path)
    data = Store(lab).cells()[0][0].record.dataset
    assert manifest["data"] == {data.text: data.fingerprint}
    assert data.fingerprint in readme
    assert "| backbone" in readme
    (config,) = RunConfig.read(tmp_path / "config.yaml", {})
    assert (config.backbones, config.datasets, config.seeds) == (("xception",), ("synthetic",), (3,))


def test_a_pack_of_one_row_holds_its_cells_alone(lab, tmp_path):
    cell = Store(lab).cells()[0][0]
    output = tmp_path / "row.zip"
    assert (
        invoke(
            "pack", "--runs-dir", str(lab), "--rows", cell.record.experiment.id[:12], "--output", str(output)
        ).exit_code
        == 0
    )
    invoke("unpack", str(output), "--into", str(tmp_path / "back"))
    assert {c.record.experiment for c in Store(tmp_path / "back").cells()[0]} == {cell.record.experiment}


def test_what_is_private_is_not_packed(tmp_path):
    private = Provenance(config={**CONFIG, "datasets": ["folder[root=/home/anna/faces]"]})
    folder = runs(tmp_path / "runs", provenance=private)
    with pytest.raises(FerBenchError) as error:
        invoke("pack", "--runs-dir", str(folder), "--output", str(tmp_path / "out.zip"))
    assert says(str(error.value), "/home/anna/faces")
    assert not (tmp_path / "out.zip").exists()


LINK = zipfile.ZipInfo("cells/0123456789abcdef/cell.json")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
HOSTILE = {
    "leaves the folder": ("../evil", b"x"),
    "leaves it within": ("cells/../../evil", b"x"),
    "absolute": ("/tmp/evil", b"x"),
    "backslashes": ("cells\\..\\evil", b"x"),
    "foreign": ("cells/0123456789abcdef/run.sh", b"x"),
    "a folder": ("cells/0123456789abcdef/", b""),
    "link": (LINK, b"/etc/passwd"),
    "bomb": ("cells/0123456789abcdef/predictions.feather", bytes(30 << 20)),
    "too large": ("cells/0123456789abcdef/result.json", bytes(17 << 20)),
    "not named": ("cells/0123456789abcdef/cell.json", b"{}"),
}


@pytest.fixture
def packed(lab, tmp_path):
    file = tmp_path / "pack.zip"
    invoke("pack", "--runs-dir", str(lab), "--output", str(file))
    return file


def refuse(file, into):
    with pytest.raises(FerBenchError) as error:
        invoke("unpack", str(file), "--into", str(into))
    assert not into.exists()
    assert not (into.parent / "evil").exists()
    return str(error.value)


@pytest.mark.parametrize("kind", HOSTILE)
def test_members_that_are_not_of_a_pack_are_refused(packed, tmp_path, kind):
    member, data = HOSTILE[kind]
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    name = member if isinstance(member, str) else member.filename
    assert says(refuse(packed, tmp_path / "into"), name.replace("\\", "\\\\"))


def change(packed, edit):
    """Write a pack anew with ``edit`` applied to name -> content."""
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    edit(files)
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda files: files.update({"config.yaml": b"runs: []"}), "config.yaml"),
        (lambda files: files.pop("README.md"), "README.md"),
        (lambda files: files.pop("manifest.json"), "manifest.json"),
        (lambda files: files.update({"manifest.json": b'{"schema": 9, "files": {}}'}), "schema 9"),
        (lambda files: files.update({"manifest.json": b"[]"}), "manifest.json"),
    ],
)
def test_a_pack_that_was_changed_is_refused(packed, tmp_path, edit, part):
    change(packed, edit)
    assert says(refuse(packed, tmp_path / "into"), part)


def test_a_member_twice_is_refused(packed, tmp_path):
    with zipfile.ZipFile(packed, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("README.md", b"another")
    assert says(refuse(packed, tmp_path / "into"), "README.md", "2")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_half_written_pack_is_refused(packed, tmp_path, share):
    data = packed.read_bytes()
    packed.write_bytes(data[: int(share * len(data))])
    assert says(refuse(packed, tmp_path / "into"), packed.name)


def test_what_is_no_file_is_no_pack_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        assert says(refuse(place, tmp_path / "into"), str(place))


def test_a_pack_whose_cell_was_forged_is_left_out_by_name(packed, tmp_path):
    def forge(files):
        name = next(name for name in files if name.endswith("predictions.feather"))
        files[name] = files[name][:-9] + b"forged!!!"
        manifest = json.loads(files["manifest.json"])
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()

    change(packed, forge)
    done = invoke("unpack", str(packed), "--into", str(tmp_path / "into"))
    assert done.exit_code == 1
    assert says(done.stderr, "predictions.feather", "checksum")
    assert len(Store(tmp_path / "into").cells()[0]) == 3
