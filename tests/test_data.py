"""MNIST loaded from files, from Keras and, failing that, from the bundled digits."""

import shutil
import socket
from pathlib import Path
from unittest.mock import DEFAULT, Mock

import numpy as np
import pytest

import data
from cli import InputError
from helpers import BUNDLED, write_idx_folder
from model import keras


def assert_same(loaded, arrays):
    for array, expected in zip(loaded[:4], arrays.values(), strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1)])
def test_load_npz(tmp_path, random_digits, shape):
    path = tmp_path / "\udcff.npz"  # this name is no valid text
    images = {k: x.reshape(-1, *shape) for k, x in random_digits.items() if k[0] == "x"}
    np.savez(path, **random_digits | images)
    loaded = data.load_mnist(path)
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == ("?.npz", False)


@pytest.mark.parametrize(
    ("name", "compress", "test"),
    [
        ("{}-{}-idx{}-ubyte", False, "t10k"),
        ("{}-{}.idx{}-ubyte.gz", True, "t10k"),
        ("{}-{}-idx{}-ubyte.gz", False, "t10k"),  # unzipped by a browser, which kept its name
        ("{}-{}-idx{}-ubyte", True, "t10k"),
        ("emnist-digits-{}-{}-idx{}-ubyte.gz", True, "test"),
    ],
)
def test_load_idx(tmp_path, random_digits, name, compress, test):
    write_idx_folder(tmp_path, random_digits, name, compress, test)
    loaded = data.load_mnist(str(tmp_path))
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == (tmp_path.name, False)


def test_the_nearest_idx_files_in_folders_below_are_taken(tmp_path, random_digits):
    raw = tmp_path / "MNIST" / "raw"  # torchvision's, both forms of each file
    write_idx_folder(raw, random_digits)
    write_idx_folder(raw, random_digits, "{}-{}-idx{}-ubyte.gz", compress=True)
    others = {name: array[::-1] for name, array in random_digits.items()}
    write_idx_folder(raw / "older" / "copy", others)
    assert_same(data.load_mnist(tmp_path), random_digits)


def test_training_batches_are_all_images_once_in_each_of_many_random_orders(random_digits):
    x, y = random_digits["x_train"], np.arange(40)

    def orders(seed):
        keras.utils.set_random_seed(seed)
        batches = list(data.training_batches(x, y, 16).take(5))
        for images, labels in batches:
            np.testing.assert_allclose(images, x[labels] / 255, rtol=1e-6)
        return np.reshape([labels for _, labels in batches], (2, 40))

    first, again, other = orders(0), orders(0), orders(1)
    np.testing.assert_array_equal(np.sort(first), [y, y])
    assert len({order.tobytes() for order in [*first, *other, y]}) == 5
    np.testing.assert_array_equal(first, again)


@pytest.fixture
def keras_copy(monkeypatch, random_digits):
    """Keras's loader: it has the random digits, or it raises the chosen error."""
    x_train, y_train, x_test, y_test = random_digits.values()
    loader = Mock(return_value=((x_train, y_train), (x_test, y_test)))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", loader)
    return loader


def test_mnist_is_taken_from_keras(keras_copy, random_digits):
    keras.config.enable_interactive_logging()
    loaded = data.load_mnist()
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == ("MNIST", False)
    assert not keras.config.is_interactive_logging_enabled()  # stdout is no terminal


def test_a_silent_server_is_given_up(keras_copy):
    limits = []
    keras_copy.side_effect = lambda: limits.append(socket.getdefaulttimeout()) or DEFAULT
    data.load_mnist()
    assert [*limits, socket.getdefaulttimeout()] == [data.DOWNLOAD_TIMEOUT, None]


def test_bundled_digits_are_taken_where_mnist_cannot_be_had(keras_copy, capsys):
    keras_copy.side_effect = Exception("URL fetch failure on https://x: None -- [Errno 1] no")
    assert data.hold_out(data.load_mnist(), 100).bundled  # part of them, too
    warning = capsys.readouterr().err
    assert warning.startswith("warning: MNIST cannot be downloaded ([Errno 1] no): using the")
    assert warning.endswith("give --data PATH\n")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (None, "MNIST"),  # a model from elsewhere
        ("no JSON", "MNIST"),
        ('{"data": null, "bundled_digits": false}', "MNIST"),
        ('{"data": "here.npz", "bundled_digits": false}', "here.npz"),
        ('{"data": null, "bundled_digits": true}', "the bundled digits"),
    ],
)
def test_test_images_are_those_of_the_data_that_the_model_was_trained_on(
    keras_copy, tmp_path, random_npz, monkeypatch, metrics, expected
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(random_npz, "here.npz")
    if metrics:
        Path("metrics.json").write_text(metrics)
    assert data.load_test_data(None, "model.keras").name == expected


def test_bundled_digits_do_not_test_a_model_that_has_seen_them(keras_copy, tmp_path):
    keras_copy.side_effect = TimeoutError("timed out")
    with pytest.raises(InputError, match=r"MNIST is missing.* give --data PATH"):
        data.load_test_data(None, tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda x: x, None),
        (lambda x: 255 - x, "the digits look black on white"),
        (lambda x: x.swapaxes(1, 2), "the digits look turned or mirrored"),
        (lambda x: x[:, ::-1, ::-1], "the digits look turned or mirrored"),
    ],
)
def test_unusual_digits_are_warned_of(tmp_path, capsys, change, warning):
    x, y, *_ = BUNDLED
    np.savez(tmp_path / "x.npz", x_train=change(x), y_train=y, x_test=x[:9], y_test=y[:9])
    data.load_mnist(tmp_path / "x.npz")
    complaint = capsys.readouterr().err
    assert warning in complaint if warning else complaint == ""
