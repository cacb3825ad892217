"""MNIST loaded from files, from Keras and, failing that, from the bundled digits."""

import socket

import numpy as np
import pytest

import data
from cli import InputError
from conftest import run, write_idx_folder
from model import keras


def assert_same(loaded, arrays):
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(loaded, name), array)


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
    name = "t10k-labels-idx1-ubyte"
    (tmp_path / name).rename(tmp_path / f"{name}.gz")
    assert_same(data.load_mnist(str(tmp_path)), random_digits)


def test_idx_files_are_found_in_folders_below(tmp_path, random_digits):
    raw = tmp_path / "MNIST" / "raw"  # torchvision's, both forms of each file
    write_idx_folder(raw, random_digits)
    write_idx_folder(raw, random_digits, compress=True)
    assert_same(data.load_mnist(tmp_path), random_digits)
    for name, array in random_digits.items():  # Kaggle's: each in a folder of its own
        write_idx_folder(tmp_path / "archive" / name, {name: array})
    assert_same(data.load_mnist(tmp_path / "archive"), random_digits)
    others = {name: array[::-1] for name, array in random_digits.items()}
    write_idx_folder(tmp_path / "archive" / "older" / "copy", others)  # the nearest is taken
    assert_same(data.load_mnist(tmp_path / "archive"), random_digits)


def test_one_of_two_data_sets_is_not_taken_at_random(tmp_path, random_digits):
    for name in ("FashionMNIST", "MNIST"):
        write_idx_folder(tmp_path / name, random_digits)
    with pytest.raises(InputError, match=r"FashionMNIST.*MNIST.*give the folder of one"):
        data.load_mnist(tmp_path)


def test_hold_out_takes_the_last_training_images(random_digits):
    held = data.hold_out(data.Mnist(**random_digits, name="random"), 15)
    x, y = random_digits["x_train"], random_digits["y_train"]
    left = {"x_train": x[:25], "y_train": y[:25], "x_test": x[25:], "y_test": y[25:]}
    assert_same(held, left)


# --- batches


def test_evaluation_batches_are_all_images_in_order(random_digits):
    x, y = random_digits["x_train"], random_digits["y_train"]
    parts = [(a.numpy(), b.numpy()) for a, b in data.batches(x, y, 12)]
    assert [len(a) for a, _ in parts] == [12, 12, 12, 4]
    np.testing.assert_allclose(np.concatenate([a for a, _ in parts]), x / 255, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([b for _, b in parts]), y)


def test_training_batches_are_all_images_once_in_each_of_many_random_orders(random_digits):
    x, y = random_digits["x_train"], np.arange(40)

    def orders(seed):
        keras.utils.set_random_seed(seed)
        batches = list(data.batches(x, y, 16, training=True).take(5))
        for images, labels in batches:
            np.testing.assert_allclose(images, x[labels] / 255, rtol=1e-6)
        return np.reshape([labels for _, labels in batches], (2, 40))

    first, again, other = orders(0), orders(0), orders(1)
    np.testing.assert_array_equal(np.sort(first), [y, y])
    assert len({order.tobytes() for order in [*first, *other, y]}) == 5
    np.testing.assert_array_equal(first, again)


# --- Keras's copy


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Where MNIST is kept: nowhere yet."""
    path = tmp_path / "datasets" / "mnist.npz"
    monkeypatch.setattr(data, "KERAS_FILE", path)
    return path


def test_mnist_is_downloaded_once(kept, random_npz, random_digits, monkeypatch, capsys):
    monkeypatch.setattr(data, "KERAS_URL", random_npz.as_uri())
    monkeypatch.setattr(data, "PROGRESS_INTERVAL", -1)  # say always how far it is
    loaded = data.load_mnist()
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == ("MNIST", False)
    expected = f"Downloading MNIST (11 MB) to {kept}\n0.0 MB downloaded\n"
    assert capsys.readouterr() == (expected, "")
    assert_same(data.load_mnist(), random_digits)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("missing", "No such file or directory"),
        ("cut", "part: not an .npz"),
        ("silent", "timed out"),
    ],
)
def test_bundled_digits_are_taken_where_mnist_cannot_be_had(
    kept, random_npz, tmp_path, monkeypatch, capsys, server, reason
):
    (tmp_path / "cut").write_bytes(random_npz.read_bytes()[:20_000])
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        url = url if server == "silent" else (tmp_path / server).as_uri()
        monkeypatch.setattr(data, "KERAS_URL", url)
        monkeypatch.setattr(data, "DOWNLOAD_TIMEOUT", 0.1)
        assert data.load_mnist().bundled
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint.startswith("MNIST cannot be downloaded (")
    assert reason in complaint
    assert complaint.endswith("own copy, give --data PATH")
    assert list(kept.parent.iterdir()) == []


def test_a_damaged_copy_is_named(kept):
    kept.parent.mkdir()
    kept.write_text("damaged")
    with pytest.raises(InputError, match=r"mnist.npz: not .*; delete it"):
        data.load_mnist()


def test_mnist_is_kept_where_keras_keeps_it(tmp_path, random_npz):
    """Keras reads KERAS_HOME when it is imported, as data.py does."""
    kept = tmp_path / "datasets" / "mnist.npz"
    kept.parent.mkdir()
    kept.write_bytes(random_npz.read_bytes())
    code = (
        "import data, keras, os; file = keras.utils.get_file('mnist.npz', data.KERAS_URL);"
        "print(os.path.samefile(file, data.KERAS_FILE))"
    )
    assert run("-c", code, cwd=tmp_path).stdout == "True\n"


# --- the bundled digits


def test_bundled_digits_are_balanced_and_mixed(bundled_digits):
    for labels, count in [(bundled_digits.y_train, 400), (bundled_digits.y_test, 100)]:
        np.testing.assert_array_equal(np.bincount(labels), [count] * 10)
        assert len(set(labels[:50])) == 10


def test_bundled_digits_are_training_images_of_mnist(mnist_npz, bundled_digits):
    mnist = data.load_mnist(mnist_npz)
    known = {x.tobytes(): y for x, y in zip(mnist.x_train, mnist.y_train, strict=True)}
    x = np.concatenate([bundled_digits.x_train, bundled_digits.x_test])
    y = np.concatenate([bundled_digits.y_train, bundled_digits.y_test])
    assert [known.get(image.tobytes()) for image in x] == y.tolist()
    assert len({image.tobytes() for image in x}) == 5000
