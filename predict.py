"""Let the trained network read digits, and draw them with what it says.

`python predict.py --data mnist.npz` prints

    test digit    0  7  100.0 %
    test digit    1  2  100.0 %
    test digit    2  1   99.9 %
    test digit    3  0  100.0 %
    test digit    4  4  100.0 %
    test digit    5  1  100.0 %
    test digit    6  4   99.8 %
    test digit    7  9   98.8 %
    test digit    8  5   98.4 %
    test digit    9  9  100.0 %
    Saved outputs/predictions.png
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import data
from train import EVALUATION_BATCH, exit_status, staged

if TYPE_CHECKING:
    from model import keras

# As in train.py, what needs TensorFlow is imported inside the functions.

BATCH = 100  # images in memory at a time: enough to spread the cost of calling the network
UNSURE = 0.6  # confidence below which the second guess is worth saying


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return exit_status("predict.py", lambda: predict(args))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Let the trained network read images of handwritten digits, one digit "
        "each, or digits of MNIST's test set; plot them with its answers."
    )
    option = parser.add_argument
    option(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="image file, or folder to search for image files (default: test digits)",
    )
    option(
        "--model",
        metavar="FILE",
        default="outputs/model.keras",
        help="network saved by train.py (default: %(default)s)",
    )
    option(
        "--data",
        metavar="PATH",
        help="where the test digits come from (default: as in train.py)",
    )
    option(
        "--count",
        type=int,
        metavar="N",
        default=10,
        help="test digits to read (default: %(default)s)",
    )
    option(
        "--mistakes",
        action="store_true",
        help="take the N most confident mistakes in the test set instead of its first N",
    )
    option(
        "--output",
        metavar="FILE",
        default="outputs/predictions.png",
        help="picture to save (default: %(default)s)",
    )
    option(
        "--csv",
        metavar="FILE",
        help="also save a table of image, digit and confidence (from 0 to 1)",
    )
    option("--show", action="store_true", help="also open the picture in a window")
    args = parser.parse_intermixed_args(argv)
    if args.count < 1:
        parser.error(f"--count must be at least 1, not {args.count}")
    if args.images and (args.mistakes or args.data):
        parser.error("--mistakes and --data are about the test digits: leave out IMAGE")
    for name, path in [("--output", args.output), ("--csv", args.csv)]:
        if path and (Path(path).is_dir() or not Path(path).suffix):
            parser.error(f"{name} must name a file with an ending, not {path}")
    if not Path(args.model).exists():
        message = f'{args.model} not found; run "python train.py" first'
        parser.exit(2, f"predict.py: error: {message}\n")
    return args


def predict(args: argparse.Namespace) -> None:
    """Reload the network, let it read digits, save what came of it.

    Raises OSError if a file cannot be read or written and ValueError if the model, the
    data or an image is not what it should be.
    """
    from model import load_network
    from plots import check_format, show

    check_format(args.output)
    network = load_network(args.model)
    note_other_metrics(Path(args.model))
    with ExitStack() as stack:
        # Before any image is read, so that what cannot be written to is known at once.
        picture = stack.enter_context(staged_file(args.output))
        table = stack.enter_context(staged_file(args.csv)) if args.csv else None
        if args.images:
            rows = predict_images(network, args.images, picture)
        else:
            rows = predict_test_digits(network, args, picture)
        if table:
            save_csv(table, rows)
    print(f"Saved {args.output}" + (f" and {args.csv}" if args.csv else ""))
    if args.show:
        show(args.output)
    if unread := sum(digit == "" for _, digit, _ in rows):
        raise ValueError(f"{unread:,} of {len(rows):,} images could not be read")


@contextmanager
def staged_file(path: str) -> Iterator[Path]:
    """A file to write, which at the end takes the place of `path`; see `staged`."""
    with staged(Path(path).parent) as folder:
        yield folder / Path(path).name


def note_other_metrics(model: Path) -> None:
    """Say on stderr if the metrics beside `model` are those of another network."""
    metrics = model.with_name("metrics.json")
    if not metrics.exists():
        return
    if hashlib.sha256(model.read_bytes()).hexdigest() not in metrics.read_text(
        errors="replace"
    ):
        print(f"predict.py: note: {metrics} is about another network", file=sys.stderr)


class Reading(NamedTuple):
    """What became of one image: its `problem`, or else everything but that."""

    path: str
    problem: str = ""
    given: np.ndarray | None = None  # (height, width), grey, in [0, 1]
    seen: np.ndarray | None = None  # (28, 28), in [0, 1]
    probabilities: np.ndarray | None = None  # (10,)

    @property
    def digit(self) -> int:
        """What the network takes the image for."""
        return int(self.probabilities.argmax())

    @property
    def confidence(self) -> float:
        """How sure it is of that, in [0, 1]."""
        return float(self.probabilities.max())


def predict_images(network: "keras.Model", images: Sequence[str], picture: Path) -> list[tuple]:
    """Read a person's own images: print each answer, draw them all or the least certain.

    Returns the rows of the table. Raises ValueError if not a single image could be read.
    """
    from model import keras
    from plots import MOST_READINGS, plot_readings

    paths = data.find_images(images)
    progress = None
    if sys.stdout.isatty() and len(paths) > BATCH:
        progress = keras.utils.Progbar(len(paths))
    erase = "\r\x1b[K" if progress else ""  # the bar, which then moves on below the line
    rows, drawn = [], []
    for done, reading in enumerate(read_images(network, paths), start=1):
        print(erase, end="", flush=True)
        if reading.problem:
            print(f"predict.py: {reading.path}: {reading.problem}", file=sys.stderr)
            rows.append((reading.path, "", ""))
        else:
            print(describe(reading))
            rows.append((reading.path, reading.digit, f"{reading.confidence:.4f}"))
            drawn.append(reading)
        if len(drawn) > 2 * MOST_READINGS:  # so that memory does not grow with the images
            drawn = least_certain(drawn, MOST_READINGS)
        if progress:
            progress.update(done)

    if not drawn:
        raise ValueError("no image could be read")
    title = "As given and, below, as the network saw it"
    read = sum(digit != "" for _, digit, _ in rows)
    if read > MOST_READINGS:
        title += f": the {MOST_READINGS} least certain of {read:,} images"
        drawn = least_certain(drawn, MOST_READINGS)
    plot_readings(
        picture,
        [reading.given for reading in drawn],
        [reading.seen for reading in drawn],
        [reading.digit for reading in drawn],
        [reading.confidence for reading in drawn],
        [Path(reading.path).name for reading in drawn],
        title,
    )
    return rows


def describe(reading: Reading) -> str:
    """The line printed for an image that was read."""
    from plots import percent

    line = f"{reading.path}  {reading.digit}  {percent(reading.confidence)}"
    if reading.confidence < UNSURE:
        line += f"  unsure, perhaps {np.argsort(reading.probabilities)[-2]}"
    return line


def least_certain(readings: list[Reading], count: int) -> list[Reading]:
    """The `count` readings of least confidence, in the order of their confidence."""
    return sorted(readings, key=lambda reading: reading.confidence)[:count]


def read_images(network: "keras.Model", paths: Sequence[str]) -> Iterator[Reading]:
    """Read image files in batches; what cannot be read comes with its problem instead."""
    for start in range(0, len(paths), BATCH):
        batch = [prepare(path) for path in paths[start : start + BATCH]]
        seen = [reading.seen for reading in batch if reading.seen is not None]
        answers = iter(network(np.stack(seen)).numpy() if seen else ())
        for reading in batch:
            if reading.seen is not None:
                reading = reading._replace(probabilities=next(answers))
            yield reading


def prepare(path: str) -> Reading:
    """Bring an image file to MNIST's form, or say why that cannot be done."""
    try:
        grey = data.read_image(path)
        return Reading(path, given=data.shrink(grey, data.WORK), seen=data.to_mnist(grey))
    except ValueError as error:
        return Reading(path, problem=str(error))


