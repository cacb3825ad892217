"""What happens to training images: random distortion in every batch, flags on some ones."""

import math

import numpy as np

from cli import quiet_import

with quiet_import():
    import keras
    import tensorflow as tf

# Draws are uniform in [-range, range]. The ranges are these at the start of a run.
ROTATION = 10  # degrees
SHEAR, ZOOM = 0.1, 0.1  # shares of a length
SHIFT = 1.5  # pixels
ELASTIC = 1.2  # pixels: displacement of each point of a grid
ELASTIC_GRID_SIDE = 5  # points: with more, digits lose their shape
FINAL_STRENGTH = 0.5  # share of the ranges that is left at the end of a run

# A flag is the upstroke of a 1, which much of the world writes and MNIST lacks. Without it, the
# network reads a 7. Angles are in degrees, lengths are shares of the stem's length.
FLAG_SHARE = 0.15  # of the ones; with twice as many, other digits are read worse
FLAG_ANGLE = 25, 62  # from the vertical, downwards to the left; a wider angle makes a 7
MIN_ANGLE_TO_STEM = 18  # a smaller angle fills with ink
FLAG_LENGTH = 0.2, 0.7
FOOT_SHARE = 1 / 3  # of the ones with a flag
FOOT_LENGTH = 0.3, 0.7


class RandomAugmentation(keras.layers.Layer):
    """Rotate, shear, zoom, shift and elastically distort each training image at random.

    Images are float (n, 28, 28). Outside training, they pass unchanged. Between the points of
    the grid, the elastic displacement is interpolated bicubically. (Simard, Steinkraus and
    Platt, "Best practices for convolutional neural networks", 2003, draw a displacement for
    each pixel and smooth it.) The strength falls linearly over a run of `steps` batches.
    """

    def __init__(self, steps: int) -> None:
        """Store the ranges; compute the basis of the sampling coordinates."""
        super().__init__()
        self.steps = steps
        self.step = self.add_weight(initializer="zeros", trainable=False)
        affine = [math.radians(ROTATION), SHEAR, ZOOM, ZOOM, SHIFT, SHIFT]
        self.ranges = np.array(affine + 2 * ELASTIC_GRID_SIDE**2 * [ELASTIC], np.float32)
        self.seed_generator = keras.random.SeedGenerator()
        # The basis is 3 + 25 fixed maps of 28 x 28 pixels. The maps y, x and 1 give the affine
        # part, the bicubic interpolation of each of the 25 grid points gives the elastic part.
        # The y at which a pixel is sampled is a weighted sum of these maps, and so is the x.
        # Only the weights are random.
        y, x = np.indices((28, 28)) - 13.5
        grid = np.eye(ELASTIC_GRID_SIDE**2).reshape(-1, ELASTIC_GRID_SIDE, ELASTIC_GRID_SIDE, 1)
        elastic_maps = keras.ops.image.resize(grid, (28, 28), "bicubic")
        basis = [y, x, np.ones((28, 28)), *keras.ops.convert_to_numpy(elastic_maps)[..., 0]]
        self.basis = np.reshape(basis, (-1, 784)).astype(np.float32)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """In training, augment each image with its own draws; else return `images`."""
        if not training:
            return images
        strength = 1 - (1 - FINAL_STRENGTH) * self.step / self.steps
        self.step.assign_add(1)
        random = tf.random.stateless_uniform(
            (keras.ops.shape(images)[0], len(self.ranges)),
            self.seed_generator.next(),
            minval=-strength,
            maxval=strength,
            alg="philox",  # several times faster under XLA than the default
        )
        draws = self.ranges * random
        angle, shear, zoom_y, zoom_x, shift_y, shift_x = tf.unstack(draws[:, :6], axis=1)
        elastic_y, elastic_x = tf.split(draws[:, 6:], 2, axis=1)
        cos, sin = tf.cos(angle), tf.sin(angle)
        affine_y = [(1 + zoom_y) * cos, (1 + zoom_y) * (shear * cos - sin), 13.5 + shift_y]
        affine_x = [(1 + zoom_x) * sin, (1 + zoom_x) * (shear * sin + cos), 13.5 + shift_x]
        return sample_bilinear(
            images,
            y=tf.concat([tf.stack(affine_y, axis=1), elastic_y], axis=1) @ self.basis,
            x=tf.concat([tf.stack(affine_x, axis=1), elastic_x], axis=1) @ self.basis,
        )


