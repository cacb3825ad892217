"""Read digits with the trained network, and plot them with its predictions.

    python predict.py
    python predict.py note.jpg scans/ --csv digits.csv
    python predict.py --draw

The README shows what it prints and the pictures it saves.
"""

import argparse
import csv
import os
import re
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import data
from cli import InputError, path_argument, replace_on_success, run_script, warn
from photos import Model, Reading, find_files, load_picture, read_picture, read_pictures
from plots import MAX_READINGS, is_plot, percent, plot_predictions, plot_readings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from model import keras

DEFAULT_COUNT = 10  # test images that are shown by default
FILES_PER_CALL = 20  # a call of the model takes about as long for 20 digits as for one
MAX_LISTED = 5  # files of other types, or unsure digits, in one line
OUTPUT_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")
READINGS_TITLE = "Digits found and, below, as the network sees them"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("predict.py", lambda: predict(args))


def predict(args: argparse.Namespace) -> None:
    """Reload the model, let it read digits, plot and save what it reads.

    Raises OSError if a file cannot be read or written, and InputError if the model, the data
    or a picture is wrong. If only some pictures are wrong, the others are still saved first.
    """
    # Paths are checked first, because importing TensorFlow takes seconds.
    check_model_file(args.model)
    if args.draw:
        from window import open_figure  # here: it looks for a display, which only this needs

        story = partial(predict_drawing, open_figure(), Path(args.output).parent)
    elif args.pictures:
        story = partial(predict_pictures, find_pictures(args))
    else:
        mnist = data.load_test_data(args.data, args.model)
        story = partial(predict_test_images, mnist, args.count, args.mistakes)
    outputs = [path for path in (args.output, args.csv) if path]
    with replace_on_success(*outputs) as (plot_file, *csv_files):
        rows = story(reload_model(args.model), plot_file)
        if not rows:  # the user has closed the window without drawing
            return
        for csv_file in csv_files:
            save_csv(csv_file, rows)
    print(f"Saved {' and '.join(outputs)}", flush=True)
    if args.show and not webbrowser.open(Path(args.output).resolve().as_uri()):
        warn(f"no program found to show {args.output}")
    if unread := sum(row["digits"] is None for row in rows):
        raise InputError(f"{unread:,} of {len(rows):,} pictures cannot be read")


def check_model_file(path: str) -> None:
    """Raise InputError if there is no model file at `path`."""
    if Path(path).exists():
        return
    if Path(path).with_name("saved_model.pb").exists():
        raise InputError(f"{Path(path).parent} is a SavedModel; save it as a .keras file")
    raise InputError(f'{path} not found; run "python train.py" first')


def reload_model(path: str) -> "keras.Model":
    """The model in a file; raises InputError if it does not fit."""
    from model import check_on_digits, load_model

    model = load_model(path)
    bundled = data.load_bundled()
    check_on_digits(model, path, data.normalize(bundled.x_eval[:100]), bundled.y_eval[:100])
    return model


# --- images of MNIST's test set


def predict_test_images(
    mnist: data.Mnist,
    count: int | None,
    mistakes: bool,
    model: "keras.Model",
    plot_file: Path,
) -> list[dict]:
    """Read all test images; print and plot `count` of them.

    These are the first ones or, if `mistakes`, the most confident mistakes. Returns the rows of
    the table.
    """
    x_test, y_true = mnist.x_eval, mnist.y_eval
    count = count or min(DEFAULT_COUNT, len(x_test))
    if count > len(x_test):
        raise InputError(f"--count {count} is more than the {len(x_test):,} test images")
    probabilities = model.predict(data.normalize(x_test), batch_size=1000, verbose=0)
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if mistakes:
        shown = most_confident_mistakes(y_true, y_pred, confidence)[:count]
        title = f"Most confident mistakes in the {len(x_test):,} test images"
        if len(shown) == 0:
            raise InputError(f"no mistakes to show: all {len(x_test):,} are read correctly")
    else:
        shown = np.arange(count)
        title = "Test images"
    rows = []
    for i in shown:
        verdict = "" if y_pred[i] == y_true[i] else f"  wrong: true digit {y_true[i]}"
        print(f"test image {i:4}  {y_pred[i]}  {percent(confidence[i]):>7}{verdict}")
        rows.append(
            {
                "picture": f"test image {i}",
                "digits": y_pred[i],
                "confidence": f"{confidence[i]:.4f}",
                "true digit": y_true[i],
            }
        )
    plot_predictions(
        plot_file,
        data.normalize(x_test[shown]),
        y_pred[shown],
        confidence[shown],
        y_true[shown],
        f"{title} of {mnist.name}",
    )
    return rows


