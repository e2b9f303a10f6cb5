"""The page "what to expect": seconds, memory and disk of whole runs, computed from what machines showed.

No duration on the page is typed: each follows from the runs in `docs/performance.md` that `MACHINES` and `RUNS` name,
and from the sizes of the data sets. What no machine has shown stays open.
"""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench.sizes import format_size, format_time

FOLDS, EPOCHS = 5, 5
DATASETS = {"FER2013": 35_887, "RAF-DB": 15_339, "AffectNet": 290_000}
"""Name -> faces, the last number rounded."""
PROBE, FINETUNE, FULL = STRATEGIES = "linear-probe", f"finetune[epochs={EPOCHS}]", f"full[epochs={EPOCHS}]"
FEATURES = 2048
WIDTH = 728
"""Channels of what ``finetune`` reads, the output of block 12."""


@dataclass(frozen=True)
class Machine:
    """What a machine showed of Xception; None is what nobody measured.

    Attributes:
        name: of it.
        pixels: side of the network's input.
        start: seconds of a run that do not grow with its images: imports, building, compiling.
        frozen: images a second through the frozen stages.
        beside: seconds for each image of a linear probe beside these: reading, features to and from the file, heads.
        finetune: samples a second in the steps of ``finetune``, with what a run does around them.
        full: likewise of ``full``, with predictions.
        shown: how these were measured.
    """

    name: str
    pixels: int
    start: float
    frozen: float
    beside: float | None
    finetune: float | None
    full: float | None
    shown: str

    def seconds(self, strategy: str, images: int) -> float | None:
        """Return how long a run on so many images takes, from an empty cache; None where a rate is missing."""
        steps = images * (FOLDS - 1) * EPOCHS
        if strategy == FULL:
            return None if self.full is None else self.start + steps / self.full
        if self.beside is None:
            return None
        probe = self.start + images * (1 / self.frozen + self.beside)
        if strategy == PROBE:
            return probe
        return None if self.finetune is None else probe + steps / self.finetune


BESIDE = (260.9 - 95.3) / 20_000 - 0.0029
"""At 71 pixels 20,000 images more took 165.6 s more, of which the network needs 2.9 ms each (2 cores with AMX)."""


def gain(one: float, two: float, processors: int) -> float:
    """Return how much faster than two processors more of them are, by Amdahl's law (AFIPS 1967) from two timings.

    Args:
        one: seconds of some work on one processor.
        two: likewise on two.
        processors: how many there are.
    """
    alone = 2 * two / one - 1  # share of the work that is not divided
    return two / (one * (alone + (1 - alone) / processors))


PASS_GAIN = gain(19.7, 13.3, 16)
"""Milliseconds an image of a pass at 149 pixels, eight together, on one and two processors with AMX."""
STEP_GAIN = gain(2.44, 1.445, 16)
"""Likewise seconds of a step of `full`, 32 images."""
H100_FORWARD, H100_STEPS, H100_PREDICT = 6398, 1498, 5001
"""Images a second at 299 pixels: a pass, on 28 November with activations in bfloat16; steps of ``full``, batches of
128, and predictions within ``full``, on 26 November with activations in float32."""
TWO_CORES = Machine(
    "2 cores with AMX",
    149,
    start=6 + 1 + 8,
    frozen=2100 / 18,
    beside=BESIDE,
    finetune=2100 * (FOLDS - 1) * 5 / 121,
    full=2100 * (FOLDS - 1) / 473,
    shown="the seconds by activity of `--row finetune --limit 2100`, `--row full --limit 2100` and the growth",
)
MACHINES = (
    TWO_CORES,
    Machine(
        "16 such cores",
        149,
        start=TWO_CORES.start,
        frozen=TWO_CORES.frozen * PASS_GAIN,
        beside=BESIDE,
        finetune=2100 * (FOLDS - 1) * 5 / 121 * STEP_GAIN,
        full=2100 * (FOLDS - 1) / 473 * STEP_GAIN,
        shown="none was there: passes and steps of two cores with AMX on one and on two of them (medians of six, 28 "
        f"November), and Amdahl's law: {PASS_GAIN:.1f} and {STEP_GAIN:.1f} times the rates of two; start, reading and "
        "heads as with two. Such a machine may have faster memory",
    ),
    Machine(
        "2 cores with AVX2",
        149,
        start=6 + 1 + 8,
        frozen=2100 / (259 - 49),
        beside=BESIDE,
        finetune=2100 * (FOLDS - 1) * 5 / (1688 - 259),
        full=350 * (FOLDS - 1) / 272,
        shown="`--row probe` and `finetune` with 2,100 images, `full` with 350; start and reading as with AMX",
    ),
    Machine(
        "H100",
        299,
        start=0,
        frozen=H100_FORWARD,
        beside=None,
        finetune=None,
        full=2 * 28_709 / 215,
        shown="a pass of 28 November; on 26 November two epochs of `full` on 28,709 images, 215 s from the start with "
        "compilation",
    ),
)
RUNS = ((MACHINES[0], PROBE, 2100, 32.1, 49.2), (MACHINES[0], FINETUNE, 2100, 169, 182))
"""Machine, strategy, images, and the shortest and longest seconds of whole runs from an empty cache."""
MEMORY = {PROBE: 1.131e9, FINETUNE: 1.805e9, FULL: 3.764e9}
"""Strategy -> bytes of peak memory: the growth at 71 pixels, with 30,000 images, and 350 for what takes steps."""


