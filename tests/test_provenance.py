"""Every cell says where it comes from, and nothing about who ran it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_result
from tiny_run import BASE, PROCESS, invoke

from fer_bench.errors import FerBenchError
from fer_bench.privacy import anonymise, anonymise_command, anonymise_component, clean_flags, hide
from fer_bench.results import source
from fer_bench.results.find import find_row
from fer_bench.results.outcomes import Provenance, Source
from fer_bench.results.store import Store


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A package in a git work tree of its own, committed."""
    folder = tmp_path / "tree" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("a = 1\n")
    _git(folder.parent, "init", "-q")
    _git(folder.parent, "add", ".")
    _git(folder.parent, "commit", "-qm", "first")
    return folder


def test_a_package_in_git_has_its_commit_and_whether_its_files_differ(package):
    head = _git(package, "rev-parse", "HEAD")
    clean = source.describe("x", "1.0", str(package / "__init__.py"))
    assert clean == Source(version="1.0", commit=head, dirty=False, why="")
    (package.parent / "notes.txt").write_text("outside of the package")
    assert source.describe("x", "1.0", str(package / "__init__.py")).dirty is False
    (package / "new.py").write_text("")
    assert source.describe("x", "1.0", str(package / "__init__.py")).dirty is True
    (package / "new.py").unlink()
    (package / "__init__.py").write_text("a = 2\n")
    assert source.describe("x", "1.0", str(package / "__init__.py")).dirty is True


def test_an_untracked_package_inside_a_work_tree_is_not_of_that_tree(package):
    installed = package.parent / ".venv" / "lib" / "other.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    (package.parent / ".gitignore").write_text(".venv\n")
    known = source.describe("x", "1.0", str(installed))
    assert "work tree" in known.why
    assert known == Source(version="1.0", commit=None, dirty=None, why=known.why)


def test_the_git_of_a_work_tree_runs_none_of_its_programs(package, tmp_path):
    program = tmp_path / "monitor.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    _git(package, "config", "core.fsmonitor", str(program))
    assert source.describe("x", "1.0", str(package / "__init__.py")).commit
    assert not (tmp_path / "ran").exists()


