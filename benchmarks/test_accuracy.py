"""What is trained as on an accelerator, in bfloat16, is as good as what a CPU trains in float32, within its interval.

pytest benchmarks/test_accuracy.py
"""

from __future__ import annotations

from test_precision import hold_accuracy


def test_fine_tuning_as_on_an_accelerator(tmp_path, monkeypatch, benchmark):
    benchmark.pedantic(hold_accuracy, (tmp_path, monkeypatch, "finetune[epochs=3]"), rounds=1)
