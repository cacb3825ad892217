"""A person's own pictures: loaded, digits found and brought to MNIST's form, read."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

import benchmark
import photos
from helpers import BUNDLED, reading_of
from photos import find_files, load_picture, read_picture


def picture(grey):
    """An image of grey values in [0, 1]."""
    return Image.fromarray(np.uint8(255 * np.clip(grey, 0, 1)))


def on_paper(shape, strokes, width=10, paper=0.8, ink=0.2):
    """Grey values (height, width) of straight strokes (x, y, x, y) on paper."""
    image = Image.new("L", shape[::-1], round(255 * paper))
    for stroke in strokes:
        ImageDraw.Draw(image).line(stroke, fill=round(255 * ink), width=width)
    return np.asarray(image) / 255


def with_strokes(grey, *strokes, width=3):
    return np.minimum(grey, on_paper(grey.shape, strokes, width))


def with_grain(grey):
    """Grey values with the grain of a photo, which a drawing does not have."""
    return grey + np.random.default_rng(0).normal(scale=0.01, size=grey.shape)


FILES = "1.png L.jpg P.gif RGB.webp RGB.heic RGB.avif LA.png CMYK.tif I;16.png I.tif F.tif"
SEVEN = on_paper((200, 150), [(40, 58, 110, 58), (102, 58, 60, 160)], width=14)


def find_writing(picture, classify=lambda x: np.ones((len(x), 1))):
    """What is written in a picture; without a model, each cutting of digits is as sure."""
    return photos.find_writing(load_picture(picture), classify)


def only_digit(grey):
    """The one digit in a picture."""
    ((digit,),) = find_writing(picture(grey)).lines
    return digit


def lengths(*arguments):
    """How many digits are found in each line."""
    return list(map(len, find_writing(*arguments).lines))


def difference(grey, other):
    """The mean difference of the one digit in two pictures, in MNIST's form."""
    return np.abs(only_digit(grey).pixels - only_digit(other).pixels).mean()


@pytest.mark.parametrize("name", FILES.split())
def test_every_mode_reads_the_same(tmp_path, name):
    path = tmp_path / name
    values = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(path.stem)
    image = picture(SEVEN).convert("L" if values else path.stem)
    if values:  # they have no fixed white
        image = Image.fromarray(256 * np.asarray(image, values))
    image.save(path)
    for given in (path, image):
        ((digit,),) = find_writing(given).lines
        assert np.abs(digit.pixels - only_digit(SEVEN).pixels).mean() < 0.03


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_parts_are_paper(ink):
    opaque = Image.fromarray(np.uint8(np.where(SEVEN < 0.5, ink, 128)))
    drawn = Image.fromarray(np.uint8(255 * (SEVEN < 0.5)))
    grey = np.asarray(load_picture(Image.merge("LA", [opaque, drawn])).convert("L"))
    np.testing.assert_array_equal(grey, np.where(SEVEN < 0.5, ink, 255 - ink))


def test_exif_turns_photos_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(np.rot90(SEVEN)).save(tmp_path / "x.png", exif=exif)
    ((digit,),) = find_writing(tmp_path / "x.png").lines
    np.testing.assert_allclose(digit.box, only_digit(SEVEN).box)


@pytest.mark.parametrize("scale", [24, 0.1])
def test_boxes_are_in_pixels_of_the_picture_however_large_or_small(scale):
    resized = picture(SEVEN).resize((round(150 * scale), round(200 * scale)))
    ((digit,),) = find_writing(resized).lines
    np.testing.assert_allclose(np.divide(digit.box, scale), only_digit(SEVEN).box, atol=15)


def test_a_jpeg_of_many_pixels_is_decoded_at_reduced_size(tmp_path):
    Image.new("L", (12_001, 9_000)).save(tmp_path / "x.jpg")
    loaded = load_picture(tmp_path / "x.jpg")
    assert (loaded.size, loaded.info["full_size"]) == ((1600, 1200), (12_001, 9_000))


