"""A person's own pictures: read from files, digits found, brought to MNIST's form."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

import benchmark
import data
from helpers import posix_only
from photos import find_files, find_writing, read_picture
from photos.files import read_image

RENDERED = Path(__file__).parent / "rendered"


def find_digits(given):
    """The lines found in a picture or in a file, without a network."""
    return find_writing(given).lines


def picture(grey):
    """An image of grey values in [0, 1]."""
    return Image.fromarray(np.uint8(255 * np.clip(grey, 0, 1)))


def on_paper(shape, strokes, width=10, paper=0.8, ink=0.2):
    """Grey values (height, width) of straight strokes (x, y, x, y) on paper."""
    image = Image.new("L", shape[::-1], round(255 * paper))
    for stroke in strokes:
        ImageDraw.Draw(image).line(stroke, fill=round(255 * ink), width=width)
    return np.asarray(image) / 255


def with_grain(grey):
    """Grey values with the grain of a photo, which a drawing does not have."""
    return grey + np.random.default_rng(0).normal(scale=0.01, size=grey.shape)


@pytest.fixture
def seven():
    """A large 7 of thick strokes on light grey paper, (200, 150)."""
    return on_paper((200, 150), [(40, 58, 110, 58), (102, 58, 60, 160)], width=14)


def only_digit(grey):
    """The one digit in a picture."""
    ((digit,),) = find_digits(picture(grey))
    return digit


def difference(grey, other):
    """The mean difference of the one digit in two pictures, in MNIST's form."""
    return np.abs(only_digit(grey).pixels - only_digit(other).pixels).mean()


FILES = "1.png L.jpg P.gif RGB.webp RGB.heic RGB.avif LA.png CMYK.tif I;16.png I.tif F.tif"


@pytest.mark.parametrize("name", FILES.split())
def test_every_mode_reads_the_same(tmp_path, seven, name):
    path = tmp_path / name
    values = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(path.stem)
    if values:  # they have no fixed white
        black = 21_000 if path.stem == "F" else 0  # all negative
        image = Image.fromarray(100 * np.uint8(255 * seven).astype(values) - values(black))
        if black:
            image.putpixel((0, 0), float("nan"))
            image.putpixel((1, 0), float("inf"))
    else:
        image = picture(seven).convert(path.stem)
    image.save(path)
    assert read_image(path).mode == "RGB"
    if values and not black:  # the darkest is not made black
        assert np.asarray(read_image(path)).min() == pytest.approx(64, abs=2)
    for given in (path, image):
        ((digit,),) = find_digits(given)
        assert np.abs(digit.pixels - only_digit(seven).pixels).mean() < 0.03


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "P"])
def test_transparent_parts_are_paper(tmp_path, seven, mode, ink):
    drawn = seven < 0.5
    opaque = np.uint8(np.where(drawn, ink, 255 - ink))
    if mode == "LA":
        image, options = Image.merge("LA", [Image.fromarray(opaque), picture(drawn)]), {}
    else:  # a palette with a transparent entry
        image, options = Image.fromarray(np.uint8(drawn)).convert("P"), {"transparency": 0}
        image.putpalette([128] * 3 + [ink] * 3)
    image.save(tmp_path / "x.png", **options)
    grey = np.asarray(read_image(tmp_path / "x.png").convert("L"))
    np.testing.assert_array_equal(grey, opaque)


def test_exif_turns_photos_upright(tmp_path, seven):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(np.rot90(seven)).save(tmp_path / "x.png", exif=exif)
    assert read_image(tmp_path / "x.png").size == (150, 200)
    ((digit,),) = find_digits(tmp_path / "x.png")
    np.testing.assert_allclose(digit.box, only_digit(seven).box)


@pytest.mark.parametrize(("ending", "pages"), [("gif", 2), ("tif", 2), ("mpo", 1), ("png", 1)])
def test_of_several_frames_the_first_is_read(tmp_path, seven, ending, pages):
    path, others = tmp_path / f"x.{ending}", [Image.new("L", (150, 200), 255)]
    picture(seven).save(path, save_all=ending != "png", append_images=others)
    image = read_image(path)
    assert image.info["pages"] == pages
    assert np.abs(np.asarray(image.convert("L")) / 255 - seven).mean() < 0.02


