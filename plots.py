"""Plot arrays and readings to picture files, without pyplot, which may need a display."""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    "val_accuracy". The first two are means over the epoch, the last two are measured after it
    on the `split` "test" or "validation". If `augmented`, a note below the plots says why the
    training curves look worse than the others.
    """
    figure = Figure(figsize=(10, 4.4 if augmented else 4), dpi=DPI, layout="constrained")
    figure.suptitle(f"Trained on {dataset}", parse_math=False)
    training_name = "training, augmented" if augmented else "training"
    if augmented:
        figure.supxlabel(
            "Training images are augmented (rotated, shifted, distorted), so they are harder "
            f"to read than the {split} images.",
            fontsize=10,
        )
    epochs = np.arange(1, len(history["loss"]) + 1)
    axes_loss, axes_accuracy = figure.subplots(1, 2)
    for axes, key, label in [
        (axes_loss, "loss", "Loss (cross-entropy)"),
        (axes_accuracy, "accuracy", "Accuracy"),
    ]:
        for name, color, values in [
            (training_name, BLUE, history[key]),
            (split, VERMILLION, history[f"val_{key}"]),
        ]:
            final = f"{values[-1]:.4f}" if key == "loss" else percent(values[-1], 2)
            # A run of one epoch has no line, only a marker. Many markers hide the line.
            marker = "o" if len(epochs) <= 20 else None
            axes.plot(epochs, values, marker=marker, color=color, label=f"{name}: {final}")
        axes.set(xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(title="last epoch")
        axes.grid(alpha=0.3)
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
    seaborn.heatmap(
        mistakes,
        annot=matrix,
        fmt="d",
        cmap="rocket_r",
        vmax=max(1, mistakes.max()),
        square=True,
        linewidths=1,
        cbar_kws={
            "label": "Mistakes (correct predictions are grey)",
            "shrink": 0.8,
            "ticks": MaxNLocator(integer=True),
        },
        ax=axes,
    )
    for i in range(10):
        axes.add_patch(Rectangle((i, i), 1, 1, facecolor="#E4E4E4", edgecolor="white"))
    for text in axes.texts:
        if text.get_text() == "0":
            text.set_color(LIGHT_GREY)
    axes.set(xlabel="Predicted digit", ylabel="True digit")
    axes.tick_params(length=0, labelrotation=0)
    axes.set_title(
        f"{title}\n{percent(np.trace(matrix) / matrix.sum(), 2)} correct, "
        f"{mistakes.sum():,} mistakes in {matrix.sum():,} images",
        parse_math=False,
    )
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
    shown = min(len(images), MAX_TEST_IMAGES)
    if shown < len(images):
        title += f" (the first {shown} of {len(images):,})"
    rows, columns = math.ceil(shown / 5), min(5, shown)
    width = max(5, 1.9 * columns)
    figure = Figure(figsize=(width, 2.4 * rows + 0.6), dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False, wrap=True)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[shown:]:
        axes.remove()
    for index, axes in enumerate(grid[:shown]):
        label = f"{y_pred[index]}   {percent(confidence[index])}"
        axes.imshow(images[index], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        wrong = y_pred[index] != y_true[index]
        if wrong:
            label += f"\ntrue digit {y_true[index]}"
            axes.spines[:].set(color=VERMILLION, linewidth=4)
        axes.set_title(label, color=VERMILLION if wrong else "black", fontsize=14)
    save_figure(figure, path)


def plot_readings(path: str | Path, readings: Sequence[Reading], title: str) -> None:
    """Plot pictures with a box and the prediction at every digit, and the digits below.

    Unsure digits have another colour. The caller gives at most MAX_READINGS readings, each with
    at least one digit.
    """
    most = max(len(reading.digits) for reading in readings)
    columns, width = (8, 1.6) if most == 1 else (4, 3.0) if most <= 6 else (3, 4.2)
    columns = min(columns, len(readings))
    width = max(width, 6 / columns)  # inches of each reading
    rows = math.ceil(len(readings) / columns)
    figure = Figure(dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
        axes.set_anchor("N")
    for axes, reading in zip(grid.ravel(), readings, strict=False):
        plot_reading(axes, reading, width)
    ratios = [max(axes.get_data_ratio() for axes in row if axes.images) for row in grid]
    grid[0, 0].get_gridspec().set_height_ratios(ratios)
    figure.set_size_inches(columns * width, width * sum(ratios) + 0.5 * rows + 0.4)
    save_figure(figure, path)


def plot_reading(axes: Axes, reading: Reading, inches: float) -> None:
    """Plot a picture with its boxes and, below, its digits as the network sees them.

    The axes are `inches` wide, and their unit is a pixel of the picture.
    """
    width, height = reading.size
    picture = reading.picture.copy()
    picture.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    axes.imshow(picture, extent=(0, width, height, 0))
    # Without a frame, white paper has no edge on the white page.
    frame = Rectangle((0, 0), width, height, fill=False, color=LIGHT_GREY, clip_on=False)
    axes.add_patch(frame)
    name = shorten(Path(reading.name).name, int(CHARACTERS_PER_INCH * inches))
    axes.set_title(f"{name}\n{percent(reading.confidence)}", fontsize=9, parse_math=False)
    full_width = max(width, height / MAX_HEIGHT_TO_WIDTH)
    draw_boxes(axes, reading, full_width / inches)
    for left, top, right, bottom in reading.left_out:
        size = right - left, bottom - top
        axes.add_patch(
            Rectangle((left, top), *size, fill=False, color=DARK_GREY, linestyle="--")
        )
    bottom = draw_digits(axes, reading, full_width, full_width / inches)
    axes.set(xlim=((width - full_width) / 2, (width + full_width) / 2), ylim=(bottom, 0))


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
        for column in range(len(line)):
            label, color = next(labels)
            axes.text(left + (column + 0.5) * side, top, label, color=color, **style)
    return bottom


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
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    options = (
        {} if Path(path).suffix.lower() in (".pdf", ".svg") else {"pil_kwargs": {"exif": exif}}
    )
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
