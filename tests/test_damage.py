"""Corrupted images against scipy and Pillow, and what a run, a replay and the report make of them.

Models of every kind of phase are held against their predictions of corrupted images in `test_models.py`.
"""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy
from drawn_views import make_view
from messages import says
from PIL import Image, ImageChops, ImageDraw
from tiny_run import BASE, invoke

from fer_bench import corruption
from fer_bench.config import RunConfig
from fer_bench.corruption import KINDS, Corruption, parse
from fer_bench.damage.images import corrupt
from fer_bench.digests import sha256_of
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.robustness import Robustness, average, count_flips, measure_flips
from fer_bench.executors import copies, worker
from fer_bench.executors.grid import expand
from fer_bench.executors.kept import file_of
from fer_bench.executors.notes import notes_on_corruptions
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.sharing import divide
from fer_bench.executors.staged_files import kept_of, needed
from fer_bench.executors.work import Work
from fer_bench.learning.training import Training
from fer_bench.registry import Registry
from fer_bench.results import corrupted
from fer_bench.results.store import Store
from fer_bench.tasks.task import Task

HEIGHT, WIDTH, SIDE = 60, 45, 45
PADDED = 64, 48, 3
NAME = bytes(range(1, 33))
FACE = np.array([[14.0, 20.0], [32.0, 20.0], [23.0, 30.0], [16.0, 44.0], [30.0, 44.0]])
SEVERITIES = (1, 4)


def draw_picture(seed: int = 0) -> np.ndarray:
    """Return a picture (60, 45, 3) with edges, slopes and noise; neither side is a multiple of a block of JPEG."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = 128 + 60 * np.sin(x / 5) * np.cos(y / 7)
    picture = waves[..., None] + np.array([30, -20, 10]) * np.sin((x + y) / 9)[..., None]
    picture[20:30, 10:22] += 60
    return np.clip(np.rint(picture + rng.normal(0, 8, picture.shape)), 0, 255).astype(np.uint8)


def draws(kind: str):
    """Return the key that an image called `NAME` has, as documented: seed, kind, the first eight bytes of its hash."""
    key = jax.random.key(0, impl="threefry2x32")
    for word in (KINDS[kind].number, int.from_bytes(NAME[:4], "big"), int.from_bytes(NAME[4:8], "big")):
        key = jax.random.fold_in(key, word)
    return key


def under_kernel(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    kernel = kernel / kernel.sum()
    channels = [scipy.ndimage.convolve(picture[..., c].astype(float), kernel, mode="nearest") for c in range(3)]
    return np.stack(channels, axis=-1)


def on_disc(picture: np.ndarray, radius: float) -> np.ndarray:
    y, x = np.mgrid[-6:7, -6:7]
    return under_kernel(picture, np.clip(radius * SIDE + 0.5 - np.hypot(x, y), 0, 1))


def on_line(picture: np.ndarray, length: float) -> np.ndarray:
    angle = float(jax.random.uniform(draws("motion-blur"), (), minval=0, maxval=math.pi))
    y, x = np.mgrid[-6:7, -6:7]
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    ends = np.clip(length * SIDE / 2 + 0.5 - np.abs(along), 0, 1)
    return under_kernel(picture, ends * np.clip(1 - np.abs(across), 0, 1))


def moved(picture: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return scipy's picture whose point p (row, column) shows ``matrix @ (p - middle) + middle + shift``."""
    middle = (np.array([HEIGHT, WIDTH]) - 1) / 2
    offset = middle + shift - matrix @ middle
    return np.stack(
        [
            scipy.ndimage.affine_transform(picture[..., c].astype(float), matrix, offset, order=1, mode="nearest")
            for c in range(3)
        ],
        axis=-1,
    )


def rotated(picture: np.ndarray, degrees: float) -> np.ndarray:
    angle = math.radians(degrees) * (1 if bool(jax.random.bernoulli(draws("rotation"))) else -1)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return moved(picture, turn, np.zeros(2))