def test_large_and_tiny_pictures_keep_their_boxes(tmp_path, seven):
    photo = picture(seven).resize((3600, 4800))
    photo.save(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg").size == (1200, 1600)
    ((from_file,),) = find_digits(tmp_path / "x.jpg")
    ((from_image,),) = find_digits(photo)
    ((tiny,),) = find_digits(picture(seven).resize((15, 20)))
    small = np.array(only_digit(seven).box)
    for digit in (from_file, from_image):
        np.testing.assert_allclose(digit.box, 24 * small, atol=36)  # pixels of the photo
    np.testing.assert_allclose(tiny.box, small / 10, atol=1.5)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_large_pictures_are_averaged_and_keep_their_colour(tmp_path, ending):
    stripes = np.zeros((64, 4800, 3), np.uint8)
    stripes[:, ::3] = 150, 240, 30
    Image.fromarray(stripes).save(tmp_path / f"x.{ending}", quality=95, subsampling=0)
    seen = np.asarray(read_image(tmp_path / f"x.{ending}"))
    np.testing.assert_allclose(seen, np.full_like(seen, (50, 80, 10)), atol=8)


def test_folders_are_searched_in_natural_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = "b10.png b9.JPG B8.png a/x2.heic .h.png a/.h.png .venv/x.png n.txt a/c.mpg b.pdf"
    for file in map(Path, files.split()):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    Path("empty").mkdir()
    found = find_files([".", "nowhere.pdf", Path("empty"), ".venv"])
    images, others = ([Path(path).as_posix() for path in paths] for paths in found)
    assert " ".join(images) == "a/x2.heic B8.png b9.JPG b10.png nowhere.pdf empty .venv/x.png"
    assert others == ["a/c.mpg", "b.pdf", "n.txt"]


def test_each_file_is_given_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("in/1.png", "in/2.png", "in/n.txt"):
        Path(name).touch()
    given = ["in/2.png", "in", tmp_path / "in", "in/2.png"]
    assert find_files(given) == (["in/2.png", "in/1.png"], ["in/n.txt"])


@posix_only
def test_of_links_to_a_file_the_shortest_is_given(tmp_path):
    (tmp_path / "1.png").touch()
    (tmp_path / "in").symlink_to(tmp_path)  # a loop
    (tmp_path / "a longer name.png").symlink_to(tmp_path / "1.png")
    assert find_files([tmp_path]) == ([str(tmp_path / "1.png")], [])


def test_a_pattern_that_names_no_file_is_expanded(tmp_path):
    for name in ("10.png", "9.png", "a.txt", "[1].png"):
        (tmp_path / name).touch()
    found, others = find_files([tmp_path / "?*.png", tmp_path / "[1].png", tmp_path / "*.gif"])
    names = [Path(file).name for file in found]
    assert (names, others) == (["9.png", "10.png", "[1].png", "*.gif"], [])


def test_a_digit_has_mnists_size_place_and_strength(seven):
    seen = only_digit(seven).pixels
    assert (seen.shape, seen.dtype) == ((28, 28), np.float32)
    rows, columns = np.nonzero(seen > 0.3)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20, 21)
    assert np.ptp(rows) > np.ptp(columns)  # the aspect ratio is kept
    np.testing.assert_allclose(ndimage.center_of_mass(seen), 14, atol=0.1)
    np.testing.assert_allclose((seen.min(), seen.max()), (0, 1), atol=0.001)
    assert seen[seen < 0.02].size > 500  # black, not grey


@pytest.mark.parametrize("width", [8, 16, 20, 24, 32])
def test_a_straight_upright_stroke_is_centred(width):
    grey = np.full((300, 300), 0.9)
    grey[50:250, 140 : 140 + width] = 0.1
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