def predict_test_digits(
    network: "keras.Model", args: argparse.Namespace, picture: Path
) -> list[tuple]:
    """Read digits of the test set, the first or the mistakes: print each answer, draw all."""
    from plots import percent, plot_predictions

    digits = data.load_mnist(args.data)
    x_test, y_true = data.normalize(digits.x_test), digits.y_test
    if args.count > len(x_test):
        raise ValueError(f"--count {args.count} is more than the {len(x_test):,} test digits")
    probabilities = network.predict(x_test, EVALUATION_BATCH, verbose=0)
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if args.mistakes:
        index = most_confident_mistakes(y_true, y_pred, confidence)[: args.count]
        title = f"Most confident mistakes in the {len(x_test):,} test digits"
        if len(index) == 0:
            raise ValueError(f"no mistakes to show: all {len(x_test):,} are read correctly")
    else:
        index = np.arange(args.count)
        title = "Test digits"
    for i in index:
        verdict = "" if y_pred[i] == y_true[i] else f"  wrong: it is a {y_true[i]}"
        print(f"test digit {i:4}  {y_pred[i]}  {percent(confidence[i]):>7}{verdict}")
    plot_predictions(
        picture,
        x_test[index],
        y_pred[index],
        confidence[index],
        y_true[index],
        f"{title} of {digits.name}",
    )
    return [(f"test digit {i}", y_pred[i], f"{confidence[i]:.4f}") for i in index]


def most_confident_mistakes(
    y_true: np.ndarray, y_pred: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Indices of the mistakes, the most confident first; arguments are (n,)."""
    mistakes = np.flatnonzero(y_pred != y_true)
    return mistakes[np.argsort(-confidence[mistakes], kind="stable")]


def save_csv(path: Path, rows: Iterable[tuple]) -> None:
    """Write a row an image: its path as given, the digit, the confidence in [0, 1].

    The last two are empty where no digit was read.
    """
    # File names need not be valid text; surrogateescape writes back the bytes they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "digit", "confidence"])
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
