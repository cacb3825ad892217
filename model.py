"""The network, what surrounds it while it trains, and the way back from a file."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# The one place that settles how TensorFlow starts; it has to come before the import.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's keras.json says
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the console is for our own lines
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it announces itself, and gains nothing


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Close standard error to C++ code, which logs before it has read its log level."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


with _quiet_stderr():
    import keras
    import tensorflow as tf

WARMUP = 0.1  # part of the run in which the learning rate rises to its peak
BEND_GRID = 5  # elastic bending: random displacements on a 5 x 5 grid, enlarged smoothly


def build_network() -> keras.Sequential:
    """The untrained network: float32 (n, 28, 28) in [0, 1] to (n, 10) probabilities."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


class RandomWarp(keras.layers.Layer):
    """Rotate, shift, zoom, shear and bend every training image a little, each its own way.

    Takes and gives float images (n, 28, 28); does nothing outside training. Each strength
    is the most that happens either way: `rotation` in degrees, `shift` in pixels, `zoom`
    and `shear` as fractions, `bend` in pixels for each point of a 5 x 5 grid. The bending
    is the elastic distortion of Simard, Steinkraus and Platt, "Best practices for
    convolutional neural networks", 2003, with a coarse grid, smoothly enlarged, in place of
    their smoothed noise.
    """

    def __init__(
        self,
        rotation: float = 10.0,
        shift: float = 1.5,
        zoom: float = 0.1,
        shear: float = 0.1,
        bend: float = 1.2,
        seed: int | None = None,
    ) -> None:
        """Keep the strengths and what is the same in every warp."""
        super().__init__()
        affine = [math.radians(rotation), shear, zoom, zoom, shift, shift]
        self.strengths = np.array(affine + 2 * BEND_GRID**2 * [bend], np.float32)
        self.seed_generator = keras.random.SeedGenerator(seed)
        # A warp says for each pixel which point to read. Each coordinate of that point is a
        # combination of 28 fixed pictures: y, x, 1, and one bump for each grid point.
        y, x = np.indices((28, 28)) - 13.5
        grid = np.eye(BEND_GRID**2).reshape(-1, BEND_GRID, BEND_GRID, 1)
        bumps = keras.ops.image.resize(grid, (28, 28), "bicubic")
        basis = [y, x, np.ones((28, 28)), *keras.ops.convert_to_numpy(bumps)[..., 0]]
        self.basis = np.reshape(basis, (-1, 784)).astype(np.float32)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`images`, each warped anew in training, else as they are."""
        if not training:
            return images
        # XLA compiles random numbers of a named algorithm to several times faster code.
        random = tf.random.stateless_uniform(
            (keras.ops.shape(images)[0], len(self.strengths)),
            self.seed_generator.next(),
            minval=-1,
            maxval=1,
            alg="philox",
        )
        draws = self.strengths * random
        angle, shear, zoom_y, zoom_x, shift_y, shift_x = tf.unstack(draws[:, :6], axis=1)
        bend_y, bend_x = tf.split(draws[:, 6:], 2, axis=1)
        cos, sin = tf.cos(angle), tf.sin(angle)
        terms_y = [(1 + zoom_y) * cos, (1 + zoom_y) * (shear * cos - sin), 13.5 + shift_y]
        terms_x = [(1 + zoom_x) * sin, (1 + zoom_x) * (shear * sin + cos), 13.5 + shift_x]
        return sample_bilinear(
            images,
            y=tf.concat([tf.stack(terms_y, axis=1), bend_y], axis=1) @ self.basis,
            x=tf.concat([tf.stack(terms_x, axis=1), bend_x], axis=1) @ self.basis,
        )


def sample_bilinear(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Images (n, 28, 28) read between their pixels, each at its own points (n, 784).

    Everything outside an image is 0.
    """
    # In a frame of zeros every point, however far out, is read like any other.
    framed = tf.reshape(tf.pad(images, ((0, 0), (1, 2), (1, 2))), (-1, 31 * 31))
    y, x = tf.clip_by_value(y + 1, 0, 29), tf.clip_by_value(x + 1, 0, 29)
    top, left = tf.floor(y), tf.floor(x)
    down, right = y - top, x - left
    corner = tf.cast(31 * top + left, tf.int32)

    def pixel(offset: int) -> tf.Tensor:
        return tf.gather(framed, corner + offset, axis=1, batch_dims=1)

    upper = (1 - right) * pixel(0) + right * pixel(1)
    lower = (1 - right) * pixel(31) + right * pixel(32)
    return tf.reshape((1 - down) * upper + down * lower, (-1, 28, 28))


class EpochTrainer(keras.Sequential):
    """Trains a network on uint8 images; one step of `fit` is a whole epoch of batches.

    TensorFlow's overhead for a batch is several times the arithmetic of a network this
    small. So `fit` is given all digits as one shuffled "batch", and `train_step` takes the
    real batches from it in a loop that XLA compiles into a single program.
    """

    def __init__(self, network: keras.Model, batch_size: int, augment: bool, seed: int) -> None:
        """Put what is needed in training only before `network`, which trains in place."""
        warp = [RandomWarp(seed=seed)] if augment else []
        super().__init__(
            [keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), *warp, network]
        )
        self.batch_size = batch_size

    @tf.function(jit_compile=True, autograph=False)
    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Train on all of `data`, a batch at a time; returns the epoch's metrics."""
        images, labels = data
        # Whole batches only. The few digits left over are others in each epoch.
        steps = images.shape[0] // self.batch_size
        images = tf.reshape(images[: steps * self.batch_size], (steps, -1, 28, 28))
        labels = tf.reshape(labels[: steps * self.batch_size], (steps, -1))
        train_on_batch = super().train_step

        def body(step: tf.Tensor) -> tf.Tensor:
            train_on_batch((images[step], labels[step]))
            return step + 1

        tf.while_loop(lambda step: step < steps, body, [0])
        return self.get_metrics_result()


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first tenth of `steps`, then fall to 0 along a cosine.

    After Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    2017 (the cosine), and Goyal et al., "Accurate, large minibatch SGD", 2017 (the rise).
    """
    warmup_steps = max(1, round(WARMUP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


def load_network(path: str) -> keras.Model:
    """The network saved in `path`, a file of `train.py`'s or any with its inputs and outputs.

    Raises OSError if the file is missing or unreadable and ValueError if it is no Keras
    model, takes other inputs than (n, 28, 28) or gives other outputs than (n, 10). Keras's
    safe mode stays on: a file that carries code is refused.
    """
    with open(path, "rb"):  # Keras reports a missing file at length, and as a ValueError
        pass
    try:
        network = keras.models.load_model(path, compile=False)
        shapes = network.input_shape, network.output_shape
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(f"{path} is not a usable Keras model: {reason}") from error
    if shapes != ((None, 28, 28), (None, 10)):
        raise ValueError(
            f"{path} maps {shapes[0]} to {shapes[1]}, expected (None, 28, 28) to (None, 10)"
        )
    return network