def most_confident_mistakes(
    y_true: np.ndarray, y_pred: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Indices of the mistakes, the most confident first; arguments are (n,)."""
    mistakes = np.flatnonzero(y_pred != y_true)
    return mistakes[np.argsort(-confidence[mistakes], kind="stable")]


# --- a person's own pictures


def find_pictures(args: argparse.Namespace) -> list[str]:
    """The picture files that are named or in folders, without our own plots in folders.

    Raises InputError if an output would replace one of them.
    """
    found, others = find_files(args.pictures)
    named = set(map(Path, args.pictures))
    files = [file for file in found if Path(file) in named or not is_plot(file)]
    if not files:
        raise InputError(f"{found[0]} is a plot of this project; give a picture to read")
    if others:
        names = ", ".join(Path(other).name for other in others[:MAX_LISTED])
        more = ", ..." if len(others) > MAX_LISTED else ""
        noun = "files of other types" if len(others) > 1 else "file of another type"
        warn(f"left out {len(others):,} {noun}: {names}{more}")
    pictures = set(map(os.path.realpath, files))
    for option, path in [("--output", args.output), ("--csv", args.csv)]:
        if path and os.path.realpath(path) in pictures:
            raise InputError(f"{option} would replace the picture {path}; give another name")
    if not any(map(os.path.exists, files)):
        raise InputError(f"{files[0]}: No such file or directory")
    return files


def predict_pictures(files: Sequence[str], model: Model, plot_file: Path) -> list[dict]:
    """Read, print and plot picture files; returns the rows of the table.

    Of more than MAX_READINGS, the least certain are plotted. Raises InputError if no digit is
    read in any file.
    """
    rows = {file: to_row(file, None) for file in files}
    shown, read_count = [], 0
    for reading in read_files(files, model):
        rows[reading.name] = to_row(reading.name, reading)
        for hint in reading.hints:
            warn(f"{reading.name}: {hint}")
        if reading.digits:
            print(describe(reading), flush=True)
            read_count += 1
            shown.append(reading)
            if len(shown) > MAX_READINGS:  # keep only these in memory
                shown = sorted(shown, key=lambda reading: reading.confidence)[:MAX_READINGS]
        elif len(files) > 1:
            warn(f"{reading.name}: no digit found")
    if len(files) == 1 and not shown:
        raise InputError(f"{files[0]}: no digit found")
    if not shown:
        raise InputError(f"no digit read in any of {len(files):,} pictures")
    title = READINGS_TITLE
    if read_count > MAX_READINGS:
        title += f": the {MAX_READINGS} least certain of {read_count:,} pictures"
    plot_readings(plot_file, shown, title)
    return list(rows.values())


def read_files(files: Sequence[str], model: Model) -> Iterator[Reading]:
    """The readings of those files that can be read; warn of the others.

    If there is only one file, an InputError is raised in place of the warning.
    """
    for start in range(0, len(files), FILES_PER_CALL):
        images = {}
        for file in files[start : start + FILES_PER_CALL]:
            try:
                images[file] = load_picture(file)
            except InputError as error:
                if len(files) == 1:
                    raise
                warn(error)
        yield from read_pictures(images, model)


def describe(reading: Reading) -> str:
    """The line printed for a picture: its digits, its confidence and second guesses."""
    line = f"{reading.name}  {reading.text}  {percent(reading.confidence)}"
    unsure = np.flatnonzero(reading.unsure)
    guesses = [
        f"digit no. {i + 1}: {best}, perhaps {second}"
        for i in unsure[:MAX_LISTED]
        for second, best in [reading.probabilities[i].argsort()[-2:]]
    ]
    if len(unsure) > MAX_LISTED:
        guesses.append(f"and {len(unsure) - MAX_LISTED} more")
    return f"{line}  unsure of {'; '.join(guesses)}" if guesses else line


# --- digits drawn in a window


def predict_drawing(
    figure: "Figure", folder: Path, model: Model, plot_file: Path
) -> list[dict]:
    """Read digits while they are drawn; print and plot the last drawing.

    The window saves drawings in `folder`. Returns the rows of the table, which is empty if
    nothing was drawn.
    """
    from window import draw

    reading = draw(figure, lambda paper: read_picture(paper, model, "drawing"), folder)
    if reading is None:
        return []
    if not reading.digits:
        raise InputError("drawing: no digit found")
    print(describe(reading), flush=True)
    plot_readings(plot_file, [reading], READINGS_TITLE)
    return [to_row(reading.name, reading)]


# --- what all three share


def to_row(picture: str, reading: Reading | None) -> dict[str, str | None]:
    """A row of the table; digits are None if the picture cannot be read."""
    return {
        "picture": picture,
        "digits": reading and reading.text,
        "confidence": f"{reading.confidence:.4f}" if reading and reading.digits else None,
    }


def save_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write a table: picture (path, `drawing` or `test image N`), digits, confidence in [0, 1].

    If no digit was found, digits and confidence are empty. Test images have a fourth column,
    the true digit.
    """
    # A file's name need not be valid text; surrogateescape writes its bytes unchanged.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; if it is wrong, the program ends with status 2."""
    parser = argparse.ArgumentParser(
        description="Let the trained network read handwritten digits in your pictures, or "
        "images of MNIST's test set; plot them with its answers.",
        epilog="The percentage printed estimates how likely all digits found are read "
        "correctly. Signs, separators and letters are left out or read as digits.",
    )
    add = parser.add_argument
    add(
        "pictures",
        nargs="*",
        type=path_argument,
        metavar="PICTURE",
        help="picture file, or folder with picture files (default: MNIST's test images)",
    )
    add(
        "--model",
        type=path_argument,
        metavar="FILE",
        default="outputs/model.keras",
        help="model saved by train.py, or its folder (default: %(default)s)",
    )
    add(
        "--data",
        type=path_argument,
        metavar="PATH",
        help="where to take MNIST's test images from, as for train.py (default: the data that "
        "the model was trained on)",
    )
    add(
        "--count",
        type=int,
        metavar="N",
        help=f"test images to read; at most 50 are plotted (default: {DEFAULT_COUNT})",
    )
    add(
        "--mistakes",
        action="store_true",
        help="show the N most confident mistakes in the test set instead of its first N images",
    )
    add(
        "--output",
        type=path_argument,
        metavar="FILE",
        default="outputs/predictions.png",
        help="picture to save (default: %(default)s)",
    )
    add(
        "--csv",
        type=path_argument,
        metavar="FILE",
        help="also save a table of picture, digits and confidence (from 0 to 1)",
    )
    add(
        "--draw",
        action="store_true",
        help="open a window to draw digits in, and read them while they are drawn",
    )
    add("--show", action="store_true", help="also open the saved picture")
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    args = parser.parse_intermixed_args(arguments[:end])
    args.pictures += arguments[end + 1 :]  # parse_intermixed_args accepts none after "--"
    has_test_options = args.count is not None or args.mistakes or args.data is not None
    if args.count is not None and args.count < 1:
        parser.error(f"--count must be at least 1, not {args.count}")
    if args.draw and (args.pictures or has_test_options):
        parser.error("--draw cannot be used with PICTURE, --count, --mistakes or --data")
    if args.pictures and has_test_options:
        parser.error("PICTURE cannot be used with --count, --mistakes or --data")
    check_outputs(args, parser)
    if Path(args.model).is_dir():
        args.model = str(Path(args.model, "model.keras"))
    return args


def check_outputs(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with status 2 if an output has a wrong name."""
    for name, path, extensions in [
        ("--output", args.output, OUTPUT_EXTENSIONS),
        ("--csv", args.csv, (".csv", ".txt")),
    ]:
        if path and (Path(path).is_dir() or Path(path).suffix.lower() not in extensions):
            parser.error(f"{name} must name a {', '.join(extensions)} file, not {path}")
    if args.draw and re.fullmatch(r"drawing(-\d+)?\.png", Path(args.output).name):
        parser.error(f"--output {args.output}: the window saves drawings under such names")


if __name__ == "__main__":
    sys.exit(main())
