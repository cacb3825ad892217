"""Plot arrays to picture files."""

import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

# Figures are made without pyplot, so they need no display and no MPLBACKEND.

# Two colours of Okabe and Ito's palette for all kinds of colour vision.
BLUE, VERMILLION = "#0072B2", "#D55E00"
LIGHT_GREY = "#BBBBBB"  # frames around pictures; zeros in the confusion matrix
DPI = 120
MAX_PANELS = 32  # a plot shows at most this many of a person's pictures
MAX_PICTURE_SIDE = 1000  # pixels: longer side of a plotted picture
MAX_HEIGHT_TO_WIDTH = 1.2  # height / width of the space for a picture
# A strip shows digits as the network sees them. Each cell has a label above and a digit of
# 28 x 28 pixels below, with one pixel of space around it.
STRIP_CELL = (42, 30)  # pixels: height, width
STRIP_LABEL_HEIGHT = 12  # pixels: height of the label
MAX_STRIP_COLUMNS = 16  # digits
MAX_CELL_WIDTH = 0.6  # inches: width of a plotted cell
# Font points for each inch of a box's height. A larger label would hide the line above.
LABEL_POINTS_PER_INCH = 30
CHARACTERS_PER_INCH = 12  # characters of a file's name that fit into an inch
MAX_TEST_IMAGES = 50  # a plot shows at most ten rows of five
TITLE_CHARACTERS_PER_INCH = 9  # characters of a figure's title that fit into an inch


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
    diagonal = np.eye(10, dtype=bool)
    mistakes = matrix[~diagonal]
    style = {"annot": True, "fmt": "d", "square": True, "linewidths": 1, "ax": axes}
    seaborn.heatmap(
        matrix,
        mask=diagonal,
        cmap="rocket_r",
        vmin=0,
        vmax=max(1, mistakes.max()),
        cbar_kws={
            "label": "Mistakes (correct predictions are grey)",
            "shrink": 0.8,
            "ticks": MaxNLocator(integer=True),
        },
        **style,
    )
    seaborn.heatmap(
        matrix,
        mask=~diagonal,
        cmap=["#E4E4E4"],
        cbar=False,
        annot_kws={"color": "#404040"},
        **style,
    )
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
    figure = Figure(figsize=(width, 2.4 * rows + 0.6), dpi=DPI)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.08)
    title = textwrap.fill(title, int(TITLE_CHARACTERS_PER_INCH * width))
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[shown:]:
        axes.remove()
    for index, axes in enumerate(grid[:shown]):
        label = f"{y_pred[index]}   {percent(confidence[index])}"
        axes.imshow(images[index], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        if y_pred[index] == y_true[index]:
            axes.set_title(label, fontsize=14)
        else:
            axes.set_title(
                f"{label}\ntrue digit {y_true[index]}", color=VERMILLION, fontsize=14
            )
            axes.spines[:].set(color=VERMILLION, linewidth=4)
    save_figure(figure, path)


class Panel(NamedTuple):
    """A person's picture with n digits, as it is plotted."""

    name: str
    image: np.ndarray  # (height, width, 3), uint8
    boxes: np.ndarray  # (n, 4): left, top, right, bottom of each digit, in pixels of `image`
    pixels: np.ndarray  # (n, 28, 28) in [0, 1], as the network sees them
    line_lengths: Sequence[int]  # digits in each line; their sum is n
    y_pred: np.ndarray  # (n,) digits
    digit_confidence: np.ndarray  # (n,) in [0, 1]
    confidence: float  # in [0, 1], that all digits are read correctly


def plot_readings(
    path: str | Path, panels: Sequence[Panel], unsure_below: float, title: str
) -> None:
    """Plot pictures with a box and the prediction at every digit, and the digits below.

    Digits with a confidence below `unsure_below` have another colour. The caller gives at most
    MAX_PANELS panels.
    """
    most_digits = max(len(panel.pixels) for panel in panels)
    columns, width = (
        (8, 1.6) if most_digits == 1 else (4, 3.0) if most_digits <= 6 else (3, 4.2)
    )
    columns = min(columns, len(panels))
    width = max(width, 6 / columns)
    rows = math.ceil(len(panels) / columns)
    strips = [digit_strip(panel) for panel in panels]
    heights = []  # of picture and strip in each row of panels, in inches
    for row in range(rows):
        in_row = range(row * columns, min((row + 1) * columns, len(panels)))
        shapes = [panels[i].image.shape for i in in_row]
        tallest = max(min(shape[0] / shape[1], MAX_HEIGHT_TO_WIDTH) for shape in shapes)
        strip_height = max(strips[i].shape[0] * strip_scale(strips[i], width) for i in in_row)
        heights += [tallest * width, strip_height]
    figure = Figure(figsize=(columns * width, sum(heights) + 0.7 * rows + 0.5), dpi=DPI)
    figure.set_layout_engine("constrained", h_pad=0.04, w_pad=0.06)
    figure.suptitle(title, parse_math=False)
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=heights)
    for axes in grid.ravel():
        axes.set_axis_off()
    for index, (panel, strip) in enumerate(zip(panels, strips, strict=True)):
        row, column = divmod(index, columns)
        colors = confidence_colors(panel.digit_confidence, unsure_below)
        plot_picture(grid[2 * row, column], panel, colors, width)
        plot_strip(grid[2 * row + 1, column], panel, strip, colors, width)
    save_figure(figure, path)