INTRODUCTION = f"""# What to expect

<!-- Written by docs/generate.py from the rates in docs/expect.py; change these, then run it again. -->

A first run of one row on Xception, {FOLDS} folds of one seed, from an empty cache. **Each duration is computed** from
rates that the machine showed on fewer images ([performance](performance.md)); none of these data sets was run as a
whole. `?`: no such rate was measured. Files of more pixels than the network takes cost decoding, which is not counted.
For your own grid and machine ask `fer-bench plan`, which measures.
"""
PASS = "Of these, the pass through the frozen stages, which later runs and all strategies but `full` share:"
H100_ONLY = f"""
What the H100 itself takes, without reading, compiling and all else that the command does around it. **Computed from
measured rates**: {H100_FORWARD:,} images a second forward (28 November), and with activations in float32 (26 November)
{H100_STEPS:,} in steps of `full` (batches of 128) and {H100_PREDICT:,} in its predictions. Steps of `finetune` were not
measured; they compute a part of what those of `full` do, so that its column is an upper limit. Training with
activations in bfloat16, as they are now, has not been measured on a GPU: `benchmarks/gpu.py` does.
"""
KEPT = """
The memory of a linear probe hardly grows with the images ([memory](scale.md)); that of steps grows with the batch and
the pixels. On an H100 it was not measured. Outputs of frozen stages are kept in half precision: the features, and for
`finetune` those of block 12, mirrored ones too. Decoded images of a strategy that trains from the image on, such as
`full`, lie in memory if an eighth of it has room; else, while the process runs, in a file in the cache folder if an
eighth of the free disk has room (43 GB for 287,651 images of 224 x 224 pixels in colour).
"""


def page() -> str:
    """Return the page."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        f"| faces | strategy | {' | '.join(f'{one.name}, {one.pixels} pixels' for one in MACHINES)} |",
        f"| --- | --- |{' ---: |' * len(MACHINES)}",
    ]
    for name, images in DATASETS.items():
        for strategy in STRATEGIES:
            took = [machine.seconds(strategy, images) for machine in MACHINES]
            cells = ["?" if seconds is None else format_time(seconds) for seconds in took]
            lines.append(f"| {name}, {images:,} | `{strategy}` | {' | '.join(cells)} |")
    lines += ["", PASS, ""]
    lines += [f"| faces | {' | '.join(machine.name for machine in MACHINES)} |", f"| --- |{' ---: |' * len(MACHINES)}"]
    for name, images in DATASETS.items():
        lines.append(f"| {name} | {' | '.join(format_time(images / machine.frozen) for machine in MACHINES)} |")
    lines += [*H100_ONLY.splitlines(), "", f"| faces |{''.join(f' `{name}` |' for name in STRATEGIES)}"]
    lines += [f"| --- |{' ---: |' * len(STRATEGIES)}"]
    for name, images in DATASETS.items():
        once, steps = images / H100_FORWARD, images * (FOLDS - 1) * EPOCHS / H100_STEPS
        took = format_time(once), f"< {format_time(2 * once + steps)}", format_time(steps + images / H100_PREDICT)
        lines.append(f"| {name} | {' | '.join(took)} |")
    lines += ["", "Where the rates come from:", "", *(f"- {machine.name}: {machine.shown}." for machine in MACHINES)]
    lines += [
        "",
        "## Computed and measured",
        "",
        "| machine | run | computed | measured |",
        "| --- | --- | ---: | ---: |",
    ]
    for machine, strategy, images, least, most in RUNS:
        computed = machine.seconds(strategy, images)
        assert computed is not None, "its rates are known"
        lines.append(
            f"| {machine.name} | `{strategy}`, {images:,} images | {computed:.0f} s | {least:.0f} to {most:.0f} s |"
        )
    lines += [
        "",
        "## Memory and disk",
        "",
        "| strategy | peak memory, measured at 71 pixels | disk for FER2013 at 149 pixels, computed |",
    ]
    lines += ["| --- | ---: | ---: |"]
    lines += [f"| `{name}` | {format_size(round(MEMORY[name]))} | {_disk(name, 149)} |" for name in STRATEGIES]
    lines += [*KEPT.splitlines(), ""]
    return "\n".join(lines)


def _disk(strategy: str, pixels: int) -> str:
    """Return what a run on FER2013 keeps in the cache."""
    if strategy == FULL:
        return "0"
    side = (pixels - 3) // 2 + 1 - 2  # two convolutions without padding
    for _ in range(3):  # and three max-pools with
        side = -(-side // 2)
    numbers = FEATURES + (2 * side * side * WIDTH if strategy == FINETUNE else 0)
    return format_size(2 * numbers * DATASETS["FER2013"])
