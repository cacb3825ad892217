"""A Reading: its text, confidence and boxes, and what makes it from a picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers import reading_of
from photos import open_picture, read_images, read_picture


def read_sevens(pixels):
    """A model that reads every digit as a 7 at 90 %."""
    return np.tile([0, 0.1, 0, 0, 0, 0, 0, 0.9, 0, 0], (len(pixels), 1))


def strokes(*columns, size=(400, 200)):
    """A picture of upright strokes, white on black."""
    image = Image.new("L", size)
    for column in columns:
        ImageDraw.Draw(image).line((column, 50, column, 149), fill=255, width=12)
    return image


@pytest.mark.parametrize(
    ("lines", "text"),
    [(["7"], "7"), (["7", "77"], "7 / 77"), (["77 7", "7"], "77 7 / 7"), ([], "")],
)
def test_text_has_spaces_between_numbers_and_bars_between_lines(lines, text):
    assert reading_of(*lines).text == text


def test_confidence_of_all_is_the_product(tmp_path):
    reading = reading_of("777", confidences=[0.9, 0.8, 0.5])
    assert reading.confidence == pytest.approx(0.36)


@pytest.mark.parametrize(
    ("confidence", "unsure"), [(0.8994, True), (0.8996, False), (0.9, False), (0.3, True)]
)
def test_a_digit_is_unsure_below_90_percent_as_printed(confidence, unsure):
    assert reading_of("7", confidences=[confidence]).unsure.tolist() == [unsure]


def test_a_picture_is_read_with_any_function_as_model():
    reading = read_picture(strokes(100, 200, 300), read_sevens, "strokes")
    assert (reading.name, reading.text) == ("strokes", "777")
    assert reading.confidence == pytest.approx(0.9**3)


def test_the_model_gets_digits_in_mnists_form():
    given = []
    reading = read_picture(strokes(100, 200), lambda x: given.append(x) or read_sevens(x))
    assert (given[0].shape, given[0].dtype) == ((2, 28, 28), np.float32)
    np.testing.assert_array_equal(given[0], reading.pixels)


def test_boxes_are_whole_pixels_of_the_picture_as_it_was_before_it_was_shrunk(tmp_path):
    strokes(600, size=(3200, 200)).save(tmp_path / "wide.png")
    reading = read_picture(tmp_path / "wide.png", read_sevens)
    assert reading.name == str(tmp_path / "wide.png")
    assert (reading.picture.size, reading.size) == ((1600, 100), (3200, 200))
    assert reading.boxes.dtype.kind == "i"
    np.testing.assert_allclose(reading.boxes, [(594, 50, 606, 150)], atol=4)


def test_a_picture_without_writing_is_a_reading_without_digits():
    reading = read_picture(Image.new("L", (200, 200)), None)
    assert (reading.digits, reading.text) == ([], "")
    assert (reading.boxes.shape, reading.pixels.shape) == ((0, 4), (0, 28, 28))


def test_a_hint_says_that_a_file_has_more_pages(tmp_path):
    strokes(100).save(tmp_path / "x.tif", save_all=True, append_images=[strokes(200)])
    (hint,) = read_picture(tmp_path / "x.tif", read_sevens).hints
    assert hint == "only the first of 2 pages or frames is read"
    assert read_picture(strokes(100), read_sevens).hints == []


def test_several_images_are_read_with_one_call_of_the_model():
    calls, images = [], {"one": strokes(100), "none": strokes(), "two": strokes(100, 200)}
    images = {name: open_picture(image) for name, image in images.items()}
    readings = read_images(images, lambda x: calls.append(len(x)) or read_sevens(x))
    assert calls == [3]
    assert [(reading.name, reading.text) for reading in readings] == [
        ("one", "7"),
        ("none", ""),
        ("two", "77"),
    ]


def test_of_no_images_there_are_no_readings():
    assert read_images({}, None) == []


@pytest.mark.parametrize(
    ("unsure", "count", "hinted"), [(10, 30, True), (9, 30, False), (29, 29, False)]
)
def test_much_that_is_unsure_looks_like_print(unsure, count, hinted):
    confidences = unsure * [0.5] + (count - unsure) * [0.95]
    hints = reading_of("7" * count, confidences=confidences).hints
    assert any("looks like print" in hint for hint in hints) == hinted