@pytest.mark.parametrize("light", [1, ACROSS, DOWN, ACROSS * DOWN], ids=range(4))
@pytest.mark.parametrize("dark_ink", [True, False])
def test_polarity_and_uneven_light_do_not_matter(seven, dark_ink, light):
    assert difference((seven if dark_ink else 1 - seven) * light, seven) < 0.03


def with_strokes(grey, *strokes, width=3):
    return np.minimum(grey, on_paper(grey.shape, strokes, width))


def test_a_loose_part_stays(seven):
    assert difference(with_strokes(seven, (75, 38, 130, 38), width=7), seven) > 0.05


def speck(seven):
    return with_strokes(seven, (20, 21, 23, 21))


def digit_cut_off_by_the_frame(seven):
    return with_strokes(seven, (2, 90, 2, 150), width=9)


def drawn_box(seven):
    return with_strokes(seven, (15, 25, 135, 25, 135, 185, 15, 185, 15, 25))


def weak_noise_above(seven):
    noise = np.random.default_rng(0).uniform(0, 0.3, seven.shape)
    noise[:20] = noise[45:] = noise[:, :40] = noise[:, 110:] = 0
    return seven - noise


def blot_in_its_box(seven):
    rows, columns = np.indices(seven.shape)
    return np.where(np.hypot(rows - 95, columns - 54) < 12, 0.2, seven)


def page_edge(seven):
    return np.where(np.arange(seven.shape[1]) > 142, 0.3, seven)


def page_corner(seven):
    rows, columns = np.indices(seven.shape)
    is_edge = (np.minimum(rows, columns) < 10) & (np.maximum(rows, columns) < 140)
    return np.where(is_edge, 0.3, seven)


STRANGERS = [
    speck,
    digit_cut_off_by_the_frame,
    drawn_box,
    weak_noise_above,
    blot_in_its_box,
    page_edge,
    page_corner,
]


@pytest.mark.parametrize("add_stranger", STRANGERS)
def test_what_is_no_part_of_a_digit_goes(seven, add_stranger):
    assert difference(with_grain(add_stranger(seven)), seven) < 0.02


@pytest.fixture
def faint_seven():
    return on_paper((400, 300), [(140, 90, 210, 90), (202, 90, 160, 190)], ink=0.7)


def test_a_faint_digit_beside_strong_ink_that_is_cut_off_is_found(faint_seven):
    strong = [(0, y, 85, y) for y in (200, 240, 280, 320)]
    strong = on_paper((400, 300), strong, width=30, ink=0.02)
    photo = with_grain(np.minimum(strong, faint_seven))
    assert difference(photo, with_grain(faint_seven)) < 0.02


def test_a_faint_digit_is_found_though_a_dark_table_reaches_into_the_picture(faint_seven):
    rows, columns = np.indices(faint_seven.shape)
    picture = np.where(rows < 30 - columns / 6, 0.05, faint_seven)
    assert difference(picture, faint_seven) < 0.02


