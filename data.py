"""MNIST loaded, checked, normalised and put into batches.

MNIST is 70,000 images of handwritten digits, 28 x 28 pixels each, white on black: LeCun,
Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import gzip
import http.client
import json
import os
import sys
import time
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cli import InputError

if TYPE_CHECKING:
    import tensorflow as tf

BUNDLED_FILE = Path(__file__).parent / "assets" / "mnist-5k.npz"
ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")
FORMATS = "an .npz file in Keras's layout or a folder with the four IDX files"
REPAIR_HINT = "copy or download it again"  # what to do about a damaged file
# The two spellings under which the original IDX files are found.
IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "y_train": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "x_test": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "y_test": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}

# Keras's address and cache file: Keras and this project share one copy.
KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
KERAS_HOME = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
KERAS_FILE = KERAS_HOME / "datasets" / "mnist.npz"
# Seconds to wait for a connection or for data. The server has about ten addresses, which are
# tried in turn: if none answers, the wait is ten times as long.
DOWNLOAD_TIMEOUT = 5
PROGRESS_INTERVAL = 5  # seconds between lines on a slow download

EVALUATION_BATCH_SIZE = 1000  # images: without gradients, a large batch fits into memory
PREFETCHED_BATCHES = 2


class Mnist(NamedTuple):
    """A data set: images uint8 (n, 28, 28), labels integers (n,) from 0 to 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_eval: np.ndarray  # the test set or, after `hold_out`, the validation images
    y_eval: np.ndarray
    name: str  # for printed lines and plot titles
    split: str = "test"  # or "validation", after `hold_out`
    bundled: bool = False  # the bundled digits, not the whole of MNIST


def load_mnist(path: str | Path | None = None) -> Mnist:
    """Load MNIST from `path`, or Keras's copy of it, or else the bundled digits.

    `path` is an `.npz` file in Keras's layout or a folder with the four original IDX files.
    Without a path, Keras's copy is read. If there is none, it is downloaded. If the download
    fails, one line on stderr says so and the bundled digits are used.

    Raises OSError if a file cannot be read and InputError if it does not hold a data set
    like MNIST; the message names the file and what is wrong with it.
    """
    if path is not None:
        arrays = read_idx_folder(path) if os.path.isdir(path) else read_npz(path)
        # A file name need not be valid text, but is printed and drawn.
        name = Path(path).resolve().name.encode(errors="replace").decode()
        return Mnist(*arrays, name=name)
    if not KERAS_FILE.exists():
        try:
            download(KERAS_URL, KERAS_FILE)
        except (OSError, http.client.HTTPException, InputError) as error:
            # A URLError wraps the error that has the message.
            reason = getattr(error, "reason", error)
            reason = getattr(reason, "strerror", None) or reason
            print(
                f"MNIST cannot be downloaded ({reason}): using the bundled digits instead; "
                "to use your own copy, give --data PATH",
                file=sys.stderr,
            )
            return load_bundled()
    try:
        return Mnist(*read_npz(KERAS_FILE), name="MNIST")
    except InputError as error:
        raise InputError(f"{error}; delete it to download it again") from error


def load_bundled() -> Mnist:
    """The 5,000 MNIST images in `assets/`: 4,000 to train on, 1,000 to test with."""
    return Mnist(*read_npz(BUNDLED_FILE), name="the bundled digits", bundled=True)


def load_test_data(path: str | None, model_path: str) -> Mnist:
    """Load `path`, or else the data that metrics.json beside the model names, or else MNIST.

    Raises InputError if that data is missing, or if the model was trained on all of MNIST and
    only the bundled digits are there: they are part of MNIST's training set.
    """
    if path is not None:
        return load_mnist(path)
    try:
        metrics = json.loads(Path(model_path).with_name("metrics.json").read_text())
        trained_on, bundled = metrics["data"], metrics["bundled_digits"]
    except (OSError, ValueError, KeyError, TypeError):  # a model from elsewhere
        return load_mnist()
    if bundled:
        return load_bundled()
    if trained_on and not Path(trained_on).exists():
        raise InputError(
            f"{trained_on}, which the model was trained on, is not there; give --data PATH"
        )
    mnist = load_mnist(trained_on)
    if mnist.bundled:
        raise InputError(
            "MNIST is missing, and the model has seen the bundled digits in training; "
            "give --data PATH"
        )
    return mnist


def download(url: str, path: Path) -> None:
    """Download MNIST to `path`; print the start and, every few seconds, the progress.

    Unlike Keras's own download, it gives up if the server does not answer. It writes `path`
    only if it succeeds. Raises OSError or HTTPException if the download fails and InputError if
    the file does not have MNIST's layout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"Downloading MNIST (11 MB) to {path}", flush=True)
    part = path.with_suffix(".part")
    last_report = time.monotonic()
    try:
        with (
            urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response,
            open(part, "wb") as file,
        ):
            while chunk := response.read(100_000):
                file.write(chunk)
                if time.monotonic() > last_report + PROGRESS_INTERVAL:
                    last_report = time.monotonic()
                    print(f"{file.tell() / 1e6:.1f} MB downloaded", flush=True)
        read_npz(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_npz(path: str | Path) -> tuple[np.ndarray, ...]:
    """The four checked arrays (see ARRAY_NAMES) of an `.npz` file in Keras's layout."""
    with open(path, "rb"):  # a missing or unreadable file is an OSError that says so
        pass
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not {FORMATS}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            # If a member is not an array, NumPy returns bytes, which `check_arrays` refuses.
            arrays = {name: np.asarray(archive[name]) for name in ARRAY_NAMES}
    except Exception as error:  # a damaged zip or header can fail in a dozen ways
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{path}: not an .npz file in Keras's layout: {reason}") from error
    return check_arrays(arrays, dict.fromkeys(ARRAY_NAMES, path))


