"""Faces: the nets against plain numpy, the geometry by hand, the cache, and what a missed face costs.

The detector knows photographs and finds none of our drawn faces, and no photograph of a person may stand here. So the
cascade is tested net by net and as plumbing; what it finds on photographs is measured in docs/faces.md.
"""

from __future__ import annotations

import sys

import mtcnn_weights
import numpy as np
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.faces import align, boxes, detector, nets, weights
from fer_bench.faces.detector import CANVAS, MARGIN, PICTURE, Detector
from fer_bench.faces.parameters import Crop, Detection


@pytest.fixture(scope="module")
def loaded():
    return weights.load()


# The nets, in plain numpy ---------------------------------------------------------------------------------------------


def _conv(x, kernel, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bijckl,klco->bijo", windows, kernel) + bias


def _prelu(x, slope):
    return np.where(x > 0, x, x * slope.reshape(-1))


def _pool(x, side, same):
    """Max pooling of stride 2; SAME pads at the end first."""
    if same:
        pads = [max((-(-n // 2) - 1) * 2 + side - n, 0) for n in x.shape[1:3]]
        x = np.pad(
            x,
            ((0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)),
            constant_values=-np.inf,
        )
    return np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::2, ::2].max((-1, -2))


def _face(logits):
    return 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))


def _numpy_net(w, x, pools):
    """Return the features before the outputs, and the weights of the outputs."""
    w = [np.asarray(a, np.float64) for a in w]
    for pool in pools:
        x = _prelu(_conv(x, w[0], w[1]), w[2])
        x = _pool(x, *pool) if pool else x
        w = w[3:]
    if len(w) > 4:
        x = np.stack([np.concatenate([a[:, i].ravel() for i in range(a.shape[1])]) for a in x])
        x = _prelu(x @ w[0] + w[1], w[2])
        w = w[3:]
    return x, w


def test_the_nets_agree_with_plain_numpy(loaded):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 33, 40, 3)).astype(np.float32)
    features, w = _numpy_net(loaded["pnet"], x, [(2, True), None, None])
    offsets, probability = nets.pnet(loaded["pnet"], x)
    np.testing.assert_allclose(offsets, _conv(features, w[0], w[1]), atol=2e-5)
    np.testing.assert_allclose(probability, _face(_conv(features, w[2], w[3])), atol=2e-5)

    x = rng.uniform(-1, 1, (3, 24, 24, 3)).astype(np.float32)
    features, w = _numpy_net(loaded["rnet"], x, [(3, True), (3, False), None])
    offsets, probability = nets.rnet(loaded["rnet"], x)
    np.testing.assert_allclose(offsets, features @ w[0] + w[1], atol=2e-5)
    np.testing.assert_allclose(probability, _face(features @ w[2] + w[3]), atol=2e-5)

    x = rng.uniform(-1, 1, (3, 48, 48, 3)).astype(np.float32)
    features, w = _numpy_net(loaded["onet"], x, [(3, True), (3, False), (2, True), None])
    offsets, marks, probability = nets.onet(loaded["onet"], x)
    np.testing.assert_allclose(offsets, features @ w[0] + w[1], atol=2e-5)
    np.testing.assert_allclose(marks, features @ w[2] + w[3], atol=2e-5)
    np.testing.assert_allclose(probability, _face(features @ w[4] + w[5]), atol=2e-5)


def test_pictures_without_a_face_and_of_any_size_have_none_and_compile_nothing_new(loaded):
    search = Detector(Detection(), loaded)
    rng = np.random.default_rng(0)
    odd = [
        rng.integers(0, 255, shape).astype(np.uint8) for shape in [(1, 1, 1), (3, 400, 3), (48, 48, 1), (2000, 1500, 3)]
    ]
    assert search.find(odd[:1]) == [None]
    compiled = [step._cache_size() for step in (detector._pyramid, detector._rnet, detector._onet)]
    assert search.find([*odd, *odd, *odd, *odd, *odd]) == [None] * 20
    after = [step._cache_size() for step in (detector._pyramid, detector._rnet, detector._onet)]
    assert after[0] == compiled[0]
    assert max(after) <= max(1, *compiled)


