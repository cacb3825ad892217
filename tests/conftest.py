"""Fixtures that several tests share: small data, a run of train.py, its model."""

import contextlib
import os
import pickle
import time

import numpy as np
import pytest

from helpers import ROOT, run
from model import keras, load_model


@pytest.fixture(scope="session")
def random_digits():
    """Arrays in Keras's layout: 40 random images to train on, 20 to test with."""
    x = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    y = np.arange(60, dtype=np.uint8) % 10
    return {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}


@pytest.fixture(scope="session")
def random_npz(random_digits, tmp_path_factory):
    """The path of an `.npz` file with `random_digits`."""
    path = tmp_path_factory.mktemp("random") / "random.npz"
    np.savez(path, **random_digits)
    return path


@pytest.fixture(scope="session")
def bundled_run(tmp_path_factory):
    """A folder in which `train.py` has run on the bundled digits, and its result.

    The first process of pytest-xdist that asks makes the folder and runs; the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "bundled_run"
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        (folder / "matplotlibrc").write_text("text.usetex: True")  # must not matter
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
    return load_model(trained_file)


@pytest.fixture
def without_xla(monkeypatch):
    """Train without XLA, which takes seconds to compile."""
    never = property(lambda _: False, lambda *_: None)
    monkeypatch.setattr(keras.Sequential, "jit_compile", never)
