"""Let the trained network read digits, and draw them with what it says.

    python predict.py
    python predict.py note.jpg photos/ --csv digits.csv

The README shows what it prints and the pictures it saves.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import data
from cli import InputError, replace_on_success, run_script

if TYPE_CHECKING:
    from model import keras
    from plots import Panel

# As in train.py, what needs TensorFlow or takes long to import is imported inside functions.

BATCH = 100  # images prepared before the model is called: calling it has a fixed cost
UNSURE = 0.6  # confidence below which the second guess is worth saying


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("predict.py", lambda: predict(args))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Let the trained network read the handwritten digits in pictures, or "
        "digits of MNIST's test set; plot them with its answers."
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
        help="model saved by train.py, or its folder (default: %(default)s)",
    )
    option(
        "--data",
        metavar="PATH",
        help="MNIST, as for train.py, to take the test digits from (default: the data that "
        "the model was trained on)",
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
        help="also save a table of image, digits and confidence (from 0 to 1)",
    )
    option("--show", action="store_true", help="also open the picture in a window")
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    args = parser.parse_intermixed_args(given[:end])
    args.images += given[end + 1 :]  # argparse takes none behind "--" here
    if args.count < 1:
        parser.error(f"--count must be at least 1, not {args.count}")
    if args.images and (args.mistakes or args.data):
        parser.error("--mistakes and --data are about the test digits: leave out IMAGE")
    for name, path in [("--output", args.output), ("--csv", args.csv)]:
        if path and (Path(path).is_dir() or not Path(path).suffix):
            parser.error(f"{name} must name a file with an ending, not {path}")
    if Path(args.model).is_dir():
        args.model = str(Path(args.model, "model.keras"))
    if not Path(args.model).exists():
        message = f'{args.model} not found; run "python train.py" first'
        parser.exit(2, f"predict.py: error: {message}\n")
    return args


def predict(args: argparse.Namespace) -> None:
    """Reload the model, let it read digits, save what came of it.

    Raises OSError if a file cannot be read or written and InputError if the model, the
    data or an image is not what it should be.
    """
    from model import load_model
    from plots import check_format, show

    check_format(args.output)
    model = load_model(args.model)
    with ExitStack() as stack:
        # Before any image is read, so that what cannot be written to is known at once.
        picture = stack.enter_context(replace_file_on_success(args.output))
        table = stack.enter_context(replace_file_on_success(args.csv)) if args.csv else None
        if args.images:
            rows = predict_images(model, args.images, picture)
        else:
            rows = predict_test_digits(model, args, picture)
        if table:
            save_csv(table, rows)
    print(f"Saved {args.output}" + (f" and {args.csv}" if args.csv else ""), flush=True)
    if args.show:
        show(args.output)
    if unread := sum(digits == "" for _, digits, _ in rows):
        raise InputError(f"no digit read in {unread:,} of {len(rows):,} images")


@contextmanager
def replace_file_on_success(path: str) -> Iterator[Path]:
    """A file to write, which at the end replaces `path`; see `cli.replace_on_success`."""
    with replace_on_success(Path(path).parent) as folder:
        yield folder / Path(path).name


class Prediction(NamedTuple):
    """What was read in an image: its `problem`, or else all the rest."""

    path: str
    problem: str = ""
    panel: "Panel | None" = None  # the image and its digits, to be drawn
    probabilities: np.ndarray = np.empty((0, 10))  # (n, 10), of the digits in reading order

    @property
    def lines(self) -> list[str]:
        """The digits of each line as text."""
        text = "".join(str(digit) for digit in self.probabilities.argmax(axis=1))
        stops = np.cumsum([0, *self.panel.line_lengths])
        return [text[start:stop] for start, stop in pairwise(stops)]

    @property
    def confidence(self) -> float:
        """The probability in [0, 1] that all digits are read correctly."""
        return float(self.probabilities.max(axis=1).prod())


def predict_images(model: "keras.Model", images: Sequence[str], picture: Path) -> list[tuple]:
    """Read a person's own images: print each answer, draw them all or the least certain.

    Returns the rows of the table. Raises InputError if no digit was found in any of them.
    """
    from images import find_images
    from plots import MOST_PANELS, plot_readings

    rows, drawn = [], []
    for prediction in read_images(model, find_images(images)):
        if prediction.problem:
            print(f"predict.py: {prediction.path}: {prediction.problem}", file=sys.stderr)
            rows.append((prediction.path, "", ""))
            continue
        print(describe(prediction), flush=True)
        digits = " ".join(prediction.lines)
        rows.append((prediction.path, digits, f"{prediction.confidence:.4f}"))
        drawn.append(prediction)
        if len(drawn) > 2 * MOST_PANELS:  # so that memory does not grow with the images
            drawn = least_certain(drawn, MOST_PANELS)

    if not drawn:
        raise InputError("no digit was found in any image")
    title = "Digits found and, below, as the network sees them"
    read = sum(digits != "" for _, digits, _ in rows)
    if read > MOST_PANELS:
        title += f": the {MOST_PANELS} least certain of {read:,} images"
        drawn = least_certain(drawn, MOST_PANELS)
    plot_readings(
        picture,
        [prediction.panel for prediction in drawn],
        [prediction.probabilities.argmax(axis=1) for prediction in drawn],
        [prediction.probabilities.max(axis=1) for prediction in drawn],
        UNSURE,
        title,
    )
    return rows


def describe(prediction: Prediction) -> str:
    """The line printed for an image: its digits, how sure they are, and second guesses."""
    from plots import percent

    text = f"{prediction.path}  {' '.join(prediction.lines)}  {percent(prediction.confidence)}"
    guesses = [
        f"digit {number}: {p.argmax()}, perhaps {np.argsort(p)[-2]}"
        for number, p in enumerate(prediction.probabilities, start=1)
        if p.max() < UNSURE
    ]
    return f"{text}  unsure of {'; '.join(guesses)}" if guesses else text


def least_certain(predictions: list[Prediction], count: int) -> list[Prediction]:
    """The `count` predictions of least confidence, in the order of their confidence."""
    return sorted(predictions, key=lambda prediction: prediction.confidence)[:count]


def read_images(model: "keras.Model", paths: Sequence[str]) -> Iterator[Prediction]:
    """Read image files in batches; what cannot be read comes with its problem instead."""
    for start in range(0, len(paths), BATCH):
        batch = [find_in_file(path) for path in paths[start : start + BATCH]]
        digits = [pixels for found in batch if found.panel for pixels in found.panel.digits]
        probabilities = model(np.stack(digits)).numpy() if digits else np.empty((0, 10))
        for found in batch:
            count = len(found.panel.digits) if found.panel else 0
            yield found._replace(probabilities=probabilities[:count])
            probabilities = probabilities[count:]


def find_in_file(path: str) -> Prediction:
    """Find the digits in an image file, or say why there are none."""
    from images import find_digits, read_image, to_grey
    from plots import PANEL_PIXELS, Panel

    try:
        image = read_image(path)
    except InputError as error:
        return Prediction(path, problem=str(error))
    lines = find_digits(to_grey(image))
    digits = [digit for line in lines for digit in line]
    if not digits:
        return Prediction(path, problem="no digit found")
    scale = min(1, PANEL_PIXELS / max(image.size))
    size = [max(1, round(length * scale)) for length in image.size]
    panel = Panel(
        name=Path(path).name,
        image=np.asarray(image.resize(size)),
        boxes=np.array([digit.box for digit in digits]) * scale,
        digits=np.array([digit.pixels for digit in digits]),
        line_lengths=[len(line) for line in lines],
    )
    return Prediction(path, panel=panel)


def predict_test_digits(
    model: "keras.Model", args: argparse.Namespace, picture: Path
) -> list[tuple]:
    """Read digits of the test set, the first or the mistakes: print each answer, draw all."""
    from plots import percent, plot_predictions

    mnist = load_test_digits(args)
    x_test, y_true = data.normalize(mnist.x_test), mnist.y_test
    if args.count > len(x_test):
        raise InputError(f"--count {args.count} is more than the {len(x_test):,} test digits")
    probabilities = model.predict(data.batches(mnist.x_test, y_true), verbose=0)
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if args.mistakes:
        index = most_confident_mistakes(y_true, y_pred, confidence)[: args.count]
        title = f"Most confident mistakes in the {len(x_test):,} test digits"
        if len(index) == 0:
            raise InputError(f"no mistakes to show: all {len(x_test):,} are read correctly")
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
        f"{title} of {mnist.name}",
    )
    return [(f"test digit {i}", y_pred[i], f"{confidence[i]:.4f}") for i in index]


def load_test_digits(args: argparse.Namespace) -> data.Mnist:
    """The data of `--data`, or what metrics.json beside the model says it was trained on."""
    if args.data:
        return data.load_mnist(args.data)
    try:
        metrics = json.loads(Path(args.model).with_name("metrics.json").read_text())
        trained_on, bundled = metrics["data"], metrics["bundled_digits"]
    except (OSError, ValueError, KeyError, TypeError):  # a model from elsewhere
        return data.load_mnist()
    if bundled:
        return data.load_bundled()
    if trained_on and not Path(trained_on).exists():
        raise InputError(
            f"{trained_on}, which the model was trained on, is not there; give --data PATH"
        )
    mnist = data.load_mnist(trained_on)
    if mnist.bundled:
        raise InputError("the model has seen the bundled digits in training; give --data PATH")
    return mnist


def most_confident_mistakes(
    y_true: np.ndarray, y_pred: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Indices of the mistakes, the most confident first; arguments are (n,)."""
    mistakes = np.flatnonzero(y_pred != y_true)
    return mistakes[np.argsort(-confidence[mistakes], kind="stable")]


def save_csv(path: Path, rows: Iterable[tuple]) -> None:
    """Write rows of image (its path, or `test digit N`), digits, confidence in [0, 1].

    Lines of digits are separated by a space; where none was found, the last two are empty.
    """
    # File names need not be valid text; surrogateescape writes back the bytes they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "digits", "confidence"])
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
