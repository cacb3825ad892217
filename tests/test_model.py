import math
import subprocess
import sys

import numpy as np
import pytest

import model
from model import keras


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return model.build_network()


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 28, 28), np.float32)


def test_network_is_the_designs(network):
    layers = [(type(layer).__name__, layer.output.shape[1:]) for layer in network.layers]
    assert layers == [
        ("Flatten", (784,)),
        ("Dense", (128,)),
        ("Dense", (64,)),
        ("Dense", (10,)),
    ]
    assert network.count_params() == 109_386


def test_network_computes_what_numpy_computes(network, images):
    x = images.reshape(5, 784).astype(float)
    *hidden, (kernel, bias) = zip(network.weights[::2], network.weights[1::2], strict=True)
    for k, b in hidden:
        x = np.maximum(x @ k.numpy() + b.numpy(), 0)
    x = x @ kernel.numpy() + bias.numpy()
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict(images, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 7, 4690])
def test_learning_rate_rises_and_falls_to_zero(steps):
    schedule = model.learning_rate_schedule(0.003, steps)
    some = range(0, steps + 1, max(1, steps // 70))
    warmup = max(1, round(0.05 * steps))
    expected = [
        0.003 * step / warmup
        if step < warmup
        else 0.0015 * (1 + math.cos(math.pi * min(1, (step - warmup) / max(1, steps - warmup))))
        for step in some
    ]
    rates = [float(schedule(step)) for step in some]
    np.testing.assert_allclose(rates, expected, atol=1e-7)


def test_load_network_gives_back_what_was_saved(network, images, tmp_path):
    network.save(tmp_path / "model.keras")
    loaded = model.load_network(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), network.predict(images, verbose=0)
    )


def save_other(path, inputs, outputs):
    layers = [keras.Input(inputs), keras.layers.Flatten(), keras.layers.Dense(outputs)]
    keras.Sequential(layers).save(path)


def save_lambda(path):
    layers = [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Lambda(lambda x: x[:, :10]),
    ]
    keras.Sequential(layers).save(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a usable Keras model"),
        (lambda path: path.write_bytes(b"PK\3\4 and no more"), "not a usable Keras model"),
        (save_lambda, "not a usable Keras model: .*[Ll]ambda"),
        (lambda path: save_other(path, (784,), 10), r"maps \(None, 784\)"),
        (lambda path: save_other(path, (28, 28), 11), r"to \(None, 11\)"),
    ],
)
def test_load_network_refuses_other_files(tmp_path, write, message):
    path = tmp_path / "model.keras"
    write(path)
    with pytest.raises(ValueError, match=message) as raised:
        model.load_network(path)
    assert "model.keras" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_load_network_refuses_a_file_cut_short(network, tmp_path):
    network.save(tmp_path / "model.keras")
    whole = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a usable Keras model"):
        model.load_network(tmp_path / "model.keras")


def test_load_network_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        model.load_network(tmp_path / "model.keras")


def test_importing_is_silent_and_takes_tensorflow(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = "from model import keras; print(keras.backend.backend())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"KERAS_HOME": str(tmp_path), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("tensorflow\n", "")
