"""Plot arrays and readings to picture files, without pyplot, which may need a display."""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import ExifTags, Image

from photos import Reading

matplotlib.rcdefaults()  # the user's matplotlibrc could spoil the pictures

# Two colours of Okabe and Ito's palette for all kinds of colour vision.
BLUE, VERMILLION = "#0072B2", "#D55E00"
DARK_GREY = "#606060"  # boxes of what is not read
LIGHT_GREY = "#BBBBBB"  # frames around pictures; zeros in the confusion matrix
DPI = 120
MAX_TEST_IMAGES = 50  # a plot shows at most ten rows of five
MAX_READINGS = 32  # a plot shows at most this many of a person's pictures
MAX_PICTURE_SIDE = 1000  # pixels: longer side of a plotted picture; no plot shows more
MAX_HEIGHT_TO_WIDTH = 1.2  # height / width of the space for a picture
CHARACTERS_PER_INCH = 12  # characters of a file's name that fit into an inch
# Font points for each inch of a box's height. A larger label would hide the line above.
LABEL_POINTS_PER_INCH = 30
MAX_DIGIT_SIDE = 0.6  # inches: side of a digit as the network sees it
SOFTWARE = "handwritten-digits-classification"  # the mark in the EXIF data of our plots


def plot_training_curves(
    path: str | Path,
    history: Mapping[str, Sequence[float]],
    split: str,
    dataset: str,
    augmented: bool,
) -> None:
    """Plot loss and accuracy of each epoch, side by side.

    `history` has a value for each epoch under "loss", "accuracy" (in [0, 1]), "val_loss" and
    "val_accuracy": means over the epoch, and values after it on the `split` "test" or
    "validation". If `augmented`, a note says why the training curves look worse.
    """
    figure = Figure((10, 4.4 if augmented else 4), DPI, layout="constrained")
    figure.suptitle(f"Trained on {dataset}", parse_math=False)
    training = "training"
    if augmented:
        training = "training, augmented"
        figure.supxlabel(
            "Training images are augmented (rotated, shifted, distorted), so they are harder "
            f"to read than the {split} images.",
            fontsize=10,
        )
    epochs = np.arange(1, len(history["loss"]) + 1)
    marker = "o" if len(epochs) <= 20 else None  # more would hide the line
    axes_loss, axes_accuracy = figure.subplots(1, 2)
    for axes, key in [(axes_loss, "loss"), (axes_accuracy, "accuracy")]:
        for name, color, column in [(training, BLUE, key), (split, VERMILLION, f"val_{key}")]:
            values = history[column]
            last = f"{values[-1]:.4f}" if key == "loss" else percent(values[-1], 2)
            axes.plot(epochs, values, marker=marker, color=color, label=f"{name}: {last}")
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(title="last epoch")
        axes.grid(alpha=0.3)
    axes_loss.set_ylabel("Loss (cross-entropy)")
    axes_accuracy.set_ylabel("Accuracy")
    axes_accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    save_figure(figure, path)


