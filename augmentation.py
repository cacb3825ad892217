"""Random changes of training images: distortion in each batch, flags on some ones."""

import math

import numpy as np

from cli import quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

# Each value is random in [-range, range]. These are the ranges at the start of a run.
ROTATION = 10  # degrees
SHEAR, ZOOM = 0.1, 0.1  # relative
SHIFT = 1.5  # pixels
ELASTIC = 1.2  # pixels: displacement of each point of a grid
ELASTIC_GRID_SIDE = 5  # points: with more, digits lose their shape
FINAL_STRENGTH = 0.5  # share of the ranges that is left at the end of a run

# Much of the world writes a 1 with a flag, a stroke from its top down to the left, and often
# with a foot, a short line at its bottom. MNIST has so few that the network reads them as 7.
# Angles are in degrees, lengths are shares of the stem's length.
FLAG_SHARE = 0.15  # of the ones; with twice as many, other digits are read worse
FLAG_ANGLE = 25, 62  # to the vertical, unless the stem leans more; wider looks like a 7
MIN_ANGLE_TO_STEM = 18  # with a smaller angle, ink fills the gap
FLAG_LENGTH = 0.2, 0.7
FOOT_SHARE = 1 / 3  # of the ones with a flag
FOOT_LENGTH = 0.3, 0.7
MIN_STEM = 8  # pixels: a shorter 1 has no clear stem


class RandomAugmentation(keras.layers.Layer):
    """Rotate, shear, zoom, shift and elastically distort each training image at random.

    Images are float (n, 28, 28). Outside training, they pass unchanged. The strength falls
    linearly over a run of `steps` batches. Elastic distortion follows Simard, Steinkraus and
    Platt, "Best practices for convolutional neural networks", 2003, but only the points of a
    grid move at random; what lies between them is interpolated.
    """

    def __init__(self, steps: int) -> None:
        """Store the ranges; compute the fixed maps of `basis`."""
        super().__init__()
        self.steps = steps
        self.step = self.add_weight(initializer="zeros", trainable=False)
        affine = [math.radians(ROTATION), SHEAR, ZOOM, ZOOM, SHIFT, SHIFT]
        self.ranges = np.array(affine + 2 * ELASTIC_GRID_SIDE**2 * [ELASTIC], np.float32)
        self.seed_generator = keras.random.SeedGenerator()
        # Each pixel of the result is read from another point of the image. The point's y and x
        # are weighted sums of fixed maps, the rows of `basis`: y, x and 1 for the affine part,
        # and a smooth bump for each point of the elastic grid. Only the weights are random.
        y, x = np.indices((28, 28)) - 13.5
        grid = np.eye(ELASTIC_GRID_SIDE**2).reshape(-1, ELASTIC_GRID_SIDE, ELASTIC_GRID_SIDE, 1)
        elastic_maps = keras.ops.image.resize(grid, (28, 28), "bicubic")
        basis = [y, x, np.ones((28, 28)), *keras.ops.convert_to_numpy(elastic_maps)[..., 0]]
        self.basis = np.reshape(basis, (-1, 784)).astype(np.float32)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """In training, augment each image with its own values; else return `images`."""
        if not training:
            return images
        strength = 1 - (1 - FINAL_STRENGTH) * self.step / self.steps
        self.step.assign_add(1)
        values = tf.random.stateless_uniform(
            (tf.shape(images)[0], len(self.ranges)),
            self.seed_generator.next(),
            minval=-strength,
            maxval=strength,
            alg="philox",  # several times faster under XLA than the default
        )
        angle, shear, zoom_y, zoom_x, shift_y, shift_x, elastic_y, elastic_x = tf.split(
            self.ranges * values, 6 * [1] + 2 * [ELASTIC_GRID_SIDE**2], axis=1
        )
        cos, sin = tf.cos(angle), tf.sin(angle)
        # The weights of y and x: zoom after rotation after shear, shift, elastic distortion.
        y = [(1 + zoom_y) * cos, (1 + zoom_y) * (shear * cos - sin), 13.5 + shift_y, elastic_y]
        x = [(1 + zoom_x) * sin, (1 + zoom_x) * (shear * sin + cos), 13.5 + shift_x, elastic_x]
        points = [tf.concat(weights, axis=1) @ self.basis for weights in (y, x)]
        return sample_bilinear(images, *points)


