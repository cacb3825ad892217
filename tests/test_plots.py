"""What is drawn: texts, colours, places and images of the saved figures."""

from unittest.mock import Mock

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import plots
from helpers import reading_of

HISTORY = {
    "loss": [0.4, 0.2, 0.1234],
    "accuracy": [0.9, 0.98, 0.975],
    "val_loss": [0.3, 0.25, 0.2345],
    "val_accuracy": [0.92, 0.96, 0.9567],
}
MATRIX = np.diag(np.arange(90, 100)) + np.eye(10, k=1, dtype=int) * 3


@pytest.fixture
def plot(monkeypatch, tmp_path):
    """Call a function of plots.py, which writes a PNG file; returns the figure."""
    save = Mock(side_effect=plots.save_figure)
    monkeypatch.setattr(plots, "save_figure", save)

    def plot(function, *arguments):
        function(tmp_path / "x.png", *arguments)
        return save.call_args.args[0]

    return plot


def plot_reading(reading):
    """Plot one reading; returns its axes."""
    axes = Figure().add_subplot()
    plots.plot_reading(axes, reading, 4)
    return axes


def texts(artists):
    return [artist.get_text() for artist in artists]


def test_training_curves(plot):
    figure = plot(plots.plot_training_curves, HISTORY, "held-out", "toys", True)
    assert figure.get_suptitle() == "Trained on toys"
    assert "harder to read than the held-out images" in figure.get_supxlabel()
    for axes, key in zip(figure.axes, ["loss", "accuracy"], strict=True):
        lines = zip(axes.get_lines(), [HISTORY[key], HISTORY[f"val_{key}"]], strict=True)
        for line, expected in lines:
            np.testing.assert_array_equal(line.get_xydata(), np.c_[[1, 2, 3], expected])
    loss, accuracy = (texts(axes.get_legend().texts) for axes in figure.axes)
    assert loss == ["training, augmented: 0.1234", "held-out: 0.2345"]
    assert accuracy == ["training, augmented: 97.50 %", "held-out: 95.67 %"]


def test_confusion_matrix_has_all_counts_and_true_digits_in_rows(plot):
    axes, _ = plot(plots.plot_confusion_matrix, MATRIX, "Test digits").axes
    drawn = np.full((10, 10), -1)
    for text in axes.texts:
        x, y = text.get_position()
        drawn[int(y), int(x)] = text.get_text()
    np.testing.assert_array_equal(drawn, MATRIX)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted digit", "True digit")
    assert axes.get_title() == "Test digits\n97.22 % correct, 27 mistakes in 972 images"


def test_confusion_matrix_is_coloured_on_the_scale_of_the_mistakes(plot):
    axes, scale = plot(plots.plot_confusion_matrix, MATRIX, "").axes
    assert axes.collections[0].get_clim() == (0, 3)
    assert scale.get_ylabel() == "Mistakes (correct predictions are grey)"
    assert [patch.get_xy() for patch in axes.patches] == [(i, i) for i in range(10)]


def test_wrong_predictions_are_marked(plot):
    images = np.random.default_rng(0).random((2, 28, 28))
    figure = plot(plots.plot_predictions, images, [0, 1], [0.9, 0.987], [0, 7], "Digits")
    right, wrong = figure.axes
    assert right.get_title() == "0   90.0 %"
    assert wrong.get_title() == "1   98.7 %\ntrue digit 7"
    colors = [axes.spines["top"].get_edgecolor() for axes in (right, wrong)]
    assert colors == [to_rgba("black"), to_rgba(plots.VERMILLION)]
    np.testing.assert_array_equal(wrong.images[0].get_array(), images[1])
    assert wrong.images[0].to_rgba(np.eye(2))[0, 0].tolist() == [1, 1, 1, 1]  # white


def test_fifty_predictions_are_plotted_at_most(plot):
    figure = plot(plots.plot_predictions, np.zeros((51, 28, 28)), *np.zeros((3, 51)), "Digits")
    assert (len(figure.axes), figure.get_suptitle()) == (50, "Digits (the first 50 of 51)")


def test_each_digit_has_its_box_and_the_unsure_another_colour():
    reading = reading_of("377", "77", name="scans/note.jpg", confidences=[0.5] + 4 * [0.9])
    axes = plot_reading(reading)
    assert axes.get_title() == "note.jpg\n32.8 %"
    _, *boxes = axes.patches
    np.testing.assert_array_equal([box.get_bbox().extents for box in boxes], reading.boxes)
    expected = [to_rgba(color) for color in [plots.VERMILLION] + [plots.BLUE] * 4]
    assert [box.get_edgecolor() for box in boxes] == expected
    at_boxes, below = axes.texts[:5], axes.texts[5:]
    assert [to_rgba(label.get_color()) for label in below] == expected
    assert texts(at_boxes) == texts(below) == list("37777")