def test_folders_are_searched_once_and_in_natural_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = "b10.png b9.JPG B8.png a/x2.heic .h.png a/.h.png .venv/x.png n.txt a/c.mpg b.pdf"
    for file in map(Path, files.split()):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    Path("empty").mkdir()
    found = find_files(["a/../b9.JPG", ".", "nowhere.pdf", Path("empty"), ".venv", "."])
    images, others = ([Path(path).as_posix() for path in paths] for paths in found)
    assert " ".join(images) == "a/x2.heic B8.png b9.JPG b10.png nowhere.pdf empty .venv/x.png"
    assert others == ["a/c.mpg", "b.pdf", "n.txt"]


def test_a_pattern_that_names_no_file_is_expanded(tmp_path):
    for name in ("10.png", "9.png", "a.txt", "1.png", "[1].png"):
        (tmp_path / name).touch()
    found, others = find_files([tmp_path / name for name in ("[1].png", "*.gif", "?*.png")])
    names = [Path(file).name for file in found]
    assert (names, others) == (["[1].png", "*.gif", "1.png", "9.png", "10.png"], [])


def test_a_digit_has_mnists_size_place_and_strength():
    seen = only_digit(SEVEN).pixels
    assert (seen.shape, seen.dtype) == ((28, 28), np.float32)
    rows, columns = np.nonzero(seen > 0.3)
    assert 19 <= np.ptp(rows) + 1 <= 21
    assert np.ptp(columns) < np.ptp(rows)  # the aspect ratio is kept
    np.testing.assert_allclose((seen.min(), seen.max()), (0, 1), atol=0.001)
    assert seen[seen < 0.02].size > 500  # black, not grey


@pytest.mark.parametrize("width", [150, 50])
def test_a_digit_is_centred_by_its_mass_even_if_it_is_narrow(width):
    grey = np.asarray(picture(SEVEN).resize((width, 200))) / 255
    np.testing.assert_allclose(ndimage.center_of_mass(only_digit(grey).pixels), 14, atol=0.1)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_thin_pen_comes_out_as_wide_as_mnists(width):
    grey = on_paper((400, 400), [(200, 50, 200, 350), (120, 50, 200, 50)], width, 1, 0)
    assert 1.8 < only_digit(grey).pixels[12:20].sum(axis=1).mean() < 3


def test_a_narrow_digit_is_widened():
    grey = on_paper((400, 300), [(130, 50, 180, 50), (180, 50, 180, 350)], 20, 1, 0)
    columns = only_digit(grey).pixels.max(axis=0) > 0.5
    # Its ink is 60 x 310 pixels: 4 columns in MNIST's form, times sqrt(310 / (2 * 60)) = 1.6.
    assert columns.sum() in (6, 7, 8)


ACROSS, DOWN = np.linspace(0.5, 1, 150), np.linspace(1, 0.8, 200)[:, np.newaxis]
ROWS, COLUMNS = np.indices(SEVEN.shape)
ABOVE = (ROWS >= 20) & (ROWS < 45) & (COLUMNS >= 40) & (COLUMNS < 110)
STRANGERS = {
    "speck": with_strokes(SEVEN, (20, 21, 23, 21)),
    "weak noise": SEVEN - np.random.default_rng(0).uniform(0, 0.3, SEVEN.shape) * ABOVE,
    "blot": np.where(np.hypot(ROWS - 95, COLUMNS - 54) < 12, 0.2, SEVEN),
    "edge of the page": np.where(COLUMNS > 142, 0.3, SEVEN),
    "bow in a corner": np.where(abs(np.hypot(ROWS - 200, COLUMNS - 150) - 70) < 3, 0.3, SEVEN),
}


@pytest.mark.parametrize("light", [1, ACROSS, DOWN, ACROSS * DOWN], ids=range(4))
@pytest.mark.parametrize("dark_ink", [True, False])
def test_polarity_and_uneven_light_do_not_matter(dark_ink, light):
    assert difference((SEVEN if dark_ink else 1 - SEVEN) * light, SEVEN) < 0.03