def sample_bilinear(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Interpolate images (n, 28, 28), each at its own points `y`, `x` (n, 784) in pixels.

    Everything outside an image is 0.
    """
    # With zeros around the image, points outside need no special case.
    padded = tf.reshape(tf.pad(images, ((0, 0), (1, 2), (1, 2))), (-1, 31 * 31))
    y, x = tf.clip_by_value(y + 1, 0, 29), tf.clip_by_value(x + 1, 0, 29)
    top, left = tf.floor(y), tf.floor(x)
    weight_y, weight_x = y - top, x - left  # of the lower and the right pixels
    top_left = tf.cast(31 * top + left, tf.int32)

    def pixel(offset: int) -> tf.Tensor:
        return tf.gather(padded, top_left + offset, axis=1, batch_dims=1)

    upper = (1 - weight_x) * pixel(0) + weight_x * pixel(1)
    lower = (1 - weight_x) * pixel(31) + weight_x * pixel(32)
    return tf.reshape((1 - weight_y) * upper + weight_y * lower, (-1, 28, 28))


def add_flags(images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw a flag, and sometimes a foot, on a random part of the images with label 1.

    `images` are uint8 (n, 28, 28), `labels` (n,). Returns new images. The centre of mass of
    each stays where it is, up to half a pixel.
    """
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero((labels == 1) & (rng.random(len(labels)) < FLAG_SHARE))
    ones = images[chosen] / 255
    top, bottom = find_stems(ones)
    stem = bottom - top
    length = np.hypot(*stem)
    width = ones.sum(axis=(1, 2)) / length
    slant = np.degrees(np.arctan2(-stem[1], stem[0]))
    angle = np.radians(rng.uniform(*FLAG_ANGLE, len(ones)).clip(slant + MIN_ANGLE_TO_STEM))
    flag = rng.uniform(*FLAG_LENGTH, len(ones)) * length * [np.cos(angle), -np.sin(angle)]
    foot = rng.uniform(*FOOT_LENGTH, len(ones)) * length * [[0], [1]]
    foot *= rng.random(len(ones)) < FOOT_SHARE
    drawn = draw_strokes(ones, top, top + flag, width)
    drawn = draw_strokes(drawn, bottom - foot / 2, bottom + foot / 2, width)
    shifts = np.round(center_of_mass(ones) - center_of_mass(drawn)).astype(int).T
    flagged = images.copy()
    for i, one, shift in zip(chosen, np.uint8(255 * drawn), shifts, strict=True):
        flagged[i] = np.roll(one, shift, axis=(0, 1))
    return flagged


def find_stems(ones: np.ndarray) -> list[np.ndarray]:
    """The upper and the lower ends (2, n) of strokes in (n, 28, 28): y and x in pixels."""
    has_ink = ones.max(axis=2) > 0.5
    first, last = has_ink.argmax(axis=1), 27 - has_ink[:, ::-1].argmax(axis=1)
    index = np.arange(len(ones))
    return [
        np.array([row, ones[index, row] @ np.arange(28) / ones[index, row].sum(axis=1)])
        for row in (first, last)
    ]


def draw_strokes(
    images: np.ndarray, start: np.ndarray, end: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Draw a straight stroke on each of (n, 28, 28) from `start` to `end`, both (2, n)."""
    # Axes: y and x, images, pixels.
    to_pixel = np.indices((28, 28)).reshape(2, 1, 784) - start[..., np.newaxis]
    direction = (end - start)[..., np.newaxis]
    share = (to_pixel * direction).sum(axis=0) / np.maximum((direction**2).sum(axis=0), 1e-9)
    distance = np.hypot(*(to_pixel - direction * share.clip(0, 1)))
    ink = (width[:, np.newaxis] / 2 + 0.5 - distance).clip(0, 1)
    return np.maximum(images, ink.reshape(-1, 28, 28))


def center_of_mass(images: np.ndarray) -> np.ndarray:
    """The centres of mass (2, n) of images (n, 28, 28): y and x in pixels."""
    y_and_x = np.indices((28, 28)).reshape(2, 784)
    return y_and_x @ images.reshape(-1, 784).T / images.sum(axis=(1, 2))
