"""MNIST loaded from files, from Keras and, failing that, from the bundled digits."""

import inspect
import itertools
import shutil
import socket
from types import SimpleNamespace

import numpy as np
import pytest

import data
from cli import InputError
from helpers import run, write_idx_folder
from model import keras


def assert_same(loaded, arrays):
    for array, expected in zip(loaded[:4], arrays.values(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_load_npz(random_digits, random_npz, tmp_path):
    no_text = shutil.copy(random_npz, tmp_path / "\udcff.npz")
    for path, name in ((str(random_npz), "random.npz"), (no_text, "?.npz")):
        loaded = data.load_mnist(path)
        assert_same(loaded, random_digits)
        assert (loaded.name, loaded.bundled) == (name, False)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("end", ["", ".gz"])  # a browser may unzip a file and keep its name
def test_load_idx(tmp_path, random_digits, dot, compress, end):
    write_idx_folder(tmp_path, random_digits, dot, compress)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.removesuffix(".gz") + end))
    loaded = data.load_mnist(str(tmp_path))
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == (tmp_path.name, False)


def test_idx_files_are_found_in_folders_below(tmp_path, random_digits):
    raw = tmp_path / "MNIST" / "raw"  # torchvision's, both forms of each file
    write_idx_folder(raw, random_digits)
    write_idx_folder(raw, random_digits, compress=True)
    assert_same(data.load_mnist(tmp_path), random_digits)
    for name, array in random_digits.items():  # Kaggle's: each in a folder of its own name
        write_idx_folder(tmp_path / "archive" / name, {name: array})
        (file,) = (tmp_path / "archive" / name).iterdir()
        file.parent.rename(file.parent.with_name(file.name))
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
    held = data.hold_out(data.Mnist(*random_digits.values(), name="random"), 15)
    x, y = random_digits["x_train"], random_digits["y_train"]
    assert_same(held, dict(x_train=x[:25], y_train=y[:25], x_eval=x[25:], y_eval=y[25:]))


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


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """Where MNIST is kept: nowhere yet."""
    path = tmp_path / "datasets" / "mnist.npz"
    monkeypatch.setattr(data, "KERAS_FILE", path)
    return path


def test_mnist_is_downloaded_once(kept, random_npz, random_digits, monkeypatch, capsys):
    monkeypatch.setattr(data, "KERAS_URL", random_npz.as_uri())
    loaded = data.load_mnist()
    assert_same(loaded, random_digits)
    assert (loaded.name, loaded.bundled) == ("MNIST", False)
    assert capsys.readouterr() == (f"Downloading MNIST (11 MB) to {kept}\n", "")
    assert_same(data.load_mnist(), random_digits)
    assert capsys.readouterr() == ("", "")


def test_a_slow_download_says_every_five_seconds_how_far_it_is(tmp_path, monkeypatch, capsys):
    clock = SimpleNamespace(monotonic=itertools.count(0, 2).__next__)  # 2 s from look to look
    monkeypatch.setattr(data, "time", clock)
    data.download(data.BUNDLED_FILE.as_uri(), tmp_path / "x.npz")
    printed = capsys.readouterr().out.splitlines()[1:]
    assert printed == [f"0.{tenths} MB downloaded" for tenths in (3, 6, 8)]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("missing", "No such file or directory"),
        ("cut", "part: not an .npz"),
        ("http://localhost:port", "nonnumeric port: 'port'"),
        ("silent", "timed out"),
    ],
)
def test_bundled_digits_are_taken_where_mnist_cannot_be_had(
    kept, random_npz, tmp_path, monkeypatch, capsys, server, reason
):
    (tmp_path / "cut").write_bytes(random_npz.read_bytes()[:20_000])
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}" if server == "silent" else server
        url = url if "http" in url else (tmp_path / server).as_uri()
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


def test_mnist_is_taken_and_kept_where_keras_does_it(tmp_path, random_npz):
    """Keras reads KERAS_HOME when it is imported, as data.py does."""
    address, name = data.KERAS_URL.rsplit("/", 1)
    source = inspect.getsource(keras.datasets.mnist.load_data)
    assert f'"{address}/"' in source
    assert f'"{name}"' in source
    kept = tmp_path / "datasets" / "mnist.npz"
    kept.parent.mkdir()
    kept.write_bytes(random_npz.read_bytes())
    code = (
        "import data, keras, os; file = keras.utils.get_file('mnist.npz', data.KERAS_URL);"
        "print(os.path.samefile(file, data.KERAS_FILE))"
    )
    assert run("-c", code, cwd=tmp_path, KERAS_HOME="~").stdout == "True\n"


def test_bundled_digits_are_balanced_and_mixed(bundled_digits):
    for labels, count in [(bundled_digits.y_train, 400), (bundled_digits.y_eval, 100)]:
        np.testing.assert_array_equal(np.bincount(labels), [count] * 10)
        assert len(set(labels[:50])) == 10


def test_bundled_digits_are_training_images_of_mnist(mnist_npz, bundled_digits):
    mnist = data.load_mnist(mnist_npz)
    known = {x.tobytes(): y for x, y in zip(mnist.x_train, mnist.y_train, strict=True)}
    x = np.concatenate([bundled_digits.x_train, bundled_digits.x_eval])
    y = np.concatenate([bundled_digits.y_train, bundled_digits.y_eval])
    assert [known.get(image.tobytes()) for image in x] == y.tolist()
    assert len({image.tobytes() for image in x}) == 5000
