"""The network, its form during training, and loading."""

import math

import numpy as np

from cli import InputError, quiet_import, warn

with quiet_import():
    import keras

WARMUP_SHARE = 0.1  # share of the run in which the learning rate rises to its peak
MIN_ACCURACY = 0.8  # on MNIST's digits: below it, a model was trained on other images


def build_model() -> keras.Sequential:
    """The untrained network: float (n, 28, 28) in [0, 1] to (n, 10) probabilities."""
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # else Keras warns when it loads the file
    return model


def build_training_model(
    model: keras.Sequential, augmentation: list[keras.Layer]
) -> keras.Sequential:
    """A new network with the sizes of `model` and with layers that help it to learn.

    Augmentation comes first. Batch normalization comes between each dense layer and its
    activation, and adds the bias (Ioffe and Szegedy, "Batch normalization: accelerating deep
    network training by reducing internal covariate shift", 2015).
    """
    layers = [keras.Input((28, 28)), *augmentation, keras.layers.Flatten()]
    for dense in model.layers[1:]:  # all but Flatten
        layers += [
            keras.layers.Dense(dense.units, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(dense.activation),
        ]
    return keras.Sequential(layers)


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first part of `steps`, then fall to 0 along a cosine.

    After Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017 (the cosine), and Goyal et al., "Accurate, large minibatch SGD", 2017 (the rise).
    """
    warmup_steps = round(WARMUP_SHARE * steps)
    return keras.optimizers.schedules.CosineDecay(
        peak / (warmup_steps + 1),  # not 0: the first step would learn nothing
        decay_steps=steps - warmup_steps,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


def fold_batch_normalization(training_model: keras.Sequential, model: keras.Sequential) -> None:
    """Set the weights of `model` so that it predicts like `training_model`, up to rounding.

    After training, batch normalization is a scale and a shift of each output of a dense layer.
    Both go into the weights of the dense layer, so that the saved network has only the four
    layers of `build_model` (Jacob et al., "Quantization and training of neural networks for
    efficient integer-arithmetic-only inference", 2018, section 3.2).
    """
    trained_layers, norms = (
        [layer for layer in training_model.layers if isinstance(layer, kind)]
        for kind in (keras.layers.Dense, keras.layers.BatchNormalization)
    )
    for dense, trained, norm in zip(model.layers[1:], trained_layers, norms, strict=True):
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        dense.set_weights([trained.get_weights()[0] * scale, beta - mean * scale])


def load_model(path: str) -> keras.Model:
    """Load a model that maps float (n, 28, 28) in [0, 1] to (n, 10) probabilities.

    The model in the file may take the 784 pixels in any shape, such as (28, 28, 1). Raises
    OSError if the file cannot be read and InputError if it has no such model. Keras's safe
    mode stays on: a file that contains code is refused.
    """
    open(path, "rb").close()  # Keras raises a long ValueError for a missing file
    try:
        loaded = keras.models.load_model(path, compile=False)
        shape, outputs = loaded.input_shape[1:], loaded.output_shape[1:]
        if None in shape or math.prod(shape) != 784 or outputs != (10,):
            raise ValueError(f"it maps {shape} to {outputs}, expected 28 x 28 pixels to (10,)")
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is not a usable Keras model: {reason}") from error
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Reshape(shape), loaded])


def check_on_digits(model: keras.Model, path: str, x: np.ndarray, y_true: np.ndarray) -> None:
    """Warn if the model in `path` misreads MNIST's digits `x` (n, 28, 28) in [0, 1].

    `y_true` are their labels (n,). Raises InputError if the outputs are not probabilities.
    """
    outputs = model(x).numpy()
    if outputs.min() < 0 or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise InputError(f"{path}: its outputs are not probabilities; end it with a softmax")
    accuracy = np.mean(outputs.argmax(axis=1) == y_true)
    if accuracy < MIN_ACCURACY:
        warn(
            f"{path} reads only {100 * accuracy:.0f} % of {len(x)} MNIST digits correctly. Was "
            "it trained on pixels from 0 to 255, on black digits on white, or on turned digits?"
        )