def test_the_cascade_follows_a_face_from_the_canvas_back_to_its_picture(monkeypatch, loaded):
    """Nets that see a face where the picture is bright: every coordinate can be told beforehand."""

    def pyramid(w, x, levels):
        out = []
        for side in levels:
            cells = (side - nets.CELL) // 2 + 1
            offsets, probability = np.zeros((16, cells, cells, 4), np.float32), np.zeros((16, cells, cells), np.float32)
            if side == levels[2]:
                probability[0, 10, 20] = probability[1, 5, 5] = 0.9
            out.append((offsets, probability))
        return out

    def onet(w, x, b, owner):
        marks = np.tile(np.array([0.3, 0.7, 0.5, 0.35, 0.65, 0.4, 0.4, 0.6, 0.8, 0.8], np.float32), (len(b), 1))
        return np.zeros((len(b), 4), np.float32), marks, np.full(len(b), 0.95, np.float32)

    monkeypatch.setattr(detector, "_pyramid", pyramid)
    monkeypatch.setattr(detector, "_rnet", lambda w, x, b, o: (np.zeros((len(b), 4)), np.full(len(b), 0.9)))
    monkeypatch.setattr(detector, "_onet", onet)
    search = Detector(Detection(), loaded)
    picture = np.zeros((2 * PICTURE, PICTURE, 1), np.uint8)  # half as large and in the middle of the canvas
    first, second, third = search.find([picture] * 3)
    assert third is None
    assert first is not None
    assert second is not None
    zoom = CANVAS / search.levels[2]
    left, top = (CANVAS - PICTURE / 2) / 2, MARGIN
    expected = (np.array([40, 20, 52, 32]) * zoom - [left, top, left, top]) * 2
    np.testing.assert_allclose(first.box, expected, atol=1e-4)
    np.testing.assert_allclose(first.landmarks[0], expected[:2] + 12 * zoom * 2 * np.array([0.3, 0.4]), atol=1e-3)
    assert first.score == pytest.approx(0.95)


def test_the_pyramid_ends_where_the_smallest_and_the_largest_face_fill_a_window(loaded):
    levels = Detector(Detection(smallest=0.25), loaded).levels
    assert levels[0] == round(CANVAS * 12 / (0.25 * PICTURE))
    assert levels[-1] >= 12 > levels[-1] * 0.709


def test_boxes_are_sampled_as_bilinear_means():
    x = np.zeros((2, 8, 8, 3), np.float32)
    x[1] = np.arange(8)[None, :, None]  # the value is the column
    box = np.array([[2.0, 2.0, 6.0, 6.0], [-4.0, 0.0, 4.0, 8.0]], np.float32)
    out = np.asarray(detector._sample(x, box, np.array([1, 1]), 4))
    np.testing.assert_allclose(out[0, 0, :, 0], [2, 3, 4, 5], atol=1e-6)
    assert (out[1, :, 0] == 0).all()  # outside the canvas
    np.testing.assert_allclose(out[1, 0, 2:, 0], [0.5, 2.5], atol=1e-6)
    assert (np.asarray(detector._sample(x, box, np.array([0, 0]), 4)) == 0).all()


# Boxes ----------------------------------------------------------------------------------------------------------------


