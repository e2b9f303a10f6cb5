"""Power by hand and against scipy; upper limits; the command and the line of plan. Simulated in simulation.py."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from messages import says
from scipy import stats
from test_results import UNKNOWN, make_cell, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.power import Design, count_datasets, count_seeds, count_units, find_difference, find_power
from fer_bench.evaluation.variances import (
    Variance,
    Variances,
    assume_variances,
    count_images,
    foresee_variances,
    limit_variance,
    measure_variances,
)
from fer_bench.executors.resolution import Board, describe_others
from fer_bench.results.store import Store


def known(unit=0.1, seed=None, dataset=None, interaction=None) -> Variances:
    """Variances whose upper limits are twice what they are."""
    made = {"unit": unit, "seed": seed, "dataset": dataset, "interaction": interaction}
    return Variances(**{name: v if v is None else Variance(value=v, most=2 * v) for name, v in made.items()})


@pytest.mark.parametrize(
    ("design", "error", "df"),
    [
        (Design(units=20), math.sqrt(0.1 / 20), 19),
        # 0.1 / 50 over people and 0.002 / 5 over seeds; Satterthwaite: 0.0024² / (0.002² / 49 + 0.0004² / 4).
        (Design(units=50, seeds=5), math.sqrt(0.0024), 0.0024**2 / (0.002**2 / 49 + 0.0004**2 / 4)),
        (Design(units=50, seeds=5, datasets=6), math.sqrt((0.003 + 0.0024) / 6), 5),
    ],
)
def test_power_is_that_of_the_noncentral_t_distribution(design, error, df):
    variances = known(seed=0.002, dataset=0.003)
    for difference in (0.05, 0.1, 0.3):
        t = stats.t.isf(0.025, df)
        expected = stats.nct.sf(t, df, difference / error) + stats.nct.cdf(-t, df, difference / error)
        assert find_power(variances, design, difference) == pytest.approx(expected, abs=2e-3)
    least = find_difference(variances, design, 0.8)
    assert find_power(variances, design, least) == pytest.approx(0.8, abs=1e-6)


def test_what_a_training_and_a_unit_do_together_shrinks_with_both_and_the_test_counts_it_twice():
    variances, design = known(seed=0.002, interaction=0.05), Design(units=50, seeds=5)
    by_units, by_seeds = (0.1 + 0.05 / 5) / 50, (0.002 + 0.05 / 50) / 5
    true, test = math.sqrt(0.1 / 50 + 0.002 / 5 + 0.05 / 250), math.sqrt(by_units + by_seeds)
    df = test**4 / (by_units**2 / 49 + by_seeds**2 / 4)
    t = stats.t.isf(0.025, df) * test / true
    expected = stats.nct.sf(t, df, 0.1 / true) + stats.nct.cdf(-t, df, 0.1 / true)
    assert find_power(variances, design, 0.1) == pytest.approx(expected, abs=2e-3)
    one, whole = Design(units=50), known(unit=0.15, seed=0.002)
    assert find_power(variances, one, 0.1) == find_power(whole, one, 0.1), "one training shows both as one"


def test_the_least_numbers_reach_the_power_and_one_less_does_not():
    variances, difference = known(seed=0.002, dataset=0.003), 0.1
    n = count_units(variances, Design(units=2, seeds=5), difference)
    assert find_power(variances, Design(units=n, seeds=5), difference) >= 0.8
    assert find_power(variances, Design(units=n - 1, seeds=5), difference) < 0.8
    k = count_seeds(variances, Design(units=n), difference)
    assert k <= 5
    d = count_datasets(variances, Design(units=n, seeds=k), difference)
    assert (
        find_power(variances, Design(units=n, seeds=k, datasets=d), difference)
        >= 0.8
        > find_power(variances, Design(units=n, seeds=k, datasets=d - 1), difference)
    )


def test_what_nothing_will_do_for_is_none():
    # Two seeds whose difference varies by 10 points: no number of people shows 5.
    assert count_units(known(seed=0.01), Design(units=2, seeds=2), 0.05) is None
    assert count_seeds(known(), Design(units=40), 0.05) is None
    assert count_datasets(known(), Design(units=40), 0.05) is None
    assert find_power(known(), Design(units=5), 1.0) == 0, "five people tell nothing apart"
    assert find_difference(known(), Design(units=5)) == math.inf
    assert find_power(known(unit=0.0), Design(units=40), 0.01) == 1
    with pytest.raises(ValueError, match="expected it for 3"):
        find_power(known(), Design(units=40, datasets=3), 0.1)


def test_an_upper_limit_is_wider_the_fewer_there_are_and_the_longer_their_tails():
    rng = np.random.default_rng(0)
    for n in (10, 40, 4000):
        values = rng.normal(size=n)
        found = limit_variance(values)
        assert found.value == pytest.approx((values**2).sum() / (n - 1))
        # Of tails at least as long as a kurtosis of 7: df = 2 n / (7 - (n - 3) / (n - 1)).
        df = 2 * n / (7 - (n - 3) / (n - 1))
        assert found.most == pytest.approx(found.value * df / stats.chi2.ppf(0.05, df))
    tails = rng.standard_t(5, 4000) ** 3
    assert limit_variance(tails).most / limit_variance(tails).value > 1.2
    assert limit_variance(np.zeros(9)) == Variance(value=0.0, most=0.0)
    with pytest.raises(ValueError, match="one subject"):
        limit_variance(np.ones(1))


def answer_by_seed(rng, noise: float, seeds: tuple[int, ...] = (0, 1, 2)):
    """The accuracy on 30 people of 40 images, who differ; a training moves all of them, and each of them, by chance."""
    chance = rng.normal(0.6, 0.1, 30) + noise * rng.normal(size=(3, 1)) + noise * rng.normal(size=(3, 30))
    right = rng.uniform(size=(3, 30, 40)) < chance[:, :, None]
    true = np.tile(np.arange(40) % 2, 90)
    people, seed = np.tile(np.repeat(np.arange(30), 40), 3), np.repeat(seeds, 1200)
    return measure(STANDARD["accuracy"], true, np.eye(2)[np.where(right.ravel(), true, 1 - true)], seed, people), right


def test_measured_variances_are_those_of_a_two_way_table_of_units_and_seeds():
    rng = np.random.default_rng(1)
    (first, before), (second, after) = (answer_by_seed(rng, 0.08) for _ in range(2))
    found = measure_variances([(first, second)], [30])

    def analyse(table):  # (seeds, people): mean squares of people, of seeds, and of what is left
        left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
        return 3 * table.mean(axis=0).var(ddof=1), 30 * table.mean(axis=1).var(ddof=1), (left**2).sum() / (2 * 29)

    people, seeds, both = analyse(after.mean(axis=2) - before.mean(axis=2))
    assert (found.unit.value, found.seed.value, found.interaction.value) == pytest.approx(
        ((people - both) / 3, (seeds - both) / 30, both)
    )
    assert 0 < found.interaction.value < found.interaction.most
    assert found.find_variance(30, 3) == pytest.approx((people + seeds - both) / 90), "what both do counts once"
    assert found.dataset is None
    apart, answers = answer_by_seed(rng, 0.08, (7, 8, 9))
    other = measure_variances([(first, apart)], [30])
    alone = [analyse(right.mean(axis=2)) for right in (before, answers)]
    assert other.interaction.value == pytest.approx(sum(both for *_, both in alone)), "other seeds: both vary"
    assert other.seed.value == pytest.approx(sum((seeds - both) / 30 for _, seeds, both in alone))
    both = measure_variances([(first, second), (second, first)], [30, 30])
    gap = second.value - first.value
    assert both.dataset.value == pytest.approx(max(0.0, 2 * gap**2 - found.find_variance(30, 3)))
    foreseen = foresee_variances(first, 30, together=0.25)
    people, seeds, left = alone[0]
    assert foreseen.unit.value == pytest.approx(2 * 0.75 * (people - left) / 3)
    assert (foreseen.seed.value, foreseen.interaction.value) == pytest.approx((2 * (seeds - left) / 30, 2 * left))


def test_seeds_that_agree_have_nothing_random_and_equal_scores_of_other_answers_have():
    answers = np.array([[0, 1, 1, 1, 0, 0], [1, 0, 1, 1, 0, 0]])  # each seed errs on two images, of other people

    def estimate(*rows: int):
        labels, people = np.tile([0, 0, 1, 1, 0, 1], len(rows)), np.tile([0, 1, 2, 0, 1, 2], len(rows))
        seeds = np.repeat(np.arange(len(rows)), 6)
        return measure(STANDARD["accuracy"], labels, np.eye(2)[answers[list(rows)].ravel()], seeds, people)

    same, other = estimate(0, 0, 0), estimate(0, 1, 0)
    assert measure_variances([(same, same)], [3]).random is False
    assert measure_variances([(same, other)], [3]).seed.value == 0
    assert measure_variances([(same, other)], [3]).random is True
    assert measure_variances([(estimate(0), estimate(1))], [3]).random is None


def test_assumptions_are_those_of_clustered_proportions():
    found = assume_variances(images=10, recall=0.8, alike=0.2, together=0.25)
    assert found.unit.value == pytest.approx(2 * 0.75 * 0.8 * 0.2 * (0.2 + 0.8 / 10))
    assert found.unit.most == pytest.approx(2 * 0.25 * (0.4 + 0.6 / 10))
    assert count_images(np.array([10, 10])) == 20
    assert count_images(np.array([10, 1000, 0])) == pytest.approx(4 / (0.1 + 0.001))


@pytest.fixture
def store(tmp_path):
    """Two strategies on two data sets of 40 images, two seeds each; ``tune`` errs less."""
    store, rng = Store(tmp_path / "runs"), np.random.default_rng(3)
    labels = [n % 2 for n in range(40)]
    for text, fingerprint in (("faces", "f" * 64), ("other", "e" * 64)):
        for name, share in (("probe", 0.7), ("tune", 0.9)):
            for seed in (0, 1):
                answers = [label if rng.uniform() < share else 1 - label for label in labels]
                cell = make_cell(0, seed, strategy=name, text=text, name=text, fingerprint=fingerprint)
                store.write(cell, make_result(labels, answers, ids=[f"i{n:02d}" for n in range(40)]), UNKNOWN)
    return store


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["power", *map(str, arguments)])


def test_the_command_measures_two_rows_one_row_and_several_data_sets(store):
    runs = ("--runs-dir", store.runs_dir, "--format", "json")
    both = json.loads(invoke("faces probe", "faces tune", *runs).stdout)
    assert (both["units"], both["seeds"][0]["seeds"], both["datasets"]) == (40, 1, 1)
    assert both["variances"]["dataset"]["value"] == pytest.approx(0.03**2), "one data set: assumed"
    for line in both["seeds"]:
        needed, most = line["units"]
        assert most is None or needed <= most
        assert line["difference"][0] < line["difference"][1]
    across = json.loads(invoke("probe", "tune", *runs).stdout)
    assert across["datasets"] == 2
    assert across["seeds"][0]["datasets"][0] >= 2
    one = json.loads(invoke("tune", "--dataset", "faces", *runs, "--together", 0).stdout)
    half = json.loads(invoke("faces tune", *runs).stdout)
    assert one["variances"]["unit"]["value"] == pytest.approx(2 * half["variances"]["unit"]["value"])
    page = invoke("faces probe", "faces tune", "--runs-dir", store.runs_dir).stdout.replace("\n", " ")
    assert says(page, "trained models only", "3 points", "6 at the most", "--data-set-sd")
    nats = json.loads(invoke("faces probe", "faces tune", *runs, "--metric", "nll").stdout)
    assert nats["variances"]["dataset"] is None, "no share: nothing is assumed"


def test_assumptions_and_what_is_not_known_are_said():
    out = invoke("--difference", 0.1).stdout
    assert says(out.replace("\n", " "), "In short, with 5 seeds", "2 points", "--seed-sd", "--data-set-sd")
    record = json.loads(invoke("--seed-sd", 0.03, "--data-set-sd", 0.02, "--format", "json").stdout)
    assert record["variances"]["seed"]["value"] == pytest.approx(2 * 0.03**2)
    assert [line["seeds"] for line in record["seeds"]] == [1, 2, 3, 5, 10]
    assert record["seeds"][1]["units"] == [None, None], "two seeds that differ by 3 points show no 5"


def test_wrong_values_say_what_is_expected(store):
    assert says(str(invoke("--power", 1).exception), "--power 1", "0.8")
    assert says(str(invoke("--difference", 0).exception), "--difference 0", "0.05")
    assert says(str(invoke("--difference", 5).exception), "--difference 5", "0.05")
    assert "no data set" in str(invoke("faces probe", "other tune", "--runs-dir", store.runs_dir).exception)
    assert says(str(invoke("faces", "probe", "--runs-dir", store.runs_dir).exception), "2 things")


def test_plan_says_what_the_grid_can_and_cannot_show():
    def plan(*words: str) -> str:
        small = [
            "plan",
            "--no-probe",
            "--dataset",
            "synthetic[n=70,subjects=10,size=48]",
            "--backbone",
            "mini-xception",
        ]
        return CliRunner().invoke(app, [*small, *words]).stdout.replace("\n", " ")

    one = plan("--strategy", "scratch")
    assert says(one, "10 subjects", "1 seed", "points of UAR", "these trained models", "5 seeds", "One data set")
    five = plan("--strategy", "scratch", "--seeds", "0,1,2,3,4")
    assert says(five, "10 subjects", "5 seeds", "points of UAR")
    assert "these trained models" not in five
    few = CliRunner().invoke(
        app, ["plan", "--no-probe", "--dataset", "synthetic[n=70,subjects=5]", "--strategy", "linear-probe"]
    )
    assert says(few.stdout.replace("\n", " "), "5 subjects", "too few")


def test_plan_says_what_several_data_sets_show_of_others():
    unit = Variance(value=0.1, most=0.4)

    def board(source: str, random: bool = True, seeds: int = 5) -> Board:
        design = Design(units=40, seeds=seeds)
        return Board(
            name=source, source=(source,), unit="subject", design=design, random=random,
            variances=Variances(unit=unit),
        )  # fmt: skip

    # Per data set 0.1 / 40 over subjects, 2 * 0.02² / 5 over seeds and 0.03² between sets; of three of them.
    line = describe_others([board("a"), board("b"), board("b"), board("c")])
    known = Variances(unit=unit, seed=Variance(value=0.0008, most=0.0032), dataset=Variance(value=0.0009, most=0.0036))
    least, most = (
        find_difference(one, Design(units=40, seeds=5, datasets=3)) for one in (known, known.raise_to_limits())
    )
    assert says(line, "3", f"{100 * least:.0f} points of UAR", f"{100 * most:.0f}")
    assert says(describe_others([board("a"), board("a", seeds=1)]), "One data set")
