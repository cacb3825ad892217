"""The network: 784-128-64-10, dense, 109,386 parameters."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

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

WARMUP = 0.05  # part of the run in which the learning rate rises to its peak


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


def build_trainer(network: keras.Model, learning_rate: float, steps: int) -> keras.Model:
    """A compiled model that trains `network` in place, for `steps` steps in all."""
    trainer = keras.Sequential([network])
    trainer.compile(
        optimizer=keras.optimizers.Adam(learning_rate_schedule(learning_rate, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return trainer


def learning_rate_schedule(peak: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Rise linearly to `peak` in the first 5 % of `steps`, then fall to 0 along a cosine.

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
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(f"{path} is not a usable Keras model: {reason}") from error
    shapes = network.input_shape, network.output_shape
    if shapes != ((None, 28, 28), (None, 10)):
        raise ValueError(
            f"{path} maps {shapes[0]} to {shapes[1]}, expected (None, 28, 28) to (None, 10)"
        )
    return network
