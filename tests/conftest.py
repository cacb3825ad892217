"""What several tests share: the scripts run as a user would, small data, trained models."""

import contextlib
import gzip
import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import data

ROOT = Path(__file__).parent.parent

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no POSIX shells, signals and terminals"
)


def run(*arguments, cwd, shell=None, **environment):
    """Run Python in `cwd` as for a user without network, cached MNIST and display.

    If a `shell` command is given, its "$@" is the command that runs Python.
    """
    command = [sys.executable, *map(str, arguments)]
    # Importing model.py has set some variables here. In the new process, it must set them.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    user = {
        "HOME": str(cwd),
        "KERAS_HOME": str(cwd),
        "https_proxy": "http://127.0.0.1:9",  # nothing listens there: refused at once
        "MPLBACKEND": "TkAgg",  # needs the display, which must not matter
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "PYTHONUNBUFFERED": "",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["sh", "-c", shell, "sh", *command] if shell else command,
        cwd=cwd,
        env=own | user | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def short_run(path, output):
    """Arguments for two epochs of few steps. Without augmentation they start faster."""
    options = ["--epochs", "2", "--batch-size", "600", "--no-augment"]
    return ["--data", str(path), "--output", str(output), *options]


def write_idx_folder(folder, arrays, dot=False, compress=False):
    """Write `arrays` as IDX files, after the format's description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        kind = "images" if name.startswith("x") else "labels"
        part = "train" if name.endswith("train") else "t10k"
        file = folder / f"{part}-{kind}{'.' if dot else '-'}idx{array.ndim}-ubyte"
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        raw = header + array.tobytes()
        if compress:
            file, raw = file.with_name(f"{file.name}.gz"), gzip.compress(raw)
        file.write_bytes(raw)


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


@pytest.fixture(scope="session")
def bundled_run(tmp_path_factory):
    """A folder in which `train.py` has run on the bundled digits, and its result.

    The first process of pytest-xdist that asks makes the folder and runs; the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "bundled_run"
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        result = run(ROOT / "train.py", cwd=folder)
        (folder / "unfinished").write_bytes(pickle.dumps(result))
        (folder / "unfinished").rename(folder / "result")
    until = time.monotonic() + 300
    while not (folder / "result").exists() and time.monotonic() < until:
        time.sleep(0.1)
    return folder, pickle.loads((folder / "result").read_bytes())


@pytest.fixture(scope="session")
def trained_file(bundled_run):
    """The path of the model that `bundled_run` has saved."""
    return bundled_run[0] / "outputs" / "model.keras"


@pytest.fixture(scope="session")
def trained_model(trained_file):
    """The model that `bundled_run` has saved."""
    from model import load_model  # here: TensorFlow takes seconds to import

    return load_model(trained_file)
