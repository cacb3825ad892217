"""Read digits with the trained network, and plot them with its predictions.

    python predict.py
    python predict.py note.jpg scans/ --csv digits.csv
    python predict.py --draw

The README shows what it prints and the pictures it saves.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import data
from cli import InputError, replace_on_success, run_script

if TYPE_CHECKING:
    from PIL import Image

    from model import keras
    from photos import Digit
    from plots import Panel
    from window import Answer

# Modules that take long to import are imported inside functions: --help must not wait.

PICTURES_PER_BATCH = 20  # pictures in each call of the model: a call has a fixed cost
MAX_NAMED = 5  # file names in the warning about files of other types
DEFAULT_COUNT = 10  # test images that are shown by default
# Below this confidence, a digit's box has another colour and its second guess is printed.
UNSURE_BELOW = 0.6
OUTPUT_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("predict.py", lambda: predict(args))


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
        metavar="PICTURE",
        help="picture file, or folder with picture files (default: MNIST's test images)",
    )
    add(
        "--model",
        metavar="FILE",
        default="outputs/model.keras",
        help="model saved by train.py, or its folder (default: %(default)s)",
    )
    add(
        "--data",
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
        metavar="FILE",
        default="outputs/predictions.png",
        help="picture to save (default: %(default)s)",
    )
    add(
        "--csv",
        metavar="FILE",
        help="also save a table of picture, digits and confidence (from 0 to 1)",
    )
    add(
        "--draw",
        action="store_true",
        help="open a window to draw digits in, and read them while they are drawn",
    )
    add("--show", action="store_true", help="also open the saved picture in a window")
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
    """End with status 2 if an output has a wrong name or would replace a picture."""
    pictures = {Path(path).resolve() for path in args.pictures}
    for name, path, extensions in [
        ("--output", args.output, OUTPUT_EXTENSIONS),
        ("--csv", args.csv, (".csv", ".txt")),
    ]:
        if path and (Path(path).is_dir() or Path(path).suffix.lower() not in extensions):
            parser.error(f"{name} must name a {', '.join(extensions)} file, not {path}")
        if path and Path(path).resolve() in pictures:
            parser.error(f"{name} would replace the picture {path}")
    output, default = Path(args.output).resolve(), Path(parser.get_default("output")).resolve()
    # An existing file in a searched folder may be the user's picture. The default output
    # cannot be: only predict.py writes it.
    if output.is_file() and output != default and not pictures.isdisjoint(output.parents):
        parser.error(f"--output would replace the picture {args.output}")
    if args.draw and re.fullmatch(r"drawing(-\d+)?\.png", output.name):
        parser.error(f"--output {args.output}: the window saves drawings under such names")
    if args.show and Path(args.output).suffix.lower() in (".pdf", ".svg"):
        parser.error("--show opens no PDF or SVG: give --output another extension")


def predict(args: argparse.Namespace) -> None:
    """Reload the model, let it read digits, plot and save what it reads.

    Raises OSError if a file cannot be read or written, and InputError if the model, the data
    or a picture is wrong. If only some pictures are wrong, the others are still saved first.
    """
    if not Path(args.model).exists():
        raise InputError(f'{args.model} not found; run "python train.py" first')
    from model import load_model

    model = load_model(args.model)
    with ExitStack() as stack:
        # If an output cannot be written, the run ends here, before any picture is read.
        plot_path = stack.enter_context(replace_file_on_success(args.output))
        csv_path = stack.enter_context(replace_file_on_success(args.csv)) if args.csv else None
        if args.draw:
            rows = predict_drawing(model, Path(args.output).parent, plot_path)
        elif args.pictures:
            rows = predict_pictures(model, args.pictures, args.output, plot_path)
        else:
            mnist = data.load_test_data(args.data, args.model)
            rows = predict_test_images(model, mnist, args.count, args.mistakes, plot_path)
        if not rows:  # the user has closed the window without drawing
            return
        if csv_path:
            save_csv(csv_path, rows)
    print(f"Saved {args.output}" + (f" and {args.csv}" if args.csv else ""), flush=True)
    if args.show:
        from window import show

        show(args.output)
    if unread := sum(row["digits"] == "" for row in rows):
        raise InputError(f"no digit read in {unread:,} of {len(rows):,} pictures")


@contextmanager
def replace_file_on_success(path: str) -> Iterator[Path]:
    """A temporary file; when the block ends, it replaces `path` (`cli.replace_on_success`)."""
    with replace_on_success(path) as (file,):
        yield file


# --- a person's own pictures


class Reading(NamedTuple):
    """What was read in a picture. If nothing was read, `problem` is a message that says why."""

    path: str
    problem: str = ""
    picture: "Image.Image | None" = None
    lines: "Sequence[list[Digit]]" = ()
    probabilities: np.ndarray = np.empty((0, 10))  # (n, 10), of all digits in reading order

    @property
    def digits(self) -> "list[Digit]":
        """The digits found, in reading order."""
        return [digit for line in self.lines for digit in line]

    @property
    def boxes(self) -> np.ndarray:
        """The digits' boxes (n, 4): left, top, right, bottom in the picture's pixels."""
        return np.reshape([digit.box for digit in self.digits], (-1, 4))

    @property
    def pixels(self) -> np.ndarray:
        """The digits (n, 28, 28) in [0, 1], as the network sees them."""
        return np.reshape([digit.pixels for digit in self.digits], (-1, 28, 28))

    @property
    def text(self) -> str:
        """The digits read: a space separates numbers, ` / ` separates lines."""
        answers = iter(self.probabilities.argmax(axis=1))
        return " / ".join(
            "".join(f"{' ' * digit.space_before}{next(answers)}" for digit in line)
            for line in self.lines
        )

    @property
    def confidence(self) -> float:
        """How likely, in [0, 1], all digits found are read correctly: an estimate."""
        return float(self.probabilities.max(axis=1).prod())


def predict_pictures(
    model: "keras.Model", paths: Sequence[str], output: str, plot_path: Path
) -> list[dict]:
    """Read and report the picture files in `paths`; skip the `output` of an earlier run."""
    from photos import find_files

    files, others = find_files(paths)
    earlier_output = Path(output).resolve()
    pictures = [file for file in files if Path(file).resolve() != earlier_output]
    if not pictures:
        raise InputError(f"{output} is an output of predict.py; give a picture to read")
    if others:
        names = ", ".join(Path(other).name for other in others[:MAX_NAMED])
        more = ", ..." if len(others) > MAX_NAMED else ""
        noun = "files of other types" if len(others) > 1 else "file of another type"
        warn(f"left out {len(others):,} {noun}: {names}{more}")
    return report_readings(read_pictures(model, pictures), len(pictures), plot_path)


def read_pictures(model: "keras.Model", paths: Sequence[str]) -> Iterator[Reading]:
    """Read picture files in batches; the reading of an unreadable file has a `problem`."""
    for start in range(0, len(paths), PICTURES_PER_BATCH):
        batch = paths[start : start + PICTURES_PER_BATCH]
        yield from read_digits(model, [find_digits_in_file(path) for path in batch])


def find_digits_in_file(path: str) -> Reading:
    """Find the digits in a picture file; `read_digits` adds their probabilities."""
    from photos import find_digits, read_image

    try:
        picture = read_image(path)
    except InputError as error:
        return Reading(path, problem=str(error))
    if picture.info["pages"] > 1:
        warn(f"{path}: only the first of {picture.info['pages']} pages or frames is read")
    lines = find_digits(picture)
    return Reading(path, "" if lines else f"{path}: no digit found", picture, lines)


def read_digits(model: "keras.Model", readings: Sequence[Reading]) -> list[Reading]:
    """Call the model once for all readings; return them with their probabilities."""
    pixels = np.concatenate([reading.pixels for reading in readings])
    probabilities = model(pixels).numpy() if len(pixels) else np.empty((0, 10))
    ends = np.cumsum([len(reading.digits) for reading in readings])
    parts = np.split(probabilities, ends[:-1])
    return [
        reading._replace(probabilities=part)
        for reading, part in zip(readings, parts, strict=True)
    ]


def report_readings(readings: Iterable[Reading], count: int, plot_path: Path) -> list[dict]:
    """Print each of `count` readings, and plot them.

    Of more than MAX_PANELS readings, the least certain are plotted. Returns the rows of the
    table. Raises InputError if no digit was read in any picture.
    """
    from plots import MAX_PANELS, plot_readings

    rows, panels = [], []
    for reading in readings:
        if reading.problem and count == 1:
            raise InputError(reading.problem)
        if reading.problem:
            warn(reading.problem)
            rows.append({"picture": reading.path, "digits": "", "confidence": ""})
            continue
        print(describe(reading), flush=True)
        confidence = f"{reading.confidence:.4f}"
        rows.append({"picture": reading.path, "digits": reading.text, "confidence": confidence})
        panels.append(to_panel(reading))
        if len(panels) > 2 * MAX_PANELS:  # to bound the memory
            panels = least_certain(panels, MAX_PANELS)

    if not panels:
        raise InputError(f"no digit read in any of {count:,} pictures")
    title = "Digits found and, below, as the network sees them"
    read_count = sum(row["digits"] != "" for row in rows)
    if read_count > MAX_PANELS:
        title += f": the {MAX_PANELS} least certain of {read_count:,} pictures"
        panels = least_certain(panels, MAX_PANELS)
    plot_readings(plot_path, panels, UNSURE_BELOW, title)
    return rows


def describe(reading: Reading) -> str:
    """The line printed for a picture: its digits, its confidence and second guesses."""
    from plots import percent

    line = f"{reading.path}  {reading.text}  {percent(reading.confidence)}"
    guesses = [
        f"digit no. {number}: {p.argmax()}, perhaps {np.argsort(p)[-2]}"
        for number, p in enumerate(reading.probabilities, start=1)
        if p.max() < UNSURE_BELOW
    ]
    return f"{line}  unsure of {'; '.join(guesses)}" if guesses else line


def to_panel(reading: Reading) -> "Panel":
    """A reading as it is plotted; its picture is shrunk to MAX_PICTURE_SIDE if it is larger."""
    from plots import MAX_PICTURE_SIDE, Panel

    image = reading.picture.copy()
    image.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    return Panel(
        name=Path(reading.path).name,
        image=np.asarray(image),
        boxes=reading.boxes * max(image.size) / max(reading.picture.size),
        pixels=reading.pixels,
        line_lengths=[len(line) for line in reading.lines],
        y_pred=reading.probabilities.argmax(axis=1),
        digit_confidence=reading.probabilities.max(axis=1),
        confidence=reading.confidence,
    )


def least_certain(panels: "list[Panel]", count: int) -> "list[Panel]":
    """The `count` panels of least confidence, in the order of their confidence."""
    return sorted(panels, key=lambda panel: panel.confidence)[:count]


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"predict.py: {message}", file=sys.stderr)


# --- digits drawn in a window


def predict_drawing(model: "keras.Model", folder: Path, plot_path: Path) -> list[dict]:
    """Read digits while they are drawn; report the last drawing when the window is closed.

    The window saves drawings in `folder`. Returns the rows of the table, which is empty if
    nothing was drawn.
    """
    from PIL import Image

    from photos import find_digits
    from window import draw

    def read(paper: np.ndarray) -> Reading:
        drawing = Image.fromarray(paper).convert("RGB")
        lines = find_digits(drawing)
        problem = "" if lines else "drawing: no digit found"
        return read_digits(model, [Reading("drawing", problem, drawing, lines)])[0]

    paper = draw(lambda paper: to_answer(read(paper)), folder)
    return [] if paper is None else report_readings([read(paper)], 1, plot_path)


def to_answer(reading: Reading) -> "Answer":
    """A reading as the drawing window shows it."""
    from plots import confidence_colors, percent
    from window import Answer

    if reading.problem:
        return Answer()
    return Answer(
        title=f"{reading.text}  {percent(reading.confidence)}",
        boxes=reading.boxes,
        pixels=reading.pixels,
        probabilities=reading.probabilities,
        colors=confidence_colors(reading.probabilities.max(axis=1), UNSURE_BELOW),
    )


# --- images of MNIST's test set


def predict_test_images(
    model: "keras.Model",
    mnist: data.Mnist,
    count: int | None,
    mistakes: bool,
    plot_path: Path,
) -> list[dict]:
    """Read all test images; print and plot `count` of them.

    These are the first ones or, if `mistakes`, the most confident mistakes. Returns the rows of
    the table.
    """
    from plots import percent, plot_predictions

    x_test, y_true = mnist.x_eval, mnist.y_eval
    count = count or min(DEFAULT_COUNT, len(x_test))
    if count > len(x_test):
        raise InputError(f"--count {count} is more than the {len(x_test):,} test images")
    probabilities = model.predict(data.batches(x_test, y_true), verbose=0)
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
                "digits": str(y_pred[i]),
                "confidence": f"{confidence[i]:.4f}",
                "true digit": str(y_true[i]),
            }
        )
    plot_predictions(
        plot_path,
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


if __name__ == "__main__":
    sys.exit(main())
