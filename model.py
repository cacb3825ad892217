"""The network: building, training and loading it."""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from cli import InputError

# Keras and TensorFlow read these when they are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user has set
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fatal errors only
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN logs a banner and saves no time


@contextmanager
def silence_import() -> Iterator[None]:
    """Hide what TensorFlow's C++ code writes to stderr while it is imported.

    If the import fails, this is written to stderr after all.
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


with silence_import():
    import keras
    import tensorflow as tf

DENSE_LAYERS = ((128, "relu"), (64, "relu"), (10, "softmax"))
WARMUP_SHARE = 0.1  # share of the run in which the learning rate rises to its peak
ELASTIC_GRID_SIDE = 5  # points on each side of the grid of elastic displacements


def build_model() -> keras.Sequential:
    """The untrained network: float (n, 28, 28) in [0, 1] to (n, 10) probabilities.

    The network is compiled: `evaluate` gives its loss (cross-entropy, nats) and its accuracy
    (in [0, 1]).
    """
    dense = [keras.layers.Dense(*layer) for layer in DENSE_LAYERS]
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), *dense], name="digits"
    )
    compile_with_adam(model)
    return model


def compile_with_adam(
    model: keras.Model,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
    **options: bool | int,
) -> None:
    """Compile `model` with Adam at a learning rate or a schedule; `options` are `compile`'s."""
    adam = keras.optimizers.Adam(learning_rate)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    # Without this, the first step would create Adam's variables, and TensorFlow would trace the
    # step twice. Keras would also warn when it loads the saved model.
    adam.build(model.trainable_variables)


def build_training_model(
    epochs: int, steps_per_epoch: int, augment: bool, learning_rate: float
) -> keras.Sequential:
    """The network with the layers that only training needs, compiled.

    If `augment` is True, random augmentation comes before the network. Batch normalization
    comes between each dense layer and its activation (Ioffe and Szegedy, "Batch normalization:
    accelerating deep network training by reducing internal covariate shift", 2015). At the end
    of training, `fold_batch_normalization` makes it part of the dense layers.
    """
    layers = [keras.Input((28, 28))]
    if augment:
        layers.append(RandomAugmentation())
    layers.append(keras.layers.Flatten())
    for units, activation in DENSE_LAYERS:
        layers += [
            keras.layers.Dense(units, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(activation),
        ]
    training_model = keras.Sequential(layers)
    schedule = learning_rate_schedule(learning_rate, epochs * steps_per_epoch)
    # For a network this small, the overhead of a step is several times its arithmetic. So
    # XLA compiles the step (Keras's default is to do so only on a GPU), and TensorFlow runs
    # all steps of an epoch without a return to Python.
    compile_with_adam(
        training_model, schedule, jit_compile=True, steps_per_execution=steps_per_epoch
    )
    return training_model


class RandomAugmentation(keras.layers.Layer):
    """Rotate, shift, zoom, shear and elastically distort each training image at random.

    Images are float (n, 28, 28). Outside training, they pass unchanged.
    Each parameter p is a range: draws are uniform in [-p, p]. `rotation` is in degrees,
    `shift` in pixels, `zoom` and `shear` are fractions. `elastic` limits the displacement in
    pixels of each point of a 5 x 5 grid; between the points, the displacement is interpolated
    bicubically. (Simard, Steinkraus and Platt, "Best practices for convolutional neural
    networks", 2003, draw a displacement for each pixel and smooth it.)
    """

    def __init__(
        self,
        rotation: float = 10.0,
        shift: float = 1.5,
        zoom: float = 0.1,
        shear: float = 0.1,
        elastic: float = 1.2,
    ) -> None:
        """Store the ranges; compute the basis of the sampling coordinates."""
        super().__init__()
        affine = [math.radians(rotation), shear, zoom, zoom, shift, shift]
        self.ranges = np.array(affine + 2 * ELASTIC_GRID_SIDE**2 * [elastic], np.float32)
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
        random = tf.random.stateless_uniform(
            (keras.ops.shape(images)[0], len(self.ranges)),
            self.seed_generator.next(),
            minval=-1,
            maxval=1,
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


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first tenth of `steps`, then fall to 0 along a cosine.

    After Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017 (the cosine), and Goyal et al., "Accurate, large minibatch SGD", 2017 (the rise).
    """
    warmup_steps = round(WARMUP_SHARE * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=steps - warmup_steps,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


def fold_batch_normalization(training_model: keras.Sequential, model: keras.Sequential) -> None:
    """Set the weights of `model` (see `build_model`) so that it predicts like `training_model`.

    After training, batch normalization multiplies each output of a dense layer by a constant
    and adds another one. Both constants become part of the dense layer's weights (Jacob et
    al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", 2018, section 3.2). The predictions differ only by rounding.
    """
    dense, normalization = (
        [layer for layer in training_model.layers if isinstance(layer, kind)]
        for kind in (keras.layers.Dense, keras.layers.BatchNormalization)
    )
    for folded, layer, norm in zip(model.layers[1:], dense, normalization, strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        folded.set_weights([layer.get_weights()[0] * scale, beta - mean * scale])


def load_model(path: str) -> keras.Model:
    """Load a model that maps float (n, 28, 28) in [0, 1] to (n, 10) probabilities.

    The model in the file may take the 784 pixels in any shape, such as (28, 28, 1). Raises
    OSError if the file cannot be read and InputError if it has no such model. Keras's safe
    mode stays on: a file that contains code is refused.
    """
    with open(path, "rb"):  # Keras reports a missing file at length, and as a ValueError
        pass
    try:
        loaded = keras.models.load_model(path, compile=False)
        shape, outputs = loaded.input_shape[1:], loaded.output_shape[1:]
        fits = None not in shape and math.prod(shape) == 784 and outputs == (10,)
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is not a usable Keras model: {reason}") from error
    if not fits:
        raise InputError(f"{path} maps {shape} to {outputs}, expected 28 x 28 pixels to (10,)")
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Reshape(shape), loaded])
    # A softmax has the sum 1 for every image. Other outputs may have it for one image by
    # chance, but not for 784. Negative outputs count as 0: they must not balance a sum.
    sums = model(np.eye(784).reshape(-1, 28, 28)).numpy().clip(0).sum(axis=1)
    if not np.allclose(sums, 1, atol=1e-3):
        raise InputError(f"{path}: its outputs are not probabilities; end it with a softmax")
    return model