def jittered(picture: np.ndarray, shift: float, zoom: float) -> np.ndarray:
    turn, far = (float(value) for value in jax.random.uniform(draws("crop-jitter"), (2,), minval=-1, maxval=1))
    way = shift * SIDE * np.array([math.sin(math.pi * turn), math.cos(math.pi * turn)])
    return moved(picture, np.eye(2) * math.exp(zoom * far), way)


def as_jpeg(picture: np.ndarray, quality: float) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=int(quality))
    return np.asarray(Image.open(file))


def resized(picture: np.ndarray, side: float, down: Image.Resampling, up: Image.Resampling) -> np.ndarray:
    small = Image.fromarray(picture).resize((int(side), round(HEIGHT * side / WIDTH)), down)
    return np.asarray(small.resize((WIDTH, HEIGHT), up))


def hidden(picture: np.ndarray, middle: tuple[float, float], width: float, height: float) -> np.ndarray:
    """Return a picture with a black bar over the pixels whose centres lie in it; the eyes of `FACE` are 18 apart."""
    image, (x, y) = Image.fromarray(picture), middle
    ends = (x - 9 * width, y - 9 * height, x + 9 * width, y + 9 * height)
    left, top = (math.ceil(value - 0.5) for value in ends[:2])
    right, bottom = (math.floor(value - 0.5) for value in ends[2:])
    ImageDraw.Draw(image).rectangle((left, top, right, bottom), fill=0)
    return np.asarray(image)


def with_dots(picture: np.ndarray, share: float) -> np.ndarray:
    drawn = np.asarray(jax.random.uniform(draws("impulse-noise"), (*PADDED[:2], 1)))[:HEIGHT, :WIDTH]
    return np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 255, picture))


def with_noise(kind: str, picture: np.ndarray, deviation: float) -> np.ndarray:
    return picture + deviation * np.asarray(jax.random.normal(draws(kind), PADDED))[:HEIGHT, :WIDTH]


REFERENCES = {
    "gaussian-noise": lambda picture, deviation: with_noise("gaussian-noise", picture, deviation),
    "impulse-noise": with_dots,
    "defocus-blur": on_disc,
    "motion-blur": on_line,
    "jpeg": as_jpeg,
    "brightness": lambda picture, more: np.asarray(
        ImageChops.add(Image.fromarray(picture), Image.new("RGB", (WIDTH, HEIGHT), (int(more),) * 3))
    ),
    "contrast": lambda picture, factor: picture.mean((0, 1)) + factor * (picture - picture.mean((0, 1))),
    "pixelate": lambda picture, side: resized(picture, side, Image.Resampling.BOX, Image.Resampling.NEAREST),
    "low-light": lambda picture, factor, deviation: with_noise("low-light", factor * picture, deviation),
    "occluded-eyes": lambda picture, width, height: hidden(picture, (23, 20), width, height),
    "occluded-mouth": lambda picture, width, height: hidden(picture, (23, 44), width, height),
    "crop-jitter": jittered,
    "rotation": rotated,
    "downscaling": lambda picture, side: resized(picture, side, *[Image.Resampling.BILINEAR] * 2),
}
"""Kind -> what an independent program makes of a picture and the numbers of a severity. Shot noise has a test below."""


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_kind_is_within_one_grey_level_of_an_independent_program(kind):
    picture = draw_picture()
    for severity in SEVERITIES:
        numbers = KINDS[kind].levels[severity - 1]
        expected = np.clip(np.rint(np.asarray(REFERENCES[kind](picture, *numbers), float)), 0, 255)
        (made,) = corrupt([picture], np.array([NAME]), Corruption(kind, severity), [FACE])
        away = np.abs(made - expected)
        if kind == "pixelate":  # a pixel in the middle between two squares may be in either
            squares = {length: round(length * numbers[0] / WIDTH) for length in (HEIGHT, WIDTH)}
            rows, columns = ((2 * np.arange(n) + 1) * m % (2 * n) > 0 for n, m in squares.items())
            away = away[rows][:, columns]
        assert away.max() <= (0 if kind in ("jpeg", "pixelate", "downscaling") else 1), severity
        assert np.abs(made - picture.astype(float)).max() > 1


