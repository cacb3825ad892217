"""From a grey image to the ink on its sheet of paper, without ruled lines."""

from typing import NamedTuple

import cv2
import numpy as np

SHEET_SIDE = 128  # pixels: a sheet is searched in an image of this longer side
WRITING_KERNEL = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))  # wider than strokes
BLUR_KERNEL = np.ones((5, 5))  # pixels: wider than the blur at the edge of ink or of a sheet
MAX_STEP_RATIO = 0.8  # darker side / brighter side of a sharp step, such as a sheet's edge
MIN_SHEET_WIDTH = 0.17  # sheet's shorter side / image's longer side: thick strokes have less
MIN_SOLIDITY = 0.93  # area less its holes / area of the convex hull: a thick 0 has less
MAX_AT_FRAME = 0.3  # share of the hull's outline on the image's frame: a lit region has more

BACKGROUND_KERNEL = np.ones((64, 64))  # pixels: a dark square this large is background
GRAIN_KERNEL = 5  # pixels: the median filter that removes grain from the background
MIN_BACKGROUND = 0.5  # share of white: lower limit that keeps the texture of dark tables weak
BLUR_SIGMA = 0.7  # pixels: the Gaussian blur that removes grain from the ink
MIN_CONTRAST = 0.05  # of ink: the texture of the background has less
MIN_CONTRAST_TO_NOISE = 6  # contrast of ink / standard deviation of the noise
# Share of the greatest distance from the edge. Pixels nearer to the edge do not count for the
# threshold, because a corner of a table may be much darker than ink.
EDGE_ZONE = 0.2
THRESHOLD_FACTOR = 0.85  # the thinnest parts of strokes are a little weaker than the rest
LINE_THRESHOLD_FACTOR = 0.45  # ruled lines are weak where they lie between two rows of pixels

MIN_RECTANGULARITY = 0.93  # area inside the outline / smallest rectangle
MIN_RUN = 40  # pixels: a ruled line has straight runs as long as this, a digit rarely has one
MIN_RUN_SHARE = 0.8  # of the image's side along the line, in low or narrow images
RUN_OFFSET = 5  # pixels: a run of a slanting line may drift this far sideways
# Of the image's side along the line: least lengths of a ruled line that reaches the paper's
# edge, and of horizontal ones that do not: at least two of those, as one may be a digit's bar.
MIN_LENGTH_SHARE, MIN_FREE_LENGTH_SHARE = 0.25, 0.6
# A ruled line is thinner than these pixels plus this share of the image's longer side.
MAX_THICKNESS, MAX_THICKNESS_SHARE = 5, 0.0125
# Width / height of a crop of a row or table. In a narrower image, a line along the frame counts
# as thick, and stays: it may be the bar of a 2.
MIN_ROW_ASPECT = 2
NO_INK_BEYOND = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
# A stroke across a ruled line is longer than this many thicknesses of it plus this many pixels.
CROSSING_THICKNESSES, CROSSING_PIXELS = 1.25, 2


def find_sheet(grey: np.ndarray) -> np.ndarray:
    """Find the sheet of paper in grey (height, width), if one lies on a table or another sheet.

    It is the convex hull of the largest region without sharp steps of brightness that is wide,
    nearly convex, mostly in the image and brighter than the rest. Returns a uint8 mask with
    SHEET_SIDE pixels on its longer side: 1 on the sheet, or everywhere if there is none.
    """
    grey = resize(grey, SHEET_SIDE)
    blank = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, WRITING_KERNEL)  # without writing
    smooth = cv2.erode(blank, BLUR_KERNEL) > MAX_STEP_RATIO * cv2.dilate(blank, BLUR_KERNEL)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.uint8(smooth))
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA]):
        region = cv2.dilate(np.uint8(labels == label), BLUR_KERNEL)  # its rim was not smooth
        hull = cv2.convexHull(cv2.findNonZero(region))
        sheet = cv2.fillConvexPoly(np.zeros_like(region), hull, 1)
        at_frame = sheet[[0, -1]].sum() + sheet[:, [0, -1]].sum()
        if (
            min(cv2.minAreaRect(hull)[1]) > MIN_SHEET_WIDTH * SHEET_SIDE
            and region.sum() > MIN_SOLIDITY * sheet.sum()
            and at_frame < MAX_AT_FRAME * cv2.arcLength(hull, closed=True)
            and np.median(grey[sheet == 0]) < MAX_STEP_RATIO * np.median(grey[sheet == 1])
        ):
            return sheet
    return np.ones(grey.shape, np.uint8)


