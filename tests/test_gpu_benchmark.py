"""The parts that `benchmarks/gpu.py` runs: what is kept of them, what a second call repeats, and its targets."""

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
    parts = [gpu.Part(title, [], None, most[title], None if title == OPERATIONS else []) for title in most]
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


def test_each_target_has_a_line_with_figure_bound_and_verdict(gpu):
    import gpu_targets

    def answer(title, answer=None, text=""):
        return {"title": title, "answer": answer, "text": text}

    def steps(kind, batch, name, images):
        phases = [{"name": kind, "images": images, "seconds": 10}, {"name": "predict", "images": 99, "seconds": 1}]
        return answer(f"{kind} {batch} {name}", {"phases": phases})

    def operation(name, formulation, us, floor=100.0):
        return {"operation": name, "formulation": formulation, "us": us, "floor_us": floor}

    rows = [operation("depthwise 5x5x9", "usual", 160.0), operation("depthwise 5x5x9", "shifted", 140.0)]
    rows += [operation("product 8x728x728", "usual", 120.0), operation("product 8x728x728", "before", 101.0)]
    rows += [operation("product 8x768x768", "usual", 100.0), operation("product 8x1536x2048", "usual", 400.0)]
    rows += [{"operation": "to image 5x5x9", "formulation": "usual", "floor_us": 1.0, "fault": "no"}]
    whole = {"seconds": 99.0, "images": 1000, "row": {"cost": {"train_s": 10.0}}}
    answers = [
        steps("full", 128, "usual", 1100),
        steps("full", 128, "shifted", 1300),
        steps("full", 128, "torch.compile", 1000),
        steps("forward", 256, "usual", 1000),
        steps("full", 32, "usual", 1000),
        steps("full", 32, "torch.compile", 1000),
        answer(gpu_targets.WHOLE, whole),
        answer(gpu_targets.RATE, text="\nfrozen prefix: 0.961 of the bare rate by the clock\n"),
        answer(gpu_targets.FIRST, text="compiled for 45.1 s by the clock, 32 programs"),
        answer("operations", rows),
    ]
    made = list(gpu_targets.targets(answers, 128, 32))
    figures = [(round(one.measured.get("usual", -1), 3), one.asked) for one in made]
    assert figures[:3] == [(1.1, 1.2), (-1, 1.2), (1.0, 1.0)]
    assert figures[3:7] == [(99.0, 100), (round(100 / 110, 3), 0.95), (0.961, 0.95), (45.1, 45)]
    assert figures[7:] == [(1.6, 1.5), (1.2, 1.05)]
    verdicts = ["missed", "not measured", "met", "met", "missed", "met", "missed", "missed", "missed"]
    assert all(f"  {verdict}" in one.line() for verdict, one in zip(verdicts, made, strict=True))
    better = {0: "shifted: 1.3", 7: "shifted: 1.4", 8: "before: 1.01"}
    assert {n: one.line().partition("; ")[2] for n, one in enumerate(made) if "; " in one.line()} == better
    empty = list(gpu_targets.targets([], 128, 32))
    assert len(empty) == 7
    assert all("not measured" in one.line() for one in empty)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT", "products"),
        ("gemm_fusion_dot_12", "products"),
        ("loop_convert_fusion_3", "element by element"),
        ("loop_transpose_fusion", "copies and transpositions"),
        ("input_reduce_fusion_1", "sums"),
        ("MemcpyD2D", "memory copies"),
        ("void thing<float>()", "other"),
    ],
)
def test_a_kernel_is_of_the_kind_that_its_name_says(gpu, name, kind):
    import gpu_kernels

    assert gpu_kernels.Kernel(name).kind == kind


def test_kernels_of_a_trace_are_counted_and_summed(gpu, tmp_path, capsys):
    import gpu_kernels
    import jax
    import jax.numpy as jnp

    run = jax.jit(lambda x: jnp.sin(x @ x))
    x = jnp.ones((300, 300))
    jax.block_until_ready(run(x))
    with jax.profiler.trace(tmp_path):
        for _ in range(2):
            jax.block_until_ready(run(x))
    answer = gpu_kernels.report("twice", gpu_kernels.kernels(tmp_path), 2)
    assert answer["us"] == pytest.approx(sum(answer["kinds"].values()))
    assert answer["kinds"]["products"] > 0
    assert {row["calls"] for row in answer["kernels"]} == {1.0}
    assert capsys.readouterr().out.startswith("twice: ")