@pytest.mark.parametrize("severity", corruption.SEVERITIES)
def test_shot_noise_has_the_quantiles_of_poisson_numbers(severity):
    (photons,) = KINDS["shot-noise"].levels[severity - 1]
    for grey in (20, 128):
        pictures = [np.full((HEIGHT, WIDTH, 3), grey, np.uint8)] * 32
        made = np.stack(
            corrupt(pictures, np.array([bytes([n]) * 32 for n in range(32)]), Corruption("shot-noise", severity))
        )
        for share in (0.02, 0.25, 0.5, 0.75, 0.98):
            # Whole photons: where the share falls onto the step between two numbers, either is right.
            ends = scipy.stats.poisson.ppf([share - 0.004, share + 0.004], grey / 255 * photons) * 255 / photons
            assert ends[0] - 1 <= np.quantile(made, share) <= ends[1] + 1


def test_what_an_image_becomes_depends_on_its_identity_and_not_on_its_batch():
    pictures = [draw_picture(seed) for seed in range(3)]
    names = np.array([NAME, NAME[::-1], b"x" * 32])
    for kind, known in KINDS.items():
        one = Corruption(kind, 2)
        together = corrupt(pictures, names, one)
        (alone,) = corrupt(pictures[2:], names[2:], one)
        assert np.array_equal(alone, together[2]), kind
        (other,) = corrupt(pictures[2:], names[:1], one)
        drawn = "noise" in kind or kind in ("motion-blur", "low-light", "crop-jitter") or known.part
        if drawn or kind != "rotation":
            assert np.array_equal(other, alone) != bool(drawn), kind
    seeds = [corrupt(pictures[:1], names[:1], Corruption("gaussian-noise", 2, seed))[0] for seed in (0, 1)]
    assert not np.array_equal(*seeds)


def test_without_landmarks_a_part_is_hidden_at_random_and_inside():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    names = np.array([bytes([n]) * 32 for n in range(1, 20)])
    made = np.stack(corrupt([white] * len(names), names, Corruption("occluded-eyes", 1)))[..., 0] == 0
    apart = 0.38 * SIDE
    assert (np.abs(made.sum((1, 2)) - apart * 0.3 * apart) < apart * 1.3 + 1).all()
    places = {tuple(np.argwhere(one)[0]) for one in made}
    assert len(places) > 10
    view = make_view([0, 1, 0, 1])
    assert not notes_on_corruptions(Task((view,)), parse(["jpeg"]))
    (note,) = notes_on_corruptions(Task((view,)), parse(["all"]))
    assert says(note, "occluded-eyes", "occluded-mouth", "--faces")


def test_names_and_severities_are_read_and_all_faults_named_at_once():
    assert len(KINDS) == 15
    assert len(parse(["all"])) == 75
    assert [len(known.levels) for known in KINDS.values()] == [5] * 15
    assert len({known.number for known in KINDS.values()}) == 15
    assert parse(["jpeg[severity=3]", "jpeg"]) == tuple(Corruption("jpeg", severity) for severity in range(1, 6))
    assert [str(one) for one in parse(["all[severity=2,seed=7]"])][5] == "jpeg[severity=2,seed=7]"
    with pytest.raises(FerBenchError) as caught:
        parse(["jpg", "jpeg[severity=6]", "jpeg[severity=1.5]", "jpeg[strength=2]", "rotation[seed=-1]"])
    assert says(str(caught.value), "'jpg'", "'jpeg'", "'6'", "'1.5'", "'strength'", "'-1'", "4294967295")
    with pytest.raises(FerBenchError) as caught:
        RunConfig.build(None, {"corrupt": ["gausian-noise"]})
    assert says(str(caught.value), "corrupt", "'gausian-noise'", "'gaussian-noise'")


