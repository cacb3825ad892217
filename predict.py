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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import data
from cli import InputError, number, path_argument, replace_on_success, run_script, warn
from photos import Model, Reading, find_files, load_picture, read_picture, read_pictures
from plots import MAX_READINGS, is_plot, percent, plot_predictions, plot_readings

if TYPE_CHECKING:
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
    """Let the model read test images, pictures or a drawing; save the plot and the table.

    Raises InputError if the model, the data or a picture is wrong, and OSError if a file cannot
    be read or written. If only some pictures are wrong, the others are saved first.
    """
    check_model_file(args.model)
    outputs = [path for path in (args.output, args.csv) if path]
    with replace_on_success(*outputs) as (plot_file, *csv_files):
        if args.draw:
            rows = predict_drawing(args, plot_file)
        elif args.pictures:
            rows = predict_pictures(args, plot_file)
        else:
            rows = predict_test_images(args, plot_file)
        if not rows:  # the window was closed without a drawing
            return
        if args.csv:
            save_csv(csv_files[0], rows)
    print(f"Saved {' and '.join(outputs)}", flush=True)
    if args.show and not webbrowser.open(Path(args.output).resolve().as_uri()):
        warn(f"no program found to show {args.output}")
    if unread := sum(row["digits"] is None for row in rows):
        raise InputError(f"{unread:,} of {len(rows):,} pictures cannot be read")


# --- three stories, one for each use
#
# What the user gives is checked first, because loading the model takes seconds. Each story
# returns the rows of the table.


def predict_test_images(args: argparse.Namespace, plot_file: Path) -> list[dict]:
    """Read MNIST's test set; print and plot its first images or its most confident mistakes."""
    mnist = data.load_test_data(args.data, args.model)
    total = len(mnist.x_eval)
    if args.count and args.count > total:
        raise InputError(f"--count {args.count} is more than the {total:,} test images")
    model = reload_model(args.model)
    x_test, y_true = data.normalize(mnist.x_eval), mnist.y_eval
    probabilities = model.predict(x_test, batch_size=1000, verbose=0)
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if args.mistakes:
        mistakes = np.flatnonzero(y_pred != y_true)
        shown = mistakes[np.argsort(-confidence[mistakes], kind="stable")]
        title = f"Most confident mistakes in the {total:,} test images"
        if len(shown) == 0:
            raise InputError(f"no mistakes to show: all {total:,} are read correctly")
    else:
        shown, title = np.arange(total), "Test images"
    shown = shown[: args.count or DEFAULT_COUNT]
    rows = []
    for i in shown:
        verdict = "" if y_pred[i] == y_true[i] else f"  wrong: true digit {y_true[i]}"
        print(f"test image {i:4}  {y_pred[i]}  {percent(confidence[i]):>7}{verdict}")
        row = to_row(f"test image {i}", y_pred[i], confidence[i])
        rows.append(row | {"true digit": y_true[i]})
    title = f"{title} of {mnist.name}"
    plot_predictions(
        plot_file, x_test[shown], y_pred[shown], confidence[shown], y_true[shown], title
    )
    return rows


def predict_pictures(args: argparse.Namespace, plot_file: Path) -> list[dict]:
    """Read a person's pictures; print all, and plot the MAX_READINGS least certain."""
    files = find_pictures(args)
    model = reload_model(args.model)
    rows = {file: to_row(file) for file in files}  # replaced when a file is read
    shown, count = [], 0
    for reading in read_files(files, model):
        for hint in reading.hints:
            warn(f"{reading.name}: {hint}")
        if reading.digits:
            rows[reading.name] = to_row(reading.name, reading.text, reading.confidence)
            print(describe(reading), flush=True)
            count += 1
            shown.append(reading)
            if len(shown) > MAX_READINGS:  # keep only these in memory
                shown = sorted(shown, key=lambda reading: reading.confidence)[:MAX_READINGS]
        else:
            rows[reading.name] = to_row(reading.name, "")
            raise_or_warn(f"{reading.name}: no digit found", files)
    if not shown:
        raise InputError(f"no digit read in any of {len(files):,} pictures")
    title = READINGS_TITLE
    if count > MAX_READINGS:
        title += f": the {MAX_READINGS} least certain of {count:,} pictures"
    plot_readings(plot_file, shown, title)
    return list(rows.values())