def confidence_colors(confidence: np.ndarray, unsure_below: float) -> np.ndarray:
    """The colour of each digit (n,): VERMILLION if its confidence is below the limit."""
    return np.where(confidence < unsure_below, VERMILLION, BLUE)


def plot_picture(axes: Axes, panel: Panel, colors: np.ndarray, width: float) -> None:
    """Plot a panel's picture, `width` inches wide, with a box and a label at each digit."""
    axes.imshow(panel.image)
    axes.set_anchor("S")  # close to the digits below
    rows, columns = panel.image.shape[:2]
    # Without a frame, white paper has no edge on the white page.
    axes.add_patch(
        Rectangle((-0.5, -0.5), columns, rows, fill=False, color=LIGHT_GREY, clip_on=False)
    )
    name = shorten(panel.name, int(CHARACTERS_PER_INCH * width))
    axes.set_title(f"{name}\n{percent(panel.confidence)}", fontsize=9, parse_math=False)
    pixels_per_inch = max(rows / MAX_HEIGHT_TO_WIDTH, columns) / width
    for (left, top, right, bottom), digit, color in zip(
        panel.boxes, panel.y_pred, colors, strict=True
    ):
        box = Rectangle((left, top), right - left, bottom - top, fill=False, color=color)
        axes.add_patch(box)
        size = float(np.clip(LABEL_POINTS_PER_INCH * (bottom - top) / pixels_per_inch, 4, 14))
        # The label stands above the box, or inside it if it would hide the picture's name.
        alignment = "bottom" if top > 0.1 * rows else "top"
        label = axes.text(left, top, digit, color="white", fontsize=size, va=alignment)
        label.set_bbox({"facecolor": color, "edgecolor": "none", "pad": 0.8})


def digit_strip(panel: Panel) -> np.ndarray:
    """The digits of a panel, line by line, as one image with space for their labels.

    It is (height, width) in [0, 1].
    """
    rows, columns = np.max(strip_places(panel), axis=0) + 1
    strip = np.ones((rows * STRIP_CELL[0], columns * STRIP_CELL[1]))
    for (row, column), digit in zip(strip_places(panel), panel.pixels, strict=True):
        top, left = row * STRIP_CELL[0] + STRIP_LABEL_HEIGHT + 1, column * STRIP_CELL[1] + 1
        strip[top : top + 28, left : left + 28] = digit
    return strip


def strip_places(panel: Panel) -> list[tuple[int, int]]:
    """The cell (row, column) of each digit. Each line starts a new row; long lines wrap."""
    places, first_row = [], 0
    columns = min(max(panel.line_lengths), MAX_STRIP_COLUMNS)
    for length in panel.line_lengths:
        places += [(first_row + i // columns, i % columns) for i in range(length)]
        first_row += math.ceil(length / columns)
    return places


def strip_scale(strip: np.ndarray, width: float) -> float:
    """Inches for a pixel of the strip, which is at most `width` inches wide."""
    return min(width / strip.shape[1], MAX_CELL_WIDTH / STRIP_CELL[1])


def plot_strip(
    axes: Axes, panel: Panel, strip: np.ndarray, colors: np.ndarray, width: float
) -> None:
    """Plot the digits of a panel as the network sees them, each below its prediction."""
    axes.imshow(strip, cmap="gray", vmin=0, vmax=1)
    axes.set_anchor("N")
    fontsize = min(13, 72 * strip_scale(strip, width) * STRIP_LABEL_HEIGHT)
    for (row, column), digit, color in zip(
        strip_places(panel), panel.y_pred, colors, strict=True
    ):
        x, y = (column + 0.5) * STRIP_CELL[1], row * STRIP_CELL[0] + STRIP_LABEL_HEIGHT / 2 + 1
        axes.text(x, y, digit, color=color, fontsize=fontsize, ha="center", va="center")


def shorten(name: str, length: int) -> str:
    """A file's name with at most `length` characters, all of them printable."""
    name = "".join(character if character.isprintable() else "?" for character in name)
    half = (length - 3) // 2
    return name if len(name) <= length else f"{name[:half]}...{name[-half:]}"


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write `figure` to a file in the format of its extension."""
    with warnings.catch_warnings():
        # Characters of a file's name that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(path)


def percent(share: float, decimals: int = 1) -> str:
    """A share in [0, 1] as text, such as `99.2 %`."""
    return f"{100 * share:.{decimals}f} %"
