"""A search of 200 settings on 4 inner folds of 5 folds costs less than ten times one run of a linear probe.

    pytest benchmarks/test_search.py -s

Whole processes of `fer-bench run`, first with an empty cache, as on a new data set or backbone, then with what that run
left there. Counted is processor time, since other processes on the machine do not change it much.
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
        command += ["--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / f"cache-{name.split()[0]}")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "--runs-dir", str(tmp_path / name)], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"\n{name}: {took:.1f} s of processor time", flush=True)
        return took

    searches = {}
    for method in ("random", "halving"):
        space = tmp_path / f"{method}.yaml"
        space.write_text(f"{SPACE}method: {method}\n")
        searches[method] = ["--search", str(space), "--inner", "4", "--trials", "200"]
    seconds("data first", "--strategy", "linear-probe")  # Prepares the data.
    probe = {when: seconds(f"probe {when}", "--strategy", "linear-probe") for when in ("cold", "warm")}
    ratios = {}
    for method, options in searches.items():
        for when in ("cold", "warm"):
            ratios[method, when] = seconds(f"{method} {when}", *options) / probe[when]
            print(f"{method}, {when}: {ratios[method, when]:.1f} times one probe")
    benchmark.pedantic(seconds, ("probe again", "--strategy", "linear-probe"), rounds=1)
    assert ratios["random", "cold"] < 10
    assert ratios["halving", "cold"] < 10
