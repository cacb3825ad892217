"""Everything that turns pixels into model input: MNIST's, and those of a person's own images.

MNIST is 70,000 handwritten digits, 28 x 28 pixels each, white on black: LeCun, Bottou,
Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import gzip
import os
import re
import socket
import sys
import threading
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from PIL import Image, ImageOps

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

SIDE = 1000  # pixels kept of an image's longer side: enough to look closer at a tiny digit
WORK = 200  # pixels of the longer side while a digit is looked for: ten for one of MNIST's
GRID = 32  # cells of the longer side in which paper is judged; half the pixels if those are few
WINDOW = 17  # cells of the paper's median: half a photo, but all of a small drawing
WIDER = 1.2  # times the digit: a narrower window takes a bold digit for paper
FRINGE = 0.15  # of the frame: what it cuts off and is no deeper in is not the digit
FAINT = 0.05  # contrast below which nothing is ink: paper grain and vignetting come up to it
SMALLEST = 6  # pixels of the smallest digit that can be told from a speck
MOST_PIECES = 12  # more pieces of like size than this are a texture, not writing
LEAST_SHARE = 0.25  # of all ink that a digit has, with neighbours and page edges about it
BOLDEST = 0.42  # stroke width of the boldest digit, as a share of its size: fatter is a blob
EDGE = 0.15  # ink in [0, 1] weaker than this is not counted into the digit's size
PEN = 2.2  # pixels of the thinnest stroke in the 20 x 20 box; MNIST's are two to three wide
CONNECTED = np.ones((3, 3))  # pixels that touch at a corner belong together too


class Digits(NamedTuple):
    """Labelled digits for training and testing: images uint8 (n, 28, 28), labels (n,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: str  # where they came from
    name: str  # the same, short enough for a picture's title
    bundled: bool = False  # whether all results are on the bundled digits only
    repeats: int = 1  # times an epoch shows each training digit


def normalize(images: np.ndarray) -> np.ndarray:
    """Scale pixels from integers in [0, 255] to float32 in [0, 1]; the shape stays."""
    return images.astype(np.float32) / 255


def load_mnist(path: str | Path | None = None) -> Digits:
    """Load MNIST from `path`, or Keras's copy of it, or else the bundled digits.

    `path` is an `.npz` file in Keras's layout or a folder with the four original IDX
    files. Without it, Keras's own copy is taken from its cache or downloaded. Where that
    fails, one line on stderr says so and the bundled digits take its place.

    Raises OSError if `path` cannot be read and ValueError if it does not hold MNIST-like
    digits; the message names the file and what is wrong with it.
    """
    if path is not None:
        arrays = read_idx_folder(path) if os.path.isdir(path) else read_npz(path)
        return Digits(**arrays, source=str(path), name=Path(path).resolve().name)
    try:
        return Digits(**fetch_keras_mnist(), source="MNIST as Keras provides it", name="MNIST")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        reason = str(error).split(" -- ")[-1]
        print(
            f"MNIST could not be had ({reason}): using the bundled digits instead; "
            "--data PATH takes a copy of yours",
            file=sys.stderr,
        )
        return Digits(
            **read_npz(BUNDLED),
            source="5,000 bundled digits of MNIST",
            name="the bundled digits",
            bundled=True,
            repeats=BUNDLED_REPEATS,
        )


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


def fetch_keras_mnist() -> dict[str, np.ndarray]:
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
        raise ValueError(f"{path}: not an .npz file in Keras's layout: {reason}") from error
    return check_digits(arrays, dict.fromkeys(ARRAYS, path))


def read_idx_folder(folder: str | Path) -> dict[str, np.ndarray]:
    """The four checked arrays of a folder with the original IDX files, gzipped or not."""
    files, arrays = {}, {}
    for name, spellings in IDX_FILES.items():
        candidates = [Path(folder, s + end) for s in spellings for end in ("", ".gz")]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise ValueError(f"{folder}: has no {spellings[0]}, gzipped or not")
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


def check_digits(arrays: dict[str, np.ndarray], files: dict) -> dict[str, np.ndarray]:
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


def find_images(paths: Sequence[str]) -> list[str]:
    """The files in `paths`, with folders searched for image files, in natural order.

    Hidden files and folders are passed over. A folder without any image files stays in the
    list, for `read_image` to say so.
    """
    Image.init()
    endings = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = []
    for path in paths:
        files = [
            str(file)
            for file in Path(path).rglob("*")
            if file.suffix.lower() in endings
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        found += sorted(files, key=natural_order) or [path]
    return found


def natural_order(name: str) -> list:
    """A sorting key by which `2.png` comes before `10.png`."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def read_image(path: str) -> np.ndarray:
    """Read an image file as grey (height, width) in [0, 1], float32, at most SIDE pixels long.

    It comes upright, as its EXIF orientation says, and with transparent parts as paper; of
    an animation, the first frame. Raises ValueError if the file cannot be read as an image
    or would take too much memory to.
    """
    if os.path.isdir(path):
        raise ValueError("a folder with no image files in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.draft("RGB", (SIDE, SIDE))  # decodes a JPEG at a fraction of its size
                image = ImageOps.exif_transpose(image)
    except Image.UnidentifiedImageError as error:
        raise ValueError("not an image of a known format") from error
    except Exception as error:  # Pillow's many decoders fail in as many ways
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot be read as an image: {reason}") from error
    if max(image.size) >= 2 * SIDE and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image = image.reduce(max(image.size) // SIDE)
    return shrink(to_grey(image), SIDE)


def to_grey(image: Image.Image) -> np.ndarray:
    """The pixels of an image of any mode as grey (height, width) in [0, 1], float32."""
    if image.mode.startswith(("I", "F")):  # they have no fixed white: take what is there
        grey = np.nan_to_num(np.asarray(image, np.float32))
        black = min(grey.min(), 0)
        return (grey - black) / max(grey.max() - black, 1e-6)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"), np.float32) / 255
    image = image.convert("RGBA")
    opaque = np.asarray(image.getchannel("A"), np.float32) / 255
    ink = np.asarray(image.convert("L"), np.float32) / 255 * opaque
    paper = float(ink.sum() <= 0.5 * opaque.sum())  # light ink on nothing needs dark paper
    return ink + (1 - opaque) * paper


def to_mnist(grey: np.ndarray) -> np.ndarray:
    """Bring the one digit in a grey image to the form of MNIST's.

    Takes (height, width) in [0, 1], dark on light or light on dark, and gives float32
    (28, 28) in [0, 1]: the digit white on black, fitted into 20 x 20 pixels and centred by
    its centre of mass, as LeCun et al. made MNIST (1998, section III.A). Raises ValueError
    if no digit is found.
    """
    grey, window = np.asarray(grey, np.float32), WINDOW
    rest = without_paper(shrink(grey, WORK), window)
    # What differs from the paper strongly, not widely, is the ink; what does so at the frame
    # may be a page's edge.
    inner = np.outer(*(np.sin(np.linspace(0, np.pi, side + 2)[1:-1]) for side in rest.shape))
    light = grey if (inner * rest**3).sum() > 0 else 1 - grey
    for _ in range(3):  # look, and then look closer
        small = shrink(light, WORK)
        scale = max(light.shape) / max(small.shape)
        ink = without_paper(small, window)
        if max(light.shape) > WORK / 3:  # a photo has grain, which a small drawing has not
            ink = scipy.ndimage.gaussian_filter(ink, 0.6)
        mask = find_digit(ink)
        corner, size = bounding_box(mask)
        longest = max(size)
        if longest * scale < SMALLEST:
            raise ValueError("no digit found")
        # Next, only the digit and as much paper around it as shows what light it is in.
        start = np.maximum(0, (corner - 0.6 * longest) * scale).astype(int)
        stop = ((corner + size + 0.6 * longest) * scale).astype(int) + 1
        closer = light[start[0] : stop[0], start[1] : stop[1]]
        if max(closer.shape) > 0.7 * max(light.shape):  # not worth another look
            closer = light
        wanted = int(WIDER * longest * scale / max(closer.shape) * paper_cells(closer.shape))
        if closer is light and wanted <= window:
            break
        light, window = closer, max(window, wanted | 1)  # odd, to have a middle
    return place(thicken(isolate(ink, mask)))


def shrink(grey: np.ndarray, side: int) -> np.ndarray:
    """Average (height, width) down until the longer side has at most `side` pixels."""
    scale = side / max(grey.shape)
    if scale >= 1:
        return grey
    size = [max(1, round(n * scale)) for n in reversed(grey.shape)]
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def without_paper(grey: np.ndarray, window: int) -> np.ndarray:
    """Subtract the paper, so that it is 0 whatever the light: light ink above, dark below.

    The paper is the median of a window of `window` cells around each place. A median
    follows a gradient or a shadow's edge, but no stroke, as long as the ink covers less
    than half the window.
    """
    cells = shrink(grey, paper_cells(grey.shape))
    framed = np.pad(cells, window // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(framed, (window, window))
    step = window // 8  # some eighty samples of a window are enough
    paper = quantile(windows[:, :, ::step, ::step].reshape(*cells.shape, -1), 0.5)
    size = grey.shape[::-1]
    return grey - np.asarray(Image.fromarray(paper).resize(size, Image.Resampling.BILINEAR))


def paper_cells(shape: tuple[int, ...]) -> int:
    """How many cells the longer side of an image of `shape` has for judging its paper."""
    return min(GRID, max(12, max(shape) // 2))  # 12: a smaller grid would blur 8 x 8 pixels


def quantile(values: np.ndarray, share: float) -> np.ndarray:
    """The value below which `share` of the last axis lies; np.quantile is ten times slower."""
    rank = int(share * (values.shape[-1] - 1))
    return np.partition(values, rank, axis=-1)[..., rank]


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that best parts values >= 0 into two classes.

    After Otsu, "A threshold selection method from gray-level histograms", 1979: of all
    thresholds, the one with the greatest variance between the classes.
    """
    step = max(values.max(), 1e-6) / 64
    count = np.bincount((values / step).astype(int).ravel(), minlength=65)
    below, total = np.cumsum(count)[:-1], np.cumsum(count * np.arange(len(count)))
    above = count.sum() - below
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return step * (1 + np.argmax(below * above * (mean_above - mean_below) ** 2))


def bounding_box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper left corner (y, x) and the size (height, width) of what is true."""
    places = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    corner = np.array([place[0] for place in places])
    return corner, np.array([place[-1] for place in places]) + 1 - corner


def find_digit(ink: np.ndarray) -> np.ndarray:
    """The mask (height, width) of the digit in `ink`: its main piece and its loose parts.

    `ink` is positive where it is lighter than the paper. Raises ValueError if nothing in
    it looks like one digit.
    """
    # Below the paper there is only noise; of a normal one, 16 % lies beyond one deviation.
    noise = max(0.0, -quantile(ink.ravel(), 0.16))
    while True:
        strong = max(otsu_threshold(np.maximum(ink, 0)), 3 * noise, FAINT)
        # A piece needs strong ink somewhere, and then reaches as far as weaker ink does.
        labels, count = scipy.ndimage.label(ink > 0.6 * strong, CONNECTED)
        mass = np.bincount(labels.ravel(), (ink * (ink > strong)).ravel(), count + 1)[1:]
        if not mass.any():
            raise ValueError("no digit found")
        boxes = scipy.ndimage.find_objects(labels)
        ends = np.array([[(side.start, side.stop) for side in box] for box in boxes])
        start, stop = ends[..., 0], ends[..., 1]
        cut_off = (start == 0).any(axis=1) | (stop == ink.shape).any(axis=1)
        middle = (start + stop) / 2 / ink.shape
        depth = np.minimum(middle, 1 - middle).min(axis=1)  # from the nearest side
        fringe = cut_off & (depth < FRINGE)
        if not fringe.any():
            break
        # A page's edge or a neighbour goes, and the threshold is found anew without it.
        ink = np.where(np.r_[False, fringe][labels], 0, ink)
    # The digit is likely what has most ink, is in the middle, and is not cut off.
    main = np.argmax(mass * depth * np.where(cut_off, 0.15, 1))
    if np.sum(mass > 0.25 * mass[main]) > MOST_PIECES or mass[main] < LEAST_SHARE * mass.sum():
        raise ValueError("no digit found")
    gap = np.maximum(start - stop[main], start[main] - stop).max(axis=1)
    near = gap <= 0.15 * max(stop[main] - start[main])
    around = ((start < start[main]) & (stop > stop[main])).all(axis=1)  # a box to write in
    own = near & ~around & (mass >= 0.04 * mass[main]) & (~cut_off | cut_off[main])
    return np.r_[False, own][labels]


def isolate(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The ink of `mask` with its soft edges, in full strength: (height, width) in [0, 1]."""
    ink = np.clip(ink / quantile(ink[mask], 0.8), 0, 1)
    return np.where(scipy.ndimage.binary_dilation(mask, CONNECTED), ink, 0)


def stroke_width(mask: np.ndarray) -> float:
    """The width in pixels of the strokes in a mask (height, width)."""
    # In a bar of width w the mean distance to the outside is (w + 1)^2 / 4w; solved for w:
    distance = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))
    half = 2 * distance.sum() / mask.sum() - 1
    return half + np.sqrt(max(half**2 - 1, 0))