def test_settings_of_a_surrounding_git_command_do_not_lead_astray(package, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert source.describe("x", "1.0", str(package / "__init__.py")).dirty is False


def test_without_git_that_is_what_is_recorded(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    known = source.describe("x", "1.0", str(package / "__init__.py"))
    assert known.commit is None
    assert says(known.why, "git", "not installed")


def test_a_git_that_hangs_is_given_up(package, tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(source, "TIMEOUT_S", 0.2)
    assert "git took longer" in source.describe("x", "1.0", str(package / "__init__.py")).why


def test_pip_records_the_commit_of_what_it_installed_from_git(site, write_plugin, tmp_path):
    write_plugin("fetched", "")
    info = next(site.glob("fetched-*.dist-info"))
    info.joinpath("direct_url.json").write_text(json.dumps({"url": "x", "vcs_info": {"commit_id": "c0ffee"}}))
    known = source.describe("fetched", "1.0", str(site / "fetched.py"))
    assert (known.commit, known.dirty) == ("c0ffee", False)


@pytest.fixture
def hostile(monkeypatch):
    monkeypatch.setenv("HOME", "/srv/people/mallory")
    monkeypatch.setenv("USER", "mallory")
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("CI_DEPLOY_TOKEN", "correct-horse")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/srv/people/mallory/runs", "<path>/runs"),
        ("cannot read '/home/anna/data/fer2013.csv': gone", "cannot read '<path>/fer2013.csv': gone"),
        ("--runs-dir=/home/anna", "--runs-dir=<path>"),
        (r"C:\Users\anna\data.csv", "<path>/data.csv"),
        ("file:///mnt/mallory/a.csv", "<path>/a.csv"),
        ("mallory-runs", "<user>-runs"),
        ("https://bob:hunter2@example.org/x", "https://<hidden>@example.org/x"),
        ("correct-horse", "<hidden>"),
        ("api_key=abc123", "api_key=<hidden>"),
        ("Authorization: Bearer abc.def", "Authorization: <hidden>"),
        ("ghp_0123456789abcdefXYZ", "<hidden>"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "<hidden>"),
        ("xception[input_size=149]", "xception[input_size=149]"),
        ("runs/demo", "runs/demo"),
        ("fer-bench-xception/xception", "fer-bench-xception/xception"),
        ("0.3 points of 1/2", "0.3 points of 1/2"),
        ("a / b / c", "a / b / c"),
    ],
)
def test_texts_lose_what_is_private_and_nothing_else(hostile, text, clean):
    assert anonymise(text) == clean


def test_a_command_loses_the_value_after_a_secrets_option(hostile):
    shown = anonymise_command(["run", "--hub-token", "a b", "--data-dir", "/data/mallory/x", "--folds", "3"])
    assert shown == ["run", "--hub-token", "<hidden>", "--data-dir", "<path>/x", "--folds", "3"]


def test_flags_keep_switches_and_numbers(hostile):
    flags = "--xla_cpu_enable_fast_math=false --xla_dump_to=/home/anna/x --xla_n=3 --xla_key=s3cr3t/== stray:text"
    assert clean_flags(flags) == (
        "--xla_cpu_enable_fast_math=false --xla_dump_to=<hidden> --xla_n=3 --xla_key=<hidden> <hidden>"
    )


def test_a_run_in_a_hostile_environment_stores_nothing_private(tiny):
    home = tiny / "home" / "mallory"
    home.mkdir(parents=True)
    environment = {
        "HOME": str(home),
        "USER": "mallory",
        "LOGNAME": "mallory",
        "HF_TOKEN": "hf_abcdefghijklmnop",
        "XLA_FLAGS": f"--xla_gpu_cuda_data_dir={home}/cuda",
        "PYTHONPATH": f"{tiny}/site",
        "FER_BENCH_PLUGINS": "tiny",
    }
    arguments = ["run", *BASE, "--backbone", "net[fault=build]", "--folds", "2", "--runs-dir", f"{home}/runs"]
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, *arguments], env={**os.environ, **environment}, cwd=tiny, capture_output=True
    )
    assert done.returncode == 1, done.stderr
    cells = list((home / "runs" / "cells").iterdir())
    assert len(cells) == 4
    for file in (file for cell in cells for file in cell.iterdir()):
        content = file.read_bytes()
        for private in (b"mallory", b"hf_abc", str(tiny).encode(), str(Path.home()).encode() + b"/"):
            assert private not in content, f"{file.name} holds {private}"


def test_values_of_parameters_lose_what_is_private_and_stay_different(hostile):
    first, second = hide(["/srv/people/mallory/a/x", "/srv/people/mallory/b/x"])
    assert first == f"<path>/x#{hashlib.sha256(b'/srv/people/mallory/a/x').hexdigest()[:8]}"
    assert second.startswith("<path>/x#")
    assert second != first
    assert hide({"n": 3, "by": "mallory"}) == {"n": 3, "by": f"<user>#{hashlib.sha256(b'mallory').hexdigest()[:8]}"}
    assert hide("correct-horse") == "<hidden>"
    assert hide("../x") == "../x"
    assert anonymise_component("mallory[file=/data/mallory,n=2]") == "mallory[file=<path>/<user>,n=2]"


@pytest.mark.slow
def test_parameters_of_plugins_are_stored_without_folders_and_names(tiny, hostile):
    faults = ["/srv/people/mallory/a/x", "/srv/people/mallory/b/x", "by mallory", "correct-horse"]
    backbones = [part for fault in faults for part in ("--backbone", f"net[fault='{fault}']")]
    options = ["--dataset", "squares", "--strategy", "probe", "--folds", "2"]
    assert invoke("run", *options, *backbones).exit_code == 0
    cells, _ = Store(tiny / "runs").cells()
    found = {cell.record.backbone.params["fault"]: cell.id for cell in cells}
    assert found.keys() == {hide(fault) for fault in faults}
    assert len(cells) == 2 * len(faults)
    for cell in cells:
        for file in cell.folder.iterdir():
            for private in (b"mallory", b"people", b"correct-horse"):
                assert private not in file.read_bytes(), f"{file.name} holds {private}"
    assert "mallory" not in invoke("leaderboard", "--format", "json").stdout
    # What lay in another folder is looked for in this one; here the parameter is but a word.
    assert "bit-identical: all" in invoke("replay", found[hide(faults[0])][:12]).stdout
    with pytest.raises(FerBenchError, match="is private"):
        invoke("replay", found["<hidden>"][:12])