def test_suppression_by_hand():
    box = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30], [5, 0, 15, 10]], float)
    score = np.array([0.8, 0.9, 0.5, 0.7])
    # IoU with the best (row 1): 0.8, 0, 40 / 140.
    assert boxes.suppress(box, score, 0.5).tolist() == [1, 3, 2]
    assert boxes.suppress(box, score, 0.2).tolist() == [1, 2]
    assert boxes.suppress(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []
    assert boxes.square(np.array([[0.0, 0, 4, 10]])).tolist() == [[-3, 0, 7, 10]]
    assert boxes.shift(np.array([[0.0, 0, 4, 10]]), np.array([[0.5, 0.1, 0, -0.1]])).tolist() == [[2, 1, 4, 9]]


def test_the_main_face_is_the_largest_unless_another_is_much_more_central():
    centre, corner = [40, 40, 60, 60], [0, 0, 24, 24]
    # 400 - 0 against 576 - 2 * (38² + 38²)
    assert boxes.main_face(np.array([corner, centre], float), 100, 100) == 1
    assert boxes.main_face(np.array([centre, [10, 10, 90, 90]], float), 100, 100) == 1
    assert boxes.main_face(np.array([[0, 0, 40, 40], [60, 0, 100, 40]], float), 40, 100) == 0


# Alignment ------------------------------------------------------------------------------------------------------------


def _turned(angle, scale, shift, points):
    c, s = np.cos(angle), np.sin(angle)
    return points @ (scale * np.array([[c, s], [-s, c]])) + shift


def test_a_similarity_is_recovered_and_never_mirrors():
    source = np.array([[0.0, 0], [4, 0], [2, 5]])
    matrix = align.similarity(source, _turned(0.3, 2.5, [7, -3], source))
    c, s = 2.5 * np.cos(0.3), 2.5 * np.sin(0.3)
    np.testing.assert_allclose(matrix, [[c, -s, 7], [s, c, -3]], atol=1e-12)
    mirrored = align.similarity(source, source * [-1, 1])
    assert np.linalg.det(mirrored[:, :2]) >= 0


def test_eyes_and_mouth_come_to_lie_in_their_places():
    """Spots are drawn where a turned face has its eyes and mouth; after alignment they lie where the template says."""
    size = 80
    anchors = _turned(0.4, 1.5, np.array([60.0, 20.0]), align.TEMPLATE * size)
    image = np.zeros((220, 220, 1), np.uint8)
    for x, y in anchors:
        yy, xx = np.mgrid[:220, :220] + 0.5
        image[((xx - x) ** 2 + (yy - y) ** 2) < 16] = 255
    mouth = anchors[2]
    landmarks = np.array([anchors[0], anchors[1], [0, 0], mouth - 3, mouth + 3])
    crop = align.cut(image, np.zeros(4), landmarks, Crop(method="align", size=size))[..., 0].astype(float)
    for x, y in align.TEMPLATE * size:
        window = crop[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7]
        yy, xx = np.mgrid[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7] + 0.5
        assert (window * xx).sum() / window.sum() == pytest.approx(x, abs=0.6)
        assert (window * yy).sum() / window.sum() == pytest.approx(y, abs=0.6)
    assert crop.max() > 200


def test_a_box_is_cut_with_its_margin_and_the_edge_is_repeated():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    exact = align.cut(image, np.array([2.0, 3, 6, 7]), np.zeros((5, 2)), Crop(method="box", size=4, margin=0))
    np.testing.assert_array_equal(exact, image[3:7, 2:6])
    wider = align.cut(image, np.array([2.0, 3, 6, 7]), np.zeros((5, 2)), Crop(method="box", size=8, margin=0.5))
    np.testing.assert_array_equal(wider, image[1:9, 0:8])
    beyond = align.cut(image, np.array([-4.0, 0, 0, 4]), np.zeros((5, 2)), Crop(method="box", size=4, margin=0))
    np.testing.assert_array_equal(beyond, np.repeat(image[:4, :1], 4, axis=1))
    oblong = align.cut(image, np.array([3.0, 2, 5, 6]), np.zeros((5, 2)), Crop(method="box", size=4, margin=0))
    np.testing.assert_array_equal(oblong, image[2:6, 2:6])


@pytest.mark.parametrize(
    ("box", "share"),
    [
        # With a margin of a tenth of 10 pixels the crop is of 12, and its 16 points are 0.75 pixels apart.
        ([1.0, 1, 11, 11], 0),  # 0 to 12, the whole picture
        ([0.0, 0, 10, 10], 1 - (15 / 16) ** 2),  # -1 to 11: a column and a row of points lie before 0
        ([1.0, 21, 11, 31], 1),
        ([-15.0, -15, 25, 25], 1 - (4 / 16) ** 2),  # a crop of 48 pixels, a point every 3: four of them in 0 to 12
    ],
)
def test_how_much_of_a_crop_lies_outside_of_its_picture(box, share):
    matrix = align.place(np.array(box), np.zeros((5, 2)), Crop(method="box", size=7))
    assert align.outside(matrix, 7, 12, 12) == share


def test_a_large_face_is_averaged_not_skipped_over_and_colour_stays():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = (200, 100, 50)
    crop = align.cut(stripes, np.array([0.0, 0, 400, 400]), np.zeros((5, 2)), Crop(method="box", size=40, margin=0))
    assert crop.shape == (40, 40, 3)
    assert (abs(crop.astype(int) - [100, 50, 25]) <= 6).all()
    assert align.whole(stripes[:300], 40).shape == (40, 40, 3)


# Weights --------------------------------------------------------------------------------------------------------------


def test_the_shipped_weights_are_those_of_mtcnn_to_the_bit(loaded):
    original = mtcnn_weights.read()
    assert list(loaded) == list(original)
    for net, arrays in original.items():
        for ours, theirs in zip(loaded[net], arrays, strict=True):
            assert (ours.dtype, ours.shape) == (np.float32, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)
    assert mtcnn_weights.convert() == weights.FILE.read_bytes()


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_weights_that_are_not_the_shipped_ones_are_refused(tmp_path, monkeypatch, damage):
    file = tmp_path / "mtcnn.safetensors"
    if damage == "changed":
        content = bytearray(weights.FILE.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    monkeypatch.setattr(weights, "FILE", file)
    with pytest.raises(FerBenchError, match=r"mtcnn\.safetensors") as refused:
        weights.load()
    assert (weights.SHA256 in str(refused.value)) == (damage == "changed")


def test_neither_tensorflow_nor_mtcnn_is_imported(loaded):
    assert not {"tensorflow", "mtcnn"} & set(sys.modules)
    assert [len(loaded[name]) for name in weights.NETS] == [13, 16, 21]
