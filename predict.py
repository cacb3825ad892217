"""Let the trained network read digits, and draw them with what it says.

`python predict.py --data ../shared/mnist.npz` prints

    test digit    0  7  100.0 %
    test digit    1  2  100.0 %
    test digit    2  1  100.0 %
    test digit    3  0  100.0 %
    test digit    4  4   99.9 %
    test digit    5  1  100.0 %
    test digit    6  4  100.0 %
    test digit    7  9  100.0 %
    test digit    8  5   96.3 %
    test digit    9  9  100.0 %
    Saved outputs/predictions.png
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import data
from train import EVALUATION_BATCH, exit_status, staged

# As in train.py, what needs TensorFlow is imported inside the functions.


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return exit_status("predict.py", lambda: predict(args))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Read test digits with the trained network and plot its predictions."
    )
    option = parser.add_argument
    option(
        "--model",
        metavar="FILE",
        default="outputs/model.keras",
        help="network saved by train.py (default: %(default)s)",
    )
    option("--data", metavar="PATH", help="where the test digits come from, as for train.py")
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
    option("--csv", metavar="FILE", help="also save image, digit and confidence as a table")
    option("--show", action="store_true", help="also open the picture in a window")
    args = parser.parse_args(argv)
    if args.count < 1:
        parser.error(f"--count must be at least 1, not {args.count}")
    if not Path(args.model).exists():
        message = f'{args.model} not found; run "python train.py" first'
        parser.exit(2, f"predict.py: error: {message}\n")
    return args


def predict(args: argparse.Namespace) -> None:
    """Reload the network, read digits, predict, and save what came of it.

    Raises OSError if a file cannot be read or written and ValueError if the model or the
    data are not what they should be.
    """
    from model import load_network
    from plots import percent, plot_predictions, show

    network = load_network(args.model)
    digits = data.load_mnist(args.data)
    x_test, y_test = data.normalize(digits.x_test), digits.y_test
    if args.count > len(x_test):
        raise ValueError(f"--count {args.count} is more than the {len(x_test):,} test digits")

    probabilities = network.predict(x_test, EVALUATION_BATCH, verbose=0)
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if args.mistakes:
        index = most_confident_mistakes(y_test, y_pred, confidence)[: args.count]
        title = f"Most confident mistakes in {len(x_test):,} test digits"
        if len(index) == 0:
            raise ValueError(f"no mistakes to show: all {len(x_test):,} are read correctly")
    else:
        index = np.arange(args.count)
        title = "Test digits"

    for i in index:
        verdict = "" if y_pred[i] == y_test[i] else f"  wrong: it is a {y_test[i]}"
        print(f"test digit {i:4}  {y_pred[i]}  {percent(confidence[i]):>7}{verdict}")
    output = Path(args.output)
    with staged(output.parent) as folder:
        plot_predictions(
            folder / output.name,
            x_test[index],
            y_pred[index],
            confidence[index],
            y_test[index],
            f"{title} ({Path(digits.source).name})",
        )
    print(f"Saved {output}")
    if args.csv:
        save_csv(
            args.csv,
            [(f"test digit {i}", y_pred[i], confidence[i]) for i in index],
        )
        print(f"Saved {args.csv}")
    if args.show:
        show(output)


def most_confident_mistakes(
    y_true: np.ndarray, y_pred: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Indices of the mistakes, the most confident first; arguments are (n,)."""
    mistakes = np.flatnonzero(y_pred != y_true)
    return mistakes[np.argsort(-confidence[mistakes], kind="stable")]


def save_csv(path: str, rows: Iterable[tuple[str, int, float]]) -> None:
    """Write one row an image: its name, the digit read, the confidence in [0, 1]."""
    with (
        staged(Path(path).parent) as folder,
        open(folder / Path(path).name, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["image", "digit", "confidence"])
        writer.writerows((name, digit, f"{sure:.4f}") for name, digit, sure in rows)


if __name__ == "__main__":
    sys.exit(main())