def test_every_cell_has_all_of_it(tiny):
    invoke("run", *BASE, "--folds", "3", "--seeds", "4", "--precision", "float32")
    cells, _ = Store(tiny / "runs").cells()
    known = cells[0].provenance
    assert known.code.keys() == {"fer-bench", "tiny"}
    assert len(known.code["fer-bench"].commit or "") == 40 or known.code["fer-bench"].why
    assert known.code["tiny"].version == "1.0"
    assert known.python.endswith(".".join(map(str, sys.version_info[:3])))
    assert known.seeds == {"folds": 4, "training": 4, "random_backbone_weights": 0}
    assert known.device["platform"] == jax.default_backend()
    assert known.memory_bytes > 1e8
    assert known.cpu["count"] >= 1
    assert known.config == {
        **known.config,
        **{"datasets": ["squares"], "backbones": ["net"], "strategies": ["probe"], "seeds": [4], "folds": 3},
        "precision": "float32",
    }
    assert not {"runs_dir", "data_dir", "cache_dir"} & known.config.keys()


class _Raising(importlib.metadata.Distribution, importlib.metadata.DistributionFinder):
    """A half removed package as ``importlib_metadata`` finds it, which a library may put in Python's place."""

    def read_text(self, filename):
        return None

    def locate_file(self, path):
        return Path(path)

    def find_distributions(self, context=None):
        return [self]

    @property
    def metadata(self):
        raise FileNotFoundError("No package metadata was found.")


def test_half_removed_packages_do_not_end_a_run(tiny, site, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, _Raising()])
    (site / "broken-1.0.dist-info").mkdir()
    (site / "empty-1.0.dist-info").mkdir()
    (site / "empty-1.0.dist-info" / "METADATA").write_bytes(b"")
    assert invoke("run", *BASE, "--folds", "3").exit_code == 0


def test_a_cell_without_its_provenance_is_not_read(tmp_path):
    store = Store(tmp_path)
    stored = store.write(make_cell(), make_result(), Provenance(python="3"))
    file = stored.folder / "checksums.json"
    checksums = json.loads(file.read_text())
    del checksums["provenance.json"]
    file.write_text(json.dumps(checksums))
    assert store.cells()[1] == [f"{stored.folder.name}: provenance.json is missing"]


def test_an_error_is_stored_without_folders(tmp_path):
    stored = Store(tmp_path).write(make_cell(), failed("OSError: '/home/anna/weights.h5' is gone"), UNKNOWN)
    assert stored.error == "OSError: '<path>/weights.h5' is gone"


def test_a_cell_is_found_by_the_start_of_its_id(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(FerBenchError, match=r"no runs folder .*none"):
        find_row(Store(tmp_path / "none"), "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FerBenchError, match=r"empty.* no cells"):
        find_row(Store(tmp_path / "empty"), "a")
    stored = [store.write(make_cell(seed=seed), make_result(), UNKNOWN) for seed in range(40)]
    for cell in stored:
        assert find_row(store, cell.id[:12].upper()).id == cell.id
    shared = next(cell.id[0] for cell in stored if sum(other.id[0] == cell.id[0] for other in stored) > 1)
    with pytest.raises(FerBenchError, match=rf"'{shared}' may mean \d+"):
        find_row(store, shared)
    wrong = stored[0].id[:7] + ("0" if stored[0].id[7] != "0" else "1")
    with pytest.raises(FerBenchError, match=f"Did you mean '{stored[0].id[:8]}'"):
        find_row(store, wrong)
    with pytest.raises(FerBenchError, match="'zzz'"):
        find_row(store, "zzz")
    (stored[0].folder / "history.csv").unlink()
    with pytest.raises(FerBenchError, match=r"history\.csv is missing"):
        find_row(store, stored[0].id[:12])


def test_show_prints_a_cell(tiny):
    invoke("run", *BASE, "--folds", "3")
    cells, _ = Store(tiny / "runs").cells()
    text = invoke("show", cells[0].id[:10]).stdout
    folds = cells[0].record.protocol.splits_sha256[:12]
    for part in ("squares / net / probe", cells[0].id, "uar ", folds, "tiny 1.0, commit"):
        assert part in text
    assert not re.search(r"\w_(sha256|bytes|input)", text), "fields are said in words"
    record = json.loads(invoke("show", cells[0].id[:10], "--json").stdout)
    assert record["cell"] == cells[0].record.record()
    assert record["scores"]["uar"] > 0.5
