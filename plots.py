"""Arrays in, picture file out."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

# Figures are made without pyplot: no display, no MPLBACKEND, no figure left open.

# Okabe and Ito's palette, told apart with any colour vision.
BLUE, VERMILLION = "#0072B2", "#D55E00"
DPI = 120
READING_COLUMNS = 8
MOST_READINGS = 32  # four rows of images, each with what the network saw below it
MOST_SHOWN = 50  # digits in a picture: ten rows of five are still seen at one look


def plot_training_curves(
    path: str | Path,
    history: Mapping[str, Sequence[float]],
    validation_name: str,
    dataset: str,
    augmented: bool,
) -> None:
    """Draw loss and accuracy after each epoch, side by side, for both sets.

    `history` has a value an epoch under "loss", "accuracy" (in [0, 1]), "val_loss" and
    "val_accuracy"; `validation_name` says what the "val_" set is. If `augmented`, the
    picture explains why training looks worse than validation.
    """
    figure = Figure(figsize=(10, 4.4 if augmented else 4), dpi=DPI, layout="constrained")
    figure.suptitle(f"Trained on {dataset}", parse_math=False)
    training_name = "training, warped" if augmented else "training"
    if augmented:
        figure.supxlabel(
            "Training is measured on warped digits, while the network still learns them: "
            f"harder ones than the {validation_name} digits, which are as written.",
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
            (validation_name, VERMILLION, history[f"val_{key}"]),
        ]:
            final = f"{values[-1]:.4f}" if key == "loss" else percent(values[-1], 2)
            # Markers, for a run of one epoch has no line.
            marker = "o" if len(epochs) <= 20 else None
            axes.plot(epochs, values, marker=marker, color=color, label=f"{name}: {final}")
        axes.set(xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(title="after the last epoch")
        axes.grid(alpha=0.3)
    axes_accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    save(figure, path)


def plot_confusion_matrix(path: str | Path, matrix: np.ndarray, title: str) -> None:
    """Draw `matrix`, counts (10, 10) by true digit (row) and predicted digit (column).

    The colour scale is that of the mistakes: with the diagonal on it, a hundred times as
    large, every mistake would look like none. Correct predictions are grey.
    """
    import seaborn  # here: it imports pandas, which `predict.py` need not wait for

    figure = Figure(figsize=(8, 7), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    correct = np.eye(10, dtype=bool)
    mistakes = matrix[~correct]
    style = {"annot": True, "fmt": "d", "square": True, "linewidths": 1, "ax": axes}
    seaborn.heatmap(
        matrix,
        mask=correct,
        cmap="rocket_r",
        vmin=0,
        vmax=max(1, mistakes.max()),
        cbar_kws={"label": "Mistakes (correct predictions are grey)", "shrink": 0.8},
        **style,
    )
    seaborn.heatmap(
        matrix,
        mask=~correct,
        cmap=["#E4E4E4"],
        cbar=False,
        annot_kws={"color": "#404040"},
        **style,
    )
    for text in axes.texts:
        if text.get_text() == "0":
            text.set_color("#BBBBBB")
    axes.set(xlabel="Predicted digit", ylabel="True digit")
    axes.tick_params(length=0, labelrotation=0)
    axes.set_title(
        f"{title}\n{percent(np.trace(matrix) / matrix.sum(), 2)} correct, "
        f"{mistakes.sum():,} mistakes in {matrix.sum():,} digits"
    )
    save(figure, path)


def plot_predictions(
    path: str | Path,
    images: np.ndarray,
    y_pred: np.ndarray,
    confidence: np.ndarray,
    y_true: np.ndarray,
    title: str,
) -> None:
    """Draw digits in rows of five, each titled with its prediction and confidence.

    `images` is (n, 28, 28) in [0, 1], `y_pred` and `y_true` are (n,) digits, `confidence`
    is (n,) in [0, 1]. Wrong predictions are framed and name the true digit. Only the first
    50 are drawn, which the title then says.
    """
    shown = min(len(images), MOST_SHOWN)
    if shown < len(images):
        title += f" (the first {shown} of {len(images):,})"
    rows, columns = -(-shown // 5), min(5, shown)
    figure = Figure(figsize=(max(5, 1.9 * columns), 2.4 * rows + 0.6), dpi=DPI)
    figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.08)
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
    save(figure, path)


def plot_readings(
    path: str | Path,
    given: Sequence[np.ndarray],
    seen: Sequence[np.ndarray],
    y_pred: Sequence[int],
    confidence: Sequence[float],
    names: Sequence[str],
    title: str,
) -> None:
    """Draw images as they were given and, below each, as the network saw it.

    `given` are grey images of any size, `seen` (28, 28), both in [0, 1]; `y_pred` are
    digits, `confidence` is in [0, 1]. More than MOST_READINGS are too many to look at.
    """
    columns = min(len(given), READING_COLUMNS)
    rows = -(-len(given) // columns)
    figure = Figure(figsize=(max(6, 1.5 * columns), 3.35 * rows + 0.5), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.08)
    figure.suptitle(title, parse_math=False)
    bands = figure.subfigures(rows, hspace=0.04, squeeze=False)[:, 0]
    grid = [band.subplots(2, columns, squeeze=False) for band in bands]
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        above, below = grid[row][:, column]
        if index >= len(given):
            above.remove()
            below.remove()
            continue
        for axes, image in [(above, given[index]), (below, seen[index])]:
            axes.imshow(image, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        below.set_title(f"{y_pred[index]}   {percent(confidence[index])}", fontsize=14)
        below.set_xlabel(shorten(names[index]), fontsize=8, parse_math=False)
    save(figure, path)


def shorten(name: str) -> str:
    """A file's name, cut to what fits below a small picture, in characters that print."""
    name = name.encode(errors="replace").decode()  # file names need not be valid text
    return name if len(name) <= 18 else f"{name[:8]}...{name[-7:]}"


def check_format(path: str | Path) -> None:
    """Raise ValueError if no picture can be written to a file with the ending of `path`."""
    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix.lower().removeprefix(".") not in formats:
        raise ValueError(f"{path}: pictures are written as {', '.join(sorted(formats))}")


def save(figure: Figure, path: str | Path) -> None:
    """Write `figure` to a file, its format after the path's ending."""
    with warnings.catch_warnings():
        # A file name's letter that the font lacks becomes a box, and that is warning enough.
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(path)


def percent(share: float, decimals: int = 1) -> str:
    """A share in [0, 1] as text, such as `99.2 %`."""
    return f"{100 * share:.{decimals}f} %"


def show(path: str | Path) -> None:
    """Open the picture file in a window and wait until that is closed.

    Raises OSError where no window can be opened.
    """
    from matplotlib import pyplot  # here: only a window needs it

    picture = pyplot.imread(path)
    height, width = picture.shape[:2]
    try:
        figure = pyplot.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    except Exception as error:  # each window system fails in its own way
        raise OSError(f"no window can be opened for {path}: {error}") from error
    if figure.canvas.required_interactive_framework is None:
        raise OSError(f"no window can be opened for {path}: there is no display")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture)
    axes.set_axis_off()
    pyplot.show()
