"""A Reading: its text, confidence and boxes, and what makes it from a picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cli import InputError
from helpers import reading_of
from photos import read_picture


@pytest.mark.parametrize(
    ("lines", "text"),
    [(["7"], "7"), (["7", "77"], "7 / 77"), (["77 7", "7"], "77 7 / 7"), ([], "")],
)
def test_text_has_spaces_between_numbers_and_bars_between_lines(lines, text):
    assert reading_of(*lines).text == text


@pytest.mark.parametrize(
    ("confidence", "unsure"), [(0.8994, True), (0.8996, False), (0.9, False), (0.3, True)]
)
def test_a_digit_is_unsure_below_90_percent_as_printed(confidence, unsure):
    assert reading_of("7", confidences=[confidence]).unsure.tolist() == [unsure]


def test_boxes_are_whole_pixels_of_the_picture_as_it_was_before_it_was_shrunk(tmp_path):
    image = Image.new("L", (3200, 200))
    ImageDraw.Draw(image).line((600, 50, 600, 149), fill=255, width=12)
    image.save(tmp_path / "wide.png")
    reading = read_picture(tmp_path / "wide.png", lambda x: np.full((len(x), 10), 0.1))
    assert reading.name == str(tmp_path / "wide.png")
    assert (reading.picture.size, reading.size) == ((1600, 100), (3200, 200))
    assert reading.boxes.dtype.kind == "i"
    np.testing.assert_allclose(reading.boxes, [(594, 50, 606, 150)], atol=4)


def test_size_is_exact_and_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # it lies on its side
    Image.new("L", (3201, 2003)).save(tmp_path / "x.jpg", exif=exif)
    assert read_picture(tmp_path / "x.jpg", None).size == (2003, 3201)


def test_a_damaged_image_in_memory_is_wrong_input(tmp_path):
    Image.radial_gradient("L").save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:200])
    with Image.open(tmp_path / "x.png") as image, pytest.raises(InputError, match="truncated"):
        read_picture(image, None)


def test_a_hint_says_that_something_is_left_out():
    (hint,) = reading_of("7")._replace(left_out=[(9, 9, 20, 40)]).hints
    assert "not everything is read" in hint


def sure_of_upright_sevens(pixels):
    """A model that reads 7: with 99 % if the ink is wider above than below, else with 60 %."""
    is_upright = pixels[:, 4:9].sum(axis=(1, 2)) > pixels[:, 19:24].sum(axis=(1, 2))
    return np.outer(np.where(is_upright, 0.99, 0.6), np.eye(10)[7])


@pytest.mark.parametrize(("degrees", "hinted"), [(0, False), (90, True), (180, True)])
def test_a_hint_says_that_a_picture_is_turned(degrees, hinted):
    image = Image.new("L", (400, 300), "white")
    for left in (100, 200):
        points = [(left, 100), (left + 60, 100), (left + 30, 180)]
        ImageDraw.Draw(image).line(points, fill="black", width=8)
    reading = read_picture(image.rotate(degrees, expand=True), sure_of_upright_sevens, "77")
    assert len(reading.digits) == 2
    assert any("turned" in hint for hint in reading.hints) == hinted


@pytest.mark.parametrize(
    ("unsure", "count", "hinted"), [(10, 30, True), (9, 30, False), (29, 29, False)]
)
def test_much_that_is_unsure_looks_like_print(unsure, count, hinted):
    confidences = unsure * [0.5] + (count - unsure) * [0.95]
    hints = reading_of("7" * count, confidences=confidences).hints
    assert any("looks like print" in hint for hint in hints) == hinted