class Ink(NamedTuple):
    """The ink on one level of an image; all arrays are (height, width).

    The contrast of dark ink is (background - pixel) / background with a lower limit of the
    divisor, that of light ink (pixel - background) / white, both less the mean on empty paper.
    """

    contrast: np.ndarray  # about 0 on empty paper; 0 on ruled lines and outside the sheet
    local_range: np.ndarray  # range of the contrast around each pixel
    image: np.ndarray  # grey values / white; those of light ink are inverted first
    background: np.ndarray  # the image without ink
    noise: float  # standard deviation of the contrast on empty paper
    edge_distance: np.ndarray  # pixels to what is not the sheet: 1 at its edge, 0 outside


def find_ink(grey: np.ndarray, sheet: np.ndarray, dark_ink: bool) -> Ink:
    """The ink on a level, grey (height, width) in [0, 1]; `sheet` is a mask of any size."""
    sheet_mask = cv2.resize(sheet, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(255 * (grey if dark_ink else 1 - grey), (0, 0), BLUR_SIGMA)
    smooth = cv2.medianBlur(np.uint8(image), GRAIN_KERNEL)
    border = cv2.BORDER_REFLECT  # without it, noise on a gradient is read as digits
    background = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, BACKGROUND_KERNEL, borderType=border)
    # A shadow darkens paper and dark ink by the same factor.
    white = np.float32(255 * grey.max() + 1)
    divisor = np.maximum(background, MIN_BACKGROUND * white) if dark_ink else white
    contrast = (background - image) / divisor
    local_range = cv2.morphologyEx(np.uint8(image), cv2.MORPH_GRADIENT, BLUR_KERNEL) / divisor
    mean, noise = measure_paper(contrast[::2, ::2][sheet_mask[::2, ::2] == 1])
    contrast = (contrast - mean) * sheet_mask
    edge_distance = distance_inside(sheet_mask)
    ink = Ink(contrast, local_range, image / white, background / white, noise, edge_distance)
    mask = to_mask(ink, LINE_THRESHOLD_FACTOR)
    lines = find_ruled_lines(mask, ink.edge_distance == 1, find_rectangles(mask))
    return ink._replace(contrast=erase(contrast, lines, mask))


