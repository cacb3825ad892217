import time

import numpy as np
import pytest

import data
from conftest import write_idx_folder
from model import keras


def assert_same(loaded, expected):
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(loaded, name), array)


def test_normalize():
    pixels = np.array([[0, 51, 255]], np.uint8)
    scaled = data.normalize(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]])


def test_load_npz(digits, digits_npz):
    loaded = data.load_mnist(str(digits_npz))
    assert_same(loaded, digits)
    assert loaded.source == str(digits_npz)
    assert not loaded.bundled
    assert loaded.repeats == 1


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_load_idx(tmp_path, digits, dot, compress):
    write_idx_folder(tmp_path, digits, dot, compress)
    assert_same(data.load_mnist(str(tmp_path)), digits)


def test_load_idx_unzipped_under_its_gz_name(tmp_path, digits):
    write_idx_folder(tmp_path, digits)
    file = tmp_path / "t10k-labels-idx1-ubyte"
    file.rename(tmp_path / "t10k-labels-idx1-ubyte.gz")
    assert_same(data.load_mnist(str(tmp_path)), digits)


def test_keras_mnist_is_taken_where_it_can_be_had(monkeypatch, digits):
    pairs = (digits["x_train"], digits["y_train"]), (digits["x_test"], digits["y_test"])
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: pairs)
    loaded = data.load_mnist()
    assert_same(loaded, digits)
    assert not loaded.bundled


def unreachable():
    raise Exception("URL fetch failure on https://...: None -- no route to host")


def silent():
    time.sleep(60)


@pytest.mark.parametrize(
    ("load_data", "reason"), [(unreachable, "no route to host"), (silent, "no answer")]
)
def test_bundled_digits_where_mnist_cannot_be_had(
    monkeypatch, tmp_path, capsys, load_data, reason
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    monkeypatch.setattr(data, "DOWNLOAD_ANSWER_SECONDS", 0.2)
    loaded = data.load_mnist()
    assert loaded.bundled
    assert len(loaded.x_train) * loaded.repeats == 60_000
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert reason in message
    assert "bundled digits" in message


def test_a_download_that_has_begun_is_waited_for(monkeypatch, tmp_path, digits):
    def slow():
        (tmp_path / "datasets").mkdir()
        (tmp_path / "datasets" / "mnist.npz").write_bytes(b"the first bytes")
        time.sleep(0.6)
        return (digits["x_train"], digits["y_train"]), (digits["x_test"], digits["y_test"])

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", slow)
    monkeypatch.setattr(data, "DOWNLOAD_ANSWER_SECONDS", 0.2)
    assert not data.load_mnist().bundled


def test_bundled_digits_are_balanced_and_mixed():
    loaded = data.load_mnist(str(data.BUNDLED))
    np.testing.assert_array_equal(np.bincount(loaded.y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(loaded.y_test), [100] * 10)
    for labels in (loaded.y_train, loaded.y_test):
        assert len(set(labels[:50])) == 10


def test_bundled_digits_are_training_images_of_mnist(mnist_npz):
    bundled, mnist = data.load_mnist(str(data.BUNDLED)), data.load_mnist(mnist_npz)
    known = {x.tobytes(): y for x, y in zip(mnist.x_train, mnist.y_train, strict=True)}
    x = np.concatenate([bundled.x_train, bundled.x_test])
    y = np.concatenate([bundled.y_train, bundled.y_test])
    assert [known.get(image.tobytes()) for image in x] == y.tolist()
    assert len({image.tobytes() for image in x}) == 5000


def test_hold_out(digits):
    (x, y), (x_held, y_held) = data.hold_out(data.Digits(**digits, source="a", name="b"), 10)
    np.testing.assert_array_equal(np.concatenate([x, x_held]), digits["x_train"])
    np.testing.assert_array_equal(np.concatenate([y, y_held]), digits["y_train"])
    assert len(x_held) == 10


def test_repeated_digits_are_never_also_held_out(digits):
    (x, y), (x_held, _) = data.hold_out(
        data.Digits(**digits, source="a", name="b", repeats=3), 10
    )
    assert x.shape == (90, 28, 28)
    np.testing.assert_array_equal(y[30:60], digits["y_train"][:30])
    assert not {image.tobytes() for image in x} & {image.tobytes() for image in x_held}


@pytest.mark.parametrize("count", [-1, 40])
def test_hold_out_leaves_something_to_train_on(digits, count):
    with pytest.raises(ValueError, match="40 training digits"):
        data.hold_out(data.Digits(**digits, source="a", name="b"), count)
