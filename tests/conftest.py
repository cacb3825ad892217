"""What several tests share: the repository's scripts run as a user would, small data."""

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def run(script, *arguments, cwd):
    """Run a script of the project with no network and no cached MNIST."""
    offline = {
        "KERAS_HOME": str(cwd),
        "https_proxy": "http://127.0.0.1:9",  # nothing listens there: refused at once
        "MPLBACKEND": "TkAgg",  # without the display it needs, which must not matter
        "HOME": str(cwd),
    }
    return subprocess.run(
        [sys.executable, ROOT / script, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | offline,
        capture_output=True,
        text=True,
    )


def idx(array):
    """`array` of bytes as an IDX file, written after the format's description."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx_folder(folder, digits, dot=False, compress=False):
    for name, stem in [
        ("x_train", "train-images"),
        ("y_train", "train-labels"),
        ("x_test", "t10k-images"),
        ("y_test", "t10k-labels"),
    ]:
        file = folder / f"{stem}{'.' if dot else '-'}idx{digits[name].ndim}-ubyte"
        raw = idx(digits[name])
        if compress:
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(raw))
        else:
            file.write_bytes(raw)


@pytest.fixture(scope="session")
def mnist_npz():
    """The path of the real MNIST, named by the environment variable MNIST_NPZ."""
    if "MNIST_NPZ" not in os.environ:
        pytest.skip("MNIST_NPZ does not name the real MNIST")
    return os.environ["MNIST_NPZ"]


@pytest.fixture(scope="session")
def bundled_run(tmp_path_factory):
    """A folder in which `train.py --epochs 2` has run on the bundled digits, and its result."""
    folder = tmp_path_factory.mktemp("bundled")
    return folder, run("train.py", "--epochs", 2, cwd=folder)


@pytest.fixture(scope="session")
def mnist_run(mnist_npz, tmp_path_factory):
    """A folder in which `train.py` has run on the real MNIST, and its result."""
    folder = tmp_path_factory.mktemp("mnist")
    return folder, run("train.py", "--data", os.path.abspath(mnist_npz), cwd=folder)


@pytest.fixture
def digits():
    """Arrays in Keras's layout: 40 random images to train on, 20 to test with."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (40, 28, 28), np.uint8),
        "y_train": np.arange(40, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 10,
    }


@pytest.fixture
def digits_npz(digits, tmp_path):
    """The path of an `.npz` file with `digits`."""
    path = tmp_path / "digits.npz"
    np.savez(path, **digits)
    return path