def test_the_page_has_the_severities_of_the_code():
    page = (Path(__file__).parents[1] / "docs" / "damage.md").read_text("utf-8")
    for name, known in KINDS.items():
        levels = " | ".join("; ".join(f"{value:g}" for value in level) for level in known.levels)
        assert f"| `{name}` | {known.what} | {known.unit} | {levels} |" in page


def test_scores_flips_and_the_worst_kind_by_hand():
    true = np.array([0, 0, 1, 1])
    sure = np.eye(2)
    answers = {"clean": [0, 0, 1, 1], "a1": [0, 0, 1, 0], "a2": [0, 1, 1, 0], "b1": [0, 0, 1, 1], "b2": [1, 0, 1, 1]}
    from fer_bench.evaluation.estimate import measure

    scores = {name: measure(STANDARD["accuracy"], true, sure[said]) for name, said in answers.items()}
    kinds = {"a": average([scores["a1"], scores["a2"]]), "b": average([scores["b1"], scores["b2"]])}
    assert [kinds[kind].value for kind in "ab"] == [0.625, 0.875]
    largest = {name: sure[said] == 1 for name, said in answers.items()}
    flips = [count_flips([largest["clean"], largest[f"{kind}1"], largest[f"{kind}2"]]) for kind in "ab"]
    assert [one.tolist() for one in flips] == [[0, 1, 0, 1], [1, 0, 0, 0]]
    known = Robustness(
        clean=scores["clean"],
        kinds=kinds,
        mean=average([*kinds.values()]),
        flips=measure_flips(np.mean(flips, axis=0)),
        crossed=None,
    )
    assert known.mean.value == 0.75
    assert known.worst == "a"
    assert known.flips.value == 0.375
    # The mean over kinds is a mean of samples as well: 1, 1/2, 1, 1/2 less what flips say nothing of.
    per_sample = np.mean(
        [[said == label for said, label in zip(answers[name], true, strict=True)] for name in ("a1", "a2", "b1", "b2")],
        axis=0,
    )
    assert known.mean.influence == pytest.approx((per_sample - per_sample.mean()) / 4)
    kind, worst = known.interval(kinds["a"], 0.975), known.worst_interval()
    assert (worst.low, worst.high) == (kind.low, min(kind.high, known.interval(kinds["b"], 0.975).high))


class Here:
    """A client of Dask whose one worker is this process."""

    def run(self, function, *arguments, workers):
        return {workers[0]: function(*arguments)}


def score_staged(runs, there, patch):
    """Let a worker with folders of its own score the models of the trained cells on noise; return their ids."""
    config = RunConfig(
        datasets=("squares",), backbones=("net",), strategies=("steps",), folds=2, runs_dir=runs, stage=True,
        corrupt=("gaussian-noise[severity=4]",),
    )  # fmt: skip
    registry, told = Registry.load(), list[dict]()
    grid = expand(config, registry, config.data_folder, config.cache_folder, TerminalReporter(quiet=True))
    work = Work(grid, Store(runs), config.cache_folder, registry.plugins, TerminalReporter(quiet=True), [config])
    files = {**needed(work), **kept_of(work, divide(grid, work.pending))}
    patch.setenv("FER_BENCH_CACHE_DIR", str(there))
    patch.chdir(there)
    copies.send(Here(), "here", files, {name: sha256_of(file) for name, file in files.items()})
    worker.do(work.describe([job.cell.id for job in work.pending]), told.append)
    for message in told:
        if "cell" in message:
            work.store.take(message["cell"], *copies.fetch(message["cell"]))
    assert not [file for file in (there / "staged" / "runs").rglob("*") if file.is_file() and file.suffix != ".lock"]
    return [message["cell"] for message in told if "cell" in message]