def thicken(ink: np.ndarray) -> np.ndarray:
    """`ink` (height, width) in [0, 1]; a pen too thin to survive the shrinking is widened.

    Raises ValueError if there is no pen, but a blob.
    """
    size, width = max(bounding_box(ink > EDGE)[1]), stroke_width(ink > 0.5)
    if width > BOLDEST * size:
        raise ValueError("no digit found")
    grow = (PEN * size / 20 - width) / 2
    if grow <= 0.25:
        return ink
    ink = np.pad(ink, int(grow) + 2)
    distance = scipy.ndimage.distance_transform_edt(ink <= 0.5)
    return np.maximum(ink, np.clip(grow + 1 - distance, 0, 1))


def place(ink: np.ndarray) -> np.ndarray:
    """Fit ink (height, width) into 20 x 20 of 28 x 28 pixels, centred as MNIST's digits are.

    Their centre of mass lies at row and column 14, counted from 0: half a pixel below and
    to the right of the middle.
    """
    pixel = max(bounding_box(ink > EDGE)[1]) / 20
    margin = int(15 * pixel) + 1
    y, x = (center + margin + 0.5 for center in scipy.ndimage.center_of_mass(ink))
    before, after = 14.5 * pixel, 13.5 * pixel
    frame = (x - before, y - before, x + after, y + after)
    roomy = Image.fromarray(np.pad(ink, margin).astype(np.float32))
    return np.asarray(roomy.resize((28, 28), Image.Resampling.BICUBIC, frame)).clip(0, 1)
