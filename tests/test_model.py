"""The network and its training, against independent computations."""

import math

import numpy as np
import pytest
from scipy import special

import model
from helpers import BUNDLED
from model import keras

IMAGES = np.random.default_rng(0).random((200, 28, 28), np.float32)


def randomize(changed):
    """Give every weight of a model a random value, variances a positive one."""
    rng = np.random.default_rng(0)
    for weight in changed.weights:
        low = 0.1 if "variance" in weight.path else -1
        weight.assign(rng.uniform(low, 2, weight.shape) / math.sqrt(weight.shape[0]))


def test_model_computes_what_numpy_computes():
    network = model.build_model()
    randomize(network)  # or the biases would all be 0
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = network.get_weights()
    first = np.maximum(IMAGES.reshape(-1, 784) @ kernel_1 + bias_1, 0)
    second = np.maximum(first @ kernel_2 + bias_2, 0)
    expected = special.softmax(second @ kernel_3 + bias_3, axis=1)
    predicted = network.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("shape", [(28, 28, 1), (784,), (1, 28, 28)])
def test_models_that_take_784_pixels_in_another_shape_are_taken(tmp_path, shape):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    other = keras.Sequential(layers)
    other.save(tmp_path / "other.keras")
    loaded = model.load_model(tmp_path / "other.keras")
    np.testing.assert_allclose(loaded(IMAGES), other(IMAGES.reshape(-1, *shape)), atol=1e-6)


@pytest.mark.parametrize(("mistaken", "warned"), [(10, False), (30, True)])
def test_a_model_that_misreads_is_warned_of(trained_model, capsys, mistaken, warned):
    x, y = BUNDLED.x_eval[:100] / 255, BUNDLED.y_eval[:100].copy()
    y[:mistaken] = (y[:mistaken] + 1) % 10
    model.check_on_digits(trained_model, "x.keras", x, y)
    assert ("warning: x.keras reads only" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(
    ("steps", "shares"),
    [
        # Up in 5 equal steps; at quarters of the fall, the cosine is at 45, 90, 135 degrees.
        (40, {0: 0.2, 1: 0.4, 4: 1, 13: 0.853553, 22: 0.5, 31: 0.146447, 40: 0}),
        (1, {0: 1, 1: 0}),  # a single step must train
    ],
)
def test_learning_rate_rises_in_a_tenth_of_the_run_and_falls(steps, shares):
    schedule = model.learning_rate_schedule(0.02, steps)
    for step, share in shares.items():
        assert float(schedule(step)) == pytest.approx(0.02 * share, abs=1e-7)


def test_training_model_has_layers_that_help_and_folds_into_the_network():
    network = model.build_model()
    training_model = model.build_training_model(network, [keras.layers.Rescaling(1)])
    names = [type(layer).__name__ for layer in training_model.layers]
    three = ["Dense", "BatchNormalization", "Activation"]
    assert names == ["Rescaling", "Flatten", *three, *three, *three]
    assert len(training_model.trainable_weights) == 3 * 3  # kernel, gamma and beta
    randomize(training_model)
    model.fold_batch_normalization(training_model, network)
    expected = training_model.predict(IMAGES, verbose=0)
    folded = network.predict(IMAGES, verbose=0)
    assert expected.min() < 0.01 < 0.5 < expected.max()  # the outputs say something
    np.testing.assert_allclose(folded, expected, atol=1e-5)
