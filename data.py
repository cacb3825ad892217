"""MNIST loaded, checked and normalised.

MNIST is 70,000 handwritten digits, 28 x 28 pixels each, white on black: LeCun, Bottou,
Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import gzip
import os
import socket
import sys
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import InputError

BUNDLED_FILE = Path(__file__).parent / "assets" / "mnist-5k.npz"
# 15 x 4,000 bundled training digits make an epoch as long as one of MNIST's 60,000.
BUNDLED_REPEATS = 15
DOWNLOAD_TIMEOUT = 15  # seconds until the first byte; a firewall may drop packets silently
PROGRESS_INTERVAL = 5  # seconds between lines on a slow download
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
# The two spellings under which the original IDX files are found.
IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "y_train": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "x_test": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "y_test": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


class Digits(NamedTuple):
    """A labelled data set: images uint8 (n, 28, 28), labels integers (n,) from 0 to 9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str  # for printed lines and plot titles
    bundled: bool = False  # the bundled digits, not the whole of MNIST


def normalize(images: np.ndarray) -> np.ndarray:
    """Scale pixels from integers in [0, 255] to float32 in [0, 1]; the shape stays."""
    return images.astype(np.float32) / 255


def load_mnist(path: str | Path | None = None) -> Digits:
    """Load MNIST from `path`, or Keras's copy of it, or else the bundled digits.

    `path` is an `.npz` file in Keras's layout or a folder with the four original IDX
    files. Without it, Keras's copy is taken from its cache or downloaded. If that fails,
    one line on stderr says so and the bundled digits are used.

    Raises OSError if `path` cannot be read and InputError if it does not hold MNIST-like
    digits; the message names the file and what is wrong with it.
    """
    if path is not None:
        arrays = read_idx_folder(path) if os.path.isdir(path) else read_npz(path)
        # A file name need not be valid text, but is printed and drawn.
        name = Path(path).resolve().name.encode(errors="replace").decode()
        return Digits(**arrays, name=name)
    try:
        return Digits(**fetch_keras_mnist(), name="MNIST")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        reason = str(error).split(" -- ")[-1]  # of "URL fetch failure on ...: code -- reason"
        print(
            f"MNIST cannot be downloaded ({reason}): using the bundled digits instead; "
            "to use your own copy, give --data PATH",
            file=sys.stderr,
        )
        return load_bundled()


def load_bundled() -> Digits:
    """The 5,000 MNIST digits in `assets/`: 4,000 to train on, 1,000 to test with."""
    return Digits(**read_npz(BUNDLED_FILE), name="the bundled digits", bundled=True)


def keras_cache_file() -> Path:
    """The file in which `keras.datasets.mnist` keeps MNIST, after `keras.utils.get_file`."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    if not os.access(home, os.W_OK):
        home = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir(), ".keras")
    return home / "datasets" / "mnist.npz"


def fetch_keras_mnist() -> dict[str, np.ndarray]:
    """Keras's copy of MNIST, from its cache or downloaded; raises if it cannot be had."""
    import keras  # here: reading a file needs no TensorFlow

    cached = keras_cache_file()
    downloading = not cached.exists()
    if downloading:
        print(f"Downloading MNIST (11 MB) to {cached}", flush=True)
    outcome: dict = {}

    def fetch() -> None:
        keras.utils.disable_interactive_logging()  # applies to this thread only
        try:
            outcome["digits"] = keras.datasets.mnist.load_data()
        except Exception as error:
            outcome["error"] = error

    # urllib's timeout applies to each of the server's addresses: limit the total here.
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_TIMEOUT)
    while thread.is_alive() and cached.exists():
        if downloading:
            print(f"{cached.stat().st_size / 1e6:.1f} MB downloaded", flush=True)
        thread.join(PROGRESS_INTERVAL)
    socket.setdefaulttimeout(None)

    if not outcome:
        raise TimeoutError(f"no answer within {DOWNLOAD_TIMEOUT} s")
    if "error" in outcome:
        raise outcome["error"]
    (x_train, y_train), (x_test, y_test) = outcome["digits"]
    return dict(zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True))


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The four checked arrays of an `.npz` file in Keras's layout."""
    with open(path, "rb"):  # a missing or unreadable file is an OSError that says so
        pass
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        if missing := set(ARRAYS) - names:
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
        with np.load(path, allow_pickle=False) as archive:
            # asarray, since a member that is no array comes as bytes.
            arrays = {name: np.asarray(archive[name]) for name in ARRAYS}
    except Exception as error:  # a damaged zip or header can fail in a dozen ways
        reason = error.args[0] if error.args else type(error).__name__
        raise InputError(f"{path}: not an .npz file in Keras's layout: {reason}") from error
    return check_digits(arrays, dict.fromkeys(ARRAYS, path))


def read_idx_folder(folder: str | Path) -> dict[str, np.ndarray]:
    """The four checked arrays of a folder with the original IDX files, gzipped or not."""
    files, arrays = {}, {}
    for name, spellings in IDX_FILES.items():
        candidates = [Path(folder, s + end) for s in spellings for end in ("", ".gz")]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise InputError(f"{folder}: has no {spellings[0]}, gzipped or not")
        files[name] = found[0]
        arrays[name] = read_idx(found[0], ndim=3 if name.startswith("x") else 1)
    return check_digits(arrays, files)


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """One IDX file of bytes: a magic number, `ndim` big-endian sizes, the data."""
    raw = path.read_bytes()
    if raw.startswith(b"\x1f\x8b"):  # by content: some downloads drop or keep a wrong .gz
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip file: {error}") from error
    magic = bytes([0, 0, 0x08, ndim])  # 0x08 stands for unsigned bytes
    if raw[:4] != magic:
        raise InputError(f"{path}: magic number {raw[:4].hex()}, expected {magic.hex()}")
    header = 4 + 4 * ndim
    if len(raw) < header:
        raise InputError(f"{path}: cut short inside its header")
    shape = np.frombuffer(raw, ">u4", ndim, offset=4).tolist()
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise InputError(f"{path}: {len(raw):,} bytes, its header asks for {expected:,}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def check_digits(arrays: dict[str, np.ndarray], files: dict) -> dict[str, np.ndarray]:
    """`arrays`, if they are labelled 28 x 28 digits; else InputError naming the file."""
    for name, array in arrays.items():
        where = f"{files[name]}: {name}"
        if name.startswith("x"):
            if array.ndim != 3 or array.shape[1:] != (28, 28) or len(array) == 0:
                raise InputError(f"{where} has shape {array.shape}, expected (n, 28, 28)")
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
    return arrays