def paper_with_lines(shape, gap, width, ink, squared):
    """Grey values of paper with slanted lines, darker than the paper by 0.85 * `ink`."""
    image = Image.new("F", shape[::-1], 0.85)
    draw = ImageDraw.Draw(image)
    for at in range(gap // 2, max(shape), gap):
        draw.line((0, at, shape[1], at + 20), fill=0.85 * (1 - ink), width=width)
        if squared:
            draw.line((at, 0, at - 20, shape[0]), fill=0.85 * (1 - ink), width=width)
    noise = np.random.default_rng(0).normal(scale=0.01, size=shape)
    return np.asarray(image) + noise


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("ink", [0.2, 0.4])
def test_a_digit_on_ruled_paper_is_found_whole(squared, ink):
    grey = paper_with_lines((900, 700), 150, 5, ink, squared)
    seven = on_paper((900, 700), [(260, 300, 440, 300), (430, 300, 320, 560)], 16, 1, 0.1)
    assert difference(np.minimum(grey, seven), seven) < 0.02


def test_a_digit_on_thin_slanted_squares_is_found_whole():
    grey = paper_with_lines((900, 700), 100, 2, 0.6, squared=True)
    seven = on_paper((900, 700), [(260, 300, 440, 300), (430, 300, 320, 560)], 16, 1, 0.1)
    # At half the size, parts of a slanting line lie half in each of two rows of pixels.
    grey, seven = (
        full.reshape(450, 2, 350, 2).mean(axis=(1, 3))
        for full in (np.minimum(grey, seven), seven)
    )
    assert difference(grey, seven) < 0.02


def test_a_long_thin_stroke_that_does_not_reach_the_edge_is_no_ruled_line():
    seven = on_paper((200, 150), [(40, 58, 110, 58), (102, 58, 60, 160)], width=5)
    dash = on_paper((200, 150), [(0, 180, 12, 180)], width=5)
    assert difference(np.minimum(seven, dash), seven) < 0.02


ROWS, COLUMNS = np.indices((600, 900)) / 600 - 0.5


def sheet_on_table(size, table, turn):
    """A photo of a blank sheet that is turned by so many radians, in the middle of a table."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=ROWS.shape)
    across = np.cos(turn) * (COLUMNS - 0.25) + np.sin(turn) * ROWS
    down = np.cos(turn) * ROWS - np.sin(turn) * (COLUMNS - 0.25)
    sheet = (np.abs(down) < 0.3 * size) & (np.abs(across) < 0.4 * size)
    return np.where(sheet, 0.9, table) + noise


@pytest.mark.parametrize("turn", [0, 0.2, 0.5])
@pytest.mark.parametrize(("table", "size"), [(0.2, 0.6), (0.5, 1), (0.65, 1)])
def test_on_a_sheet_on_a_table_only_the_writing_is_found(table, size, turn):
    grey = sheet_on_table(size, table, turn)
    assert find_digits(picture(grey)) == []
    grey[260:340, 450:456] = 0.1
    np.testing.assert_allclose(only_digit(grey).box, (450, 260, 456, 340), atol=5)


def test_small_light_writing_on_a_large_dark_picture_is_found():
    places = [(400, 400 + 50 * n) for n in range(5)]
    (line,) = find_digits(picture(1 - rings(*places, shape=(900, 1400), size=16)))
    assert [len(line), line[0].box[0]] == pytest.approx([5, 400], abs=4)


@pytest.mark.parametrize("shade", [0.55, 0.2])
def test_writing_in_a_shadow_is_found(shade):
    shadow = np.where(COLUMNS < 0.3, shade, 1)
    places = [(300, 60 + 90 * n) for n in range(9)]
    (line,) = find_digits(picture(rings(*places, shape=(600, 900)) * shadow))
    assert len(line) == 9


def test_a_dark_spot_does_not_make_the_rest_of_a_digit_dim(seven):
    spot = np.hypot(*(np.indices(seven.shape).T - (58, 75)).T) < 5
    assert difference(np.where(spot, 0, np.maximum(seven, 0.45)), seven) < 0.03


@pytest.mark.parametrize("width", [60, 100, 180])
@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_large_bold_0_is_no_sheet(dark_ink, width):
    image = Image.new("L", (800, 800), 210 if dark_ink else 60)
    box, ink = (120, 40, 680, 760), 60 if dark_ink else 210
    ImageDraw.Draw(image).ellipse(box, outline=ink, width=width)
    np.testing.assert_allclose(only_digit(np.asarray(image) / 255).box, box, atol=12)


@pytest.mark.parametrize("width", [60, 100])
def test_a_large_bold_light_1_is_no_sheet(width):
    grey = 1 - on_paper((800, 800), [(430, 100, 370, 700)], width)
    np.testing.assert_allclose(only_digit(grey).box[1::2], (100, 700), atol=12)


def rings(*places, shape=(300, 900), size=40):
    """Grey values of rings as high as 1.4 * `size`, at places of (row, column)."""
    image = Image.new("L", shape[::-1], 230)
    for row, column in places:
        box = (column, row, column + size, row + 1.4 * size)
        ImageDraw.Draw(image).ellipse(box, outline=40, width=6)
    return np.asarray(image) / 255


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
    lines = find_digits(picture(rings(*places, shape=(400, 560))))
    assert [len(line) for line in lines] == [6, 4]
    found = [(digit.box[1], digit.box[0]) for line in lines for digit in line]
    np.testing.assert_allclose(found, places, atol=4)


def test_a_line_cropped_to_its_height_is_read_and_so_is_a_small_digit_below_the_middle():
    places = [(0, 20 + 60 * n) for n in range(6)]
    (line,) = find_digits(picture(rings(*places, shape=(57, 380))))
    assert len(line) == 6
    uneven = np.minimum(rings((100, 100), (100, 160)), rings((140, 230), size=20))
    (line,) = find_digits(picture(uneven))
    assert [digit.box[0] for digit in line] == pytest.approx([100, 160, 230], abs=4)


@pytest.mark.parametrize(
    ("columns", "starts"),
    [
        ((20, 70, 220, 270, 420, 470, 520, 570), (2, 4)),  # 24 12 1998
        ((20, 70, 220), (2,)),
        ((20, 70, 120, 170), ()),
        ((20, 130, 240, 350), ()),  # written apart, but evenly
        ((20, 70, 140, 190), ()),  # a gap no wider than a digit
    ],
)
def test_a_gap_wider_than_a_digit_parts_two_numbers(columns, starts):
    (line,) = find_digits(picture(rings(*((100, column) for column in columns))))
    assert [n for n, digit in enumerate(line) if digit.space_before] == list(starts)


def test_digits_that_touch_are_split_and_wide_ones_are_not():
    grey = rings((100, 100), (100, 155), (100, 210), (100, 300))
    grey[125:130, 138:158] = grey[125:130, 193:213] = 0.2  # joins the first three
    grey[90:170, 400:496] = np.rot90(rings((20, 20), shape=(96, 80)))  # a wide 0
    (line,) = find_digits(picture(grey))
    assert len(line) == 5
    np.testing.assert_allclose((line[0].box[2], line[1].box[0]), 148, atol=10)


def test_the_edge_of_a_thing_beside_the_paper_is_no_digit():
    grey = rings((100, 100), (100, 200), shape=(800, 1000))
    grey[300:350, 987:995] = 0.2  # 5 pixels from the frame
    (line,) = find_digits(picture(with_grain(grey)))
    assert len(line) == 2


def test_narrow_digits_that_touch_are_split():
    image = Image.new("L", (700, 200), 204)
    for x in (50, 150, 250, 350, 450, 505):
        ImageDraw.Draw(image).ellipse((x, 60, x + 45, 140), outline=51, width=8)
    ImageDraw.Draw(image).line((490, 100, 510, 100), fill=51, width=6)
    (line,) = find_digits(image)
    assert len(line) == 6


def test_tight_lines_and_digits_that_overhang_each_other_stay_apart():
    tight = rings(*((row, 100 + 100 * n) for row in (80, 146) for n in range(5)))
    assert [len(line) for line in find_digits(picture(tight))] == [5, 5]
    hooked = [(100, 100, 160, 100), (160, 100, 160, 140)]
    slanted = [(185, 100, 154, 176)]  # its foot is below the end of the hook
    (line,) = find_digits(picture(on_paper((300, 400), hooked + slanted, 6)))
    assert len(line) == 2


def test_a_loose_stroke_of_a_large_digit_beside_smaller_ones_belongs_to_it():
    five = [(700, 90, 700, 130), (700, 130, 750, 130), (750, 130, 750, 200), (700, 70, 750, 70)]
    five = on_paper((300, 900), five, 6, 0.9)
    small = rings(*((80, 100 + 100 * n) for n in range(5)))
    (line,) = find_digits(picture(np.minimum(five, small)))
    np.testing.assert_allclose(line[-1].box, (697, 67, 753, 203), atol=4)


def test_the_loose_arc_of_a_wide_2_belongs_to_it():
    two = [(650, 115, 655, 99), (655, 99, 695, 99), (700, 130, 630, 190), (630, 190, 730, 190)]
    two = on_paper((300, 900), two, 6, 0.9)
    others = rings(*((100, 100 + 100 * n) for n in range(4)), size=50)
    (line,) = find_digits(picture(np.minimum(two, others)))
    np.testing.assert_allclose(line[-1].box, (627, 96, 733, 193), atol=4)


def test_a_short_piece_of_a_broken_stroke_belongs_to_the_digit():
    seven = on_paper((200, 200), [(60, 40, 120, 40), (115, 40, 105, 110), (98, 130, 98, 136)])
    np.testing.assert_allclose(only_digit(seven).box, (60, 35, 121, 138), atol=4)


def test_a_loose_stroke_inside_the_box_of_a_4_does_not_make_it_a_border():
    four = on_paper((200, 200), [(50, 120, 120, 120), (115, 120, 150, 40), (75, 60, 65, 95)])
    np.testing.assert_allclose(only_digit(four).box, (50, 38, 155, 126), atol=4)


def test_a_shape_much_larger_than_the_digits_is_no_digit():
    large = on_paper((300, 900), [(500, 20, 500, 280), (500, 280, 400, 280)], 6, 0.9, 0.16)
    digits = rings((100, 100), (100, 160), (100, 220), (100, 280))
    (line,) = find_digits(picture(np.minimum(digits, large)))
    assert len(line) == 4


@pytest.mark.parametrize("ink", [60, 250])
def test_a_solid_object_is_no_digit(ink):
    image = Image.new("L", (400, 400), 150)
    ImageDraw.Draw(image).polygon([(150, 80), (220, 100), (150, 320)], fill=ink)
    assert find_digits(image) == []


def without_digit(size):
    rng = np.random.default_rng(0)
    rows, columns = np.indices((size, size)) / size
    noise = rng.normal(size=(size, size))
    waves = np.sin(300 * columns / size**0.5) * np.sin(300 * rows / size**0.5)
    return {
        "black": 0 * rows,
        "white": 0 * rows + 1,
        "gradient": 0.3 + 0.5 * columns,
        "noise": 0.5 + 0.1 * noise,
        "noise on a gradient": 0.3 + 0.5 * columns + 0.01 * noise,
        "any pixel": rng.random((size, size)),
        "blob": 0.8 - 0.6 * ((rows - 0.5) ** 2 + (columns - 0.4) ** 2 < 0.06),
        "round light": 1 - 0.5 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2),
        "cloth": 0.6 + 0.1 * waves + 0.02 * noise,
    }


@pytest.mark.parametrize("size", [28, 100, 400])
@pytest.mark.parametrize("kind", without_digit(2))
def test_where_no_digit_is_none_is_found(kind, size):
    assert find_digits(picture(without_digit(size)[kind])) == []


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(
    ("gap", "width", "ink"), [(60, 12, 0.24), (60, 12, 0.48), (120, 8, 0.6)]
)
def test_lines_of_paper_are_no_digits(gap, width, ink, squared):
    grey = paper_with_lines((1400, 1050), gap, width, ink, squared)
    assert find_digits(picture(grey)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (2, 3), (1600, 20)])
def test_pictures_of_odd_shapes_are_searched_too(shape):
    find_digits(picture(np.random.default_rng(0).random(shape)))  # no error


@pytest.mark.parametrize("side", [8, 12, 20])
def test_the_box_of_a_digit_that_fills_a_tiny_picture_lies_within_it(seven, side):
    tiny = picture(seven).crop((35, 51, 115, 167)).resize((side * 80 // 116, side))
    ((digit,),) = find_digits(tiny)
    corners = np.reshape(digit.box, (-1, 2))
    assert np.all((corners >= 0) & (corners <= tiny.size))


@pytest.mark.parametrize("side", [12, 28, 64, 200])
@pytest.mark.parametrize("margin", [0, 0.05, 0.1])
def test_digits_cropped_to_their_box_are_read(trained_model, bundled_digits, side, margin):
    digits = data.normalize(bundled_digits.x_eval[:60])
    probabilities = trained_model(digits).numpy()
    sure = np.flatnonzero(probabilities.max(axis=1) > 0.99)
    read, answers = [], []
    for index in sure:
        crop = picture(digits[index])
        crop = crop.crop(crop.getbbox())
        scale = side * (1 - 2 * margin) / max(crop.size)
        size = [max(1, round(scale * length)) for length in crop.size]
        crop = np.pad(np.asarray(crop.resize(size)), round(margin * side)) / 255
        read += [read_picture(picture(grey), trained_model).text for grey in (crop, 1 - crop)]
        answers += 2 * [str(probabilities[index].argmax())]
    assert np.mean(np.equal(read, answers)) >= 0.95


@pytest.fixture(scope="module")
def rendered(trained_model):
    """The true digits of each rendered picture, and those read."""
    return [
        (text, benchmark.read_text(read_picture(path, trained_model).probabilities))
        for _, text, path in benchmark.labelled_pictures(RENDERED)
    ]


def test_rendered_pictures_are_read(rendered):
    _, right = benchmark.score(*zip(*rendered, strict=True))
    assert right >= 90


def test_nothing_is_read_in_rendered_pictures_without_writing(rendered):
    assert [read for text, read in rendered if not text] == ["", "", ""]


# They were drawn from MNIST's test digits, one for each kind that people's pictures have.
with open(RENDERED / "labels.csv", newline="") as file:
    KINDS = {
        row["file"]: row["digits"] for row in csv.DictReader(file) if "kind-" in row["file"]
    }


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_each_kind_is_read(trained_model, name):
    writing = find_writing(RENDERED / "images" / name, lambda x: trained_model(x).numpy())
    pixels = np.stack([digit.pixels for line in writing.lines for digit in line])
    assert "".join(map(str, trained_model(pixels).numpy().argmax(axis=1))) == KINDS[name]


def test_a_comma_is_left_out():
    comma = on_paper((300, 900), [(160, 150, 150, 175)], 6, 0.9, 0.16)
    writing = find_writing(picture(np.minimum(comma, rings((100, 100), (100, 180)))))
    assert list(map(len, writing.lines)) == [2]
    np.testing.assert_allclose(writing.left_out, [(146, 147, 164, 178)], atol=4)


def test_a_digit_that_the_frame_cuts_off_is_left_out():
    photo = with_grain(rings((100, 100), (100, 200), (100, 375), shape=(300, 400)))
    writing = find_writing(picture(photo))
    assert list(map(len, writing.lines)) == [2]
    np.testing.assert_allclose(writing.left_out, [(375, 100, 400, 156)], atol=4)


def test_a_much_larger_digit_is_left_out():
    large = on_paper((300, 900), [(400, 20, 500, 20), (500, 20, 440, 280)], 6, 0.9, 0.16)
    digits = rings((100, 100), (100, 160), (100, 220), (100, 280))
    (box,) = find_writing(picture(np.minimum(digits, large))).left_out
    np.testing.assert_allclose(box, (397, 17, 503, 283), atol=4)


def test_what_the_network_is_sure_of_is_not_cut():
    def sure_of_wide_ones(images):
        wide = (images.max(axis=1) > 0.5).sum(axis=1) > (images.max(axis=2) > 0.5).sum(axis=1)
        return np.where(wide, 0.99, 0.01)[:, np.newaxis]

    touching = picture(rings((100, 100), (100, 138)))
    assert list(map(len, find_digits(touching))) == [2]
    assert list(map(len, find_writing(touching, sure_of_wide_ones).lines)) == [1]


def test_a_jpeg_of_many_pixels_is_decoded_at_reduced_size(tmp_path):
    Image.new("L", (12_000, 9_000)).save(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg").size == (1600, 1200)
