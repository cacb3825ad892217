"""The network: building, training and loading it."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cli import InputError

# These have to be set before TensorFlow is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's keras.json says
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN logs a banner, gives no speedup


@contextmanager
def _silence_import() -> Iterator[None]:
    """Keep C++ code off stderr: TensorFlow logs before it reads TF_CPP_MIN_LOG_LEVEL.

    If the import fails, what was logged is written to stderr after all.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with _silence_import():
    import keras
    import tensorflow as tf

UNITS_AND_ACTIVATIONS = ((128, "relu"), (64, "relu"), (10, "softmax"))
EVALUATION_BATCH = 1000  # no gradients to keep: the larger, the faster
WARMUP = 0.1  # part of the run in which the learning rate rises to its peak
ELASTIC_GRID = 5  # points along a side of the grid of elastic displacements


def build_model() -> keras.Sequential:
    """The untrained network: float32 (n, 28, 28) in [0, 1] to (n, 10) probabilities."""
    dense = [keras.layers.Dense(*layer) for layer in UNITS_AND_ACTIVATIONS]
    return keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), *dense], name="digits"
    )


class EpochTrainer(keras.Sequential):
    """A model for which a whole epoch is one training step, so one compiled program.

    TensorFlow's overhead for each batch is several times the arithmetic of a network this
    small. So `fit` is to be called with `batch_size` the number of samples: it shuffles them
    and hands them over at once, and `train_step` runs Keras's own training step on one
    batch after the other.

    What this gives up: callbacks for each batch, sample weights, `run_eagerly`, and the
    last samples of an epoch if they do not fill a batch (shuffling makes them other samples
    in each epoch).
    """

    def __init__(self, layers: list, batch_size: int) -> None:
        """Stack `layers`; the real batches have `batch_size` samples."""
        super().__init__(layers)
        self.batch_size = batch_size

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Train on all samples (x, y) in `data`, batch by batch; returns the metrics."""
        steps = data[0].shape[0] // self.batch_size
        x, y = (
            tf.reshape(samples[: steps * self.batch_size], (steps, -1, *samples.shape[1:]))
            for samples in data
        )
        train_step = super().train_step

        def next_step(step: tf.Tensor) -> tf.Tensor:
            train_step((x[step], y[step]))
            return step + 1

        tf.while_loop(lambda step: step < steps, next_step, [0])
        return self.get_metrics_result()


def build_training_model(
    batch_size: int, steps: int, augment: bool, learning_rate: float
) -> EpochTrainer:
    """The compiled network with what it needs only in training: uint8 (n, 28, 28) in.

    Batch normalization (Ioffe and Szegedy, "Batch normalization: accelerating deep network
    training by reducing internal covariate shift", 2015) stands behind every dense layer;
    `fold_batch_normalization` takes it out again. The learning rate is scheduled for
    `steps` batches.
    """
    # Pixels are scaled here and not by data.normalize: `fit` copies all digits to shuffle
    # them, and uint8 is a quarter of the bytes.
    layers = [keras.Input((28, 28)), keras.layers.Rescaling(1 / 255)]
    if augment:
        layers.append(RandomAugmentation())
    layers.append(keras.layers.Flatten())
    for units, activation in UNITS_AND_ACTIVATIONS:
        layers += [
            keras.layers.Dense(units, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(activation),
        ]
    training_model = EpochTrainer(layers, batch_size)
    training_model.compile(
        optimizer=keras.optimizers.Adam(learning_rate_schedule(learning_rate, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,  # "auto" does not compile on a machine without a GPU
    )
    return training_model


def fold_batch_normalization(training_model: keras.Sequential, model: keras.Sequential) -> None:
    """Set the weights of `model` (see `build_model`) to those of `training_model`, folded.

    Both then predict the same but for rounding, one for pixels in [0, 1], one for uint8.
    Outside training, batch normalization scales and shifts each output of a dense layer by
    constants, so it can become part of the layer's weights (Jacob et al., "Quantization and
    training of neural networks for efficient integer-arithmetic-only inference", 2018,
    section 3.2).
    """
    dense, normalization = (
        [layer for layer in training_model.layers if isinstance(layer, kind)]
        for kind in (keras.layers.Dense, keras.layers.BatchNormalization)
    )
    for folded, layer, norm in zip(model.layers[1:], dense, normalization, strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        folded.set_weights([layer.get_weights()[0] * scale, beta - mean * scale])


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first tenth of `steps`, then fall to 0 along a cosine.

    After Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017 (the cosine), and Goyal et al., "Accurate, large minibatch SGD", 2017 (the rise).
    """
    warmup_steps = max(1, round(WARMUP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup_steps),
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


class RandomAugmentation(keras.layers.Layer):
    """Rotate, shift, zoom, shear and elastically distort each training image at random.

    Takes and gives float images (n, 28, 28); does nothing outside training. Each parameter
    is a range: draws are uniform from its negative to its positive value. `rotation` is in
    degrees, `shift` in pixels, `zoom` and `shear` are fractions, `elastic` is the
    displacement in pixels of each point of a 5 x 5 grid, interpolated bicubically. (Simard,
    Steinkraus and Platt, "Best practices for convolutional neural networks", 2003, smooth a
    displacement drawn for each pixel.)
    """

    def __init__(
        self,
        rotation: float = 10.0,
        shift: float = 1.5,
        zoom: float = 0.1,
        shear: float = 0.1,
        elastic: float = 1.2,
    ) -> None:
        """Keep the ranges, and the basis of all displacements."""
        super().__init__()
        affine = [math.radians(rotation), shear, zoom, zoom, shift, shift]
        self.ranges = np.array(affine + 2 * ELASTIC_GRID**2 * [elastic], np.float32)
        self.seed_generator = keras.random.SeedGenerator()
        # The coordinates at which an image is sampled are linear in 28 fixed maps: y, x, 1,
        # and the interpolated displacement of each grid point.
        y, x = np.indices((28, 28)) - 13.5
        grid = np.eye(ELASTIC_GRID**2).reshape(-1, ELASTIC_GRID, ELASTIC_GRID, 1)
        elastic_maps = keras.ops.image.resize(grid, (28, 28), "bicubic")
        basis = [y, x, np.ones((28, 28)), *keras.ops.convert_to_numpy(elastic_maps)[..., 0]]
        self.basis = np.reshape(basis, (-1, 784)).astype(np.float32)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`images`, each augmented with draws of its own in training, else unchanged."""
        if not training:
            return images
        # With an algorithm named, XLA compiles random numbers to several times faster code.
        random = tf.random.stateless_uniform(
            (keras.ops.shape(images)[0], len(self.ranges)),
            self.seed_generator.next(),
            minval=-1,
            maxval=1,
            alg="philox",
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
    # Zeros around the image, so that points outside need no case of their own.
    padded = tf.reshape(tf.pad(images, ((0, 0), (1, 2), (1, 2))), (-1, 31 * 31))
    y, x = tf.clip_by_value(y + 1, 0, 29), tf.clip_by_value(x + 1, 0, 29)
    top, left = tf.floor(y), tf.floor(x)
    down, right = y - top, x - left
    corner = tf.cast(31 * top + left, tf.int32)

    def pixel(offset: int) -> tf.Tensor:
        return tf.gather(padded, corner + offset, axis=1, batch_dims=1)

    upper = (1 - right) * pixel(0) + right * pixel(1)
    lower = (1 - right) * pixel(31) + right * pixel(32)
    return tf.reshape((1 - down) * upper + down * lower, (-1, 28, 28))


def load_model(path: str) -> keras.Model:
    """The model saved in `path`: any Keras model from (n, 28, 28) to (n, 10).

    Raises OSError if the file cannot be read and InputError if it is no such model. Keras's
    safe mode stays on: a file that carries code is refused.
    """
    with open(path, "rb"):  # Keras reports a missing file at length, and as a ValueError
        pass
    try:
        model = keras.models.load_model(path, compile=False)
        shapes = model.input_shape, model.output_shape
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is not a usable Keras model: {reason}") from error
    if shapes != ((None, 28, 28), (None, 10)):
        raise InputError(
            f"{path} maps {shapes[0]} to {shapes[1]}, expected (None, 28, 28) to (None, 10)"
        )
    return model
