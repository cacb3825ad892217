import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

import model
from conftest import ROOT
from model import keras


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return model.build_network()


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 28, 28), np.float32)


def test_network_is_784_128_64_10(network):
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
    warmup = max(1, round(0.1 * steps))
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


def test_importing_is_silent_and_takes_tensorflow(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = "from model import keras; print(keras.backend.backend())"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("tensorflow\n", "")


ZERO = {"rotation": 0, "shift": 0, "zoom": 0, "shear": 0, "bend": 0}
DRAWS = ("angle", "shear", "zoom_y", "zoom_x", "shift_y", "shift_x")


@pytest.fixture
def warp(monkeypatch, images):
    """Warp `images` with strengths and draws that the test chooses; other draws are 0."""

    def warp(strengths, draws):
        columns = [draws.get(name, 0) for name in DRAWS] + [draws.get("bend", 0)] * 50
        chosen = np.tile(np.array(columns, np.float32), (len(images), 1))
        monkeypatch.setattr(model.tf.random, "stateless_uniform", lambda *_, **__: chosen)
        return model.RandomWarp(**(ZERO | strengths))(images, training=True).numpy()

    return warp


def test_warp_of_no_strength_changes_nothing(images):
    warped = model.RandomWarp(**ZERO)(images, training=True)
    np.testing.assert_allclose(warped, images, atol=1e-6)


def test_warp_does_nothing_outside_training(images):
    np.testing.assert_array_equal(model.RandomWarp()(images), images)
    np.testing.assert_array_equal(model.RandomWarp()(images, training=False), images)


@pytest.mark.parametrize("strength", ["shift", "bend"])
@pytest.mark.parametrize("pixels", [1, 3, -2])
def test_warp_by_whole_pixels_shifts_the_array(images, warp, strength, pixels):
    warped = warp(
        {strength: abs(pixels)}, dict.fromkeys(["shift_y", "shift_x", "bend"], np.sign(pixels))
    )
    expected = ndimage.shift(images, (0, -pixels, -pixels), order=0)
    np.testing.assert_allclose(warped, expected, atol=1e-4)


def test_warp_far_outside_is_empty(warp):
    np.testing.assert_array_equal(warp({"shift": 100}, {"shift_x": 1, "shift_y": -1}), 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_warp_rotates_as_scipy_does(images, warp, sign):
    warped = warp({"rotation": 8}, {"angle": sign})
    expected = ndimage.rotate(
        images, -8 * sign, axes=(2, 1), reshape=False, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(warped, expected, atol=1e-4)


def test_warp_is_the_affine_map_it_says(images, warp):
    strengths = {"rotation": 9, "shift": 2, "zoom": 0.2, "shear": 0.3}
    draws = dict(angle=0.5, shear=-0.4, zoom_y=0.6, zoom_x=-0.7, shift_y=0.8, shift_x=-0.9)
    angle = math.radians(4.5)
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1, -0.12], [0, 1]])
    matrix = np.diag([1.12, 0.86]) @ rotate @ shear
    center = np.array([13.5, 13.5])
    offset = center + np.array([1.6, -1.8]) - matrix @ center
    expected = [
        ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
        for image in images
    ]
    np.testing.assert_allclose(warp(strengths, draws), expected, atol=1e-4)


def test_every_digit_and_every_batch_is_warped_differently(images):
    same = np.repeat(images[:1], 4, axis=0)
    layer, twin, other = (model.RandomWarp(seed=seed) for seed in (0, 0, 1))
    first, second = layer(same, training=True), layer(same, training=True)
    warped = np.concatenate([first, second, other(same, training=True)])
    assert len({image.tobytes() for image in warped}) == 12
    np.testing.assert_array_equal(twin(same, training=True), first)


def test_bending_is_smooth_and_within_its_strength():
    ramp = np.tile(np.arange(28, dtype=np.float32), (200, 28, 1))
    layer = model.RandomWarp(**(ZERO | {"bend": 2}), seed=0)
    # On a ramp along x, what is read says how far to the side it was read.
    moved = (layer(ramp, training=True).numpy() - ramp)[:, 4:-4, 4:-4]
    assert 1.5 < np.abs(moved).max() < 2 * 1.6  # bicubic enlargement overshoots a little
    assert np.abs(np.diff(moved, axis=1)).max() < 1.2
    assert np.abs(np.diff(moved, axis=2)).max() < 1.2
    assert abs(moved.mean()) < 0.1


def compiled(trained):
    trained.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return trained


def test_training_an_epoch_is_training_on_its_batches():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (42, 28, 28), np.uint8), np.arange(42) % 10
    expected = compiled(model.build_network())
    network = keras.models.clone_model(expected)
    network.set_weights(expected.get_weights())
    trainer = compiled(model.EpochTrainer(network, batch_size=10, augment=False, seed=0))
    for _ in range(2):
        trainer.train_step((model.tf.constant(images), model.tf.constant(labels)))
        for start in (0, 10, 20, 30):  # the last two digits make no whole batch
            batch = slice(start, start + 10)
            expected.train_on_batch(images[batch] / np.float32(255), labels[batch])
    for ours, theirs in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_trainers_of_other_seeds_warp_otherwise(images):
    pixels, network = (images * 255).astype(np.uint8), model.build_network()
    warped = [
        model.EpochTrainer(network, batch_size=5, augment=True, seed=seed)(
            pixels, training=True
        )
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(warped[0], warped[1])
    assert np.abs(warped[0] - warped[2]).max() > 1e-3


def test_trainer_warps_in_training_only(images):
    pixels = (images * 255).astype(np.uint8)
    network = model.build_network()
    trainer = model.EpochTrainer(network, batch_size=5, augment=True, seed=0)
    np.testing.assert_allclose(
        trainer.predict(pixels, verbose=0),
        network.predict(pixels / np.float32(255), verbose=0),
        rtol=1e-5,
    )
    assert np.abs(trainer(pixels, training=True) - trainer(pixels, training=False)).max() > 1e-3