def read_idx_folder(folder: str | Path) -> tuple[np.ndarray, ...]:
    """The four checked arrays of the original IDX files in a folder or in folders below it."""
    files = {name: find_idx_file(Path(folder), names) for name, names in IDX_FILES.items()}
    arrays = {
        name: read_idx(path, ndim=3 if name.startswith("x") else 1)
        for name, path in files.items()
    }
    return check_arrays(arrays, files)


def find_idx_file(folder: Path, spellings: tuple[str, str]) -> Path:
    """The file nearest to `folder`, in it or below, with one of the names, gzipped or not."""
    names = {spelling + end for spelling in spellings for end in ("", ".gz")}
    found = [path for path in folder.rglob("*") if path.name in names and path.is_file()]
    if not found:
        raise InputError(
            f"{folder}: no file {spellings[0]} or {spellings[0]}.gz in it or below"
        )
    nearest = min(len(path.parts) for path in found)
    found = sorted(path for path in found if len(path.parts) == nearest)
    if found[0].parent != found[-1].parent:  # such as MNIST and Fashion-MNIST
        raise InputError(f"{folder}: both {found[0]} and {found[-1]}; give the folder of one")
    return found[0]


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """One IDX file of bytes: a magic number, `ndim` big-endian sizes, the data."""
    raw = path.read_bytes()
    # This is gzip's magic number. The name is no proof: some downloads lose the .gz.
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip file: {error}; {REPAIR_HINT}") from error
    header_size = 4 + 4 * ndim
    if len(raw) < header_size:
        raise InputError(f"{path}: cut short inside its header; {REPAIR_HINT}")
    magic = bytes([0, 0, 0x08, ndim])  # 0x08 stands for unsigned bytes
    if raw[:4] != magic:
        found = raw[:4].hex()
        raise InputError(f"{path}: magic number {found}, expected {magic.hex()}; {REPAIR_HINT}")
    shape = np.frombuffer(raw, ">u4", ndim, offset=4).tolist()
    expected = header_size + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise InputError(
            f"{path}: {len(raw):,} bytes, its header asks for {expected:,}; {REPAIR_HINT}"
        )
    return np.frombuffer(raw, np.uint8, offset=header_size).reshape(shape)


def check_arrays(arrays: dict[str, np.ndarray], files: dict) -> tuple[np.ndarray, ...]:
    """Return the arrays if they are labelled 28 x 28 images, or else raise InputError."""
    for name, array in arrays.items():
        where = f"{files[name]}: {name}"
        if name.startswith("x"):
            if array.shape[1:] != (28, 28) or len(array) == 0:
                raise InputError(
                    f"{where} has shape {array.shape}, expected (n, 28, 28) with n above 0"
                )
            if array.dtype != np.uint8:
                raise InputError(f"{where} has dtype {array.dtype}, expected uint8")
        else:
            images = arrays[name.replace("y", "x")]
            if array.shape != (len(images),):
                raise InputError(
                    f"{where} has shape {array.shape}, expected one label for each of "
                    f"{len(images):,} images"
                )
            if array.dtype.kind not in "iu":
                raise InputError(f"{where} has dtype {array.dtype}, expected integers")
            if array.min() < 0 or array.max() > 9:
                raise InputError(
                    f"{where} has labels {array.min()} to {array.max()}, expected 0 to 9"
                )
    return tuple(arrays.values())


def hold_out(mnist: Mnist, count: int) -> Mnist:
    """For tuning: replace the test set by the last `count` training images.

    Raises InputError if no training images are left.
    """
    remaining = len(mnist.x_train) - count
    if remaining < 1:
        raise InputError(
            f"--validation {count} leaves none of the {len(mnist.x_train):,} training images"
        )
    return mnist._replace(
        x_train=mnist.x_train[:remaining],
        y_train=mnist.y_train[:remaining],
        x_eval=mnist.x_train[remaining:],
        y_eval=mnist.y_train[remaining:],
        split="validation",
    )


def normalize(images: np.ndarray) -> np.ndarray:
    """Scale pixels from integers in [0, 255] to [0, 1].

    An array becomes float64, a tensor float32.
    """
    return images / 255


def batches(
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int = EVALUATION_BATCH_SIZE,
    training: bool = False,
) -> "tf.data.Dataset":
    """Batches of normalised images and their labels, from uint8 (n, 28, 28) and (n,).

    For evaluation, each image comes once, in order. For training, the batches never end. Each
    pass over the images has a new random order. A batch may span two passes, so all batches
    have the same size.
    """
    import tensorflow as tf  # it takes seconds, and reading files does not need it

    images, labels = tf.constant(x), tf.constant(y)
    if training:
        order = tf.data.Dataset.from_tensors(tf.range(len(x))).repeat().map(tf.random.shuffle)
        order = order.rebatch(batch_size, drop_remainder=True)
    else:
        order = tf.data.Dataset.range(len(x)).batch(batch_size)
    # Autotuning is off: with it, an iterator sometimes waits 3 s at its end for a thread.
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        order.map(lambda i: (normalize(tf.gather(images, i)), tf.gather(labels, i)))
        .prefetch(PREFETCHED_BATCHES)
        .with_options(options)
    )
