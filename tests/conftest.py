"""What several tests share: the scripts run as a user would, small data, trained models."""

import gzip
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import data
import images
import pages
import render

ROOT = Path(__file__).parent.parent

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no POSIX shells, signals and terminals"
)


def user_environment(home):
    """The environment of a user with no network, no cached MNIST and no display."""
    # Importing model.py has set some variables here, which it shall set there by itself.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    return own | {
        "HOME": str(home),
        "KERAS_HOME": str(home),
        "https_proxy": "http://127.0.0.1:9",  # nothing listens there: refused at once
        "MPLBACKEND": "TkAgg",  # needs the display, which must not matter
    }


def run(script, *arguments, cwd, redirection=None):
    """Run a script of the project with no network and no cached MNIST.

    A shell does the `redirection`, such as ">&-".
    """
    shell = ["sh", "-c", f'"$@" {redirection}', "sh"] if redirection else []
    return subprocess.run(
        [*shell, sys.executable, ROOT / script, *map(str, arguments)],
        cwd=cwd,
        env=user_environment(cwd),
        capture_output=True,
        text=True,
    )


def short_run(path, output):
    """Arguments for two epochs of few steps. Without augmentation they start faster."""
    options = ["--epochs", "2", "--batch-size", "600"]
    return ["--data", str(path), "--output", str(output), *options]


def idx(array):
    """`array` of bytes as an IDX file, written after the format's description."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx_folder(folder, arrays, dot=False, compress=False):
    for name, stem in [
        ("x_train", "train-images"),
        ("y_train", "train-labels"),
        ("x_test", "t10k-images"),
        ("y_test", "t10k-labels"),
    ]:
        file = folder / f"{stem}{'.' if dot else '-'}idx{arrays[name].ndim}-ubyte"
        raw = idx(arrays[name])
        if compress:
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(raw))
        else:
            file.write_bytes(raw)


@pytest.fixture(autouse=True)
def sigterm_as_before():
    """Undo what the scripts' `main` does to the handling of SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def random_digits():
    """Arrays in Keras's layout: 40 random images to train on, 20 to test with."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (40, 28, 28), np.uint8),
        "y_train": np.arange(40, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 10,
    }


@pytest.fixture(scope="session")
def random_npz(random_digits, tmp_path_factory):
    """The path of an `.npz` file with `random_digits`."""
    path = tmp_path_factory.mktemp("random") / "random.npz"
    np.savez(path, **random_digits)
    return path


@pytest.fixture(scope="session")
def bundled_digits():
    """The 5,000 bundled digits, as `data.Mnist`."""
    return data.load_bundled()


@pytest.fixture(scope="session")
def mnist_npz():
    """The path of the real MNIST, named by the environment variable MNIST_NPZ."""
    if "MNIST_NPZ" not in os.environ:
        pytest.skip("MNIST_NPZ does not name the real MNIST")
    return os.path.abspath(os.environ["MNIST_NPZ"])


def search(picture):
    """The lines of digits found in a picture."""
    return images.find_digits(images.to_grey(images.flatten(picture)))


def search_digits(level, count):
    """What is found in each of `count` digits rendered so, and the true digits.

    They are from MNIST's test set, where it is there: no model here has seen it.
    """
    digits = data.load_mnist(os.environ.get("MNIST_NPZ", data.BUNDLED_FILE))
    x, y_true = digits.x_test, map(str, digits.y_test[:count])
    rngs = map(np.random.default_rng, range(count))
    return [search(render.render(x[n], level, rng, x)) for n, rng in enumerate(rngs)], [*y_true]


def search_pages(kind, count):
    """What is found on each of `count` pages of a kind, and the text on each."""
    digits = data.load_bundled()
    rngs = map(np.random.default_rng, range(count))
    drawn = [pages.render_page(kind, rng, digits.x_test, digits.y_test) for rng in rngs]
    return [search(photo) for photo, _ in drawn], [text for _, text in drawn]


@pytest.fixture(scope="session", autouse=True)
def background(request, random_npz, tmp_path_factory):
    """What takes long and goes on beside the tests: futures, by the fixture that needs them.

    It starts before all tests, in the order in which they need it.
    """
    needed = {name for item in request.session.items for name in item.fixturenames}
    jobs = {}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:

        def start_run(name, *arguments, **options):
            folder = tmp_path_factory.mktemp(name)
            return folder, processes.submit(run, "train.py", *arguments, cwd=folder, **options)

        if "bundled_run" in needed:
            jobs["bundled_run"] = start_run("bundled")
        if "mnist_run" in needed and "MNIST_NPZ" in os.environ:
            path = os.path.abspath(os.environ["MNIST_NPZ"])
            jobs["mnist_run"] = start_run("mnist", "--data", path)
        if "searches" in needed:
            jobs["searches"] = {
                level: processes.submit(search_digits, level, 40) for level in render.LEVELS
            }
            for kind in pages.PAGES:
                count = 6 if kind == "no writing" else 3
                jobs["searches"][kind] = processes.submit(search_pages, kind, count)
        if "shell_runs" in needed:
            jobs["shell_runs"] = {
                redirection: start_run(
                    "shell", *short_run(random_npz, "out"), *more, redirection=redirection
                )
                for redirection, more in {"2>&- >printed": [], ">&-": ["--no-augment"]}.items()
            }
        yield jobs
        processes.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def searches(background):
    """What `search_digits` and `search_pages` return, as futures by level and kind."""
    return background["searches"]


@pytest.fixture(scope="session")
def shell_runs(background):
    """Folders and futures of runs with redirections of a shell, by those redirections."""
    return background["shell_runs"]


@pytest.fixture(scope="session")
def mnist_run(mnist_npz, background):
    """A folder in which `train.py` has run on the real MNIST, and its result."""
    folder, future = background["mnist_run"]
    return folder, future.result()


@pytest.fixture(scope="session")
def bundled_run(background):
    """A folder in which `train.py` has run on the bundled digits, and its result."""
    folder, future = background["bundled_run"]
    return folder, future.result()


@pytest.fixture(scope="session")
def trained_file(bundled_run):
    """The path of the model that `bundled_run` has saved."""
    return bundled_run[0] / "outputs" / "model.keras"


@pytest.fixture(scope="session")
def trained_model(trained_file):
    """The model that `bundled_run` has saved."""
    from model import load_model  # here: TensorFlow takes seconds to import

    return load_model(trained_file)
