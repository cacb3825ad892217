"""The network, the network that trains it, and loading."""

import numpy as np

from cli import InputError, quiet_import, warn

with quiet_import():
    import keras

WARMUP_SHARE = 0.1  # share of the run in which the learning rate rises to its peak
MIN_ACCURACY = 0.8  # on MNIST's digits: a model below it was trained on something else


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
    model: keras.Sequential,
    augmentation: list[keras.Layer],
    learning_rate: float,
    epochs: int,
    steps_per_epoch: int,
) -> keras.Sequential:
    """The network that learns in place of `model`, with augmentation and batch normalization.

    Batch normalization comes between each dense layer and its activation (Ioffe and Szegedy,
    "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", 2015). The learning rate is that of `learning_rate_schedule` with the given peak.
    """
    layers = [keras.Input((28, 28)), *augmentation, keras.layers.Flatten()]
    for dense in model.layers[1:]:
        layers += [
            keras.layers.Dense(dense.units, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(dense.activation),
        ]
    training_model = keras.Sequential(layers)
    # For a network this small, the overhead of a step is several times its arithmetic. So
    # XLA compiles the step (Keras's default is to do so only on a GPU), and TensorFlow runs
    # all steps of an epoch without a return to Python.
    training_model.compile(
        keras.optimizers.Adam(learning_rate_schedule(learning_rate, epochs * steps_per_epoch)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=steps_per_epoch,
    )
    # Without this, the first step would create Adam's variables, and TensorFlow would trace the
    # step twice.
    training_model.optimizer.build(training_model.trainable_variables)
    return training_model


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first tenth of `steps`, then fall to 0 along a cosine.

    After Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017 (the cosine), and Goyal et al., "Accurate, large minibatch SGD", 2017 (the rise).
    """
    warmup_steps = round(WARMUP_SHARE * steps)
    return keras.optimizers.schedules.CosineDecay(
        peak / (warmup_steps + 1),  # from 0, the first step would learn nothing
        decay_steps=steps - warmup_steps,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )


def fold_batch_normalization(training_model: keras.Sequential, model: keras.Sequential) -> None:
    """Set the weights of `model` so that it predicts like `training_model`, up to rounding.

    After training, batch normalization multiplies each output of a dense layer by a constant
    and adds another one. Both constants become part of the dense layer's weights (Jacob et
    al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", 2018, section 3.2).
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
        reshape = keras.layers.Reshape(loaded.input_shape[1:])
        model = keras.Sequential([keras.Input((28, 28)), reshape, loaded])
        if model.output_shape != (None, 10):
            raise ValueError(f"its output is {model.output_shape[1:]}, expected (10,)")
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path} is not a usable Keras model: {reason}") from error
    return model


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
