"""A jackknife of folds: its variance by hand, the folds that it leaves out, and the interval of a row that has one."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn_views import make_view
from messages import says
from scipy import stats
from tiny_run import invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.jackknife import measure_training
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.registry import Registry
from fer_bench.results.reading import read_predictions
from fer_bench.results.rows import group
from fer_bench.results.store import Store, StoredCell
from fer_bench.tasks import protocols
from fer_bench.tasks.pairs import leave_two_out
from fer_bench.tasks.task import Task

ACCURACY = STANDARD["accuracy"]


def test_the_variance_by_hand():
    """Three folds of ten images, of which 8, 6 and 4 are right; without fold 0, 1 or 2 a model gets 2 fewer, as many, 2
    more.
    """

    def answers(right: int) -> np.ndarray:
        return np.eye(2)[(np.arange(10) < right).astype(int)]

    folds, rights, effects = np.repeat([0, 1, 2], 10), (8, 6, 4), (-2, 0, 2)
    pairs = list(itertools.permutations(range(3), 2))
    further = (
        np.concatenate([np.flatnonzero(folds == i) for i, _ in pairs]),
        np.concatenate([np.full(10, j) for _, j in pairs]),
        np.concatenate([answers(rights[i] + effects[j]) for i, j in pairs]),
    )
    true, whole = np.ones(30, int), np.concatenate([answers(right) for right in rights])
    found = measure_training(ACCURACY, true, whole, np.zeros(30, int), folds, *further)
    # Effects of -.2, 0 and .2, of which 1 / 3 counts: u = .2 / 3, 0, -.2 / 3. Recalls of .8, .6 and .4: t = u.
    assert found == pytest.approx(3 / 2 * 3 * 2 * (0.2 / 3) ** 2)
    # A second seed whose folds do not differ shows nothing, and halves it.
    same = np.tile(answers(6), (3, 1)), np.tile(answers(6), (6, 1))
    columns = np.tile(true, 2), np.concatenate([whole, same[0]]), np.repeat([0, 1], 30), np.tile(folds, 2)
    both = np.concatenate([further[0], 30 + further[0]]), np.tile(further[1], 2), np.concatenate([further[2], same[1]])
    assert measure_training(ACCURACY, *columns, *both) == pytest.approx(found / 2)


def test_the_interval_takes_what_was_measured_and_at_least_what_folds_show():
    one = measure(ACCURACY, np.ones(20, int), np.eye(2)[(np.arange(20) < 12).astype(int)], units=np.arange(20))
    by_people = 0.24 / 19

    def reach(training: float | None, variance: float = 0.0) -> float:
        crossed = CrossValidation(folds=5, tested_per_trained=1.25, variance=variance, training=training)
        found = algorithm_interval(one, crossed)
        assert found.jackknife == (training is not None)
        return found.estimate - found.low

    plain = reach(0.0)
    assert reach(3 * by_people) == pytest.approx(2 * plain)
    assert reach(-1.0) == pytest.approx(plain), "a covariance below 0 makes no interval narrower than that of people"
    assert reach(0.0, 4 * by_people) == pytest.approx(2 * plain)
    assert reach(None) > plain


def split_of(protocol: str, people: int, folds: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FER_BENCH_PLUGINS", "")
    labels = np.random.default_rng(0).integers(2, size=20 * people).tolist()
    task = Task((make_view(labels, [f"p{image % people:02d}" for image in range(20 * people)]),))
    config = RunConfig(protocol=protocol, folds=folds)
    return protocols.split(protocols.choose(config, task, Registry.load())[0], task, config, 3), task


@pytest.mark.parametrize(("protocol", "people", "folds", "models"), [("group-kfold", 9, 4, 6), ("loso", 12, 12, 48)])
def test_models_are_trained_without_two_folds(protocol, people, folds, models, monkeypatch):
    split, task = split_of(protocol, people, folds, monkeypatch)
    pairs = leave_two_out(split, task)
    assert (pairs.text, pairs.pairs_of) == (f"{protocol}[without=2]", f"{protocol} x {folds}")
    assert len(pairs.folds) == len({pair.test.tobytes() for pair in pairs.folds}) == models
    left_out = np.zeros(folds, int)
    for pair in pairs.folds:
        inside = [fold.number for fold in split.folds if not (fold.test & ~pair.test).any()]
        assert len(inside) == 2
        left_out[inside] += 1
        assert (pair.train == ~pair.test).all()
    assert set(left_out) == {2 * models // folds}, "each as often as any other"


def test_what_has_no_two_folds_to_leave_out_is_refused(monkeypatch):
    for protocol, folds in (("kfold", 2), ("repeated-kfold", 3)):
        with pytest.raises(FerBenchError) as caught:
            leave_two_out(*split_of(protocol, 9, folds, monkeypatch))
        assert says(str(caught.value), "--jackknife", protocol)


def read(cells: list[StoredCell]):
    predictions, _, faults = read_predictions(cells)
    assert predictions is not None
    assert not faults
    return predictions


def count_alone(row: list[StoredCell], further: list[StoredCell]) -> float:
    """Return half the width of the interval of the UAR, from the files of cells and by other formulas."""
    k, tables = len(row), {cell.record.fold: cell.table().to_pandas().set_index("id") for cell in row}
    every = pd.concat(tables.values(), keys=tables, names=["fold"]).reset_index()
    images = every.label.value_counts()
    classes = [name for name in every if name.startswith("p") and name[1:].isdigit()]

    def share(table: pd.DataFrame) -> pd.Series:
        """Return what each image adds to the UAR of the row."""
        p = table[classes].to_numpy()
        largest = p == p.max(axis=1, keepdims=True)
        right = (largest / largest.sum(axis=1, keepdims=True))[np.arange(len(p)), table.label]
        return right / table.label.map(images) / len(images)

    changes = {}
    for cell in further:
        table = cell.table().to_pandas().set_index("id")
        two = [fold for fold, tested in tables.items() if tested.index.isin(table.index).all()]
        for i, j in itertools.permutations(two):
            changes[i, j] = k * (share(table.loc[tables[i].index]).sum() - share(tables[i]).sum())
    assert len(changes) == k * (k - 1)
    code = np.eye(k)[:, 1:]  # the first fold is what others are told from
    design = np.array([[1, *code[i], *code[j]] for i, j in changes])
    found, (squares,), *_ = np.linalg.lstsq(design, np.array([*changes.values()]))
    contrast = np.zeros((k, design.shape[1]))
    contrast[:, k:] = code - code.mean(axis=0)
    effects, spread = contrast @ found, contrast @ np.linalg.inv(design.T @ design) @ contrast.T
    of_rest = squares / (len(changes) - design.shape[1]) * np.trace(spread)
    recalls = share(every).groupby(every.label).sum() * len(images)
    every["moved"] = share(every) - every.label.map(recalls) / every.label.map(images) / len(images)
    by_fold, by_person = (every.groupby(name).moved.sum() for name in ("fold", "group"))
    people, folds = (len(moved) * moved.var(ddof=1) for moved in (by_person, by_fold))
    both = len(by_fold) * 2 * np.cov(by_fold, -(k - 2) / k * effects)[0, 1]
    taught = max(0, (effects**2).sum() - of_rest) * ((k - 2) / k) ** 2 * k / (k - 1)
    labels, probabilities = every.label.to_numpy(), every[classes].to_numpy()
    freedom = measure(STANDARD["uar"], labels, probabilities, units=every.group.to_numpy()).unit_freedom
    return stats.t.ppf(0.975, freedom) * np.sqrt(people + max(taught + both, folds - people, 0))


def read_board(*arguments: str) -> dict[str, dict]:
    board = json.loads(invoke("leaderboard", "--format", "json", *arguments).stdout)
    return {row["strategy"]: row for row in board["rows"] if not row["baseline"]}


def test_a_run_with_a_jackknife(tiny, site):
    """Rows stay as they are but for their intervals; half of a jackknife is none, and is resumed."""
    for name in ("datasets", "strategies"):  # our own packages beside the tiny one
        info = site / f"fer_bench_{name}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fer-bench-{name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[fer_bench]\n{name} = fer_bench_{name}\n")
    asked = ["--backbone", "net", "--dataset", "synthetic[n=140,size=16]", "--folds", "4"]
    asked += ["--strategy", "linear-probe", "--strategy", "knn"]
    invoke("run", *asked, "--jackknife")
    cells, rows = Store(tiny / "runs").cells()[0], read_board()
    assert len(cells) == 2 * (4 + 6)
    for name, row in rows.items():
        own = [cell for cell in cells if cell.record.strategy.name == name]
        further = [cell for cell in own if cell.record.protocol.pairs_of]
        half = count_alone([cell for cell in own if cell not in further], further)
        mean, ends = row["scores"]["uar"]["mean"], row["interval"]
        assert max(mean - ends["low"], ends["high"] - mean) == pytest.approx(half), "one end may be cut at 1"
    # Further seeds of it are left out; a seed of the row that it lacks is named.
    row = group(cells)[0]
    later = tuple(replace(cell, record=replace(cell.record, seed=1)) for cell in row.pairs)
    more, less = (replace(row, pairs=pairs).further for pairs in ((*row.pairs, *later), later))
    assert more[0] is not None
    assert (set(more[0].seed.tolist()), more[1]) == ({0}, "")
    assert less[0] is None
    assert says(less[1], "seed 0")
    # Half of it is lost: the row says so, and a run goes on.
    lost = [cell for cell in cells if cell.record.protocol.pairs_of and cell.record.fold % 2]
    for cell in lost:
        shutil.rmtree(cell.folder)
    for name, row in read_board().items():
        assert [one["interval"]["jackknife"] for one in (rows[name], row)] == [True, False]
        assert rows[name] | {"interval": 0} == row | {"interval": 0}
    assert says(invoke("leaderboard").stdout, "3 of 6", "jackknife")
    plan = json.loads(invoke("plan", *asked, "--jackknife", "--no-probe", "--json").stdout)
    assert [(row["protocol"], row["cells"], row["done"]) for row in plan["rows"]] == [
        *[("group-kfold", 4, 4)] * 2, *[("group-kfold[without=2]", 6, 3)] * 2
    ]  # fmt: skip
    invoke("run", *asked, "--jackknife")
    assert read_board() == rows
    assert says(invoke("show", "knn").stdout, "6 further cells")
    # What is stored goes the ways of other cells.
    assert says(invoke("replay", lost[0].id, "--require", "bit-identical").stdout, "bit-identical")
    invoke("pack", "--rows", "linear-probe", "--output", "one.zip")
    invoke("unpack", "one.zip", "--into", "other")
    (alone,) = read_board("--runs-dir", "other").values()
    assert alone["interval"] == rows["linear-probe"]["interval"]
    invoke("rm", "knn", "--yes")
    assert len(Store(tiny / "runs").cells()[0]) == 4 + 6
