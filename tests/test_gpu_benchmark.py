"""The parts that `benchmarks/gpu.py` runs: their order, what is kept of them, and what a second call repeats."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

USUAL, TORCH, OPERATIONS = "full 2 usual", "full 2 torch.compile", "operations"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    monkeypatch.delitem(sys.modules, "gpu", raising=False)
    import gpu

    monkeypatch.setattr(gpu, "environment", lambda folder, tiny: {})
    most = {USUAL: 90, TORCH: 80, OPERATIONS: 60}
    parts = [gpu.Part(title, [], None, most[title], compiled=title != OPERATIONS) for title in most]
    monkeypatch.setattr(gpu, "parts", lambda *_: iter(parts))
    return gpu


def test_answers_are_kept_at_once_and_a_second_call_runs_only_what_has_none(gpu, monkeypatch, tmp_path, capsys):
    ran = []

    def run_part(part, variables, most):
        ran.append((part.title, most))
        made = {"title": part.title, "seconds": 1.0, "fault": "", "text": "", "answer": []}
        if part.title == TORCH and len(ran) < 6:
            return made | {"fault": "stopped after 80 s"}
        if part.title != OPERATIONS:
            images = 30 if part.title == TORCH else 36
            made["answer"] = {"phases": [{"name": "full", "images": images, "seconds": 10}]}
        return made

    monkeypatch.setattr(gpu, "run_part", run_part)
    gpu.measure_parts(8, False, [], None, tmp_path)
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert [(one["title"], bool(one["fault"])) for one in kept] == [(USUAL, False), (TORCH, True), (OPERATIONS, False)]
    assert [title for title, _ in ran] == [USUAL, TORCH, USUAL, TORCH, OPERATIONS]  # first the two are compiled
    assert [most for _, most in ran[2:]] == [90, 80, 60]
    gpu.measure_parts(8, False, kept, None, tmp_path)
    assert {title for title, _ in ran[5:]} == {TORCH}
    rates = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("full at batch 2")]
    assert [words[-2:] for words in rates] == [["3.6", "-"], ["3", "1.00"], ["3.6", "1.20"]]
    ran.clear()
    gpu.measure_parts(0.1, False, [], None, tmp_path)
    assert ran == [], "nothing begins that cannot end in time"