@pytest.mark.parametrize("grey", STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_part_of_a_digit_goes(grey):
    assert difference(with_grain(grey), SEVEN) < 0.02


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("ink", [0.2, 0.4])
def test_a_digit_on_ruled_paper_is_found_whole(squared, ink):
    seven = on_paper((900, 700), [(260, 300, 440, 300), (430, 300, 320, 560)], 16, 1, 0.1)
    lines = [(0, at, 700, at + 20) for at in range(75, 900, 150)]  # they slant a little
    if squared:
        lines += [(at, 0, at - 20, 900) for at in range(75, 900, 150)]
    paper = with_grain(on_paper((900, 700), lines, 5, 0.85, 0.85 * (1 - ink)))
    assert difference(np.minimum(paper, seven), seven) < 0.02


@pytest.mark.parametrize("turn", [0, 0.2, 0.5])
@pytest.mark.parametrize(("table", "size"), [(0.2, 0.6), (0.5, 1), (0.65, 1)])
def test_on_a_sheet_on_a_table_with_a_pen_only_the_writing_is_found(table, size, turn):
    y, x = np.indices((600, 900)) / 600 - [[[0.5]], [[0.75]]]
    across, down = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    sheet = (np.abs(down) < 0.3 * size) & (np.abs(across) < 0.4 * size)
    pen = (np.abs(y + 0.3) < 0.1) & (np.abs(x + 0.65) < 0.005)
    grey = with_grain(np.where(sheet, 0.9, np.where(pen, 0.05, table)))
    assert lengths(picture(grey)) == []
    grey[260:340, 450:456] = 0.1
    np.testing.assert_allclose(only_digit(grey).box, (450, 260, 456, 340), atol=5)


def test_the_bar_of_a_large_digit_is_no_ruled_line():
    seven = on_paper((200, 150), [(20, 40, 130, 40), (130, 40, 60, 170)], width=4)
    np.testing.assert_allclose(only_digit(seven).box, (20, 38, 132, 172), atol=4)


@pytest.mark.parametrize("width", [60, 100, 180])
@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_large_bold_0_is_no_sheet(dark_ink, width):
    image = Image.new("L", (800, 800), 210 if dark_ink else 60)
    box, ink = (120, 40, 680, 760), 60 if dark_ink else 210
    ImageDraw.Draw(image).ellipse(box, outline=ink, width=width)
    np.testing.assert_allclose(only_digit(np.asarray(image) / 255).box, box, atol=12)


def rings(rows, columns, shape=(300, 900), size=40):
    """Grey values of rings as high as 1.4 * `size`, in all of `rows` and `columns`."""
    image = Image.new("L", shape[::-1], 230)
    for row, column in product(rows, columns):
        box = (column, row, column + size, row + 1.4 * size)
        ImageDraw.Draw(image).ellipse(box, outline=40, width=6)
    return np.asarray(image) / 255


def test_a_large_scrawl_does_not_hide_small_digits():
    image = picture(rings(range(50, 890, 60), range(40, 490, 45), (900, 1200), size=18))
    angle = np.linspace(0, 8 * np.pi, 400)
    x, y = 850 + 12 * angle * np.cos(angle), 450 + 12 * angle * np.sin(angle)
    ImageDraw.Draw(image).line(list(zip(x, y, strict=True)), fill=50, width=5)
    assert lengths(image) == 14 * [10]


@pytest.mark.parametrize(
    ("start", "slope", "bend", "indent"),
    [(0, 0, 0, 0), (0, 12, 0, 0), (80, -12, 0, 0), (0, 0, 2, 0), (180, -32, 0, 4)],
)
def test_digits_are_read_line_by_line(start, slope, bend, indent):
    places = [
        (20 + 120 * row + start + slope * n + bend * n**2, 20 + 70 * n)
        for row, columns in enumerate((range(6), range(indent, indent + 4)))
        for n in columns
    ]
    page = np.min([rings([row], [column], (400, 560)) for row, column in places], axis=0)
    lines = find_writing(picture(page)).lines
    assert [len(line) for line in lines] == [6, 4]
    found = [(digit.box[1], digit.box[0]) for line in lines for digit in line]
    np.testing.assert_allclose(found, places, atol=4)


TOUCHING = picture(rings([100], [100, 138]))
ONES = on_paper((80, 480), [(x, 12, x, 68) for x in range(30, 480, 50)], width=4)
SHADOW = np.arange(900) < 480
TILE = np.pad(1 - rings([82], [98], (220, 236)), ((60, 60), (6, 6)), constant_values=1)
PAGES = {
    "a line cropped to its height": (rings([0], range(20, 380, 60), (57, 380)), [6]),
    "tight lines": (rings([80, 146], range(100, 600, 100)), [5, 5]),
    "a shadow": (rings([300], range(60, 870, 90), (600, 900)) * (1 - 0.45 * SHADOW), [9]),
    "a deep shadow": (rings([300], range(60, 870, 90), (600, 900)) * (1 - 0.8 * SHADOW), [9]),
    "upright strokes": (ONES, [9]),
    "dark tiles on a page": (np.hstack([TILE, TILE, TILE]), [3]),
}


@pytest.mark.parametrize(("grey", "found"), PAGES.values(), ids=PAGES)
def test_all_digits_of_a_page_are_found(grey, found):
    assert lengths(picture(grey)) == found


@pytest.mark.parametrize(
    ("columns", "starts"),
    [
        ((20, 70, 220, 270, 420, 470, 520, 570), (2, 4)),  # 24 12 1998
        ((20, 70, 220), (2,)),
        ((20, 130, 240, 350), ()),  # written apart, but evenly
        ((20, 70, 140, 190), ()),  # a gap no wider than a digit
    ],
)
def test_a_gap_wider_than_a_digit_parts_two_numbers(columns, starts):
    (line,) = find_writing(picture(rings([100], columns))).lines
    assert [n for n, digit in enumerate(line) if digit.space_before] == list(starts)


def test_digits_that_touch_are_cut_and_have_their_own_boxes():
    ((left, right),) = find_writing(TOUCHING).lines
    np.testing.assert_allclose(left.box, (97, 97, 140, 159), atol=4)
    np.testing.assert_allclose(right.box, (138, 97, 181, 159), atol=4)


def test_what_the_network_is_sure_of_is_not_cut():
    def sure_of_wide_ones(images):
        wide = (images.max(axis=1) > 0.5).sum(axis=1) > (images.max(axis=2) > 0.5).sum(axis=1)
        return np.where(wide, 0.99, 0.01)[:, np.newaxis]

    assert lengths(TOUCHING, sure_of_wide_ones) == [1]


def test_digits_that_overhang_each_other_are_cut_along_a_seam():
    seven = [(116, 44, 196, 44), (196, 44, 110, 160)]
    overhanging = [(40, 44, 120, 44), (120, 44, 70, 160), *seven]
    (line,) = find_writing(picture(on_paper((200, 230), overhanging))).lines
    alone = only_digit(on_paper((200, 230), seven)).pixels
    assert len(line) == 2
    assert np.abs(line[1].pixels - alone).mean() < 0.02


@pytest.mark.parametrize("turns", range(4))
def test_a_digit_in_the_bow_of_another_does_not_hide_it(turns):
    bow = [(60, 40, 200, 40), (200, 40, 200, 120), (200, 120, 60, 200), (60, 200, 210, 200)]
    inner = [(100, 80, 140, 80), (140, 80, 110, 125)]
    turned = np.rot90(on_paper((240, 260), [*bow, *inner], width=8), turns)
    boxes = [digit.box for line in find_writing(picture(turned)).lines for digit in line]
    assert max(right - left for left, _, right, _ in boxes) > 145


def test_a_loose_stroke_of_a_large_digit_belongs_to_it():
    five = [(700, 90, 700, 130), (700, 130, 750, 130), (750, 130, 750, 200), (700, 70, 750, 70)]
    smaller = rings([80], range(100, 600, 100))
    (line,) = find_writing(picture(with_strokes(smaller, *five, width=6))).lines
    np.testing.assert_allclose(line[-1].box, (697, 67, 753, 203), atol=4)


@pytest.mark.parametrize("ink", [60, 250])
def test_a_solid_object_is_no_digit(ink):
    image = Image.new("L", (400, 400), 150)
    ImageDraw.Draw(image).polygon([(150, 80), (220, 100), (150, 320)], fill=ink)
    assert lengths(image) == []


def without_digit(size):
    rows, columns = np.indices((size, size)) / size
    noise = np.random.default_rng(0).normal(size=(size, size))
    waves = np.sin(300 * columns / size**0.5) * np.sin(300 * rows / size**0.5)
    return {
        "white": 0 * rows + 1,
        "gradient": 0.3 + 0.5 * columns + 0.01 * noise,
        "noise": 0.5 + 0.1 * noise,
        "blob": 0.8 - 0.6 * ((rows - 0.5) ** 2 + (columns - 0.4) ** 2 < 0.06),
        "round light": 1 - 0.5 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2),
        "cloth": 0.6 + 0.1 * waves + 0.02 * noise,
    }


