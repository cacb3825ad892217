"""A person's picture: read, every digit found, each brought to MNIST's form.

Grey pictures are float32 (height, width) in [0, 1], 1 being white. "Ink" is how much darker
a pixel is than the paper around it, as a share of that paper; on a dark ground, how much
lighter, as a share of white.
"""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from cli import InputError

MAX_SIDE = 1600  # pixels of a picture's longer side: a digit of 1.5 % of it has 24
TINY = 24  # pixels: a digit fills a picture smaller than this, which gets a margin
CONNECTED = np.ones((3, 3))  # pixels that touch at a corner are connected

# The picture is searched on every level of an image pyramid, each at about twice the
# resolution of the one before, always for digits of the same size in pixels.
COARSEST_LEVEL = 128  # pixels of its longer side; half of it for pictures up to that
WINDOW = 96  # pixels of the median window that estimates the background
WINDOW_CELLS = 9  # along a side of the window: the median is taken of averages over cells
SMALLEST, LARGEST = 12, 88  # pixels of a digit; on the coarsest level it may be larger
POLARITY_SIDE = 512  # pixels of the level on which it is settled whether ink is dark
RULE_BLOCK = 8  # pixels along a line that are looked at as one: the bits of a byte
RULE_LENGTH = 160  # pixels: straight lines longer than two digits are not handwriting

SHARP_EDGE = 0.85  # darker side of an edge, as a share of the brighter one
LEAST_SHEET = 0.03  # of the picture, that a sheet of paper covers
THINNEST_SHEET = 0.2  # width of a sheet, as a share of its length
# Left out is a piece that touches the frame and has its centre at most this far from it.
CUT_OFF = 0.2  # of the picture's height or width

FAINT = 0.05  # ink below which there is nothing but the grain of the paper
FAINT_LIGHT = 0.15  # the same for light ink: reflections are light too
LIGHT_INK = 0.5  # weight of light ink against dark: most people write dark on light
LEAST_SCORE = 0.01  # black strokes that are together a hundredth of the picture long
CLEAR = 8  # times the noise: with less contrast, a piece counts for less
LEAST_CONTRAST = 4  # times the noise on a fine level; with less, it shows a texture
MOST_DIGITS = 200  # more pieces of like size are a texture or print, slow to group
FLATTEST = 0.45  # height of the flattest digit, as a share of its width; else it is a part
BOLDEST = 0.45  # stroke width of the boldest digit, as a share of its size; else it is a blob
SOLID = 0.6  # share of its box that the ink of a blob fills
WIDEST = 1.4  # width of the widest digit, in median heights; a wider one is several
CUT_INK = 1.6  # most ink that the cut between two digits crosses, in stroke widths

LEAST_INK = 0.15  # of the strongest in a digit: weaker pixels do not count for its size
PEN_WIDTH = 2.2  # pixels of the thinnest stroke in the 20 x 20 box; MNIST's are 2 to 3 wide


class Digit(NamedTuple):
    """A digit found in a picture."""

    box: tuple[float, float, float, float]  # left, top, right, bottom in the picture's pixels
    pixels: np.ndarray  # (28, 28) in [0, 1], white on black, in MNIST's form


class Level(NamedTuple):
    """The pieces of ink (connected components) on one level of the pyramid, n of them."""

    dark_ink: bool  # dark on light, or light on dark
    score: float  # see `search_level`
    ink: np.ndarray  # (height, width)
    noise: float  # standard deviation of `ink` on empty paper
    labels: np.ndarray  # (height, width): i + 1 in piece i, 0 outside all pieces
    start: np.ndarray  # (n, 2): top and left of each piece's bounding box
    stop: np.ndarray  # (n, 2): bottom and right
    mass: np.ndarray  # (n,): sum of the strong ink; 0 for a piece that is left out
    contrast: np.ndarray  # (n,): ink of the strokes
    stroke: np.ndarray  # (n,): True for what a pen may have drawn on paper
    candidate: np.ndarray  # (n,): True for strokes with the size and shape of a whole digit

    @property
    def size(self) -> np.ndarray:
        """(n,): the longer side of each bounding box."""
        return (self.stop - self.start).max(axis=1)