def test_a_run_scores_stored_models_once_and_replays_them_to_the_bit(tiny, tmp_path, monkeypatch):
    runs = str(tmp_path / "runs")
    where = [*BASE, "--strategy", "steps", "--runs-dir", runs, "--folds", "2"]
    assert invoke("run", *where, "--keep", "all").exit_code == 0
    before = Store(tmp_path / "runs").read_all()[0]
    asked = ["--corrupt", "gaussian-noise[severity=4]", "--corrupt", "brightness"]
    planned = json.loads(invoke("plan", *where, *asked, "--json").stdout)
    assert planned["corrupted"] == 2 * 6 * 90, "each way through the network"
    assert {cell["status"] for cell in planned["cells"]} == {"to do"}
    assert (planned["recalled"], planned["training"]) == (2, []), "kept models are not trained again"
    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", lambda *_: pytest.fail("a kept model is trained again"))
        (tmp_path / "there").mkdir()
        staged = score_staged(tmp_path / "runs", tmp_path / "there", patch)
        noisy = [cell.id for cell in before if parse(asked[1:2])[0] in corrupted.find(cell)]
        assert sorted(staged) == noisy == sorted(cell.id for cell in before if cell.record.strategy.name == "steps")
        patch.undo()
        patch.setattr(Training, "run", lambda *_: pytest.fail("a kept model is trained again"))
        result = invoke("run", *where, *asked)
    assert result.exit_code == 0, result.stderr
    cells = Store(tmp_path / "runs").read_all()[0]
    assert [(cell.id, cell.finished) for cell in cells] == [(cell.id, cell.finished) for cell in before]
    assert json.loads(invoke("plan", *where, *asked, "--json").stdout)["corrupted"] == 0
    assert "corrupted images: " not in invoke("run", *where, *asked).stderr
    assert [len(corrupted.find(cell)) for cell in cells] == [6] * 4
    trained = [cell for cell in cells if cell.record.strategy.name == "steps"]
    recalled = [corrupted.read_files(cell) for cell in trained]
    for cell, other in zip(trained, reversed(trained), strict=True):  # each has the model of the other now
        corrupted.remove(cell)
        (tmp_path / other.id).write_bytes(file_of(tmp_path / "runs", cell.id).read_bytes())
    for cell in trained:
        shutil.move(tmp_path / cell.id, file_of(tmp_path / "runs", cell.id))
    again = invoke("run", *where, *asked)
    assert (again.exit_code, again.stderr.count("another cell")) == (0, 2)
    assert [corrupted.read_files(cell) for cell in trained] == recalled, "as after training"
    cells = [cell for cell in cells if cell not in trained]
    replayed = invoke("replay", cells[0].id[:8], "--runs-dir", runs, "--require", "bit-identical")
    assert replayed.exit_code == 0, replayed.stdout
    file = next((tmp_path / "runs" / "corrupted" / cells[0].id[:16]).glob("brightness-2*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    assert [str(one) for one in corrupted.lacking(cells[0], parse(asked[1::2]))] == ["brightness[severity=2]"]
    with pytest.raises(FerBenchError) as caught:
        invoke("damage", "--runs-dir", runs)
    assert says(str(caught.value), "1 of 2", "--corrupt")
    assert invoke("run", *where, *asked).exit_code == 0
    figure = tmp_path / "damage.svg"
    told = json.loads(invoke("damage", "--runs-dir", runs, "--json", "--figure", str(figure)).stdout)
    row = next(row for row in told["rows"] if row["strategy"] == "probe")
    scores = row["scores"]
    mean = np.mean([scores[f"brightness[severity={severity}]"] for severity in range(1, 6)])
    assert row["kinds"]["brightness"] == pytest.approx(mean)
    assert row["corrupted"]["value"] == pytest.approx((mean + scores["gaussian-noise[severity=4]"]) / 2)
    assert "gaussian-noise" in figure.read_text("utf-8")
