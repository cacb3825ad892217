"""What happens to training images, against independent computations."""

import math

import numpy as np
import pytest
from scipy import ndimage

import augmentation
from augmentation import RandomAugmentation, keras, tf


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 28, 28), np.float32)


PARAMETERS = ("angle", "shear", "zoom_y", "zoom_x", "shift_y", "shift_x")


@pytest.fixture
def augment(monkeypatch, images):
    """Augment `images` with the values that the test chooses; others are 0."""

    def greatest(shape, _seed, minval, maxval, alg):
        return tf.fill(shape, maxval)

    def augment(elastic=0, **chosen):
        monkeypatch.setattr(tf.random, "stateless_uniform", greatest)
        layer = RandomAugmentation(steps=10)
        ranges = [chosen.get(name, 0) for name in PARAMETERS] + 50 * [elastic]
        layer.ranges = np.array(ranges, np.float32)
        return layer(images, training=True).numpy()

    return augment


@pytest.mark.parametrize("parameters", [["shift_y", "shift_x"], ["elastic"]])
@pytest.mark.parametrize("pixels", [0, 1, -2, 100])
def test_displacement_by_whole_pixels_shifts_the_array(images, augment, parameters, pixels):
    augmented = augment(**dict.fromkeys(parameters, pixels))
    expected = ndimage.shift(images, (0, -pixels, -pixels), order=0)
    np.testing.assert_allclose(augmented, expected, atol=1e-4)


def test_affine_map_is_zoom_after_rotation_after_shear(images, augment):
    angle = math.radians(4.5)
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1, -0.12], [0, 1]])
    matrix = np.diag([1.12, 0.86]) @ rotate @ shear
    center = np.array([13.5, 13.5])
    offset = center + np.array([1.6, -1.8]) - matrix @ center
    expected = [
        ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
        for image in images
    ]
    augmented = augment(
        angle=angle, shear=-0.12, zoom_y=0.12, zoom_x=-0.14, shift_y=1.6, shift_x=-1.8
    )
    np.testing.assert_allclose(augmented, expected, atol=1e-4)


def test_strength_falls_linearly_over_the_run(monkeypatch, images):
    strengths = []

    def keep(shape, _seed, minval, maxval, alg):
        strengths.append((float(minval), float(maxval)))
        return tf.zeros(shape)

    monkeypatch.setattr(tf.random, "stateless_uniform", keep)
    layer = RandomAugmentation(steps=4)
    for training in (True, True, False, True, True):
        layer(images, training=training)
    expected = 1 - (1 - augmentation.FINAL_STRENGTH) * np.arange(4) / 4
    np.testing.assert_allclose(strengths, np.transpose([-expected, expected]), rtol=1e-6)


def test_every_image_and_every_batch_is_augmented_differently_and_only_in_training(images):
    same = np.repeat(images[:1], 4, axis=0)

    def two_batches(seed):
        keras.utils.set_random_seed(seed)
        layer = RandomAugmentation(steps=2)
        return np.concatenate([layer(same, training=True) for _ in range(2)])

    first, again, other = two_batches(0), two_batches(0), two_batches(1)
    assert len({image.tobytes() for image in np.concatenate([first, other])}) == 16
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(RandomAugmentation(2)(same, training=False), same)


def test_elastic_distortion_is_smooth_and_within_its_range():
    def displacement(ramp):
        """How far along the ramp pixels are read; always with the same draws."""
        keras.utils.set_random_seed(0)
        layer = RandomAugmentation(steps=1)
        layer.ranges = np.array(6 * [0] + 50 * [2], np.float32)
        return (layer(ramp, training=True).numpy() - ramp)[:, 4:-4, 4:-4]

    ramp = np.tile(np.arange(28, dtype=np.float32), (200, 28, 1))
    moved, moved_down = displacement(ramp), displacement(ramp.transpose(0, 2, 1))
    assert 1.5 < np.abs(moved).max() < 2 * 1.6  # bicubic interpolation overshoots a little
    assert np.abs(np.diff(moved, axis=1)).max() < 1.2
    assert np.abs(np.diff(moved, axis=2)).max() < 1.2
    assert moved_down.std() == pytest.approx(moved.std(), rel=0.1)
    assert abs(np.corrcoef(moved.ravel(), moved_down.ravel())[0, 1]) < 0.1


def upright_ones(count, slant=0):
    """Images of a straight stroke from row 4 to row 23, 2 pixels wide; `slant` pixels apart."""
    rows, columns = np.indices((28, 28))
    at = 14 + slant * (13.5 - rows) / 19
    one = 255 * ((rows >= 4) & (rows <= 23) & (np.abs(columns - at) < 1.1))
    return np.repeat(np.uint8(one)[np.newaxis], count, axis=0)


@pytest.fixture
def flagged():
    ones = upright_ones(2000)
    flagged, _ = augmentation.add_flags(ones, np.ones(2000), seed=0)
    return ones, flagged


def changed(before, after):
    return (before != after).any(axis=(1, 2))


def test_flags_are_drawn_on_a_share_of_the_ones_and_on_nothing_else(flagged):
    ones, drawn = flagged
    assert changed(ones, drawn).mean() == pytest.approx(augmentation.FLAG_SHARE, abs=0.02)
    assert augmentation.add_flags(ones, np.ones(2000), seed=0)[1] == changed(ones, drawn).sum()
    sevens, count = augmentation.add_flags(ones, np.full(2000, 7), seed=0)
    np.testing.assert_array_equal(sevens, ones)
    assert count == 0


def test_a_seed_repeats_the_flags(flagged):
    ones, drawn = flagged
    again, _ = augmentation.add_flags(ones, np.ones(2000), seed=0)
    np.testing.assert_array_equal(again, drawn)
    assert (augmentation.add_flags(ones, np.ones(2000), seed=1)[0] != drawn).any()


def test_flags_point_down_to_the_left_and_feet_to_both_sides(flagged):
    ones, drawn = flagged
    drawn = drawn[changed(ones, drawn)] > 128
    reach = [np.ptp(np.nonzero(row.any(axis=0))) for row in drawn[:, 20:].any(axis=1)[:, None]]
    has_foot = np.array(reach) > 5
    assert has_foot.mean() == pytest.approx(augmentation.FOOT_SHARE, abs=0.1)
    for one in drawn[~has_foot]:
        stem = np.median(np.nonzero(one[16:])[1])
        _, columns = np.nonzero(one[:16])
        assert columns.max() <= stem + 2
        assert columns.min() <= stem - 3


def test_flags_keep_the_centre_of_mass(flagged):
    ones, drawn = flagged
    expected = ndimage.center_of_mass(ones[0])
    for image in drawn[changed(ones, drawn)]:
        np.testing.assert_allclose(ndimage.center_of_mass(image), expected, atol=0.51)


def test_a_flag_stands_away_from_a_slanted_stem():
    ones = upright_ones(200, slant=14)
    drawn, _ = augmentation.add_flags(ones, np.ones(200), seed=0)
    added = [
        (image > 128).sum() - (ones[0] > 128).sum() for image in drawn[changed(ones, drawn)]
    ]
    assert min(added) > 3


@pytest.mark.parametrize("without_stem", [upright_ones(99) // 3, 0 * upright_ones(99)])
def test_ones_without_a_clear_stem_stay(without_stem):
    _, count = augmentation.add_flags(without_stem, np.ones(99), seed=0)
    assert count == 0