@pytest.mark.parametrize(("pixels_per_inch", "place"), [(17, "bottom"), (18, "top")])
def test_a_label_stands_in_its_box_where_it_would_leave_the_picture(pixels_per_inch, place):
    # It needs 1.5 times its 14 points: 5.0 or 5.3 pixels. The box is 5 pixels from the edge.
    _, label = plots.draw_boxes(Figure().add_subplot(), reading_of("7"), pixels_per_inch)
    assert (*label.get_position(), label.get_va()) == (5, 5, place)


def test_a_dashed_box_marks_what_is_not_read():
    *_, box = plot_reading(reading_of("7")._replace(left_out=[(200, 20, 230, 90)])).patches
    assert (box.get_linestyle(), *box.get_bbox().extents) == ("--", 200, 20, 230, 90)


def test_a_large_picture_is_plotted_small_in_its_own_pixels():
    axes = plot_reading(reading_of("7", size=(4800, 3600)))
    assert axes.images[0].get_array().shape == (750, 1000, 3)
    assert axes.images[0].get_extent() == [0, 4800, 3600, 0]
    np.testing.assert_array_equal(axes.patches[1].get_bbox().extents, (5, 5, 30, 50))


def test_digits_stand_below_the_picture_as_the_network_sees_them():
    reading = reading_of("12", "3")
    axes = plot_reading(reading)
    _, *rows = axes.images
    strips = np.hstack([row.get_array() for row in rows])
    tiles = [tile[1:29, 1:29] for tile in np.hsplit(strips, 3)]
    np.testing.assert_array_equal(tiles, reading.pixels)
    (left, right, _, top), (*_, below) = (row.get_extent() for row in rows)
    assert 300 < top < below
    middles = left + (right - left) * np.array([0.25, 0.75])
    places = [(middles[0], top), (middles[1], top), (middles[0], below)]
    np.testing.assert_allclose([text.get_position() for text in axes.texts[-3:]], places)


@pytest.mark.parametrize("size", [(400, 300), (300, 900), (1000, 60)])
def test_everything_lies_in_the_axes_and_the_axes_in_the_figure(plot, size):
    figure = plot(plots.plot_readings, [reading_of("7777", size=size)] * 4, "")
    for axes in figure.axes:
        pairs = [(image.get_window_extent(), axes.bbox) for image in axes.images]
        for inner, outer in [*pairs, (axes.get_tightbbox(), figure.bbox)]:
            assert np.all(outer.min <= inner.min + 1e-6)
            assert np.all(inner.max <= outer.max + 1e-6)


@pytest.mark.parametrize(
    ("count", "digits", "inches"), [(1, 1, 6), (9, 1, 1.6), (5, 6, 3), (2, 7, 4.2)]
)
def test_the_more_digits_pictures_have_the_wider_they_are(plot, count, digits, inches):
    readings = [reading_of("7" * digits, size=(300, 300 + n % 2 * 300)) for n in range(count)]
    axes = plot(plots.plot_readings, readings, "").axes[:count]
    np.testing.assert_allclose([ax.bbox.width / plots.DPI for ax in axes], inches, atol=0.2)


# Math, letters that the font lacks, bytes that are no text: none may fail or be a warning.
@pytest.mark.parametrize(
    ("name", "title"),
    [
        (r"a$\frac{1$.png", r"a$\frac{1$.png"),
        ("数字.png", "数字.png"),
        ("a\nb.png", "a?b.png"),
        ("a" * 50 + "b" * 50, "a" * 34 + "..." + "b" * 34),
    ],
)
def test_any_file_name_can_be_drawn(plot, name, title):
    (axes,) = plot(plots.plot_readings, [reading_of("7", name=name)], "").axes
    assert axes.get_title().split("\n")[0] == title


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tif", "x.PDF", "x.svg"])
def test_a_saved_plot_is_known_again_if_it_is_a_picture(tmp_path, name):
    plots.plot_readings(tmp_path / name, [reading_of("7")], "")
    assert (tmp_path / name).stat().st_size > 1000
    assert plots.is_plot(tmp_path / name) == (name not in ("x.PDF", "x.svg"))
