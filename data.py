"""MNIST loaded, checked, normalised and put into batches.

MNIST is 70,000 images of handwritten digits, 28 x 28 pixels each, white on black: LeCun,
Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import gzip
import json
import math
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cli import InputError, quiet_import, warn

if TYPE_CHECKING:
    import tensorflow as tf

BUNDLED_FILE = Path(__file__).parent / "assets" / "mnist-5k.npz"
ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")
IDX_NAMES = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "(t10k|test)-images",
    "y_test": "(t10k|test)-labels",
}
DOWNLOAD_TIMEOUT = 5  # seconds without an answer, for each of the server's ten addresses
MIN_LIKENESS = 0.9  # correlation with the bundled digits: images of other things stay below


class Mnist(NamedTuple):
    """A data set: images uint8 (n, 28, 28), labels integers (n,) from 0 to 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_eval: np.ndarray  # the test set or, after `hold_out`, the validation images
    y_eval: np.ndarray
    name: str  # for printed lines and plot titles
    split: str = "test"  # what x_eval is: "test" or "validation"
    bundled: bool = False  # only the bundled part of MNIST


def load_mnist(path: str | Path | None = None) -> Mnist:
    """Load MNIST from `path` or, without one, from Keras.

    `path` is an `.npz` file in Keras's layout or a folder with the four original IDX files.
    Raises OSError if a file cannot be read and InputError if it does not hold a data set
    like MNIST; the message names the file and what is wrong with it.
    """
    if path is None:
        return load_from_keras()
    arrays = read_idx_folder(Path(path)) if os.path.isdir(path) else read_npz(path)
    # A file name need not be valid text, but is printed and drawn.
    name = Path(path).resolve().name.encode(errors="replace").decode()
    mnist = Mnist(*check_arrays(arrays, path), name=name)
    warn_if_turned(mnist, path)
    return mnist


def load_from_keras() -> Mnist:
    """Load Keras's cached copy of MNIST, or download it.

    If that fails, a warning says so and the bundled digits are used.
    """
    with quiet_import():
        import keras

    if not sys.stdout.isatty():  # a progress bar fills a file with control characters
        keras.config.disable_interactive_logging()
    usual_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # else Keras waits without limit
    try:
        train, test = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception if a download fails
        reason = str(error).split(" -- ")[-1]  # what follows the address
        warn(
            f"MNIST cannot be downloaded ({reason}): using the bundled digits instead; "
            "to use your own copy, give --data PATH"
        )
        return load_bundled()
    finally:
        socket.setdefaulttimeout(usual_timeout)
    return Mnist(*train, *test, name="MNIST")


def load_bundled() -> Mnist:
    """The 5,000 MNIST images in `assets/`: 4,000 to train on, 1,000 to test with."""
    return Mnist(*read_npz(BUNDLED_FILE).values(), name="the bundled digits", bundled=True)


def hold_out(mnist: Mnist, count: int) -> Mnist:
    """For tuning: replace the test set by the last `count` training images.

    Raises InputError if no training images are left.
    """
    if count >= len(mnist.x_train):
        raise InputError(
            f"--validation {count} leaves none of the {len(mnist.x_train):,} training images"
        )
    x_train, x_eval = np.split(mnist.x_train, [-count])
    y_train, y_eval = np.split(mnist.y_train, [-count])
    return Mnist(x_train, y_train, x_eval, y_eval, mnist.name, "validation", mnist.bundled)


def normalize(images: np.ndarray) -> np.ndarray:
    """Scale pixels from uint8 in [0, 255] to floats in [0, 1]."""
    return images / 255


def training_batches(x: np.ndarray, y: np.ndarray, batch_size: int) -> "tf.data.Dataset":
    """Endless batches of normalised images and their labels, from uint8 (n, 28, 28) and (n,).

    Each pass over the images has a new random order. A batch may span two passes.
    """
    import tensorflow as tf  # here: it takes seconds, and reading files does not need it

    images, labels = tf.constant(x), tf.constant(y)
    order = tf.data.Dataset.from_tensors(tf.range(len(x))).repeat().map(tf.random.shuffle)
    order = order.rebatch(batch_size, drop_remainder=True)  # a fixed size, as XLA needs it
    pairs = order.map(lambda i: (normalize(tf.gather(images, i)), tf.gather(labels, i)))
    return pairs.prefetch(2)


