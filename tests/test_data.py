"""MNIST loaded from files, from Keras and, failing that, from the bundled digits."""

import os
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

import data
from conftest import write_idx_folder
from model import keras


def assert_same(loaded, arrays):
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(loaded, name), array)


def test_normalize():
    pixels = np.array([[0, 51, 255]], np.uint8)
    scaled = data.normalize(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]])


def test_load_npz(random_digits, random_npz):
    loaded = data.load_mnist(str(random_npz))
    assert_same(loaded, random_digits)
    assert loaded.name == "random.npz"
    assert not loaded.bundled


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_load_idx(tmp_path, random_digits, dot, compress):
    write_idx_folder(tmp_path, random_digits, dot, compress)
    loaded = data.load_mnist(str(tmp_path))
    assert_same(loaded, random_digits)
    assert loaded.name == tmp_path.name


def test_load_idx_unzipped_under_its_gz_name(tmp_path, random_digits):
    write_idx_folder(tmp_path, random_digits)
    file = tmp_path / "t10k-labels-idx1-ubyte"
    file.rename(tmp_path / "t10k-labels-idx1-ubyte.gz")
    assert_same(data.load_mnist(str(tmp_path)), random_digits)


# --- Keras's copy


@pytest.fixture
def cached_file(monkeypatch, tmp_path):
    """Where Keras would keep MNIST; `load_mnist` waits half a second for a download."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(data, "DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr(data, "PROGRESS_INTERVAL", 0.2)
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets" / "mnist.npz"


@pytest.fixture
def keras_gives(monkeypatch, random_digits):
    """Let Keras do something first and then return `random_digits` as MNIST."""

    def keras_gives(first):
        def load_data():
            first()
            arrays = random_digits
            return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])

        monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)

    return keras_gives


def write_2_5_megabytes(path):
    with open(path, "wb") as file:
        file.truncate(2_500_000)


def test_a_slow_download_is_waited_for_and_its_progress_printed(
    cached_file, keras_gives, random_digits, capsys
):
    def download():
        write_2_5_megabytes(cached_file)
        time.sleep(1)

    keras_gives(download)
    loaded = data.load_mnist()
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == ("MNIST", False)
    printed = capsys.readouterr()
    first, *progress = printed.out.splitlines()
    assert first == f"Downloading MNIST (11 MB) to {cached_file}"
    assert set(progress) == {"2.5 MB downloaded"}
    assert 2 <= len(progress) <= 4
    assert printed.err == ""


def test_keras_cached_copy_is_taken_without_a_word(
    cached_file, keras_gives, random_digits, capsys
):
    write_2_5_megabytes(cached_file)
    keras_gives(lambda: time.sleep(1))  # a slow disk is no download
    assert_same(data.load_mnist(), random_digits)
    assert capsys.readouterr() == ("", "")


def unreachable():
    raise Exception("URL fetch failure on https://...: None -- no route to host")


def silent():
    time.sleep(60)


@pytest.mark.parametrize(
    ("server", "reason"),
    [(unreachable, "no route to host"), (silent, "no answer within 0.5 s")],
)
def test_bundled_digits_are_taken_where_mnist_cannot_be_had(
    cached_file, keras_gives, bundled_digits, capsys, server, reason
):
    keras_gives(server)
    loaded = data.load_mnist()
    assert loaded.bundled
    assert loaded.name == bundled_digits.name
    np.testing.assert_array_equal(loaded.x_train, bundled_digits.x_train)
    assert capsys.readouterr().err == (
        f"MNIST cannot be downloaded ({reason}): using the bundled digits instead; "
        "to use your own copy, give --data PATH\n"
    )


@pytest.mark.parametrize("writable", [True, False])
def test_keras_cache_file_lies_where_keras_puts_it(tmp_path, monkeypatch, writable):
    home = tmp_path if writable else tmp_path / "file" / "below"
    (tmp_path / "file").write_text("for the superuser, too, nothing can be written below it")
    monkeypatch.setenv("KERAS_HOME", str(home))
    # Keras reads KERAS_HOME when it is imported, so here it has to be told. The name is
    # another one, for the folder may be that of all users, with MNIST in it.
    name = f"test-{uuid.uuid4()}"
    path = keras.utils.get_file(name, (tmp_path / "file").as_uri(), cache_dir=str(home))
    os.remove(path)
    assert data.keras_cache_file() == Path(path).with_name("mnist.npz")


def test_keras_is_where_the_scripts_look_for_its_copy(bundled_run):
    """Nothing can be downloaded in that run, but Keras has prepared its folder."""
    folder, result = bundled_run
    cached = folder / "datasets" / "mnist.npz"
    assert result.stdout.startswith(f"Downloading MNIST (11 MB) to {cached}\n")
    assert cached.parent.is_dir()


# --- the bundled digits


def test_bundled_digits_are_balanced_and_mixed(bundled_digits):
    np.testing.assert_array_equal(np.bincount(bundled_digits.y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(bundled_digits.y_test), [100] * 10)
    for labels in (bundled_digits.y_train, bundled_digits.y_test):
        assert len(set(labels[:50])) == 10


def test_bundled_digits_are_training_images_of_mnist(mnist_npz, bundled_digits):
    mnist = data.load_mnist(mnist_npz)
    known = {x.tobytes(): y for x, y in zip(mnist.x_train, mnist.y_train, strict=True)}
    x = np.concatenate([bundled_digits.x_train, bundled_digits.x_test])
    y = np.concatenate([bundled_digits.y_train, bundled_digits.y_test])
    assert [known.get(image.tobytes()) for image in x] == y.tolist()
    assert len({image.tobytes() for image in x}) == 5000