def plot_confusion_matrix(path: str | Path, matrix: np.ndarray, title: str) -> None:
    """Plot `matrix`, counts (10, 10) by true digit (row) and predicted digit (column).

    Only mistakes are coloured. The diagonal is grey: on a common scale, its large counts would
    hide the mistakes.
    """
    import seaborn  # it imports pandas, which takes time and which predict.py does not need

    figure = Figure(figsize=(8, 7), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    mistakes = matrix * (1 - np.eye(10, dtype=int))
    label = "Mistakes (correct predictions are grey)"
    seaborn.heatmap(
        mistakes,
        annot=matrix,
        fmt="d",
        cmap="rocket_r",
        vmax=max(1, mistakes.max()),
        square=True,
        linewidths=1,
        cbar_kws={"label": label, "shrink": 0.8, "ticks": MaxNLocator(integer=True)},
        ax=axes,
    )
    for i in range(10):
        axes.add_patch(Rectangle((i, i), 1, 1, facecolor="#E4E4E4", edgecolor="white"))
    for text in axes.texts:
        if text.get_text() == "0":
            text.set_color(LIGHT_GREY)
    axes.set(xlabel="Predicted digit", ylabel="True digit")
    axes.tick_params(length=0, labelrotation=0)
    correct, total = percent(np.trace(matrix) / matrix.sum(), 2), matrix.sum()
    title += f"\n{correct} correct, {mistakes.sum():,} mistakes in {total:,} images"
    axes.set_title(title, parse_math=False)
    save_figure(figure, path)


def plot_predictions(
    path: str | Path,
    images: np.ndarray,
    y_pred: np.ndarray,
    confidence: np.ndarray,
    y_true: np.ndarray,
    title: str,
) -> None:
    """Plot digits in rows of five, each titled with its prediction and confidence.

    `images` is (n, 28, 28) in [0, 1], `y_pred` and `y_true` are (n,) digits, `confidence`
    is (n,) in [0, 1]. A wrong prediction has a frame and the true digit. Of more than 50
    digits, the first 50 are drawn, and the title says so.
    """
    count = min(len(images), MAX_TEST_IMAGES)
    if count < len(images):
        title += f" (the first {count} of {len(images):,})"
    rows, columns = math.ceil(count / 5), min(5, count)
    figure = Figure((max(5, 1.9 * columns), 2.4 * rows + 0.6), DPI, layout="constrained")
    figure.suptitle(title, parse_math=False, wrap=True)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.remove()
    predictions = zip(grid, images, y_pred, confidence, y_true, strict=False)
    for axes, image, digit, share, true_digit in predictions:
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        label, color = f"{digit}   {percent(share)}", "black"
        if digit != true_digit:
            label, color = f"{label}\ntrue digit {true_digit}", VERMILLION
            axes.spines[:].set(color=color, linewidth=4)
        axes.set_title(label, color=color, fontsize=14)
    save_figure(figure, path)


def plot_readings(path: str | Path, readings: Sequence[Reading], title: str) -> None:
    """Plot pictures with a box and the prediction at every digit, and the digits below.

    Unsure digits have another colour. The caller gives at most MAX_READINGS readings, each with
    at least one digit.
    """
    most = max(len(reading.digits) for reading in readings)
    # Columns, and inches of each: the more digits, the wider a picture.
    columns, width = (8, 1.6) if most == 1 else (4, 3.0) if most <= 6 else (3, 4.2)
    columns = min(columns, len(readings))
    width = max(width, 6 / columns)  # the title needs six inches
    rows = math.ceil(len(readings) / columns)
    figure = Figure(dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw={"anchor": "N"})
    for axes in grid.ravel():
        axes.set_axis_off()
    for axes, reading in zip(grid.ravel(), readings, strict=False):
        plot_reading(axes, reading, width)
    # Each row is as high as its highest reading, in units of the width, and has titles.
    heights = [max(axes.get_data_ratio() for axes in row if axes.images) for row in grid]
    grid[0, 0].get_gridspec().set_height_ratios(heights)
    figure.set_size_inches(columns * width, width * sum(heights) + 0.5 * rows + 0.4)
    save_figure(figure, path)


def plot_reading(axes: Axes, reading: Reading, inches: float) -> None:
    """Plot a picture with its boxes and, below, its digits as the network sees them.

    The axes are `inches` wide, and their unit is a pixel of the picture.
    """
    name = shorten(Path(reading.name).name, int(CHARACTERS_PER_INCH * inches))
    axes.set_title(f"{name}\n{percent(reading.confidence)}", fontsize=9, parse_math=False)
    width, height = reading.size
    picture = reading.picture.copy()
    picture.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    axes.imshow(picture, extent=(0, width, height, 0))
    # Without a frame, white paper has no edge on the white page.
    frame = Rectangle((0, 0), width, height, fill=False, color=LIGHT_GREY, clip_on=False)
    axes.add_patch(frame)
    full_width = max(width, height / MAX_HEIGHT_TO_WIDTH)  # with space beside a high picture
    pixels_per_inch = full_width / inches
    draw_boxes(axes, reading, pixels_per_inch)
    for left, top, right, bottom in reading.left_out:
        box = Rectangle((left, top), right - left, bottom - top, fill=False, color=DARK_GREY)
        axes.add_patch(box).set_linestyle("--")
    bottom = draw_digits(axes, reading, full_width, pixels_per_inch)
    axes.set(xlim=((width - full_width) / 2, (width + full_width) / 2), ylim=(bottom, 0))


def draw_boxes(axes: Axes, reading: Reading, pixels_per_inch: float) -> list[Artist]:
    """Draw a box and a label for each digit, in the picture's pixels; return all, in turn."""
    artists = []
    digits = zip(reading.boxes, reading.y_pred, digit_colors(reading), strict=True)
    for (left, top, right, bottom), digit, color in digits:
        box = Rectangle((left, top), right - left, bottom - top, fill=False, color=color)
        points = np.clip(LABEL_POINTS_PER_INCH * (bottom - top) / pixels_per_inch, 4, 14)
        # The label stands above the box, or inside it where it would leave the picture.
        alignment = "bottom" if top > 1.5 * points / 72 * pixels_per_inch else "top"
        label = axes.text(left, top, digit, color="white", fontsize=points, va=alignment)
        label.set_bbox({"facecolor": color, "edgecolor": "none", "pad": 0.8})
        artists += [axes.add_patch(box), label]
    return artists


def draw_digits(axes: Axes, reading: Reading, width: float, pixels_per_inch: float) -> float:
    """Draw the digits below the picture, at most `width` pixels wide; return where they end."""
    longest = max(map(len, reading.lines))
    side = min(width / longest, MAX_DIGIT_SIDE * pixels_per_inch)
    left, bottom = (reading.size[0] - side * longest) / 2, reading.size[1]
    style = {"fontsize": min(13, 25 * side / pixels_per_inch), "ha": "center", "va": "bottom"}
    labels = zip(reading.y_pred, digit_colors(reading), strict=True)
    for line in reading.lines:
        top, bottom = bottom + 0.4 * side, bottom + 1.4 * side  # with space for the labels
        strip = np.hstack([np.pad(digit.pixels, 1, constant_values=1) for digit in line])
        extent = (left, left + side * len(line), bottom, top)
        axes.imshow(strip, cmap="gray", vmin=0, vmax=1, extent=extent)
        for column, (label, color) in enumerate(islice(labels, len(line))):
            axes.text(left + (column + 0.5) * side, top, label, color=color, **style)
    return bottom


def digit_colors(reading: Reading) -> np.ndarray:
    """The colour (n,) of each digit: VERMILLION if it is unsure."""
    return np.where(reading.unsure, VERMILLION, BLUE)


def shorten(name: str, length: int) -> str:
    """A file's name with at most `length` characters, all of them printable."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    half = (length - 3) // 2
    return name if len(name) <= length else f"{name[:half]}...{name[-half:]}"


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write `figure` to a file in the format of its extension, marked as ours if it can be."""
    options = {}
    if Path(path).suffix.lower() not in (".pdf", ".svg"):
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = SOFTWARE
        options["pil_kwargs"] = {"exif": exif}
    with warnings.catch_warnings():
        # Characters of a file's name that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(path, **options)


def is_plot(path: str | Path) -> bool:
    """Whether `save_figure` has written a picture file."""
    # Whatever is wrong with another file is not said here, nor is Pillow's warning of its size.
    with suppress(Exception), warnings.catch_warnings(record=True), Image.open(path) as file:
        return file.getexif().get(ExifTags.Base.Software) == SOFTWARE
    return False


def percent(share: float, decimals: int = 1) -> str:
    """A share in [0, 1] as text, such as `99.2 %`."""
    return f"{100 * share:.{decimals}f} %"
