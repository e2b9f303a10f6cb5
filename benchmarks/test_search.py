"""A search of 200 settings on 4 inner folds of 5 folds costs less than ten times one run of a linear probe.

    pytest benchmarks/test_search.py --benchmark-only -s

Whole processes of `fer-bench run` that find data and features in their caches, where the search is dearest beside the
probe. Counted is processor time, their start included, since other processes on the machine do not change it much.
"""

from __future__ import annotations

import resource
import subprocess
import sys

SPACE = "strategy: linear-probe\nparameters:\n  c: {log: [0.001, 100]}\n"


def test_two_hundred_settings(benchmark, tmp_path):
    def seconds(name: str, *options: str) -> float:
        command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", "--quiet", *options]
        command += ["--dataset", "synthetic", "--limit", "1400", "--backbone", "xception[input_size=71]"]
        command += ["--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / "cache")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "--runs-dir", str(tmp_path / name)], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"\n{name}: {took:.1f} s of processor time", flush=True)
        return took

    probe = ("--strategy", "linear-probe")
    seconds("first", *probe)  # prepares the data and computes the features
    once = benchmark.pedantic(seconds, ("probe", *probe), rounds=1)
    ratios = {}
    for method in ("random", "halving"):
        space = tmp_path / f"{method}.yaml"
        space.write_text(f"{SPACE}method: {method}\n")
        ratios[method] = seconds(method, "--search", str(space), "--inner", "4", "--trials", "200") / once
        print(f"{method}: {ratios[method]:.1f} times one probe")
    assert ratios["random"] < 10
    assert ratios["halving"] < 10