def load_test_data(path: str | None, model_path: str) -> Mnist:
    """Load `path`, or else the data that metrics.json beside the model names, or else MNIST.

    Raises InputError if only the bundled digits are there: the model may have learned them.
    """
    if path is None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # a model from elsewhere
            metrics = json.loads(Path(model_path).with_name("metrics.json").read_text())
            path = metrics["data"]
            if metrics["bundled_digits"]:
                return load_bundled()
    mnist = load_mnist(path)
    if mnist.bundled:
        raise InputError(
            "MNIST is missing, and the model may have seen the bundled digits in training; "
            "give --data PATH"
        )
    return mnist


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays (see ARRAY_NAMES) of an `.npz` file in Keras's layout."""
    try:
        with np.load(path) as archive:
            names = archive.files
            arrays = {name: np.asarray(archive[name]) for name in ARRAY_NAMES if name in names}
    except OSError:  # a missing or unreadable file says so
        raise
    except Exception as error:  # a damaged file can fail in a dozen ways
        raise InputError(f"{path}: damaged, or no .npz file in Keras's layout") from error
    if len(arrays) < len(ARRAY_NAMES):
        expected = ", ".join(ARRAY_NAMES)
        raise InputError(f"{path}: has the arrays {', '.join(names)}, expected {expected}")
    return arrays


def read_idx_folder(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of the four IDX files that are nearest to a folder, in it or below.

    They are named like train-images-idx3-ubyte.gz or, in EMNIST,
    emnist-digits-test-images-idx3-ubyte. Some copies have a dot before "idx".
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    arrays = {}
    for name, part in IDX_NAMES.items():
        found = [path for path in files if re.search(f"(^|-){part}[-.]idx", path.name)]
        depth = min((len(path.parts) for path in found), default=0)
        nearest = {str(p).removesuffix(".gz"): p for p in found if len(p.parts) == depth}
        if len(nearest) != 1:
            present = ", ".join(nearest or [path.name for path in files[:5]]) or "nothing"
            raise InputError(f"{folder}: expected one IDX file of {name}, found {present}")
        arrays[name] = read_idx(*nearest.values())
    return arrays


def read_idx(path: Path) -> np.ndarray:
    """An IDX file: bytes 0, 0, 8 (uint8) and the number of dimensions, the sizes, the data."""
    raw = path.read_bytes()
    try:
        if raw.startswith(b"\x1f\x8b"):  # gzip, even if the name lacks .gz
            raw = gzip.decompress(raw)
        if raw[:3] != b"\0\0\x08":
            raise ValueError("wrong header")
        shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    except Exception as error:  # gzip and NumPy raise many kinds
        raise InputError(
            f"{path}: damaged, or no IDX file of bytes ({error}); copy or download it again"
        ) from error


def check_arrays(arrays: dict[str, np.ndarray], source: str | Path) -> list[np.ndarray]:
    """The arrays, images as (n, 28, 28); raises InputError if they are not like MNIST's."""
    checked = []
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        images, labels = f"{source}: x_{split}", f"{source}: y_{split}"
        if math.prod(x.shape[1:]) != 784 or len(x) == 0:
            raise InputError(f"{images} has shape {x.shape}, expected (n, 28, 28), n above 0")
        if x.dtype != np.uint8 or x.max() <= 1:
            raise InputError(
                f"{images} has {x.dtype} pixels from {x.min():.4g} to {x.max():.4g}, expected "
                "uint8 from 0 to 255"
            )
        if y.shape != (len(x),):
            raise InputError(f"{labels} has shape {y.shape}, expected ({len(x)},) as x_{split}")
        if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 9:
            values = np.unique(y)
            raise InputError(
                f"{labels} has {y.dtype} labels from {values[0]} to {values[-1]}, expected "
                "integers from 0 to 9"
            )
        checked += [x.reshape(-1, 28, 28), y]
    return checked


def warn_if_turned(mnist: Mnist, source: str | Path) -> None:
    """Warn if the training images look like MNIST's digits turned, mirrored or inverted."""
    # The mean image of each digit, in its eight forms, is compared with the bundled digits'.
    means, expected = (
        np.array([x[y == digit].mean(axis=0) for digit in np.unique(mnist.y_train)])
        for x, y, *_ in (mnist, load_bundled())
    )
    forms = (np.rot90(x, n, (1, 2)) for x in (means, means.swapaxes(1, 2)) for n in range(4))
    upright, *turned = (np.corrcoef(form.ravel(), expected.ravel())[0, 1] for form in forms)
    if max(-upright, *turned) > max(upright, MIN_LIKENESS):
        look = "turned or mirrored" if max(turned) > -upright else "black on white"
        warn(f"{source}: the digits look {look}; MNIST's are upright and white on black")
