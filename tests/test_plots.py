"""What is drawn: texts, colours, places and images of the saved figures."""

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

import plots

HISTORY = {
    "loss": [0.4, 0.2, 0.1234],
    "accuracy": [0.9, 0.98, 0.975],
    "val_loss": [0.3, 0.25, 0.2345],
    "val_accuracy": [0.92, 0.96, 0.9567],
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


def texts(artists):
    return [artist.get_text() for artist in artists]


def test_training_curves(figures, tmp_path):
    plots.plot_training_curves(tmp_path / "x.png", HISTORY, "held-out", "toys", False)
    loss, accuracy = figures[0].axes
    assert figures[0].get_suptitle() == "Trained on toys"
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
    assert figures[0].get_supxlabel() == ""


def test_training_curves_of_one_augmented_epoch(figures, tmp_path):
    one = {name: values[:1] for name, values in HISTORY.items()}
    plots.plot_training_curves(tmp_path / "x.png", one, "held-out", "toys", True)
    lines = [line for axes in figures[0].axes for line in axes.get_lines()]
    assert [line.get_marker() for line in lines] == ["o"] * 4
    assert lines[0].get_label() == "training, augmented: 0.4000"
    assert "harder to read than the held-out images" in figures[0].get_supxlabel()


def test_confusion_matrix_is_coloured_on_the_scale_of_the_mistakes(figures, tmp_path):
    plots.plot_confusion_matrix(tmp_path / "x.png", MATRIX, "Test digits")
    axes = figures[0].axes[0]
    drawn = np.full((10, 10), -1)
    for text in axes.texts:
        x, y = text.get_position()
        drawn[int(y), int(x)] = text.get_text()
    np.testing.assert_array_equal(drawn, MATRIX)
    zeros = [text for text in axes.texts if text.get_color() == plots.LIGHT_GREY]
    assert set(texts(zeros)) == {"0"}
    assert figures[0].axes[1].get_ylabel() == "Mistakes (correct predictions are grey)"
    assert axes.get_title() == "Test digits\n97.22 % correct, 27 mistakes in 972 images"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted digit", "True digit")
    mistakes, correct = axes.collections
    assert mistakes.get_clim() == (0, 3)
    assert sum(mistakes.cmap(0.0)) > sum(mistakes.cmap(1.0))  # many are dark
    hidden = [part.get_array().mask.reshape(10, 10) for part in (mistakes, correct)]
    np.testing.assert_array_equal(hidden, [np.eye(10), 1 - np.eye(10)])


@pytest.mark.parametrize("most", [0, 1, 3, 250])
def test_mistakes_are_counted_in_whole_numbers(figures, tmp_path, most):
    matrix = np.diag([750] * 10) + most * np.eye(10, k=1, dtype=int)
    plots.plot_confusion_matrix(tmp_path / "x.png", matrix, "")
    assert "".join(texts(figures[0].axes[1].get_yticklabels())).isdecimal()
    assert f" {9 * most:,} mistakes in " in figures[0].axes[0].get_title()


@pytest.mark.parametrize(("count", "drawn"), [(2, 2), (7, 7), (10, 10), (51, 50)])
def test_predictions(figures, tmp_path, count, drawn):
    images = np.random.default_rng(0).random((count, 28, 28))
    y_pred = np.arange(count) % 10
    y_true = np.where(np.arange(count) == 1, 7, y_pred)
    confidence = np.full(count, 0.987)
    plots.plot_predictions(tmp_path / "x.png", images, y_pred, confidence, y_true, 9 * "Digit ")
    assert len(figures[0].axes) == drawn
    image = figures[0].axes[1].images[0]
    np.testing.assert_array_equal(image.get_array(), images[1])
    assert image.to_rgba(np.eye(2))[0, 0].tolist() == [1, 1, 1, 1]
    assert figures[0].axes[0].get_title() == "0   98.7 %"
    assert figures[0].axes[1].get_title() == "1   98.7 %\ntrue digit 7"
    colors = [axes.spines["top"].get_edgecolor() for axes in figures[0].axes]
    assert colors[1] == matplotlib.colors.to_rgba(plots.VERMILLION)
    assert colors.count(colors[1]) == 1
    title = figures[0].get_suptitle().split("\n")
    assert ("(the first 50 of 51)" in " ".join(title)) == (count == 51)
    assert max(map(len, title)) <= 9 * figures[0].get_figwidth()


def panel_of(*line_lengths, name="note.jpg", shape=(300, 400)):
    """A panel of lines of digits in a regular grid: an unsure 3 first, then sure 7s."""
    shape = shape[0], max(shape[1], 40 * max(line_lengths))
    places = [(40 * i, 60 * row) for row, n in enumerate(line_lengths) for i in range(n)]
    corners = np.array(places) + 5
    return plots.Panel(
        name=name,
        image=np.full((*shape, 3), 200, np.uint8),
        boxes=np.hstack([corners, np.add(corners, (25, 45))]),
        pixels=np.linspace(0, 0.9, len(places))[:, None, None] * np.ones((28, 28)),
        line_lengths=line_lengths,
        y_pred=np.array([3] + [7] * (len(places) - 1)),
        digit_confidence=np.array([0.5] + [0.9] * (len(places) - 1)),
        confidence=0.328,
    )


@pytest.mark.parametrize(
    ("layout", "columns", "width"),
    [
        ([[10, 10, 10, 10]], 1, 6),
        ([[1]], 1, 6),
        ([[1]] * 32, 8, 1.6),
        ([[1], [4, 3], [30], [1]], 3, 4.2),
        ([[2]] * 5, 4, 3),
    ],
)
def test_readings(figures, tmp_path, layout, columns, width):
    panels = [panel_of(*lengths, name=f"{n}.png") for n, lengths in enumerate(layout)]
    plots.plot_readings(tmp_path / "x.png", panels, 0.6, "Digits found")
    assert figures[0].get_suptitle() == "Digits found"
    photos = [axes for axes in figures[0].axes if axes.patches]
    strips = [axes for axes in figures[0].axes if axes.images and not axes.patches]
    for panel, photo, strip in zip(panels, photos, strips, strict=True):
        np.testing.assert_array_equal(photo.images[0].get_array(), panel.image)
        assert photo.get_title().startswith(f"{panel.name}\n")
        expected = ["3"] + ["7"] * (len(panel.pixels) - 1)
        assert texts(photo.texts) == texts(strip.texts) == expected
        assert photo.get_position().y0 > strip.get_position().y0
        image = strip.images[0].get_array()
        assert strip.images[0].to_rgba(np.eye(2))[0, 0].tolist() == [1, 1, 1, 1]  # white
        for digit, label in zip(panel.pixels, strip.texts, strict=True):
            x, y = map(int, label.get_position())
            assert image[y + 20, x] == digit[0, 0]  # below its label
            assert np.sum(image == digit[0, 0]) == 28 * 28
    assert len({photo.get_subplotspec().colspan.start for photo in photos}) == columns
    drawn_width = photos[0].get_position().width * figures[0].get_figwidth()
    assert drawn_width == pytest.approx(width, rel=0.1)


def test_each_digit_has_its_box_and_the_unsure_another_colour(figures, tmp_path):
    panel = panel_of(3, 2)
    plots.plot_readings(tmp_path / "x.png", [panel], 0.6, "")
    photo, strip = figures[0].axes
    assert photo.get_title() == "note.jpg\n32.8 %"
    frame, *boxes = photo.patches
    np.testing.assert_array_equal(frame.get_bbox().extents, (-0.5, -0.5, 399.5, 299.5))
    np.testing.assert_array_equal([box.get_bbox().extents for box in boxes], panel.boxes)
    expected = [matplotlib.colors.to_rgba(c) for c in [plots.VERMILLION] + [plots.BLUE] * 4]
    assert [patch.get_edgecolor() for patch in boxes] == expected
    assert [matplotlib.colors.to_rgba(text.get_color()) for text in strip.texts] == expected
    assert [text.get_bbox_patch().get_facecolor() for text in photo.texts] == expected
    for text, (left, top, _, _) in zip(photo.texts, panel.boxes, strict=True):
        assert text.get_position() == (left, top)
        # Above the box, or inside it if there is no space.
        assert text.get_va() == ("top" if top < 30 else "bottom")


def test_labels_of_a_picture_are_as_large_as_its_boxes_are_drawn(figures, tmp_path):
    for shape in ((600, 800), (960, 800)):  # both are drawn 800 pixels wide
        plots.plot_readings(tmp_path / "x.png", [panel_of(1, shape=shape)], 0.6, "")
    sizes = [figure.axes[0].texts[0].get_fontsize() for figure in figures]
    assert sizes[0] == sizes[1] < 14


def test_lines_of_the_strip_are_those_of_the_picture_and_wrap(figures, tmp_path):
    plots.plot_readings(tmp_path / "x.png", [panel_of(16, 18, 2)], 0.6, "")
    strip = figures[0].axes[1]
    heights = [text.get_position()[1] for text in strip.texts]
    assert [heights.count(height) for height in sorted(set(heights))] == [16, 16, 2, 2]
    assert strip.images[0].get_array().shape == tuple(np.multiply((4, 16), plots.STRIP_CELL))


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
def test_any_file_name_can_be_drawn(figures, tmp_path, name, title):
    plots.plot_readings(tmp_path / "x.png", [panel_of(1, name=name)], 0.6, "")
    assert figures[0].axes[0].get_title().split("\n")[0] == title
