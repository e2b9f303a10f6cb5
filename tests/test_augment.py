"""Random changes of images: by hand, against scipy and Pillow, and in a phase that trains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hurry import in_a_hurry
from messages import says
from PIL import Image, ImageEnhance
from scipy import ndimage

from fer_bench.learning import augment
from fer_bench.specs import GradientPhase, Plan, Rule

hurried = in_a_hurry()

KEY = jax.random.key(0)
affine, colour, erase = jax.jit(augment.affine), jax.jit(augment.colour), jax.jit(augment.erase)
warp, adjust, fill = jax.jit(augment.warp), jax.jit(augment.adjust), jax.jit(augment.fill)
mixup, cutmix = jax.jit(augment.mixup), jax.jit(augment.cutmix)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def test_warp_samples_as_scipy_does():
    images = noise(3, 9, 12, 2)
    maps = np.random.default_rng(1).normal(size=(3, 2, 3)).astype(np.float32)
    maps[:, :, :2] = np.eye(2) + 0.3 * maps[:, :, :2]
    ours = warp(jnp.asarray(images), jnp.asarray(maps))
    for image, mapped, found in zip(images, maps, np.asarray(ours), strict=True):
        for c in range(2):
            args = {"matrix": mapped[:, :2], "offset": mapped[:, 2], "order": 1, "mode": "nearest"}
            np.testing.assert_allclose(found[..., c], ndimage.affine_transform(image[..., c], **args), atol=0.01)


def test_warp_by_hand():
    image = jnp.arange(6.0).reshape(1, 2, 3, 1)  # 0 1 2 / 3 4 5
    right = jnp.asarray([[[1.0, 0, 0], [0, 1, 0.5]]])  # each pixel shows what lies half a pixel to its right
    np.testing.assert_allclose(warp(image, right)[0, :, :, 0], [[0.5, 1.5, 2], [3.5, 4.5, 5]])


def test_affine_moves_a_point_no_further_than_it_says():
    images = np.zeros((64, 41, 41, 1), np.float32)
    images[:, 19:22, 19:22] = 255  # at the centre, which rotation and scale keep
    moved = np.asarray(affine(KEY, jnp.asarray(images)))[..., 0]
    found = np.array([ndimage.center_of_mass(image) for image in moved]) - 20
    assert np.abs(found).max() < augment.SHIFT * 41 + 0.1
    assert np.abs(found).max() > augment.SHIFT * 41 * 0.8, "some are moved nearly as far as is allowed"
    assert len(np.unique(found.round(4), axis=0)) == 64, "each in its own way"
    np.testing.assert_allclose(affine(KEY, jnp.full((2, 5, 7, 3), 9.0)), np.full((2, 5, 7, 3), 9.0), rtol=1e-6)


def test_affine_turns_and_scales_within_its_limits():
    grid = np.zeros((64, 61, 61, 1), np.float32)
    for y, x in ((30, 30), (30, 42)):
        grid[:, y - 1 : y + 2, x - 1 : x + 2] = 255
    grid[:, 29:32, 41:44] = 128
    moved = np.asarray(affine(KEY, jnp.asarray(grid)))[..., 0]
    angles, lengths = [], []
    for image in moved:
        labelled, count = ndimage.label(image > 20)
        if count != 2:
            continue
        spots = ndimage.center_of_mass(image, labelled, [1, 2])
        peaks = ndimage.maximum(image, labelled, [1, 2])
        (y0, x0), (y1, x1) = (spots[i] for i in np.argsort(peaks)[::-1])
        angles.append(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
        lengths.append(np.hypot(y1 - y0, x1 - x0) / 12)
    assert len(angles) > 40
    assert augment.DEGREES * 0.8 < np.abs(angles).max() < augment.DEGREES + 2
    assert 0.86 < min(lengths) < 0.93
    assert 1.07 < max(lengths) < 1.14


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.4])
@pytest.mark.parametrize(
    ("number", "enhance"), [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)]
)
def test_colours_change_as_in_pillow(factor, number, enhance):
    image = noise(8, 10, 3, seed=number)
    factors = [jnp.ones(1)] * 3
    factors[number] = jnp.full(1, factor)
    ours = np.asarray(adjust(jnp.asarray(image[None]), *factors))[0]
    theirs = np.asarray(enhance(Image.fromarray(image.astype(np.uint8))).enhance(factor))
    np.testing.assert_allclose(ours, theirs, atol=1.5)  # Pillow rounds, its mean grey too


def test_grey_images_keep_one_channel_and_have_no_saturation():
    image = jnp.asarray(noise(2, 4, 4, 1))
    np.testing.assert_array_equal(adjust(image, jnp.ones(2), jnp.ones(2), jnp.zeros(2)), image)
    changed = colour(KEY, image)
    assert changed.shape == image.shape
    assert 0 <= changed.min() < changed.max() <= 255


def test_fill_by_hand():
    filled = fill(
        jnp.zeros((2, 3, 4, 1)), jnp.asarray([[0, 1], [2, 0]]), jnp.asarray([[2, 2], [0, 4]]), jnp.ones((2, 3, 4, 1))
    )
    np.testing.assert_array_equal(filled[0, :, :, 0], [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    assert not filled[1].any(), "a height of 0 fills nothing"


def test_erased_rectangles_have_the_share_and_size_they_should():
    b, side = 2000, 20
    erased = np.asarray(erase(KEY, jnp.full((b, side, side, 1), -1.0)))[..., 0] >= 0
    touched = erased.any((1, 2))
    # Four standard deviations of a share of 0.25 in 2,000.
    assert touched.mean() == pytest.approx(augment.ERASED, abs=4 * np.sqrt(0.25 * 0.75 / b))
    heights, widths = erased.any(2).sum(1)[touched], erased.any(1).sum(1)[touched]
    area = erased.sum((1, 2))[touched]
    np.testing.assert_array_equal(area, heights * widths)
    assert area.min() / side**2 >= augment.AREA[0] / 2
    assert area.max() / side**2 <= augment.AREA[1] * 1.1
    # Aspects from 0.3 to 3.3, of sides that are rounded to whole pixels and at least 3.
    assert 0.2 < (heights / widths).min() < 0.45
    assert 2.2 < (heights / widths).max() < 5
    centres = [np.mean(np.nonzero(image), axis=1) for image in erased[touched]]
    np.testing.assert_allclose(np.mean(centres, axis=0), (side - 1) / 2, atol=0.5)


def test_mixup_mixes_images_and_targets_in_one_share():
    # Image i is filled with i and its target is class i, so a target says what its image must be.
    b = 8
    images = jnp.broadcast_to(jnp.arange(float(b))[:, None, None, None], (b, 3, 3, 1))
    shares = []
    for number in range(200):
        x, y = map(np.asarray, mixup(jax.random.key(number), images, jnp.eye(b), 1.0))
        np.testing.assert_allclose(x, np.broadcast_to((y @ np.arange(b))[:, None, None, None], x.shape), atol=1e-5)
        np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(y.sum(0), 1, atol=1e-6)  # every image is somebody's partner once
        shares.append(y[0, 0])
    # Beta(1, 1) is uniform: mean 1/2 but for the one time in 8 that an image meets itself, with share 1.
    assert np.mean(shares) == pytest.approx(0.5 + 0.5 / 8, abs=0.09)


def test_cutmix_pastes_one_rectangle_whose_area_is_in_the_target():
    b, h, w = 6, 10, 14
    images = jnp.broadcast_to(jnp.arange(float(b))[:, None, None, None], (b, h, w, 1))
    stayed = []
    for number in range(100):
        x, y = map(np.asarray, cutmix(jax.random.key(number), images, jnp.eye(b), 1.0))
        np.testing.assert_allclose(y.sum(1), 1, atol=1e-6)
        for i in range(b):
            counts = np.bincount(x[i].astype(int).ravel(), minlength=b) / (h * w)
            np.testing.assert_allclose(y[i], counts, atol=1e-6)
        foreign = x[..., 0] != np.arange(b)[:, None, None]
        (other,) = np.unique(foreign[foreign.any((1, 2))], axis=0)[:1] if foreign.any() else [np.zeros((h, w), bool)]
        assert other.sum() == other.any(1).sum() * other.any(0).sum()
        stayed.append(1 - other.mean())
    assert min(stayed) < 0.3
    assert max(stayed) > 0.95


@pytest.mark.slow
def test_all_is_a_function_of_the_key():
    phase = GradientPhase(name="p", rules=(Rule(),), epochs=1, augment=("affine", "colour", "erase"), mixup=0.4)
    images, targets = jnp.asarray(noise(4, 8, 8, 3)), jnp.eye(4)

    @jax.jit
    def change(key: jax.Array) -> jax.Array:
        return augment.mix(key, augment.apply(key, images, phase), targets, phase)[0]

    first, again, other = (change(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_plan_says_what_turns_the_cache_off():
    plain = GradientPhase(name="head", rules=(Rule(),), epochs=1, flip=True)
    changed = GradientPhase(name="tail", rules=(Rule(),), epochs=1, augment=("affine",), cutmix=1.0)
    assert augment.notes(Plan(phases=(plain,))) == []
    (note,) = augment.notes(Plan(phases=(plain, changed)))
    assert says(note, "'tail'", "affine, cutmix", "cache")