@pytest.mark.parametrize("size", [28, 100, 400])
@pytest.mark.parametrize("kind", without_digit(2))
def test_where_no_digit_is_none_is_found(kind, size):
    assert lengths(picture(without_digit(size)[kind])) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (2, 3), (1600, 20)])
def test_pictures_of_odd_shapes_are_searched_too(shape):
    find_writing(picture(np.random.default_rng(0).random(shape)))  # no error


@pytest.mark.parametrize("dark_ink", [True, False])
@pytest.mark.parametrize("side", [8, 28, 200])
def test_digits_cropped_to_their_box_are_read(trained_model, side, dark_ink):
    read = []
    for image in map(Image.fromarray, BUNDLED.x_eval[:30]):
        crop = ImageOps.contain(image.crop(image.getbbox()), (side, side))
        crop = ImageOps.invert(crop) if dark_ink else crop
        read.append(read_picture(crop, trained_model).text)
    assert np.mean(read == BUNDLED.y_eval[:30].astype(str)) >= 0.9


# They were drawn from MNIST's test digits, one for each kind that people's pictures have.
RENDERED = Path(__file__).parent / "rendered"
KINDS = [row for row in benchmark.labelled_pictures(RENDERED) if "kind-" in row[2].name]

DIGITS = rings([100], [100, 180, 260, 340], (300, 600))
COMMA = with_strokes(DIGITS, (160, 150, 150, 175), width=6)
LARGE_SHAPE = with_strokes(DIGITS, (450, 20, 550, 20), (550, 20, 490, 280), width=6)
AT_FRAME = with_grain(np.minimum(DIGITS, rings([100], [575], (300, 600))))
IN_CORNER = with_grain(np.minimum(DIGITS, rings([240], [575], (300, 600))))