def find_images(paths: Sequence[str]) -> list[str]:
    """The files in `paths`, with folders searched for image files, in natural order.

    Hidden files and folders are passed over. A folder without any image files stays in the
    list, for `read_image` to say so.
    """
    endings = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = []
    for path in paths:
        files = []
        if os.path.isdir(path):
            files = [
                str(file)
                for file in Path(path).rglob("*")
                if file.suffix.lower() in endings
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
        found += sorted(files, key=natural_order) or [path]
    return found


def natural_order(name: str) -> str:
    """A sorting key by which `2.png` comes before `10.png`."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(20), name.lower())


def read_image(path: str) -> Image.Image:
    """Read an image file as 8-bit RGB, its longer side at most MAX_SIDE pixels.

    It comes upright, as its EXIF orientation says, with transparent parts as paper; of an
    animation, the first frame. Raises InputError if the file cannot be read as an image or
    has more than 89 million pixels (Pillow's limit against decompression bombs).
    """
    if os.path.isdir(path):
        raise InputError("a folder with no image files in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # decodes JPEG files at reduced size
                image = ImageOps.exif_transpose(image)
    except Image.UnidentifiedImageError as error:
        raise InputError("not an image of a known format") from error
    except Exception as error:  # Pillow's many decoders fail in as many ways
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read as an image: {reason}") from error
    image = flatten(image)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    return image


def flatten(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB.

    Transparent parts become white, or black if the drawing is light.
    """
    if image.mode.startswith(("I", "F")):  # they have no fixed white: take what is there
        values = np.nan_to_num(np.asarray(image, np.float32))
        black = min(values.min(), 0)
        image = Image.fromarray(
            np.uint8(255 * (values - black) / max(values.max() - black, 1e-6))
        )
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    opacity = np.asarray(image.getchannel("A"), np.float32)
    brightness = np.average(to_grey(image), weights=opacity) if opacity.any() else 0
    paper = Image.new("RGBA", image.size, "white" if brightness <= 0.5 else "black")
    return Image.alpha_composite(paper, image).convert("RGB")


def to_grey(image: Image.Image) -> np.ndarray:
    """The luminance (height, width) of an image, float32 in [0, 1]."""
    return np.asarray(image.convert("L"), np.float32) / 255


def find_digits(grey: np.ndarray) -> list[list[Digit]]:
    """Find the digits in a grey picture (height, width): lines of them in reading order.

    They may be dark on light or light on dark. Without writing in the picture, the list is
    empty.
    """
    margin = 0
    if max(grey.shape) < TINY:
        margin = 1 + max(grey.shape) // 4
        grey = np.pad(grey, margin, constant_values=ground(grey))
    for level in search_pyramid(grey):
        groups = group_pieces(level)
        if groups:
            break
    else:
        return []
    labels = split_touching(label_groups(level.labels, groups))
    boxes = ndimage.find_objects(labels)
    start, stop = corners(boxes)
    scale = max(grey.shape) / max(labels.shape)
    outlines = np.hstack([start[:, ::-1], stop[:, ::-1]]) * scale - margin
    digits = []
    for i, box in enumerate(boxes):
        wider = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in box)
        pixels = to_mnist(level.ink[wider], labels[wider] == i + 1)
        digits.append(Digit(tuple(outlines[i].tolist()), pixels))
    return [[digits[i] for i in line] for line in sort_into_lines(start, stop)]


def ground(grey: np.ndarray) -> float:
    """The brightness of most of the frame: the ground, even if a digit fills the picture."""
    return quantile(frame_pixels(grey), 0.5)


def frame_pixels(grey: np.ndarray) -> np.ndarray:
    """The outermost pixels (n,) of a picture."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def search_pyramid(grey: np.ndarray) -> list[Level]:
    """The levels of the image pyramid that show dark and light ink best, the better one first.

    One that shows no digits is left out.
    """
    longest = max(grey.shape)
    coarsest = COARSEST_LEVEL if longest > COARSEST_LEVEL / 2 else COARSEST_LEVEL // 2
    # The last step, to all pixels of the picture, is one of 1.4 to 2.8.
    between = [coarsest * 2**n for n in range(1, 4) if 1.4 * coarsest * 2**n < longest]
    sides = sorted({coarsest, *between, max(longest, coarsest)})
    polarities = [True, False]
    if longest < COARSEST_LEVEL:  # drawn on a screen, so that the ground is even
        polarities = [ground(grey) > (grey.min() + grey.max()) / 2]
    sheet = find_sheet(grey)
    if not sheet.all():
        polarities = [True]  # a sheet would look like a light digit
    best: dict[bool, Level] = {}
    for side in sides:
        largest = side if side == coarsest else LARGEST
        for dark_ink in polarities:
            level = search_level(resize(grey, side), dark_ink, sheet, largest)
            if level.score > (best[dark_ink].score if dark_ink in best else LEAST_SCORE):
                best[dark_ink] = level
        if side >= POLARITY_SIDE and best:
            polarities = [max(best, key=lambda dark_ink: best[dark_ink].score)]
    return sorted(best.values(), key=lambda level: -level.score)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """`grey` with `side` pixels on its longer side."""
    size = [max(1, round(length * side / max(grey.shape))) for length in grey.shape]
    method = Image.Resampling.BOX if side < max(grey.shape) else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(grey).resize(size[::-1], method)).clip(0, 1)


def find_sheet(grey: np.ndarray) -> np.ndarray:
    """A mask (height, width), small, of the sheet of paper lying in view; else all True.

    A sheet is a large region without sharp edges in it, brighter than the mean, whose border
    is sharp and mostly inside the picture. (A shadow also has an edge, but reaches the
    frame.) Of several, it is the brightest. Writing covers little of it; a large light digit
    has more gaps.
    """
    if max(grey.shape) < COARSEST_LEVEL or np.ptp(frame_pixels(grey)) == 0:  # drawn on a screen
        return np.ones((1, 1), bool)
    small = resize(grey, COARSEST_LEVEL)
    # The closing removes the writing, which has sharp edges too.
    closed = ndimage.grey_closing(small, (15, 15))
    brightest = np.maximum(ndimage.maximum_filter(closed, 5), 1e-3)
    edge = ndimage.minimum_filter(closed, 5) < SHARP_EDGE * brightest
    labels, count = ndimage.label(~edge)
    regions = np.arange(count) + 1
    area = ndimage.sum_labels(np.ones(closed.shape), labels, regions)
    brightness = ndimage.mean(closed, labels, regions)
    bright = (area > LEAST_SHEET * closed.size) & (brightness > closed.mean())
    for i in np.flatnonzero(bright)[np.argsort(-brightness[bright])]:
        # The filters made edges two pixels wide to either side.
        region = ndimage.binary_dilation(labels == i + 1, CONNECTED, iterations=2)
        sheet = ndimage.binary_fill_holes(region)
        inside = ndimage.binary_erosion(sheet, CONNECTED, iterations=2, border_value=1)
        written_on = np.mean((~region | (small < 0.7 * closed))[inside])
        if written_on < 0.14 and is_sheet_shaped(sheet) and is_bounded(sheet, edge, small):
            return inside
    return np.ones(closed.shape, bool)


def is_bounded(sheet: np.ndarray, edge: np.ndarray, grey: np.ndarray) -> bool:
    """Whether the border of a sheet is sharp and mostly inside the picture.

    All are (height, width); the masks `sheet` and `edge` have the sheet and all sharp edges.
    Beyond the border it must be darker, not only on it: a cell of squared paper is no sheet.
    """
    border = sheet & ~ndimage.binary_erosion(sheet, CONNECTED, border_value=1)
    outline = sheet & ~ndimage.binary_erosion(sheet, CONNECTED)
    beyond = ndimage.binary_dilation(sheet, CONNECTED, iterations=5) & ~sheet
    return (
        border.sum() > 0.7 * outline.sum()
        and np.mean(edge[border]) > 0.8
        and grey[beyond].mean() < SHARP_EDGE * grey[sheet].mean()
    )


def is_sheet_shaped(mask: np.ndarray) -> bool:
    """Whether a mask (height, width) is convex and not too narrow, unlike most digits.

    By the central moments of second order: with the same ones, a parallelogram is as large,
    and other convex shapes nearly; what has gaps is smaller.
    """
    y, x = np.nonzero(mask)
    convex = len(y) > 0.93 * 12 * np.sqrt(np.linalg.det(np.cov(y, x)))
    return convex and stroke_width(mask) > THINNEST_SHEET * longer_side(mask)


def search_level(grey: np.ndarray, dark_ink: bool, sheet: np.ndarray, largest: float) -> Level:
    """Find the pieces of ink in a level (height, width), and which may be digits.

    Candidates are at most `largest` pixels long. Ink outside the `sheet` (a mask of any
    size) is left out. The score of the level is the length of the candidates' strokes, in
    longer sides of the picture, times their contrast, times their share of all ink; it is less
    for light ink and where noise is strong.
    """
    ink, paper, white = subtract_background(grey, dark_ink)
    on_sheet = np.ones(grey.shape, bool)
    if not sheet.all():
        on_sheet = np.asarray(Image.fromarray(sheet).resize(grey.shape[::-1]))
    # Negative ink is noise, except beside dark edges (up to a fifth of the pixels). The 20th
    # percentile of normal noise is 0.84 standard deviations below zero.
    noise = max(0.0, -quantile(ink[on_sheet], 0.2) / 0.84)
    ink = np.where(on_sheet, ink, 0)
    labels, start, stop, mass, long_mass = find_pieces(ink, noise)
    size, (height, width) = (stop - start).max(axis=1), (stop - start).T
    contrast, pen, unevenness = np.zeros((3, len(mass)))
    measured = (mass > 0) & (size >= SMALLEST * 2 / 3)  # smaller ones are no digits
    for i in np.flatnonzero(measured):
        box = tuple(map(slice, start[i], stop[i]))
        mask = labels[box] == i + 1
        contrast[i] = quantile(ink[box][mask], 0.8)
        pen[i] = stroke_width(mask)
        unevenness[i] = np.ptp(paper[box]) / white[box].max()
    solid = (mass > SOLID * contrast * height * width) & (pen > 0.25 * size)
    stroke = (pen > 0) & (pen < BOLDEST * size) & ~solid
    stroke &= contrast > (FAINT if dark_ink else FAINT_LIGHT)
    # A stroke may cross the edge of a shadow, but not that of a sheet.
    most_uneven = 0.5
    if not dark_ink and max(grey.shape) <= COARSEST_LEVEL:
        most_uneven = 0.6  # the median sees little of the ground behind a large digit
    stroke &= unevenness < most_uneven
    candidate = stroke & (size >= SMALLEST) & (size <= largest) & (height > FLATTEST * width)
    clear = np.minimum(1, contrast / (CLEAR * noise + 1e-6)) ** 2
    lengths = (clear * mass)[candidate] / pen[candidate]
    share = mass[candidate].sum() / max(mass.sum() + long_mass, 1e-6)
    score = lengths.sum() / max(grey.shape) * share
    if not dark_ink:
        score *= LIGHT_INK
    return Level(
        dark_ink, score, ink, noise, labels, start, stop, mass, contrast, stroke, candidate
    )


def subtract_background(
    grey: np.ndarray, dark_ink: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ink in a level, the paper without ink and the brightness of white, (height, width).

    The paper is the median of a window around each pixel. A median follows a gradient or a
    shadow's edge, but no stroke, as long as ink covers less than half of the window.
    """
    cell = WINDOW / WINDOW_CELLS
    size = [max(2, round(length / cell)) for length in reversed(grey.shape)]
    cells = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    cells = ndimage.median_filter(cells, WINDOW_CELLS, mode="nearest")
    paper = np.asarray(
        Image.fromarray(cells).resize(grey.shape[::-1], Image.Resampling.BILINEAR)
    )
    # Dark ink is relative to the paper, as a shadow darkens both by the same factor. The lower
    # limit keeps a dark table's texture weak.
    darkest = 0.5 * cells.max() + 1e-3 if dark_ink else max(quantile(grey, 0.995), 0.05)
    white = np.maximum(paper, darkest)
    ink = (paper - grey if dark_ink else grey - paper) / white
    return ndimage.gaussian_filter(ink, 0.7), paper, white


def quantile(values: np.ndarray, share: float) -> float:
    """The value that a `share` of the `values` is below; np.quantile is slower for few."""
    return float(np.sort(values, axis=None)[int(share * (values.size - 1))])


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that best parts values >= 0 into two classes.

    After Otsu, "A threshold selection method from gray-level histograms", 1979: of all
    thresholds, the one with the greatest variance between the classes.
    """
    step = max(values.max(), 1e-6) / 64
    count = np.bincount((values / step).astype(int).ravel(), minlength=65)
    below, total = np.cumsum(count)[:-1], np.cumsum(count * np.arange(65.0))
    above = count.sum() - below
    between = (total[-1] * below - count.sum() * total[:-1]) ** 2 / np.maximum(below * above, 1)
    return step * (1 + np.argmax(between))


def find_pieces(
    ink: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """The connected components of ink: labels, start, stop and mass of `Level`.

    Left out are rules, what the frame cuts off, what touches two of its sides or is longer
    than the coarsest level, and what encloses other pieces (a box). The last value is the
    mass of what is too long: it may be a digit for a coarser level.
    """
    rules, long_mass = None, 0.0
    while True:
        strong = max(otsu_threshold(np.maximum(ink, 0)), 3 * noise, FAINT)
        mask = ink > 0.6 * strong  # hysteresis: pieces need strong ink, and end with weaker
        if rules is None:
            rules = find_rules(mask)
        labels, count = ndimage.label(mask & ~rules, CONNECTED)
        mass = np.bincount(labels[ink > strong], ink[ink > strong], count + 1)[1:]
        start, stop = corners(ndimage.find_objects(labels))
        sides = np.hstack([start == 0, stop == ink.shape]).sum(axis=1)  # of the frame, touched
        center = (start + stop) / 2 / ink.shape
        depth = np.minimum(center, 1 - center).min(axis=1)  # from the nearest side
        long = (stop - start).max(axis=1) > COARSEST_LEVEL
        rejected = (mass > 0) & ((sides == 1) & (depth < CUT_OFF) | (sides > 1) | long)
        if not rejected.any():
            break
        long_mass += mass[long & (sides == 0)].sum()
        # Strong edges of pages and tables would raise the threshold.
        ink = np.where(np.r_[False, rejected][labels], 0, ink)
    mass[encloses_others(start, stop, mass)] = 0
    return labels, start, stop, mass, long_mass


def corners(boxes: Sequence[tuple[slice, slice]]) -> tuple[np.ndarray, np.ndarray]:
    """The corners of n boxes: (n, 2) of top and left, and of bottom and right."""
    ends = np.array([[(side.start, side.stop) for side in box] for box in boxes])
    start, stop = np.moveaxis(ends.reshape(-1, 2, 2), 2, 0)
    return start, stop


def encloses_others(start: np.ndarray, stop: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """(n,) True for pieces around others with a fifth of their mass, as a drawn box is."""
    size = (stop - start).max(axis=1)
    result = np.zeros(len(size), bool)
    for i in np.flatnonzero((size > SMALLEST) & (mass > 0)):
        inside = (start > start[i]).all(axis=1) & (stop < stop[i]).all(axis=1)
        result[i] = mass[inside].sum() > 0.2 * mass[i]
    return result


def find_rules(mask: np.ndarray) -> np.ndarray:
    """The pixels (height, width) of ruled or squared paper's lines in a mask of ink.

    Strokes that cross a line stay, for they are longer across it than a line is thick.
    """
    thickness = 3 + max(mask.shape) // 100
    horizontal, vertical = long_lines(mask), long_lines(mask.T).T
    rules = horizontal & vertical
    if horizontal.any():
        rules |= horizontal & ~ndimage.binary_opening(mask, np.ones((thickness, 1)))
    if vertical.any():
        rules |= vertical & ~ndimage.binary_opening(mask, np.ones((1, thickness)))
    return rules


def long_lines(mask: np.ndarray) -> np.ndarray:
    """The pixels of `mask` on straight lines that deviate at most 11 degrees from rows."""
    if mask.any(axis=0).sum() < 0.8 * min(RULE_LENGTH, mask.shape[1]):
        return np.zeros_like(mask)
    # Blocks of pixels side by side make this eight times faster and bridge small gaps.
    blocks = np.packbits(mask, axis=1)
    columns = blocks.shape[1]
    length = min(RULE_LENGTH // RULE_BLOCK, columns)
    window = max(1, min(WINDOW // RULE_BLOCK, 3 * columns // 4))
    filled = ndimage.maximum_filter1d(np.bitwise_count(blocks), 3, axis=0) > RULE_BLOCK // 2
    # Most pictures have nothing as long, and need no search at all angles.
    filled &= wide_components(ndimage.maximum_filter1d(filled, 3), length)
    if not filled.any():
        return np.zeros_like(mask)
    margin = 2 * columns  # a line rises less than that
    filled = np.pad(filled, ((margin, margin), (0, 0)))
    row, column = np.indices(filled.shape, np.int32, sparse=True)
    found = np.zeros_like(filled)
    for rise in range(-18, 19, 3):  # pixels in a window
        sheared = (row + column * rise // window) % len(filled)
        line = filled[sheared, column]
        share = ndimage.uniform_filter1d(line.astype(np.float32), window, mode="constant")
        hit = (share > 0.8).any(axis=1)
        if hit.any():
            near = ndimage.maximum_filter1d(share[hit] > 0.8, window)
            found[sheared[hit], column] |= line[hit] & near
    on_line = wide_components(found[margin : margin + len(mask)], length)
    return np.unpackbits(blocks * on_line, axis=1, count=mask.shape[1]).astype(bool)


def wide_components(mask: np.ndarray, length: int) -> np.ndarray:
    """The connected components of `mask` that cover at least `length` columns."""
    labels, _ = ndimage.label(mask, CONNECTED)
    spans = [columns.stop - columns.start for _, columns in ndimage.find_objects(labels)]
    return np.array([False, *(span >= length for span in spans)])[labels]


def stroke_width(mask: np.ndarray) -> float:
    """The width in pixels of the strokes in a mask (height, width)."""
    # In a bar of odd width w, the mean distance d to the outside is (w + 1)^2 / 4w. Solved
    # for w, with m = 2d - 1, it is m + sqrt(m^2 - 1).
    padded = np.zeros(np.add(mask.shape, 2), bool)  # np.pad is slow for small masks
    padded[1:-1, 1:-1] = mask
    distance = ndimage.distance_transform_edt(padded)
    m = 2 * distance.sum() / mask.sum() - 1
    return m + np.sqrt(max(m**2 - 1, 0))


def group_pieces(level: Level) -> list[list[int]]:
    """Group the pieces of a level to digits: lists of indices, none if it shows no writing."""
    typical_size, typical_contrast, typical_mass = (
        weighted_median(values[level.candidate], level.mass[level.candidate])
        for values in (level.size, level.contrast, level.mass)
    )
    fine = max(level.ink.shape) > COARSEST_LEVEL  # a coarse level averages textures away
    if fine and typical_contrast < LEAST_CONTRAST * level.noise:
        return []
    size, relative_mass = level.size / typical_size, level.mass / typical_mass
    height, width = (level.stop - level.start).T
    body = level.stroke & (size > 0.35) & (size < 3) & (relative_mass > 0.1)
    body &= height > FLATTEST * np.minimum(width, typical_size)  # digits that touch are wide
    if body.sum() > MOST_DIGITS:
        return []
    groups = merge_stacked(np.flatnonzero(body), level, typical_size)
    part = ~body & (relative_mass > 0.03) & (size < 1.2)
    part &= level.contrast > 0.3 * typical_contrast
    for piece in np.flatnonzero(part):
        add_to_nearest(piece, groups, level)
    return groups


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value (of n) up to which half of the weights lie."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return values[order][np.searchsorted(total, total[-1] / 2)]


def bounds(level: Level, group: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The bounding box of some pieces: (top, left) and (bottom, right)."""
    return level.start[group].min(axis=0), level.stop[group].max(axis=0)


def merge_stacked(pieces: np.ndarray, level: Level, size: float) -> list[list[int]]:
    """Group pieces that stand one above the other, as the bar of a 5 does above its body.

    `size` is that of a typical digit, in pixels. If all pieces share columns, that does not
    limit the height: they may be the parts of one digit.
    """
    top, bottom = level.start[pieces], level.stop[pieces]
    if len(pieces) and top[:, 1].max() < bottom[:, 1].min():
        size = bottom[:, 0].max() - top[:, 0].min()
    groups: list[list[int]] = []
    for piece in pieces:
        stacked = [group for group in groups if is_stacked(level, group, [piece], size)]
        if stacked:
            stacked[0].append(piece)
        else:
            groups.append([piece])
    return groups


def is_stacked(level: Level, group: list[int], other: list[int], size: float) -> bool:
    """Whether two groups share columns and together are no taller than a digit."""
    (start, stop), (other_start, other_stop) = bounds(level, group), bounds(level, other)
    gap, column_gap = np.maximum(start, other_start) - np.minimum(stop, other_stop)
    narrower = min(stop[1] - start[1], other_stop[1] - other_start[1])
    taller = max(stop[0] - start[0], other_stop[0] - other_start[0])
    height = max(stop[0], other_stop[0]) - min(start[0], other_start[0])
    return (
        -column_gap > 0.3 * narrower
        and gap < 0.25 * taller
        and height < 1.3 * max(size, taller)
    )


def add_to_nearest(piece: int, groups: list[list[int]], level: Level) -> None:
    """Add a loose part to the digit nearest to it, if one is near."""
    gaps = []
    for group in groups:
        start, stop = bounds(level, group)
        gap = np.maximum(level.start[piece] - stop, start - level.stop[piece]).max()
        gaps.append(gap / max((stop - start).max(), level.size[piece]))
    if groups and min(gaps) <= 0.15:
        groups[np.argmin(gaps)].append(piece)


def label_groups(labels: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """Labels (height, width) of the pieces, replaced by 1 for the first group, and so on."""
    new_label = np.zeros(labels.max() + 1, int)
    for label, group in enumerate(groups, start=1):
        new_label[np.add(group, 1)] = label
    return new_label[labels]


def split_touching(labels: np.ndarray) -> np.ndarray:
    """Labels (height, width) of digits, with new labels for the parts of what is too wide.

    The widths are compared with the median height, so a single digit is never split.
    """
    boxes = ndimage.find_objects(labels)
    if len(boxes) == 1:
        return labels
    widest = WIDEST * np.median([rows.stop - rows.start for rows, _ in boxes])
    for label, box in enumerate(boxes, start=1):
        shape = labels[box] == label
        for cut in find_cuts(shape, widest):
            labels[box][:, cut:][shape[:, cut:]] = labels.max() + 1
    return labels


def find_cuts(shape: np.ndarray, widest: float) -> list[int]:
    """The columns at which to cut a mask (height, width) until no part is too wide.

    A cut crosses as little ink as possible and leaves two parts nearly as high as the whole.
    Nothing is cut that is hardly wider than high, or where a cut would cross much ink.
    """
    height, width = shape.any(axis=1).sum(), shape.shape[1]
    if width <= max(widest, 1.15 * height):
        return []
    ink, margin = shape.sum(axis=0), int(0.3 * height)  # few digits are narrower
    inner = ink[margin : width - margin]
    thinnest = margin + np.flatnonzero(inner == inner.min())
    cut = int(thinnest[len(thinnest) // 2])
    left, right = shape[:, :cut], shape[:, cut:]
    lower = min(left.any(axis=1).sum(), right.any(axis=1).sum())
    if ink[cut] >= CUT_INK * stroke_width(shape) or lower < 0.6 * height:
        return []
    return [*find_cuts(left, widest), cut, *(cut + n for n in find_cuts(right, widest))]


def sort_into_lines(start: np.ndarray, stop: np.ndarray) -> list[list[int]]:
    """Order boxes (n, 2) from (top, left) to (bottom, right): lines of indices, as one reads.

    Each box is linked to its nearest right neighbour on the same line, so that lines may
    slant and curve.
    """
    if len(start) == 1:
        return [[0]]
    (y, x), height = ((start + stop) / 2).T, stop[:, 0] - start[:, 0]
    right, down = x - x[:, np.newaxis], y - y[:, np.newaxis]
    beside = (right > 0) & (np.abs(down) < right)
    distance = np.where(beside, np.hypot(right, down), np.inf)
    nearest = [(i, distance[i].argmin()) for i in np.flatnonzero(beside.any(axis=1))]
    slant = np.median([down[pair] / right[pair] for pair in nearest]) if nearest else 0
    y = y - slant * x  # as if the lines were level
    down = np.abs(y - y[:, np.newaxis])
    linkable = (right > 0) & (down < 0.6 * np.maximum(height, height[:, np.newaxis]))
    after, before = {}, {}
    for i, j in sorted(
        zip(*np.nonzero(linkable), strict=True), key=lambda p: right[p] + 2 * down[p]
    ):
        if i not in after and j not in before:
            after[i], before[j] = j, i
    lines = []
    for first in range(len(y)):
        if first not in before:
            line = [first]
            while line[-1] in after:
                line.append(after[line[-1]])
            lines.append(line)
    return sorted(lines, key=lambda line: y[line].mean())


def to_mnist(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Bring the digit in a mask to MNIST's form: float32 (28, 28) in [0, 1].

    `ink` and `mask` are (height, width). The form is white on black, fitted into 20 x 20
    pixels and centred by its centre of mass, as LeCun et al. made MNIST (1998, section
    III.A).
    """
    ink = np.clip(ink / quantile(ink[mask], 0.8), 0, 1)
    ink = np.where(ndimage.maximum_filter(mask, 3), ink, 0)  # with soft edges
    return center_in_frame(thicken(ink))


def thicken(ink: np.ndarray) -> np.ndarray:
    """`ink` (height, width) in [0, 1], with strokes that would vanish at 28 x 28 widened."""
    grow = (PEN_WIDTH * longer_side(ink) / 20 - stroke_width(ink > 0.5)) / 2
    if grow <= 0.25:
        return ink
    ink = np.pad(ink, int(grow) + 2)
    distance = ndimage.distance_transform_edt(ink <= 0.5)
    return np.maximum(ink, np.clip(grow + 1 - distance, 0, 1))


def center_in_frame(ink: np.ndarray) -> np.ndarray:
    """Fit ink (height, width) into 20 x 20 of 28 x 28 pixels, centred as MNIST's digits are.

    Their centre of mass lies at row and column 14, counted from 0: half a pixel below and
    to the right of the middle.
    """
    pixel = longer_side(ink) / 20
    margin = int(15 * pixel) + 1
    y, x = (center + margin + 0.5 for center in ndimage.center_of_mass(ink))
    before, after = 14.5 * pixel, 13.5 * pixel
    frame = (x - before, y - before, x + after, y + after)
    roomy = ImageOps.expand(Image.fromarray(ink.astype(np.float32)), margin)
    return np.asarray(roomy.resize((28, 28), Image.Resampling.BICUBIC, frame)).clip(0, 1)


def longer_side(ink: np.ndarray) -> int:
    """The longer side in pixels of the box around what counts in `ink` (height, width)."""
    return max(np.ptp(axis) + 1 for axis in np.nonzero(ink > LEAST_INK))
