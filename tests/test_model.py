"""The network, its training and its augmentation, against independent computations."""

import math

import numpy as np
import pytest
from scipy import ndimage, special

import model
from helpers import run
from model import keras, tf


@pytest.fixture
def untrained_model():
    keras.utils.set_random_seed(0)
    return model.build_model()


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, 28, 28), np.float32)


def test_model_computes_what_numpy_computes(untrained_model, images):
    randomize(untrained_model)  # or the biases would all be 0
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = untrained_model.get_weights()
    first = np.maximum(images.reshape(5, 784) @ kernel_1 + bias_1, 0)
    second = np.maximum(first @ kernel_2 + bias_2, 0)
    expected = special.softmax(second @ kernel_3 + bias_3, axis=1)
    predicted = untrained_model.predict(images, verbose=0)
    np.testing.assert_allclose(predicted, expected, rtol=1e-3, atol=1e-6)


def randomize(changed):
    """Give every weight of a model a random value, variances a positive one."""
    rng = np.random.default_rng(0)
    for weight in changed.weights:
        low = 0.1 if "variance" in weight.path else -1
        weight.assign(rng.uniform(low, 2, weight.shape) / math.sqrt(weight.shape[0]))


@pytest.mark.parametrize("shape", [(28, 28, 1), (784,), (1, 28, 28)])
def test_models_that_take_784_pixels_in_another_shape_are_taken(images, tmp_path, shape):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    other = keras.Sequential(layers)
    other.save(tmp_path / "other.keras")
    loaded = model.load_model(tmp_path / "other.keras")
    np.testing.assert_allclose(loaded(images), other(images.reshape(-1, *shape)), atol=1e-6)


def test_importing_is_silent_and_takes_tensorflow(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = "from model import keras; print(keras.backend.backend())"
    result = run("-c", code, cwd=tmp_path, KERAS_BACKEND="jax")
    assert (result.stdout, result.stderr) == ("tensorflow\n", "")


@pytest.mark.parametrize("fails", [True, False])
def test_what_an_import_logs_is_shown_only_if_it_fails(tmp_path, fails):
    program = "import os\nos.write(2, b'the CPU lacks an instruction')\n"
    (tmp_path / "keras.py").write_text(program + "1 / 0\n" * fails)
    result = run("-c", "import model", cwd=tmp_path)
    assert ("the CPU lacks an instruction" in result.stderr) == fails
    assert ("ZeroDivisionError" in result.stderr) == fails


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "shares"),
    [
        # The cosine is at 45, 90, 135 and 180 degrees at a quarter of the fall, a half...
        (2, 20, {0: 0, 1: 0.25, 4: 1, 13: 0.853553, 22: 0.5, 31: 0.146447, 40: 0}),
        (1, 1, {0: 1, 1: 0}),  # a single step must train
    ],
)
def test_learning_rate_rises_in_a_tenth_of_the_run_and_falls(epochs, steps_per_epoch, shares):
    built = model.build_training_model(epochs, steps_per_epoch, True, learning_rate=0.02)
    assert (built.jit_compile, built.steps_per_execution) == (True, steps_per_epoch)
    for step, share in shares.items():
        built.optimizer.iterations.assign(step)
        assert float(built.optimizer.learning_rate) == pytest.approx(0.02 * share, abs=1e-7)


def test_folded_model_computes_what_the_training_model_computes(untrained_model):
    training_model = model.build_training_model(1, 1, augment=True, learning_rate=0.01)
    randomize(training_model)
    model.fold_batch_normalization(training_model, untrained_model)
    random = np.random.default_rng(0).random((200, 28, 28), np.float32)
    expected = training_model.predict(random, verbose=0)
    folded = untrained_model.predict(random, verbose=0)
    assert expected.min() < 0.01 < 0.5 < expected.max()  # the outputs say something
    np.testing.assert_allclose(folded, expected, atol=1e-5)


NONE = {"rotation": 0, "shift": 0, "zoom": 0, "shear": 0, "elastic": 0}
DRAWS = ("angle", "shear", "zoom_y", "zoom_x", "shift_y", "shift_x")


@pytest.fixture
def augment(monkeypatch, images):
    """Augment `images` with ranges and draws that the test chooses; other draws are 0."""

    def augment(ranges, draws):
        columns = [draws.get(name, 0) for name in DRAWS] + [draws.get("elastic", 0)] * 50
        chosen = np.tile(np.array(columns, np.float32), (len(images), 1))
        monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_, **__: chosen)
        return model.RandomAugmentation(**(NONE | ranges))(images, training=True).numpy()

    return augment


@pytest.mark.parametrize("parameter", ["shift", "elastic"])
@pytest.mark.parametrize("pixels", [0, 1, -2, 100])
def test_displacement_by_whole_pixels_shifts_the_array(images, augment, parameter, pixels):
    augmented = augment(
        {parameter: abs(pixels)},
        dict.fromkeys(["shift_y", "shift_x", "elastic"], np.sign(pixels)),
    )
    expected = ndimage.shift(images, (0, -pixels, -pixels), order=0)
    np.testing.assert_allclose(augmented, expected, atol=1e-4)


def test_affine_map_is_zoom_after_rotation_after_shear(images, augment):
    ranges = {"rotation": 9, "shift": 2, "zoom": 0.2, "shear": 0.3}
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
    np.testing.assert_allclose(augment(ranges, draws), expected, atol=1e-4)


def test_every_image_and_every_batch_is_augmented_differently_and_only_in_training(images):
    same = np.repeat(images[:1], 4, axis=0)

    def two_batches(seed):
        keras.utils.set_random_seed(seed)
        layer = model.RandomAugmentation()
        return np.concatenate([layer(same, training=True) for _ in range(2)])

    first, again, other = two_batches(0), two_batches(0), two_batches(1)
    assert len({image.tobytes() for image in np.concatenate([first, other])}) == 16
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(model.RandomAugmentation()(same, training=False), same)


def test_elastic_distortion_is_smooth_and_within_its_range():
    def displacement(ramp):
        """How far along the ramp pixels are read; always with the same draws."""
        keras.utils.set_random_seed(0)
        layer = model.RandomAugmentation(**(NONE | {"elastic": 2}))
        return (layer(ramp, training=True).numpy() - ramp)[:, 4:-4, 4:-4]

    ramp = np.tile(np.arange(28, dtype=np.float32), (200, 28, 1))
    moved, moved_down = displacement(ramp), displacement(ramp.transpose(0, 2, 1))
    assert 1.5 < np.abs(moved).max() < 2 * 1.6  # bicubic interpolation overshoots a little
    assert np.abs(np.diff(moved, axis=1)).max() < 1.2
    assert np.abs(np.diff(moved, axis=2)).max() < 1.2
    assert moved_down.std() == pytest.approx(moved.std(), rel=0.1)
    assert abs(np.corrcoef(moved.ravel(), moved_down.ravel())[0, 1]) < 0.1