def sample_bilinear(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Interpolate images (n, 28, 28) at points `y`, `x` (n, 784), in pixels.

    Everything outside an image is 0.
    """
    # With zeros around the image, points outside need no special case: 28 + 1 + 2 = 31.
    padded = tf.reshape(tf.pad(images, ((0, 0), (1, 2), (1, 2))), (-1, 31 * 31))
    y, x = tf.clip_by_value(y + 1, 0, 29), tf.clip_by_value(x + 1, 0, 29)
    top, left = tf.floor(y), tf.floor(x)
    lower_weight, right_weight = y - top, x - left
    top_left = tf.cast(31 * top + left, tf.int32)

    def pixel(offset: int) -> tf.Tensor:
        return tf.gather(padded, top_left + offset, axis=1, batch_dims=1)

    upper = (1 - right_weight) * pixel(0) + right_weight * pixel(1)
    lower = (1 - right_weight) * pixel(31) + right_weight * pixel(32)
    return tf.reshape((1 - lower_weight) * upper + lower_weight * lower, (-1, 28, 28))


def add_flags(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Draw a flag, and sometimes a foot, on a random part of the images with label 1.

    `images` are uint8 (n, 28, 28), `labels` (n,). Returns new images and how many have a flag.
    MNIST's digits are centred by their centre of mass, so this is kept, to half a pixel.
    """
    rng = np.random.default_rng(seed)
    has_stem = (images > 127).any(axis=2).sum(axis=1) >= MIN_STEM
    chosen = np.flatnonzero(has_stem & (labels == 1) & (rng.random(len(labels)) < FLAG_SHARE))
    ones = images[chosen] / 255

    # Points and vectors are (2, n): y, which grows downwards, and x.
    top, bottom = find_stem_ends(ones)
    stem = bottom - top
    length = np.hypot(*stem)
    stroke_width = ones.sum(axis=(1, 2)) / length
    slant = np.degrees(np.arctan2(-stem[1], stem[0]))  # above 0 if it leans to the right
    angle = np.maximum(rng.uniform(*FLAG_ANGLE, len(ones)), slant + MIN_ANGLE_TO_STEM)
    direction = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    flag = rng.uniform(*FLAG_LENGTH, len(ones)) * length * direction
    foot = rng.uniform(*FOOT_LENGTH, len(ones)) * length * [[0], [1]]
    foot *= rng.random(len(ones)) < FOOT_SHARE
    flagged = draw_strokes(ones, top, top + flag, stroke_width)
    flagged = draw_strokes(flagged, bottom - foot / 2, bottom + foot / 2, stroke_width)

    shifts = np.round(center_of_mass(ones) - center_of_mass(flagged)).astype(int).T
    result = images.copy()
    for i, one, shift in zip(chosen, np.uint8(255 * flagged), shifts, strict=True):
        result[i] = np.roll(one, shift, axis=(0, 1))
    return result, len(chosen)


def find_stem_ends(ones: np.ndarray) -> list[np.ndarray]:
    """The centres (2, n) of the first and of the last row with ink in images (n, 28, 28)."""
    has_ink = ones.max(axis=2) > 0.5
    first, last = has_ink.argmax(axis=1), 27 - has_ink[:, ::-1].argmax(axis=1)
    rows = np.arange(28)[:, np.newaxis]
    return [
        center_of_mass(ones * (rows == y[:, np.newaxis, np.newaxis])) for y in (first, last)
    ]


def draw_strokes(
    images: np.ndarray, start: np.ndarray, end: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Draw a stroke, `width` (n,) wide, on each image, from `start` to `end`, both (2, n)."""
    # Axes: y and x, images, pixels.
    to_pixel = np.indices((28, 28)).reshape(2, 1, 784) - start[..., np.newaxis]
    stroke = (end - start)[..., np.newaxis]
    squared_length = np.maximum((stroke**2).sum(axis=0), 1e-9)  # a foot may have no length
    along = ((to_pixel * stroke).sum(axis=0) / squared_length).clip(0, 1)
    distance = np.hypot(*(to_pixel - along * stroke))
    ink = (width[:, np.newaxis] / 2 + 0.5 - distance).clip(0, 1)
    return np.maximum(images, ink.reshape(-1, 28, 28))


def center_of_mass(images: np.ndarray) -> np.ndarray:
    """The centres of mass (2, n) of images (n, 28, 28): y and x in pixels."""
    y_and_x = np.indices((28, 28)).reshape(2, 784)
    return y_and_x @ images.reshape(-1, 784).T / images.sum(axis=(1, 2))
