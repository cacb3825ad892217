"""What happens to training images, against independent computations."""

import math
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import ndimage

import augmentation
from augmentation import RandomAugmentation, add_flags, keras, tf

IMAGES = np.random.default_rng(0).random((5, 28, 28), np.float32)


def test_elastic_distortion_is_smooth():
    bumps = RandomAugmentation(steps=1).basis[3:].reshape(-1, 28, 28)
    assert max(np.abs(np.diff(bumps, axis=axis)).max() for axis in (1, 2)) < 0.3


@pytest.mark.parametrize("elastic", [0, 0.7, 100])
def test_images_are_sheared_rotated_zoomed_and_shifted(monkeypatch, elastic):
    angle = math.radians(4.5)
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1, -0.12], [0, 1]])
    matrix = np.diag([1.12, 0.86]) @ rotate @ shear
    center = np.array([13.5, 13.5])
    offset = center + np.array([1.6, -1.8]) - matrix @ center + elastic
    options = {"order": 1, "mode": "grid-constant"}
    expected = [ndimage.affine_transform(x, matrix, offset, **options) for x in IMAGES]
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, *_, **__: tf.ones(shape))
    layer = RandomAugmentation(steps=10)
    layer.ranges = np.float32([angle, -0.12, 0.12, -0.14, 1.6, -1.8, *50 * [elastic]])
    np.testing.assert_allclose(layer(IMAGES, training=True), expected, atol=1e-4)


def test_strength_falls_linearly_over_the_run(monkeypatch):
    uniform = Mock(return_value=tf.zeros((5, 56)))
    monkeypatch.setattr(tf.random, "stateless_uniform", uniform)
    layer = RandomAugmentation(steps=4)
    for training in (True, True, False, True, True):
        layer(IMAGES, training=training)
    expected = 1 - (1 - augmentation.FINAL_STRENGTH) * np.arange(4) / 4
    strengths = [(call.kwargs["minval"], call.kwargs["maxval"]) for call in uniform.mock_calls]
    np.testing.assert_allclose(strengths, np.transpose([-expected, expected]), rtol=1e-6)


def test_a_seed_augments_every_image_of_every_batch_differently():
    def two_batches(seed):
        keras.utils.set_random_seed(seed)
        layer, same = RandomAugmentation(steps=2), np.repeat(IMAGES[:1], 4, axis=0)
        return np.concatenate([layer(same, training=True) for _ in range(2)])

    first, again, other = two_batches(0), two_batches(0), two_batches(1)
    assert len({image.tobytes() for image in [*first, *other]}) == 16
    np.testing.assert_array_equal(first, again)


def upright_ones(count, slant=0):
    """Images of a straight stroke from row 4 to row 23, 2 pixels wide; `slant` pixels apart."""
    rows, columns = np.indices((28, 28))
    at = 14 + slant * (13.5 - rows) / 19
    one = 255 * ((rows >= 4) & (rows <= 23) & (np.abs(columns - at) < 1.1))
    return np.repeat(np.uint8(one)[np.newaxis], count, axis=0)


ONES = upright_ones(2000)
SHORT = ONES * np.uint8(np.arange(28) < 10)[:, np.newaxis]
UNCLEAR = (ONES // 3, 1), (0 * ONES, 1), (SHORT, 1)


def with_flag(ones):
    """The ones that get a flag."""
    drawn, count = add_flags(ones, np.ones(len(ones)), seed=0)
    changed = drawn[(drawn != ones).any(axis=(1, 2))]
    assert len(changed) == count
    return changed


def test_flags_are_drawn_on_a_share_of_the_ones():
    share = len(with_flag(ONES)) / len(ONES)
    assert share == pytest.approx(augmentation.FLAG_SHARE, abs=0.02)


@pytest.mark.parametrize(("images", "label"), [(ONES, 7), *UNCLEAR])
def test_other_digits_and_ones_without_a_clear_stem_stay(images, label):
    _, count = add_flags(images, np.full(len(images), label), seed=0)
    assert count == 0


def test_flags_point_down_to_the_left_and_feet_to_both_sides():
    ink = with_flag(ONES) > 128
    has_foot = ink[:, 20:].any(axis=1).sum(axis=1) > 5
    assert has_foot.mean() == pytest.approx(augmentation.FOOT_SHARE, abs=0.1)
    for one in ink[~has_foot]:
        stem = np.median(np.nonzero(one[16:])[1])
        columns = np.nonzero(one[:16])[1]
        assert columns.min() <= stem - 3 < stem + 2 >= columns.max()


def test_flags_keep_the_centre_of_mass():
    for flagged in with_flag(ONES):
        center = ndimage.center_of_mass(flagged)
        np.testing.assert_allclose(center, ndimage.center_of_mass(ONES[0]), atol=0.51)


def test_a_flag_stands_away_from_a_slanted_stem():
    ones = upright_ones(200, slant=14)
    added = [(one > 128).sum() - (ones[0] > 128).sum() for one in with_flag(ones)]
    assert min(added) > 3