def measure_paper(contrast: np.ndarray) -> tuple[float, float]:
    """The mean and the standard deviation of empty paper, from the contrast (n,) of a sheet.

    Ink may cover most of it, so low percentiles measure the paper: the 4th and the 23rd of a
    normal distribution are 1.75 and 0.75 standard deviations below its mean.
    """
    ranks = [4 * len(contrast) // 100, 23 * len(contrast) // 100]
    at_4, at_23 = np.partition(contrast, ranks)[ranks]
    return at_23 + 0.75 * (at_23 - at_4), at_23 - at_4


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """The distance in pixels of each pixel of a mask (height, width) from the outside."""
    padded = cv2.copyMakeBorder(np.uint8(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def to_mask(ink: Ink, factor: float = THRESHOLD_FACTOR) -> np.ndarray:
    """The uint8 mask of ink above `factor` times Otsu's threshold (1979) with lower limits."""
    inner = ink.contrast[ink.edge_distance > EDGE_ZONE * ink.edge_distance.max()]
    scale = 255 / max(inner.max(), 1e-6)
    otsu, _ = cv2.threshold(np.uint8(scale * inner.clip(0)), 0, 255, cv2.THRESH_OTSU)
    threshold = max(otsu / scale, MIN_CONTRAST_TO_NOISE * ink.noise, MIN_CONTRAST)
    return np.uint8(ink.contrast > factor * threshold)


def find_rectangles(mask: np.ndarray) -> np.ndarray:
    """Where components are rectangles with a hole: frames, tables, tiles with a light digit."""
    count, labels = cv2.connectedComponents(mask)
    is_rectangle = np.zeros(count, bool)
    outlines, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for index, outline in enumerate(outlines):
        has_hole = hierarchy[0, index, 2] >= 0
        rectangle = np.prod(cv2.minAreaRect(outline)[1])
        x, y = outline[0, 0]
        if has_hole and cv2.contourArea(outline) > MIN_RECTANGULARITY * rectangle:
            is_rectangle[labels[y, x]] = True
    return is_rectangle[labels]


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """The ruled lines in a mask of ink, without the strokes that cross them.

    `mask` and the result are uint8, `edge` is True at the sheet's edge, `rectangles` is True on
    frames and tables, whose sides are ruled lines only if they reach it: all (height, width).
    """
    horizontal = find_horizontal_lines(mask, edge, rectangles)
    # Strokes across a line stay, so vertical lines are still whole. Those that do not reach the
    # edge may be ones.
    rest, everywhere = mask & ~horizontal, np.ones_like(rectangles)
    return horizontal | find_horizontal_lines(rest.T, edge.T, everywhere.T).T


def find_horizontal_lines(
    mask: np.ndarray, edge: np.ndarray, must_reach: np.ndarray
) -> np.ndarray:
    """The nearly horizontal ruled lines: the thin ink in long runs.

    Those with a pixel where `must_reach` (height, width) is True must reach the edge.
    """
    height, width = mask.shape
    thickness = MAX_THICKNESS + int(MAX_THICKNESS_SHARE * max(mask.shape))
    border = NO_INK_BEYOND if width > MIN_ROW_ASPECT * height else {}
    square = np.ones((thickness, thickness))
    thin = mask & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, square, **border)
    thickened = cv2.dilate(mask, np.ones((RUN_OFFSET, 1)))
    run = np.ones((1, min(MIN_RUN, int(MIN_RUN_SHARE * width))))
    runs = cv2.morphologyEx(thickened, cv2.MORPH_OPEN, run, **NO_INK_BEYOND)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(runs)
    length = stats[:, cv2.CC_STAT_WIDTH]
    length[0] = 0  # the background
    reaches_edge = np.bincount(labels[edge], minlength=count) > 0
    must_reach_edge = np.bincount(labels[must_reach], minlength=count) > 0
    is_line = reaches_edge & (length > MIN_LENGTH_SHARE * width)
    is_free_line = ~must_reach_edge & (length > MIN_FREE_LENGTH_SHARE * width)
    if is_free_line.sum() > 1:
        is_line |= is_free_line
    lines = np.uint8(is_line)[labels] & thin
    mean_thickness = lines.sum() / max(length[is_line].sum(), 1)
    crossing = CROSSING_PIXELS + int(CROSSING_THICKNESSES * mean_thickness)
    return lines & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((crossing, 1)))


def erase(contrast: np.ndarray, part: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The contrast, 0 on `part` of the `mask` and on its blurred rim; other ink stays."""
    return np.where(cv2.dilate(part, BLUR_KERNEL) & (part | ~mask), 0, contrast)


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """`grey` (height, width) with `side` pixels on its longer side."""
    scale = side / max(grey.shape)
    size = [max(1, round(scale * length)) for length in reversed(grey.shape)]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(grey, size, interpolation=method).clip(0, 1)
