"""Every code block of the README and of docs/ runs, on small data, or says why not and what tests it instead."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from documents import DOCUMENTS, GRID, LANGUAGES, NOT_RUN, ROOT, blocks, command_lines, make_small
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.testing.layouts import LAYOUTS, draw_face
from fer_bench.testing.layouts.drawing import save_face

TEXTS = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
NAMES = [document.relative_to(ROOT).as_posix() for document in DOCUMENTS]
BASE = ["--dataset", "synthetic[n=70,size=32,subjects=10]", "--backbone", "tiny", "--folds", "2"]
TINY = """
from fer_bench import hookimpl
from fer_bench.testing.tiny import SPEC

@hookimpl
def fer_bench_backbones():
    return [SPEC]
"""
RAN: set[tuple[str, ...]] = set()
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, edges):
    """Drawn data in the layouts of what the documents name, two rows of results, the plugin of the tutorial."""
    folder = tmp_path_factory.mktemp("snippets")
    manual = folder / "data" / "manual"
    _write_fer2013(manual / "fer2013")
    for name, layout in (("rafdb", "rafdb/folders"), ("affectnet", "affectnet/2021")):
        LAYOUTS[layout](manual / name)
    rows = ["path,label,subject"]
    rows += [f"{e}{p}.png,{e},p{p}" for e in EXPRESSIONS for p in range(4)]
    for name in ("empathic", "manifest"):
        _write_manifest(manual / name / "manifest.csv", "\n".join(rows))
    for number, (expression, person) in enumerate(itertools.product(EXPRESSIONS, range(8))):
        save_face(folder / "faces" / expression / f"P{person}_1.png", expression, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("FER_BENCH_DATA_DIR", str(folder / "data"))
        patch.setenv("FER_BENCH_CACHE_DIR", str(folder / "cache"))
        patch.syspath_prepend(str(edges))
        _install("tiny-net", TINY, folder / "site", patch)
        _invoke(["run", *BASE, "--strategy", "linear-probe", "--strategy", "knn", "--runs-dir", str(folder / "runs")])
        yield folder


def test_every_block_has_a_known_language_and_a_reason_not_to_run():
    faults = []
    for document, text in TEXTS.items():
        fences = [line for line in text.splitlines() if line.startswith("```")]
        found = blocks(text)
        if len(fences) != 2 * len(found):
            faults.append(f"{document}: a fence is not closed, or stands in another")
        outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        if re.search(r"\n\n    (?! *(-|\d+\.) )\S", outside):
            faults.append(f"{document}: an indented block; use a fence with a language")
        for block in found:
            if block.language not in LANGUAGES:
                faults.append(f"{document}:{block.line}: language {block.language!r}; known: {sorted(LANGUAGES)}")
            if block.directive in ("not run", "planned") and len(block.value.split()) < 3:
                faults.append(f"{document}:{block.line}: no reason")
            if block.directive == "tested by":
                named = [ROOT / name for name in re.findall(r"[\w/]+\.py", block.value)]
                if not named or not any(f.is_file() and document.name in f.read_text(encoding="utf-8") for f in named):
                    faults.append(f"{document}:{block.line}: {block.value} does not name {document.name}")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_run(name, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shutil.copytree(workspace / "runs", tmp_path / "runs-of-last-week")
    shutil.copytree(workspace / "faces", tmp_path / "faces")
    names: dict[str, object] = {}
    for block in blocks(TEXTS[ROOT / name]):
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        shutil.copytree(workspace / "runs", tmp_path / "runs")
        where, planned = f"{name}:{block.line}", block.directive == "planned"
        if block.directive in ("not run", "tested by"):
            continue
        if block.directive == "file":
            write = _write_manifest if block.value.endswith("manifest.csv") else Path.write_text
            write(tmp_path / block.value, block.code)
        elif block.directive == "plugin":
            _install(block.value, block.code, tmp_path / "site", monkeypatch)
        elif block.language == "sh":
            for line in command_lines(block.code):
                _run(re.sub(r"^fer-bench run", "fer-bench plan", line) if planned else line, where, tmp_path)
        elif block.language == "python":
            exec(compile(block.code, where, "exec"), names)
        elif block.language == "toml":
            tomllib.loads(block.code)


def _run(line: str, where: str, folder: Path) -> None:
    if any(re.match(pattern, line) for pattern in NOT_RUN):
        return
    if not line.startswith("fer-bench "):
        done = subprocess.run(["bash", "-euc", line], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{where}: {line}\n{done.stdout}{done.stderr}"
        return
    cells = sorted(path.name for path in (folder / "runs" / "cells").iterdir())
    words = make_small(line, (cells[0], cells[1]))
    if words[0] in (*GRID, "compare", "replay", "show"):
        # Documents repeat each other; what a block goes on with lies in the runs that it begins with.
        if tuple(words) in RAN:
            return
        RAN.add(tuple(words))
    words, target = (words[: words.index(">")], words[words.index(">") + 1]) if ">" in words else (words, "")
    # Two folds of drawn faces are too few for the gate to pass, as it should say.
    said = _invoke(words, (0, 3) if words[0] == "check" else (0,), f"{where}: {line}")
    if target:
        (folder / target).write_text(said, encoding="utf-8")


def _invoke(words: list[str], allowed: tuple[int, ...] = (0,), where: str = "") -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code in allowed, f"{where}\nran as: {words}\n{done.output}{done.exception or ''}"
    return done.stdout


def _install(name: str, code: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = name.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fer_bench]\n{name} = {module}\n")
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(site))


def _write_fer2013(folder: Path) -> None:
    """Six faces of each class to train on, and two in each test part."""
    folder.mkdir(parents=True)
    rows, number = ["emotion,pixels,Usage"], 0
    for usage, faces in (("Training", 6), ("PublicTest", 2), ("PrivateTest", 2)):
        for label, expression in enumerate(EXPRESSIONS):
            for _ in range(faces):
                number += 1
                face = np.asarray(Image.fromarray(draw_face(expression, number)).convert("L").resize((48, 48)))
                # Noise, or the audit calls faces of one expression copies.
                noisy = face // 2 + np.random.default_rng(number).integers(0, 128, face.shape, dtype=np.uint8)
                rows.append(f"{label},{' '.join(map(str, noisy.ravel()))},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(rows) + "\n")


def _write_manifest(file: Path, text: str) -> None:
    """Write a manifest and the pictures that it names."""
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    for number, row in enumerate(text.splitlines()[1:]):
        path, label = row.split(",")[:2]
        picture = file.parent / path
        picture.parent.mkdir(parents=True, exist_ok=True)
        expression = {"happy": "happiness"}.get(label, label)
        Image.fromarray(draw_face(expression, number)).save(picture)


def test_documents_are_found():
    assert len(NAMES) >= 20
    assert os.path.commonpath([ROOT, *DOCUMENTS]) == str(ROOT)