@pytest.mark.parametrize(("kind", "text", "path"), KINDS)
def test_a_picture_of_each_kind_is_read(trained_model, kind, text, path):
    assert benchmark.read_text(read_picture(path, trained_model).probabilities) == text


@pytest.mark.parametrize(
    ("grey", "boxes"),
    [
        (COMMA, [(146, 147, 164, 178)]),
        (LARGE_SHAPE, [(447, 17, 553, 283)]),
        (AT_FRAME, [(575, 100, 600, 156)]),
        (IN_CORNER, np.empty((0, 4))),  # not on the digits' line
    ],
)
def test_what_is_no_whole_digit_is_left_out(grey, boxes):
    lines, left_out = find_writing(picture(grey))
    assert list(map(len, lines)) == [4]
    np.testing.assert_allclose(np.reshape(left_out, (-1, 4)), boxes, atol=4)


def test_the_page_around_a_tile_is_not_left_out():
    assert find_writing(RENDERED / "images" / "kind-tiles.jpg").left_out == []


@pytest.mark.parametrize(("lines", "text"), [(["77 7", "7"], "77 7 / 7"), ([], "")])
def test_text_has_spaces_between_numbers_and_bars_between_lines(lines, text):
    assert reading_of(*lines).text == text


@pytest.mark.parametrize(("confidence", "unsure"), [(0.8994, True), (0.8996, False)])
def test_a_digit_is_unsure_below_90_percent_as_printed(confidence, unsure):
    assert reading_of("7", confidences=[confidence]).unsure.tolist() == [unsure]


def test_a_hint_says_that_something_is_left_out():
    assert "not everything" in reading_of("7")._replace(left_out=[(9, 9, 20, 40)]).hints[0]


def sure_of_upright_sevens(pixels):
    """A model that reads 7: with 99 % if most ink is above, else with 60 %."""
    is_upright = pixels[:, 4:9].sum(axis=(1, 2)) > 2 * pixels[:, 19:24].sum(axis=(1, 2))
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


@pytest.mark.parametrize(("unsure", "sure", "hinted"), [(10, 20, 1), (9, 21, 0), (29, 0, 0)])
def test_much_that_is_unsure_looks_like_print(unsure, sure, hinted):
    confidences = unsure * [0.5] + sure * [0.95]
    hints = reading_of("7" * (unsure + sure), confidences=confidences).hints
    assert any("looks like print" in hint for hint in hints) == hinted
