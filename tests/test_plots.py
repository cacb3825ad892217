"""What is drawn: texts, colours, places and images of the saved figures."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

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
    """Call a function of plots.py; returns the figure, which has also become a PNG file."""
    saved, windows = [], pyplot.get_fignums()
    savefig = Figure.savefig

    def keep(figure, path, **options):
        savefig(figure, path, **options)
        assert path.read_bytes().startswith(b"\x89PNG")
        saved.append(figure)

    def plot(function, *arguments):
        function(tmp_path / "x.png", *arguments)
        return saved[-1]

    monkeypatch.setattr(Figure, "savefig", keep)
    yield plot
    assert pyplot.get_fignums() == windows


@pytest.fixture
def plot_reading(plot):
    """Plot one reading; returns its axes."""

    def plot_reading(reading):
        (axes,) = plot(plots.plot_readings, [reading], "").axes
        return axes

    return plot_reading


def texts(artists):
    return [artist.get_text() for artist in artists]


def test_training_curves(plot):
    figure = plot(plots.plot_training_curves, HISTORY, "held-out", "toys", False)
    loss, accuracy = figure.axes
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Trained on toys", "")
    for axes, key in [(loss, "loss"), (accuracy, "accuracy")]:
        assert axes.get_xlabel() == "Epoch"
        training, validation = axes.get_lines()
        assert training.get_xdata().tolist() == [1, 2, 3]
        assert list(training.get_ydata()) == HISTORY[key]
        assert list(validation.get_ydata()) == HISTORY[f"val_{key}"]
        assert all(tick == int(tick) for tick in axes.get_xticks())
        assert training.get_color() != validation.get_color()
    labels = [axes.get_ylabel() for axes in (loss, accuracy)]
    assert labels == ["Loss (cross-entropy)", "Accuracy"]
    shares = [f"{100 * tick:.1f}" for tick in accuracy.get_yticks()]
    assert texts(accuracy.get_yticklabels()) == [f"{share} %" for share in shares]
    assert loss.get_legend().get_title().get_text() == "last epoch"
    assert texts(loss.get_legend().texts) == ["training: 0.1234", "held-out: 0.2345"]
    assert texts(accuracy.get_legend().texts) == ["training: 97.50 %", "held-out: 95.67 %"]


def test_training_curves_of_one_augmented_epoch(plot):
    one = {name: values[:1] for name, values in HISTORY.items()}
    figure = plot(plots.plot_training_curves, one, "held-out", "toys", True)
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    assert [line.get_marker() for line in lines] == ["o"] * 4
    assert lines[0].get_label() == "training, augmented: 0.4000"
    assert "harder to read than the held-out images" in figure.get_supxlabel()


def test_confusion_matrix_is_coloured_on_the_scale_of_the_mistakes(plot):
    axes, scale = plot(plots.plot_confusion_matrix, MATRIX, "Test digits").axes
    drawn = np.full((10, 10), -1)
    for text in axes.texts:
        x, y = text.get_position()
        drawn[int(y), int(x)] = text.get_text()
    np.testing.assert_array_equal(drawn, MATRIX)
    zeros = [text for text in axes.texts if text.get_color() == plots.LIGHT_GREY]
    assert set(texts(zeros)) == {"0"}
    assert scale.get_ylabel() == "Mistakes (correct predictions are grey)"
    assert axes.get_title() == "Test digits\n97.22 % correct, 27 mistakes in 972 images"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted digit", "True digit")
    (mistakes,) = axes.collections
    assert mistakes.get_clim() == (0, 3)
    assert sum(mistakes.cmap(0.0)) > sum(mistakes.cmap(1.0))  # many are dark
    assert mistakes.get_array().diagonal().tolist() == [0] * 10
    assert {tuple(patch.get_facecolor()[:3]) for patch in axes.patches} == {(228 / 255,) * 3}
    assert [patch.get_xy() for patch in axes.patches] == [(i, i) for i in range(10)]


@pytest.mark.parametrize("most", [0, 1, 250])
def test_mistakes_are_counted_in_whole_numbers(plot, most):
    matrix = np.diag([750] * 10) + most * np.eye(10, k=1, dtype=int)
    axes, scale = plot(plots.plot_confusion_matrix, matrix, "").axes
    assert "".join(texts(scale.get_yticklabels())).isdecimal()
    assert f" {9 * most:,} mistakes in " in axes.get_title()


@pytest.mark.parametrize(("count", "drawn"), [(2, 2), (7, 7), (51, 50)])
def test_predictions(plot, count, drawn):
    images = np.random.default_rng(0).random((count, 28, 28))
    y_pred = np.arange(count) % 10
    y_true = np.where(np.arange(count) == 1, 7, y_pred)
    given = images, y_pred, np.full(count, 0.987), y_true, 9 * "Digit "
    figure = plot(plots.plot_predictions, *given)
    assert len(figure.axes) == drawn
    right, wrong, *_ = figure.axes
    (image,) = wrong.images
    np.testing.assert_array_equal(image.get_array(), images[1])
    assert image.to_rgba(np.eye(2))[0, 0].tolist() == [1, 1, 1, 1]
    assert right.get_title() == "0   98.7 %"
    assert wrong.get_title() == "1   98.7 %\ntrue digit 7"
    frames = [axes.spines["top"].get_edgecolor() for axes in figure.axes]
    assert frames.count(to_rgba(plots.VERMILLION)) == 1
    assert frames[1] == to_rgba(plots.VERMILLION)
    title = figure.get_suptitle().replace("\n", " ")
    assert ("(the first 50 of 51)" in title) == (count == 51)
    assert figure._suptitle.get_window_extent().width < figure.bbox.width


@pytest.mark.parametrize(
    ("texts_read", "columns"),
    [(["7"] * 9, 8), (["7"] * 2, 2), (["77"] * 5, 4), (["7", "7777777", "77", "7"], 3)],
)
def test_readings_stand_in_a_grid(plot, texts_read, columns):
    readings = [reading_of(text, name=f"{n}.png") for n, text in enumerate(texts_read)]
    figure = plot(plots.plot_readings, readings, "Digits found")
    assert figure.get_suptitle() == "Digits found"
    used = [axes for axes in figure.axes if axes.images]
    names = [axes.get_title().split("\n")[0] for axes in used]
    assert names == [reading.name for reading in readings]
    assert len({axes.get_subplotspec().colspan.start for axes in used}) == columns


def test_each_digit_has_its_box_and_the_unsure_another_colour(plot_reading):
    confidences = [0.5, 0.9, 0.9, 0.9, 0.9]
    reading = reading_of("377", "77", name="scans/note.jpg", confidences=confidences)
    axes = plot_reading(reading)
    assert axes.get_title() == "note.jpg\n32.8 %"
    labels = [text for text in axes.texts if text.get_text()]
    labels, labels_below = labels[:5], labels[5:]
    _, *boxes = axes.patches
    np.testing.assert_array_equal([box.get_bbox().extents for box in boxes], reading.boxes)
    expected = [to_rgba(color) for color in [plots.VERMILLION] + [plots.BLUE] * 4]
    assert [box.get_edgecolor() for box in boxes] == expected
    assert [label.get_bbox_patch().get_facecolor() for label in labels] == expected
    assert [to_rgba(label.get_color()) for label in labels_below] == expected
    assert texts(labels) == texts(labels_below) == list("37777")
    places = [label.get_position() for label in labels]
    np.testing.assert_array_equal(places, reading.boxes[:, :2])
    # In the first line, a label above the box would leave the picture.
    assert [label.get_va() for label in labels] == ["top"] * 3 + ["bottom"] * 2


def test_a_large_picture_is_plotted_small_and_its_boxes_in_place(plot_reading):
    picture = Image.new("RGB", (1600, 1200), "white")
    axes = plot_reading(reading_of("7", size=(4800, 3600), picture=picture))
    assert axes.images[0].get_array().shape == (750, 1000, 3)
    assert axes.images[0].get_extent() == [0, 4800, 3600, 0]
    np.testing.assert_array_equal(axes.patches[1].get_bbox().extents, (5, 5, 30, 50))


def test_labels_of_a_picture_are_as_large_as_its_boxes_are_drawn(plot_reading):
    first, second = (
        plot_reading(reading_of("7", size=(800, height))).texts[0].get_fontsize()
        for height in (600, 960)  # both are drawn 800 pixels wide
    )
    assert first == second < 14


def test_digits_stand_below_the_picture_as_the_network_sees_them(plot_reading):
    reading = reading_of("12", "3")
    axes = plot_reading(reading)
    _, *rows = axes.images
    strips = np.hstack([row.get_array() for row in rows])
    tiles = [tile[1:29, 1:29] for tile in np.hsplit(strips, 3)]
    np.testing.assert_array_equal(tiles, reading.pixels)
    assert rows[0].to_rgba(np.eye(2))[0, 0].tolist() == [1, 1, 1, 1]  # white
    top, below = (row.get_extent()[3] for row in rows)
    assert 300 < top < below
    assert [text.get_position()[1] for text in axes.texts[-3:]] == [top, top, below]


@pytest.mark.parametrize("size", [(400, 300), (300, 900), (1000, 60)])
def test_everything_lies_in_the_axes_and_the_axes_in_the_figure(plot, size):
    figure = plot(plots.plot_readings, [reading_of("7777", size=size)] * 4, "")
    for axes in figure.axes:
        left, right = axes.get_xlim()
        bottom, top = axes.get_ylim()
        for image in axes.images:
            x0, x1, y1, y0 = image.get_extent()
            assert left - 1e-6 <= x0 < x1 <= right + 1e-6
            assert top <= y0 < y1 <= bottom + 1e-6
        assert figure.bbox.contains(*axes.get_tightbbox().min)
        assert figure.bbox.contains(*axes.get_tightbbox().max)


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
def test_any_file_name_can_be_drawn(plot_reading, name, title):
    assert plot_reading(reading_of("7", name=name)).get_title().split("\n")[0] == title


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.tif", "x.PDF", "x.svg"])
def test_a_saved_plot_is_known_again_if_it_is_a_picture(tmp_path, name):
    plots.plot_readings(tmp_path / name, [reading_of("7")], "")
    assert (tmp_path / name).stat().st_size > 1000
    assert plots.is_plot(tmp_path / name) == (name not in ("x.PDF", "x.svg"))


@pytest.mark.parametrize("write", [Image.Image.save, lambda _, path: path.write_text("no")])
def test_other_files_are_no_plots(tmp_path, write):
    write(Image.new("L", (9, 9)), tmp_path / "x.png")
    assert not plots.is_plot(tmp_path / "x.png")
