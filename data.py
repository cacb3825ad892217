"""Everything that turns pixels into model input: MNIST, loaded, checked and normalised.

MNIST is 70,000 handwritten digits, 28 x 28 pixels each, white on black: LeCun, Bottou,
Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import gzip
import os
import socket
import sys
import threading
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

BUNDLED = Path(__file__).parent / "assets" / "mnist-5k.npz"
# 15 times the 4,000 bundled training digits is as many as MNIST has, so an epoch is the
# same amount of learning whichever of them is used.
BUNDLED_REPEATS = 15
# A firewall that drops packets never answers; a slow line has begun to by then.
DOWNLOAD_ANSWER_SECONDS = 15
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
# The array, and the two spellings under which its original IDX file is found.
IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "y_train": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "x_test": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "y_test": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


class Digits(NamedTuple):
    """Labelled digits for training and testing: images uint8 (n, 28, 28), labels (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: str  # where they came from, in words
    repeats: int = 1  # times an epoch shows each training digit

    @property
    def bundled(self) -> bool:
        """Whether these are the bundled digits, so that results are on those only."""
        return self.source.startswith("bundled")


def normalize(images: np.ndarray) -> np.ndarray:
    """Scale pixels from integers in [0, 255] to float32 in [0, 1]; the shape stays."""
    return images.astype(np.float32) / 255


def load_mnist(path: str | None = None) -> Digits:
    """Load MNIST from `path`, or Keras's copy of it, or else the bundled digits.

    `path` is an `.npz` file in Keras's layout or a folder with the four original IDX
    files. Without it, Keras's own copy is taken from its cache or downloaded. Where that
    fails, one line on stderr says so and the bundled digits take its place.

    Raises OSError if `path` cannot be read and ValueError if it does not hold MNIST-like
    digits; the message names the file and what is wrong with it.
    """
    if path is not None:
        arrays = _read_idx_folder(path) if os.path.isdir(path) else _read_npz(path)
        return Digits(**arrays, source=str(path))
    try:
        return Digits(**_fetch_keras_mnist(), source="MNIST as Keras provides it")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        reason = str(error).split(" -- ")[-1]
        print(
            f"MNIST could not be had ({reason}): using the bundled digits instead; "
            "--data PATH takes a copy of yours",
            file=sys.stderr,
        )
        source = f"bundled digits, 5,000 of MNIST ({BUNDLED.name})"
        return Digits(**_read_npz(BUNDLED), source=source, repeats=BUNDLED_REPEATS)


def hold_out(digits: Digits, count: int) -> tuple[tuple, tuple]:
    """Split off the last `count` training digits: ((x, y) to train on, (x, y) held out).

    The digits to train on come as often as `digits.repeats` says, the others once.
    Raises ValueError unless 0 <= `count` < the number of training digits.
    """
    total = len(digits.x_train)
    if not 0 <= count < total:
        raise ValueError(f"cannot hold out {count:,} of {total:,} training digits")
    kept = total - count
    x = np.tile(digits.x_train[:kept], (digits.repeats, 1, 1))
    y = np.tile(digits.y_train[:kept], digits.repeats)
    return (x, y), (digits.x_train[kept:], digits.y_train[kept:])


def _fetch_keras_mnist() -> dict[str, np.ndarray]:
    """Keras's MNIST, cached in ~/.keras or downloaded; raises when it cannot be had."""
    import keras  # here: reading a file needs no TensorFlow

    cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    cached = cache / "datasets" / "mnist.npz"
    if not cached.exists():
        print(f"Downloading MNIST (11 MB) to {cached}", flush=True)
    outcome: dict = {}

    def fetch() -> None:
        keras.utils.disable_interactive_logging()  # of this thread only
        try:
            outcome["digits"] = keras.datasets.mnist.load_data()
        except Exception as error:
            outcome["error"] = error

    # A thread, for a time limit: the one urllib knows counts anew for each of the
    # server's many addresses. A download that has begun may take as long as it needs.
    socket.setdefaulttimeout(DOWNLOAD_ANSWER_SECONDS)
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_ANSWER_SECONDS)
    if thread.is_alive() and cached.exists():
        thread.join()
    socket.setdefaulttimeout(None)

    if not outcome:
        raise TimeoutError(f"no answer within {DOWNLOAD_ANSWER_SECONDS} s")
    if "error" in outcome:
        raise outcome["error"]
    (x_train, y_train), (x_test, y_test) = outcome["digits"]
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The four checked arrays of an `.npz` file in Keras's layout."""
    with open(path, "rb"):  # a missing or unreadable file is an OSError that says so
        pass
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        if missing := set(ARRAYS) - names:
            raise KeyError(f"it lacks {', '.join(sorted(missing))}")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ARRAYS}
    except Exception as error:  # a damaged zip or header can fail in a dozen ways
        reason = error.args[0] if error.args else type(error).__name__
        raise ValueError(f"{path}: not an .npz file in Keras's layout: {reason}") from error
    return _check(arrays, dict.fromkeys(ARRAYS, path))


def _read_idx_folder(folder: str | Path) -> dict[str, np.ndarray]:
    """The four checked arrays of a folder with the original IDX files, gzipped or not."""
    files, arrays = {}, {}
    for name, spellings in IDX_FILES.items():
        candidates = [Path(folder, s + end) for s in spellings for end in ("", ".gz")]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise ValueError(f"{folder}: has no {spellings[0]}, gzipped or not")
        files[name] = found[0]
        arrays[name] = _read_idx(found[0], ndim=3 if name.startswith("x") else 1)
    return _check(arrays, files)


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """One IDX file of bytes: a magic number, `ndim` big-endian sizes, the data."""
    raw = path.read_bytes()
    if raw.startswith(b"\x1f\x8b"):  # by content: some downloads drop or keep a wrong .gz
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from error
    magic = bytes([0, 0, 0x08, ndim])  # 0x08 stands for unsigned bytes
    if raw[:4] != magic:
        raise ValueError(f"{path}: magic number {raw[:4].hex()}, expected {magic.hex()}")
    header = 4 + 4 * ndim
    if len(raw) < header:
        raise ValueError(f"{path}: cut short inside its header")
    shape = np.frombuffer(raw, ">u4", ndim, offset=4).tolist()
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise ValueError(f"{path}: {len(raw):,} bytes, its header asks for {expected:,}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _check(arrays: dict[str, np.ndarray], files: dict) -> dict[str, np.ndarray]:
    """`arrays`, if they are labelled 28 x 28 digits; else ValueError naming the file."""
    for name, array in arrays.items():
        where = f"{files[name]}: {name}"
        if name.startswith("x"):
            if array.ndim != 3 or array.shape[1:] != (28, 28) or len(array) == 0:
                raise ValueError(f"{where} has shape {array.shape}, expected (n, 28, 28)")
            if array.dtype != np.uint8:
                raise ValueError(f"{where} has dtype {array.dtype}, expected uint8")
        else:
            images = arrays[name.replace("y", "x")]
            if array.shape != (len(images),):
                raise ValueError(
                    f"{where} has shape {array.shape}, expected one label for each of "
                    f"{len(images):,} images"
                )
            if array.dtype.kind not in "iu":
                raise ValueError(f"{where} has dtype {array.dtype}, expected integers")
            if array.min() < 0 or array.max() > 9:
                raise ValueError(
                    f"{where} has labels {array.min()} to {array.max()}, expected 0 to 9"
                )
    return arrays