def predict_drawing(args: argparse.Namespace, plot_file: Path) -> list[dict]:
    """Read digits while they are drawn; print and plot the last drawing.

    Drawings are saved in the folder of the plot. If nothing is drawn, there are no rows.
    """
    from window import draw, open_figure  # here: only this needs a display

    figure = open_figure()
    model = reload_model(args.model)
    folder = Path(args.output).parent
    reading = draw(figure, lambda paper: read_picture(paper, model, "drawing"), folder)
    if reading is None:
        return []
    if not reading.digits:
        raise InputError("drawing: no digit found")
    print(describe(reading), flush=True)
    plot_readings(plot_file, [reading], READINGS_TITLE)
    return [to_row(reading.name, reading.text, reading.confidence)]


# --- what the stories use, in their order


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


def find_pictures(args: argparse.Namespace) -> list[str]:
    """The picture files that are named, and those in folders except plots of this project.

    Raises InputError if there is nothing to read, or an output would replace a picture.
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
    real_paths = set(map(os.path.realpath, files))
    for option, path in [("--output", args.output), ("--csv", args.csv)]:
        if path and os.path.realpath(path) in real_paths:
            raise InputError(f"{option} would replace the picture {path}; give another name")
    if not any(map(os.path.exists, files)):
        raise InputError(f"{files[0]}: No such file or directory")
    return files


def read_files(files: Sequence[str], model: Model) -> Iterator[Reading]:
    """Load and read pictures, FILES_PER_CALL at a time, to have few of them in memory."""
    for start in range(0, len(files), FILES_PER_CALL):
        pictures = {}
        for file in files[start : start + FILES_PER_CALL]:
            try:
                pictures[file] = load_picture(file)
            except InputError as error:
                raise_or_warn(str(error), files)
        yield from read_pictures(pictures, model)


def raise_or_warn(problem: str, files: Sequence[str]) -> None:
    """Raise InputError for a problem with the only picture; warn of one of several."""
    if len(files) == 1:
        raise InputError(problem)
    warn(problem)


def describe(reading: Reading) -> str:
    """The line printed for a picture: its digits, its confidence and second guesses."""
    line = f"{reading.name}  {reading.text}  {percent(reading.confidence)}"
    unsure = np.flatnonzero(reading.unsure)
    second, best = reading.probabilities.argsort(axis=1)[:, -2:].T
    guesses = [
        f"digit no. {i + 1}: {best[i]}, perhaps {second[i]}" for i in unsure[:MAX_LISTED]
    ]
    if len(unsure) > MAX_LISTED:
        guesses.append(f"and {len(unsure) - MAX_LISTED} more")
    return f"{line}  unsure of {'; '.join(guesses)}" if guesses else line


def to_row(picture: str, digits: object = None, confidence: float | None = None) -> dict:
    """A row of the table; `digits` are None if the picture cannot be read."""
    share = None if confidence is None else f"{confidence:.4f}"
    return {"picture": picture, "digits": digits, "confidence": share}


def save_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write a table: picture (path, `drawing` or `test image N`), digits, confidence in [0, 1].

    If no digit is found or a picture cannot be read, digits and confidence are empty. Test
    images have a fourth column, the true digit.
    """
    # A file's name need not be valid text; surrogateescape writes its bytes unchanged.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


# --- the command line


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
        type=number(int, 1),
        metavar="N",
        help=f"test images to show; at most 50 are plotted (default: {DEFAULT_COUNT})",
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
    check_arguments(args, parser)
    if Path(args.model).is_dir():
        args.model = str(Path(args.model, "model.keras"))
    return args


def check_arguments(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with status 2 if arguments do not fit together, or an output has a wrong name."""
    has_test_options = args.count is not None or args.mistakes or args.data is not None
    if args.draw and (args.pictures or has_test_options):
        parser.error("--draw cannot be used with PICTURE, --count, --mistakes or --data")
    if args.pictures and has_test_options:
        parser.error("PICTURE cannot be used with --count, --mistakes or --data")
    for option, path, extensions in [
        ("--output", args.output, OUTPUT_EXTENSIONS),
        ("--csv", args.csv, (".csv", ".txt")),
    ]:
        if path and (Path(path).is_dir() or Path(path).suffix.lower() not in extensions):
            parser.error(f"{option} must name a {', '.join(extensions)} file, not {path}")
    if args.draw and re.fullmatch(r"drawing(-\d+)?\.png", Path(args.output).name):
        parser.error(f"--output {args.output}: the window saves drawings under such names")


if __name__ == "__main__":
    sys.exit(main())
