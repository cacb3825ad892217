import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import plots

HISTORY = {
    "loss": [0.4, 0.2, 0.1234],
    "accuracy": [0.9, 0.95, 0.975],
    "val_loss": [0.3, 0.25, 0.2345],
    "val_accuracy": [0.92, 0.94, 0.9567],
}
MATRIX = np.diag(np.arange(90, 100)) + np.eye(10, k=1, dtype=int) * 3


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The figures that were saved, in order; every one also really becomes a PNG file."""
    saved = []
    savefig = Figure.savefig

    def keep(figure, path):
        savefig(figure, path)
        assert path.read_bytes().startswith(b"\x89PNG")
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    yield saved
    assert pyplot.get_fignums() == []


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_training_curves(figures, tmp_path):
    plots.plot_training_curves(tmp_path / "x.png", HISTORY, "held-out", "toys", False)
    loss, accuracy = figures[0].axes
    assert figures[0].get_suptitle() == "Trained on toys"
    for axes, key in [(loss, "loss"), (accuracy, "accuracy")]:
        training, validation = axes.get_lines()
        assert training.get_xdata().tolist() == [1, 2, 3]
        assert list(training.get_ydata()) == HISTORY[key]
        assert list(validation.get_ydata()) == HISTORY[f"val_{key}"]
        assert axes.get_xlabel() == "Epoch"
        assert all(tick == int(tick) for tick in axes.get_xticks())
    labels = [
        [text.get_text() for text in axes.get_legend().texts] for axes in (loss, accuracy)
    ]
    assert labels == [
        ["training: 0.1234", "held-out: 0.2345"],
        ["training: 97.50 %", "held-out: 95.67 %"],
    ]


@pytest.mark.parametrize("augmented", [False, True])
def test_training_curves_explain_warped_digits(figures, tmp_path, augmented):
    plots.plot_training_curves(tmp_path / "x.png", HISTORY, "held-out", "toys", augmented)
    legend = figures[0].axes[0].get_legend().texts[0].get_text()
    assert ("warped" in legend) == augmented
    assert ("harder ones than the held-out" in figures[0].get_supxlabel()) == augmented


def test_training_curves_of_one_epoch_are_points(figures, tmp_path):
    one = {name: values[:1] for name, values in HISTORY.items()}
    plots.plot_training_curves(tmp_path / "x.png", one, "test", "toys", False)
    assert all(
        line.get_marker() == "o" for axes in figures[0].axes for line in axes.get_lines()
    )


def test_confusion_matrix(figures, tmp_path):
    plots.plot_confusion_matrix(tmp_path / "x.png", MATRIX, "Test digits")
    axes = figures[0].axes[0]
    at = {
        (round(text.get_position()[1] - 0.5), round(text.get_position()[0] - 0.5)): int(
            text.get_text()
        )
        for text in axes.texts
    }
    assert len(axes.texts) == 100
    assert all(
        at[row, column] == MATRIX[row, column] for row in range(10) for column in range(10)
    )
    assert axes.get_title() == "Test digits\n97.22 % correct, 27 mistakes in 972 digits"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted digit", "True digit")


def test_confusion_matrix_colours_are_on_the_scale_of_the_mistakes(figures, tmp_path):
    plots.plot_confusion_matrix(tmp_path / "x.png", MATRIX, "")
    mistakes, correct = figures[0].axes[0].collections
    assert mistakes.get_clim() == (0, 3)
    assert mistakes.get_array().mask.reshape(10, 10).tolist() == np.eye(10, dtype=bool).tolist()
    assert (
        correct.get_array().mask.reshape(10, 10).tolist() == (~np.eye(10, dtype=bool)).tolist()
    )


def test_confusion_matrix_without_a_mistake(figures, tmp_path):
    plots.plot_confusion_matrix(tmp_path / "x.png", np.diag([5] * 10), "")
    assert "100.00 % correct, 0 mistakes" in figures[0].axes[0].get_title()


def draw_predictions(path, count):
    images = np.random.default_rng(0).random((count, 28, 28))
    y_pred = np.arange(count) % 10
    y_true = y_pred.copy()
    y_true[1] = 7
    plots.plot_predictions(path, images, y_pred, np.full(count, 0.987), y_true, "Digits")
    return images


def test_predictions(figures, tmp_path):
    images = draw_predictions(tmp_path / "x.png", 10)
    assert len(figures[0].axes) == 10
    assert figures[0].axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 5)
    np.testing.assert_array_equal(figures[0].axes[3].images[0].get_array(), images[3])
    titles = [axes.get_title() for axes in figures[0].axes]
    assert titles[0] == "0   98.7 %"
    assert titles[1] == "1   98.7 %\ntrue digit 7"
    colors = [axes.spines["top"].get_edgecolor() for axes in figures[0].axes]
    assert colors[1] == matplotlib.colors.to_rgba(plots.VERMILLION)
    assert colors.count(colors[1]) == 1
    assert figures[0].get_suptitle() == "Digits"


@pytest.mark.parametrize(("count", "drawn"), [(2, 2), (7, 7), (51, 50)])
def test_predictions_of_any_number(figures, tmp_path, count, drawn):
    draw_predictions(tmp_path / "x.png", count)
    assert len(figures[0].axes) == drawn
    assert ("first 50 of 51" in figures[0].get_suptitle()) == (count == 51)


@pytest.mark.parametrize("count", [1, 8, 11])
def test_readings(figures, tmp_path, count):
    given = [np.full((30, 20 + n), 0.5) for n in range(count)]
    seen = np.random.default_rng(0).random((count, 28, 28))
    names = [f"a very long name of image {n}.png" for n in range(count - 1)] + ["$1.png"]
    plots.plot_readings(
        tmp_path / "x.png", given, seen, [7] * count, [0.5] * count, names, "Images"
    )
    pairs = [
        pair for band in figures[0].subfigs for pair in zip(*halves(band.axes), strict=True)
    ]
    assert len(pairs) == count
    for n, (above, below) in enumerate(pairs):
        np.testing.assert_array_equal(above.images[0].get_array(), given[n])
        np.testing.assert_array_equal(below.images[0].get_array(), seen[n])
        assert above.get_position().y0 > below.get_position().y0
        assert below.get_title() == "7   50.0 %"
        assert len(below.get_xlabel()) <= 18
    assert pairs[-1][1].get_xlabel() == "$1.png"


def halves(axes):
    return axes[: len(axes) // 2], axes[len(axes) // 2 :]


def test_show_needs_a_window_system(tmp_path):
    draw_predictions(tmp_path / "x.png", 2)
    pyplot.switch_backend("agg")
    with pytest.raises(OSError, match="there is no display"):
        plots.show(tmp_path / "x.png")
    pyplot.close("all")
